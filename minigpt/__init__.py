"""A GPT built from scratch, chapter by chapter.

from minigpt import GPT, GPTConfig, load_model, generate
"""

from importlib import import_module

__version__ = "0.2.0"

EXPORTS = {  # name: its module, imported when somebody asks for the name
    "BPETokenizer": "tokenizer",
    "CharTokenizer": "tokenizer",
    "GPT": "gpt",
    "GPTConfig": "gpt",
    "KVCache": "cache",
    "Recipe": "train",
    "Sampling": "sample",
    "Tokenizer": "tokenizer",
    "WordTokenizer": "tokenizer",
    "attention": "attention",
    "bits_per_char": "bigram",
    "cross_entropy": "bigram",
    "evaluate": "bigram",
    "generate": "sample",
    "load_model": "run.models",
    "new_cache": "cache",
    "train": "train",
}
__all__ = [*EXPORTS]


def __getattr__(name):
    if name not in EXPORTS:
        raise AttributeError(f"module 'minigpt' has no attribute {name!r}")
    import_module("minigpt.modern")  # a configuration may name its parts
    return getattr(import_module(f"minigpt.{EXPORTS[name]}"), name)
