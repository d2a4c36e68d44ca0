"""A large file from the network: resumed after a break, verified, whole.

What has arrived stands beside the target as `<name>.part`, and the next
attempt, also tomorrow's, asks the server for the rest only. Under its own
name the file appears when its length and sha256 are right, not before.
"""

import hashlib
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import requests
from tqdm import tqdm

from minigpt.run.checkpoint import sync_folder

PIECE = 1 << 16  # bytes read at a time; a break loses what is unread
PATIENCE = (10, 30)  # seconds for a connection, and between two bytes
TRIES = 5  # attempts in a row that bring nothing new
LOST = (requests.RequestException, ConnectionError, TimeoutError)


@dataclass(frozen=True)
class Remote:
    """A file that cannot change: its address, length and sha256."""

    url: str
    n_bytes: int
    sha256: str


class WrongFileError(ValueError):
    """What arrived is not the file that was asked for."""


class Gone(ConnectionError):
    """The server says no, and will say so again."""


def fetch(remote: Remote, target: Path, *, tries=TRIES, wait=1.0) -> Path:
    """`target`, after downloading what is missing of it.

    `wait` is the first pause in seconds between attempts; it doubles.

    Raises:
        ConnectionError: no network, no server, no such file; what has
            arrived is kept.
        WrongFileError: another length or sha256; nothing is kept.
        OSError: the disk is full.
    """
    if is_intact(remote, target):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    if size_of(part) > remote.n_bytes:
        part.unlink()
    resumed = size_of(part) > 0
    complete(remote, part, tries, wait)
    if resumed and not is_intact(remote, part):  # an old piece was bad
        part.unlink()
        complete(remote, part, tries, wait)
    if not is_intact(remote, part):
        part.unlink()
        raise WrongFileError(
            f"{remote.url}: the file has the right length and a wrong sha256, "
            f"expected {remote.sha256}; it was not kept"
        )
    os.replace(part, target)
    sync_folder(target.parent)
    return target


def size_of(path: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


def is_intact(remote: Remote, path: Path) -> bool:
    """Is this the very file, to the last bit?"""
    if size_of(path) != remote.n_bytes:
        return False
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == remote.sha256


def complete(remote: Remote, part: Path, tries: int, wait: float) -> None:
    """Ask until `part` has all its bytes; `tries` times without any is it."""
    check_room(part, remote.n_bytes - size_of(part))
    failures, most = 0, size_of(part)
    while size_of(part) < remote.n_bytes:
        try:
            receive(remote, part)
        except LOST as error:
            failures = 0 if size_of(part) > most else failures + 1
            most = max(most, size_of(part))
            if isinstance(error, Gone) or failures >= tries:
                message = unreachable(remote, part, error)
                raise ConnectionError(message) from None
            time.sleep(min(wait * 2**failures, 30))


def check_room(part: Path, n_bytes: int) -> None:
    """Raises OSError when the disk cannot hold n_bytes more."""
    free = shutil.disk_usage(part.parent).free
    if free < n_bytes:
        raise OSError(
            f"{part.parent} has {free / 1e6:,.0f} MB free, the download needs "
            f"{n_bytes / 1e6:,.0f} MB: free some space, or set MINIGPT_CACHE "
            "to a folder on another disk"
        )


def unreachable(remote: Remote, part: Path, error: Exception) -> str:
    """What happened, and what the reader can do about it."""
    kept, target = (
        size_of(part),
        part.with_name(part.name.removesuffix(".part")),
    )
    reason = str(error) if isinstance(error, Gone) else type(error).__name__
    arrived = f" {kept:,} bytes have arrived and are kept." if kept else ""
    return (
        f"{target.name} could not be downloaded ({reason}).{arrived} Try again "
        "when the network is there, and it goes on where it stopped; or get "
        f"{remote.url} ({remote.n_bytes:,} bytes) on another machine and put "
        f"it at {target}"
    )


def receive(remote: Remote, part: Path) -> None:
    """One request for what is missing, written to `part` as it comes.

    Raises one of LOST when the connection breaks, Gone when the server has no
    such file, WrongFileError when it has one of another length.
    """
    start = size_of(part)
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with requests.get(
        remote.url, headers=headers, stream=True, timeout=PATIENCE
    ) as answer:
        if answer.status_code == 416:  # what we hold is not a part of it
            part.unlink(missing_ok=True)
            raise ConnectionError("the server has no rest of the file")
        refuse(remote, answer)
        start = check_length(remote, answer, start)
        write(remote, answer, part, start)


def refuse(remote: Remote, answer: requests.Response) -> None:
    """Raises Gone for a final no, an error worth a retry for a passing one."""
    code = answer.status_code
    if code in (200, 206):
        return
    said = f"the server answers {code} {answer.reason}".rstrip()
    if code >= 500 or code in (408, 425, 429):
        raise ConnectionError(said)
    raise Gone(said)


def check_length(remote, answer, start: int) -> int:
    """Where the answer begins: at `start`, or at 0 if Range was ignored.

    Raises WrongFileError when the server's file has another length.
    """
    if answer.status_code == 206:
        span, _, total = answer.headers.get("Content-Range", "").partition("/")
        if not span.startswith(f"bytes {start}-"):
            raise Gone(f"the server sends another part than asked for: {span}")
    else:
        start, total = 0, answer.headers.get("Content-Length", "")
    if total.isdigit() and int(total) != remote.n_bytes:
        raise WrongFileError(
            f"{remote.url}: the file has {int(total):,} bytes there, expected "
            f"{remote.n_bytes:,}; it was not downloaded"
        )
    return start


def write(remote, answer, part: Path, start: int) -> None:
    """Append what comes, with a bar; stop when it is too much."""
    bar = tqdm(
        desc=part.name.removesuffix(".part"),
        initial=start,
        total=remote.n_bytes,
        unit="B",
        unit_scale=True,
        leave=False,
    )
    with bar, open(part, "ab" if start else "wb") as file:
        for piece in answer.iter_content(PIECE):
            start += file.write(piece)
            bar.update(len(piece))
            if start > remote.n_bytes:
                break
        file.flush()
        os.fsync(file.fileno())
    if start > remote.n_bytes:
        part.unlink()
        raise WrongFileError(
            f"{remote.url}: the server sends more than the expected "
            f"{remote.n_bytes:,} bytes; nothing was kept"
        )
    if start < remote.n_bytes:
        raise ConnectionError("the server stopped early")
