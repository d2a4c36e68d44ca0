"""Every way to a trained model, and the way to ship one."""

import hashlib
import os
import sys
from contextlib import contextmanager
from pathlib import Path

import pooch
from huggingface_hub import hf_hub_download

from minigpt.files import FullDiskError, atomic_write, full_disk
from minigpt.gpt import GPT, GPTConfig
from minigpt.pretrained import config_from_json, config_to_json, load_gpt2
from minigpt.run import log, probes
from minigpt.run.checkpoint import (
    naming,
    newest,
    open_model,
    read_json,
    save_model,
)
from minigpt.run.corpus import open_tokenizer
from minigpt.run.options import ASSETS, ExportModel
from minigpt.tokenizer import gpt2_bytes, gpt2_tokenizer

SHIPPED = {  # a folder in ASSETS: the commands that make its files again
    "presidents": (
        "train --preset reference --threads 1 --out runs/reference",
        "export-model runs/reference minigpt/assets/presidents",
    ),
    "second_term": (
        "train --preset second_term --compile --threads 2 "
        "--out runs/second_term",
        "export-model runs/second_term minigpt/assets/second_term --bits 8",
    ),
    "world": (
        "train --preset world --compile --threads 2 --out runs/world",
        "export-model runs/world minigpt/assets/world --bits 8",
    ),
}


def load_model(
    path: str | Path = ASSETS / "presidents", *, weights: str = "best"
):
    """path -> a GPT (float32, CPU, ready to use) and its tokenizer.

    `path` is the folder of a run, of an exported model or of one in Hugging
    Face's GPT-2 format, or a name: "presidents" (the default), "second_term"
    and "world" come with the course, and "gpt2" is GPT-2 small, downloaded
    once. Of a run, `weights` takes the best or the last; if no best is stored
    yet, you get the last, with a note.
    Raises ValueError, with the way out, where there is no model.
    """
    if weights not in ("best", "last"):
        raise ValueError(f"weights must be best or last, got {weights!r}")
    folder = find_folder(path)
    if folder == gpt2_folder():
        fetch_gpt2()
    with made_again(folder):
        if (folder / "config.json").exists():
            model, tokenizer = load_gpt2_folder(folder)
        else:
            model, tokenizer = load_folder(folder, weights)
        for name, p in model.named_parameters():
            if not p.isfinite().all():
                raise ValueError(f"{folder}: {name} contains NaN or infinity")
    return model, tokenizer


def find_folder(name: str | Path) -> Path:
    """The folder of that name, or else the model that has it.

    Raises ValueError where there is neither.
    """
    folder = Path(name)
    if folder.is_dir() or is_shipped(folder):
        return folder
    if folder == Path("gpt2"):
        return gpt2_folder()
    if is_shipped(ASSETS / folder):
        return ASSETS / folder
    raise ValueError(
        f"there is no model {str(folder)!r}: expected {', '.join(SHIPPED)}, "
        "gpt2, or the folder of a run or of an exported model"
    )


def is_shipped(folder: Path) -> bool:
    """Does a folder hold a model that comes with the course, or should it?"""
    return folder.parent == ASSETS and folder.name in SHIPPED


@contextmanager
def made_again(folder: Path):
    """An error about a file that the course ships says how to make it."""
    try:
        yield
    except (ValueError, OSError) as error:
        if not is_shipped(folder):
            raise
        how = [f"`python -m minigpt {line}`" for line in SHIPPED[folder.name]]
        raise ValueError(
            f"{error}. To make the file again, run {' and then '.join(how)}"
        ) from error


def load_folder(folder: Path, weights: str):
    """-> model and tokenizer of a run or of an exported model.

    Raises ValueError where there is none, or the two do not belong together.
    """
    model = exported_model(folder) or run_model(folder, weights)
    if model is None:
        raise ValueError(
            f"there is no model in {folder}: it has neither model.safetensors "
            "nor the checkpoints of a run"
        )
    tokenizer, n_vocab = open_tokenizer(folder), model.config.vocab_size
    if tokenizer.n_vocab != n_vocab:
        raise ValueError(
            f"{folder / 'tokenizer.json'} must have the {n_vocab:,} tokens of "
            f"the model beside it, got {tokenizer.n_vocab:,}"
        )
    return model, tokenizer


def exported_model(folder: Path) -> GPT | None:
    """The model that `export_model` wrote into a folder, if it did."""
    path = folder / "model.safetensors"
    return open_model(path)[0] if path.exists() else None


def run_model(folder: Path, weights: str) -> GPT | None:
    """The best or the last weights of a run, if it has any."""
    best = folder / "best.safetensors"
    if weights == "best" and best.exists():
        return open_model(best)[0]
    found = newest(folder)
    if found is None:
        return None
    model, _, place = found
    if weights == "best":
        print(
            f"{folder} has no best weights yet: these are of step "
            f"{place['step']}",
            file=sys.stderr,
        )
    return model


