"""The names that `from minigpt import ...` offers, each imported on demand.

`import minigpt` alone imports nothing, so that chapter 1 starts at once, and a
reader's own modules are found in their place.
"""

from importlib import import_module

EXPORTS = {  # name: its module
    "BPETokenizer": "tokenizer",
    "CharTokenizer": "tokenizer",
    "GPT": "gpt",
    "GPTConfig": "gpt",
    "KVCache": "cache",
    "Recipe": "train",
    "Sampling": "sample",
    "Tokenizer": "tokenizer",
    "WordTokenizer": "tokenizer",
    "bits_per_char": "bigram",
    "cross_entropy": "bigram",
    "evaluate": "bigram",
    "generate": "sample",
    "load_model": "run.models",
    "new_cache": "cache",
}


def find(name):
    """A public name of the package (a module's `__getattr__`, PEP 562)."""
    if name not in EXPORTS:
        raise AttributeError(f"module 'minigpt' has no attribute {name!r}")
    if EXPORTS[name] in ("gpt", "train"):
        import_module("minigpt.sparse")  # GPTConfig and Recipe name its parts
    return getattr(import_module(f"minigpt.{EXPORTS[name]}"), name)
