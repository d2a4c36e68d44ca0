"""Files that are written whole or not at all."""

import errno
import os
import time
from contextlib import contextmanager
from pathlib import Path


class FullDiskError(OSError):
    """There is no room for a file."""


@contextmanager
def full_disk(path):
    """Where the disk is full, the error names the file that did not fit."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FullDiskError(
                f"the disk is full: there was no room for {path}"
            ) from error
        raise


@contextmanager
def atomic_write(path, mark=""):
    """A binary file to write to; it replaces `path` only when all went well.

    The content goes into a temporary file beside `path`, reaches the disk,
    and is then renamed, so a crash leaves the old file as it was. A `mark`
    in its name keeps apart processes that write the same file at once.
    Raises FullDiskError, naming the file, where there is no room for it.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}{mark}.part")
    try:
        with full_disk(path):
            with open(part, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            rename(part, path)
            sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


def rename(old, new, waits=(0.05, 0.2, 0.5)):
    """Rename; on Windows a file that another program reads is in the way."""
    for wait in waits:
        try:
            return os.replace(old, new)
        except PermissionError:
            time.sleep(wait)
    os.replace(old, new)


def sync_folder(folder):
    """Make a rename in `folder` survive a power failure (not on Windows)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