def export_model(options: ExportModel) -> int:
    """`python -m minigpt export-model`: a run's best weights, ready to ship.

    A run without best weights exports its last ones. The tokenizer, the log
    (thinned), the curve and the probes come along.
    Raises ValueError where `source` is not a run, or `target` is one.
    """
    source, target = options.source, options.target
    best = source / "best.safetensors"
    if best.exists():
        model, facts = open_model(best)
    else:
        model, facts = run_model(source, "best"), {}
    if model is None:
        raise ValueError(f"{source} is not a run that has saved weights")
    if (target / "options.json").exists():  # whose own log and weights matter
        raise ValueError(f"{target} is a run: choose another folder to write")
    target.mkdir(parents=True, exist_ok=True)
    lines = log.read(source / "log.jsonl")
    starts = [line for line in lines if line["kind"] == "start"]
    save_model(
        target / "model.safetensors", model,
        bits=None if options.bits == 16 else options.bits,
        origin=starts, **facts,
    )  # fmt: skip
    copies = {
        name: (source / name).read_bytes()
        for name in ("tokenizer.json", "data.json", "curve.svg")
    }
    copies["log.jsonl"] = log.as_text(log.thinned(lines)).encode()
    for name, content in copies.items():
        with atomic_write(target / name) as file:
            file.write(content)
    points = sorted((source / "probes").glob("*.safetensors"))
    if points:
        probes.merge(points, target / "probes.safetensors")
    for path in sorted(target.iterdir()):
        print(f"{path.stat().st_size / 1e6:8.3f} MB  {path.name}")
    return 0


# --- GPT-2 -------------------------------------------------------------------

GPT2 = {  # one revision, so the file behind it cannot change
    "repo_id": "openai-community/gpt2",
    "filename": "model.safetensors",
    "revision": "607a30d783dfa663caf39e06633721c8d4cfcd7e",
}
GPT2_BYTES = 548_105_171
GPT2_SHA256 = "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707"
GPT2_CONFIG = GPTConfig(mlp="gelu_tanh")  # 12 blocks, 12 heads, 768 channels


def gpt2_folder() -> Path:
    """Where GPT-2 small is kept, or will be: MINIGPT_CACHE or the user's."""
    cache = os.environ.get("MINIGPT_CACHE") or pooch.os_cache("minigpt")
    return Path(cache) / "gpt2"


def gpt2_is_here() -> bool:
    """Has GPT-2 small been downloaded whole?"""
    path = gpt2_folder() / GPT2["filename"]
    return path.exists() and path.stat().st_size == GPT2_BYTES


def fetch_gpt2() -> Path:
    """The folder of GPT-2 small: downloaded if need be, verified each time.

    Raises ConnectionError without a network, ValueError for wrong bytes.
    """
    folder = gpt2_folder()
    path = folder / GPT2["filename"]
    if not gpt2_is_here():
        path.unlink(missing_ok=True)
        try:
            with full_disk(path):
                hf_hub_download(**GPT2, local_dir=folder)
        except FullDiskError:
            raise
        except Exception as error:  # whatever the library raises for it
            url = (
                "https://huggingface.co/{repo_id}/resolve/{revision}/{filename}"
            )
            raise ConnectionError(
                f"GPT-2 could not be downloaded ({type(error).__name__}). Try "
                "again with a network, and it continues where it stopped; or "
                f"get {url.format(**GPT2)} ({GPT2_BYTES:,} bytes) on another "
                f"machine and put it at {path}"
            ) from error
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 != GPT2_SHA256:
        path.unlink()
        raise ValueError(
            f"{path} was not GPT-2 (wrong sha256) and is deleted; try again"
        )
    with atomic_write(folder / "config.json") as file:
        file.write(config_to_json(GPT2_CONFIG).encode())
    return folder


def load_gpt2_folder(folder: Path):
    """-> model and tokenizer of a folder in Hugging Face's GPT-2 format.

    Raises ValueError for weights that do not fit, or another vocabulary.
    """
    tokenizer = gpt2_tokenizer()
    check_vocabulary(folder, tokenizer)
    path = folder / "config.json"
    read_json(path)
    with naming(path):
        config_from_json(path.read_text(encoding="utf-8"))
    model = load_gpt2(folder)
    if model.config.vocab_size != tokenizer.n_vocab:
        raise ValueError(
            f"{folder} must have GPT-2's {tokenizer.n_vocab:,} tokens, got "
            f"{model.config.vocab_size:,}; minigpt.pretrained.load_gpt2 opens "
            "it without a tokenizer"
        )
    return model, tokenizer


def check_vocabulary(folder: Path, tokenizer) -> None:
    """Refuse a folder that brings another vocabulary than GPT-2's.

    A folder that brings none is taken to mean GPT-2's.
    """
    names = ("vocab.json", "tokenizer.json")
    path = next((folder / n for n in names if (folder / n).exists()), None)
    if path is None:
        return
    found = read_json(path)
    with naming(path):
        if path.name == "tokenizer.json":
            found = dict(found["model"]["vocab"])
    letter = {byte[0]: c for c, byte in gpt2_bytes().items()}
    for token, rank in tokenizer.ranks.items():
        if found.get("".join(letter[b] for b in token)) != rank:
            raise ValueError(
                f"{path}: token {rank} is not GPT-2's {token!r}; "
                "minigpt.pretrained.load_gpt2 opens it without a tokenizer"
            )
