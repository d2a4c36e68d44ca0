"""Text -> tokenizer and token files in a run's folder, made once."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from minigpt.data import (
    DOWNLOADS,
    load_corpus,
    load_text,
    open_tokens,
    split_documents,
    write_tokens,
)
from minigpt.run.checkpoint import write_atomically
from minigpt.tokenizer import BPETokenizer, CharTokenizer, Tokenizer

END = "<|endoftext|>"  # stands before, between and after documents


@dataclass(frozen=True)
class Part:
    """Held-out tokens, and how many characters they stand for."""

    ids: torch.Tensor
    n_chars: int


def texts(corpus: str, part: str) -> list[str]:
    """The documents of one part of a corpus, or of a text file.

    A file is one document: the first nine tenths are `train`, the rest is
    `val`. Raises ValueError for a name that is neither, or an unknown part.
    """
    if corpus == "sotu":
        documents = getattr(split_documents(load_corpus(corpus)), part)
        return [document.text for document in documents]
    if corpus in DOWNLOADS:
        return [load_text(corpus, part)]
    path = Path(corpus)
    if not path.is_file():
        known = ", ".join(["sotu", *DOWNLOADS])
        raise ValueError(
            f"--corpus must be one of {known} or an existing text file, got "
            f"{corpus!r}"
        )
    text = path.read_text(encoding="utf-8")
    cut = int(0.9 * len(text))
    parts = {"train": text[:cut], "val": text[cut:]}
    if part not in parts:
        raise ValueError(f"{corpus} has train and val; got part={part!r}")
    return [parts[part]]


def all_text(corpus: str) -> str:
    """Every part: characters need an id each, also those not trained on."""
    if corpus == "sotu":
        return "".join(d.text for d in load_corpus(corpus))
    return "".join(texts(corpus, part)[0] for part in ("train", "val"))


def make_tokenizer(kind: str, corpus: str, n_vocab: int, quiet: bool):
    """Characters of the whole corpus, or merges of its training part."""
    if kind == "char":
        return CharTokenizer.train(all_text(corpus))
    return BPETokenizer.train(
        "\n\n".join(texts(corpus, "train")),
        n_vocab,
        special_tokens=(END,),
        progress=not quiet,
    )


def encode(tokenizer, documents: list[str], quiet: bool = True) -> list[int]:
    """Documents -> ids, each after an end-of-text token, which ends all.

    Without such a token, an empty line stands between documents.
    """
    end = getattr(tokenizer, "special_tokens", {}).get(END)
    if end is None:
        return tokenizer.encode("\n\n".join(documents))
    ids = [end]
    for text in tqdm(documents, "encoding", disable=quiet, leave=False):
        ids += tokenizer.encode(text)
        ids.append(end)
    return ids


def characters(tokenizer, documents: list[str]) -> int:
    """Characters that the targets in `encode`'s ids stand for.

    The first token is never a target: it is an end-of-text, or the first
    character, which is then not counted.
    """
    if getattr(tokenizer, "special_tokens", {}).get(END) is None:
        return len("\n\n".join(documents)) - 1
    return sum(map(len, documents))


def prepare(folder: Path, options, quiet: bool = False) -> None:
    """Writes tokenizer and token files, unless the folder has them."""
    facts = folder / "data.json"
    if facts.exists():
        return
    corpus = options.corpus
    tokenizer = make_tokenizer(
        options.tokenizer, corpus, options.n_vocab, quiet
    )
    tokenizer.save(folder / "tokenizer.json")
    counts = {"tokenizer": options.tokenizer, "corpus": corpus}
    for part in ("train", "val"):
        documents = texts(corpus, part)
        ids = encode(tokenizer, documents, quiet)
        if len(ids) <= options.block_size:
            raise ValueError(
                f"--block-size {options.block_size} needs a longer text: the "
                f"{part} part of {corpus} has {len(ids)} tokens"
            )
        write_tokens(folder / f"{part}.tokens", ids, tokenizer.n_vocab)
        counts[part] = {
            "tokens": len(ids), "characters": characters(tokenizer, documents)
        }  # fmt: skip
    write_atomically(facts, json.dumps(counts, indent=1).encode())


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer that a run or a model was made with."""
    return Tokenizer.load(folder / "tokenizer.json")


def training_tokens(folder: Path):
    """The training part, as a memory map."""
    return open_tokens(folder / "train.tokens")


def held_out(folder: Path) -> Part:
    """The validation part."""
    counts = json.loads((folder / "data.json").read_text())
    ids = np.asarray(open_tokens(folder / "val.tokens"), dtype=np.int64)
    return Part(torch.from_numpy(ids), counts["val"]["characters"])
