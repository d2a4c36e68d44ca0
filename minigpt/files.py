"""Files that are written whole or not at all."""

import errno
import os
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path):
    """A binary file to write to; it replaces `path` only when all went well.

    The content goes into a temporary file beside `path`, reaches the disk,
    and is then renamed, so a crash leaves the old file as it was.
    Raises OSError, naming the file, where the disk is full.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    try:
        with open(part, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        sync_folder(path.parent)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(
                f"the disk is full: {path} was not written; the file that was "
                "there before, if any, is unchanged"
            ) from error
        raise
    finally:
        part.unlink(missing_ok=True)


def sync_folder(folder):
    """Make a rename in `folder` survive a power failure (not on Windows)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
