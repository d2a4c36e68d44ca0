"""GPT-2 small, the real one: 548 MB from Hugging Face, once.

Nothing here runs by itself: a reader asks for it with
`python -m minigpt generate --model gpt2`, or in chapter 13. The address names
one revision, so the file behind it cannot change, and the sha256 makes sure.
"""

import json
import os
from pathlib import Path

import pooch

from minigpt.gpt import GPT, GPTConfig
from minigpt.run.checkpoint import write_atomically
from minigpt.run.download import Remote, fetch, size_of
from minigpt.tokenizer import gpt2_bytes, gpt2_tokenizer

REVISION = "607a30d783dfa663caf39e06633721c8d4cfcd7e"
GPT2 = Remote(
    "https://huggingface.co/openai-community/gpt2/resolve/"
    f"{REVISION}/model.safetensors",
    548_105_171,
    "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707",
)
CONFIG = GPTConfig(activation="gelu_tanh")  # 12 blocks, 12 heads, 768 channels


def gpt2_folder() -> Path:
    """Where GPT-2 small is kept, or will be: MINIGPT_CACHE or the user's."""
    cache = os.environ.get("MINIGPT_CACHE") or pooch.os_cache("minigpt")
    return Path(cache) / "gpt2"


def gpt2_is_here() -> bool:
    """Has GPT-2 small been downloaded whole?"""
    return size_of(gpt2_folder() / "model.safetensors") == GPT2.n_bytes


def fetch_gpt2() -> Path:
    """The folder of GPT-2 small, downloaded if need be, verified each time.

    Raises ConnectionError without a network, ValueError for wrong bytes.
    """
    from minigpt.pretrained import config_to_json

    folder = gpt2_folder()
    fetch(GPT2, folder / "model.safetensors")
    write_atomically(folder / "config.json", config_to_json(CONFIG).encode())
    return folder


def is_gpt2_folder(folder: Path) -> bool:
    """Does a folder hold a model in Hugging Face's format?"""
    return (folder / "config.json").exists() and (
        folder / "model.safetensors"
    ).exists()


def open_gpt2(folder: Path) -> tuple[GPT, object]:
    """-> model and tokenizer of a folder in Hugging Face's GPT-2 format.

    Raises ValueError for weights that do not fit, or another vocabulary.
    """
    from minigpt.pretrained import load_gpt2

    tokenizer = gpt2_tokenizer()
    check_vocabulary(folder, tokenizer)
    model = load_gpt2(folder)
    if model.config.vocab_size != tokenizer.n_vocab:
        raise ValueError(
            f"{folder}: expected GPT-2's vocabulary of {tokenizer.n_vocab:,} "
            f"tokens, got {model.config.vocab_size:,}. {ELSEWHERE}"
        )
    return model, tokenizer


ELSEWHERE = (
    "A model with another tokenizer can be used from Python: "
    "minigpt.pretrained.load_gpt2"
)


def check_vocabulary(folder: Path, tokenizer) -> None:
    """Refuse a folder that brings another vocabulary than GPT-2's.

    A folder that brings none is taken to mean GPT-2's.
    """
    names = ("vocab.json", "tokenizer.json")
    path = next((folder / n for n in names if (folder / n).exists()), None)
    if path is None:
        return
    found = json.loads(path.read_text(encoding="utf-8"))
    if path.name == "tokenizer.json":
        found = found.get("model", {}).get("vocab", {})
    letter = {byte[0]: c for c, byte in gpt2_bytes().items()}
    for token, rank in tokenizer.ranks.items():
        if found.get("".join(letter[b] for b in token)) != rank:
            raise ValueError(
                f"{path}: token {rank} is not GPT-2's {token!r}. {ELSEWHERE}"
            )
