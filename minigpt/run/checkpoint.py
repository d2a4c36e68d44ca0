"""One file that survives accidents and distrusts strangers.

A checkpoint is a safetensors file: eight bytes with the length of a header,
the header (JSON), the numbers. Nothing in it is ever executed. Its metadata
holds the configuration and a sha256 over the whole file, so one flipped bit
anywhere is noticed. A file is written under another name, flushed to the
disk and then renamed: it is there whole or not at all.
"""

import errno
import hashlib
import json
import os
from pathlib import Path

import safetensors.torch
import torch

BLANK = "0" * 64  # stands in the digest's place while the digest is taken
LONGEST_HEADER = 16 << 20  # bytes; a header of this course has some 10 000
SIZES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "BOOL": 1, "U8": 1, "I8": 1,
    "U16": 2, "I16": 2, "U32": 4, "I32": 4, "U64": 8, "I64": 8,
}  # fmt: skip


class CheckpointError(ValueError):
    """A file that is not, or no longer, a checkpoint of this course."""


def write_atomically(path: Path, content: bytes) -> None:
    """`content` under `path`, whole or not at all, even if power fails.

    Raises OSError with what to do where the disk is full.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(
                f"the disk is full: {path.name} "
                f"({len(content) / 1e6:.1f} MB) was not written, earlier "
                "files are as they were; free some space, then go on with "
                "--resume"
            ) from error
        raise


def sync_folder(folder: Path) -> None:
    """Makes a rename in `folder` last (Windows does so by itself)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write(path: Path, tensors: dict, metadata: dict[str, str]) -> None:
    """Saves tensors and metadata as one sealed safetensors file."""
    tensors = {k: t.detach().cpu().contiguous() for k, t in tensors.items()}
    blob = safetensors.torch.save(tensors, {**metadata, "sha256": BLANK})
    end = 8 + int.from_bytes(blob[:8], "little")
    # In one fixed order: equal runs write equal bytes.
    text = json.dumps(json.loads(blob[8:end]), sort_keys=True)
    text = text.encode().ljust(-(-len(text) // 8) * 8)
    head = len(text).to_bytes(8, "little") + text
    digest = hashlib.sha256(head)
    digest.update(blob[end:])
    head = head.replace(mark(BLANK), mark(digest.hexdigest()))
    write_atomically(path, head + blob[end:])


def mark(digest: str) -> bytes:
    """How the digest stands in a header."""
    return f'"sha256": "{digest}"'.encode()


def read_header(path: Path) -> tuple[bytes, dict]:
    """The first bytes of a file, up to its numbers, and what they say.

    Raises CheckpointError before anything of the claimed size is allocated.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or not 2 <= length <= min(size - 8, LONGEST_HEADER):
            raise CheckpointError(
                f"{path} is not a checkpoint: {what_it_is(start, length, size)}"
            )
        text = file.read(length)
    try:
        header = json.loads(text)
        check_layout(header, size - 8 - length)
    except (ValueError, RecursionError, TypeError, KeyError) as error:
        raise CheckpointError(
            f"{path} is not a checkpoint, or is damaged: {error}"
        ) from None
    return start + text, header


def what_it_is(start: bytes, length: int, size: int) -> str:
    """Why the first eight bytes cannot begin a safetensors file."""
    if start[:2] == b"PK" or start[:1] == b"\x80":
        return "it looks like a pickle, which could run any code; refused"
    if len(start) < 8:
        return f"it has only {size} bytes"
    return (
        f"its header claims {length:,} bytes, the file has {size:,} "
        "(foreign, or cut short)"
    )


def check_layout(header: dict, size: int) -> None:
    """The tensors must fill the `size` bytes after the header exactly."""
    if type(header) is not dict:
        raise ValueError("the header is not a JSON object")
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or not all(
        isinstance(value, str) for value in metadata.values()
    ):
        raise ValueError("there is no metadata")
    spans = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        n = SIZES[entry["dtype"]]
        for side in entry["shape"]:
            if type(side) is not int or side < 0:
                raise ValueError(f"{name} has the shape {entry['shape']}")
            n *= side
        if type(begin) is not int or type(end) is not int or end - begin != n:
            raise ValueError(f"{name} needs {n} bytes, not {begin} to {end}")
        spans.append((begin, end))
    position = 0
    for begin, end in sorted(spans):
        if begin != position:
            raise ValueError("the tensors do not follow one another")
        position = end
    if position != size:
        raise ValueError(
            f"{position:,} bytes of numbers expected, got {size:,}"
        )


def check_seal(path: Path, head: bytes, digest: str) -> None:
    """The digest in the metadata must be that of the whole file."""
    if len(digest) != 64 or head.count(mark(digest)) != 1:
        raise CheckpointError(f"{path} has no seal (sha256): not from here")
    sha = hashlib.sha256(head.replace(mark(digest), mark(BLANK)))
    with open(path, "rb") as file:
        file.seek(len(head))
        while part := file.read(1 << 20):
            sha.update(part)
    if sha.hexdigest() != digest:
        raise CheckpointError(
            f"{path} is damaged: its content does not have the sha256 that "
            "was written into it"
        )


def verify(path: Path, kind: str) -> tuple[dict, dict]:
    """The header's entries and the metadata of a whole file of this `kind`.

    Raises CheckpointError for a file that is foreign, cut short, damaged,
    hostile or of another format.
    """
    head, header = read_header(path)
    metadata = header.pop("__metadata__")
    found = metadata.get("format", "an unknown format")
    if found != kind:
        raise CheckpointError(
            f"{path} is of the format {found!r}, this version of minigpt "
            f"reads {kind!r}"
        )
    check_seal(path, head, metadata.get("sha256", ""))
    return header, metadata


def numbers(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file that `verify` has let pass."""
    return safetensors.torch.load_file(path)
