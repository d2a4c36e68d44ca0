"""Find, read and write the chapter notebooks."""

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat

from minigpt.files import atomic_write

EXPORT = re.compile(r"^\s*# *\| *exports?\s*$", re.M)  # as nbdev reads it
BESIDE = ("files", "public")  # modules of minigpt that no chapter exports
MARKS = ("### BEGIN SOLUTION", "### END SOLUTION")


class CourseError(ValueError):
    """Something in the course's files is wrong; the text says what and where."""


def find_root(start: Path | None = None) -> Path:
    """The folder that holds `notebooks/` and `minigpt/`, from `start` upward.

    Raises:
        CourseError: neither `start` nor a folder above it is a course.
    """
    start = Path(start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "notebooks").is_dir() and (folder / "minigpt").is_dir():
            return folder
    raise CourseError(
        f"{start} is not inside the course: expected a folder with "
        "'notebooks' and 'minigpt' in it. Change to it, or pass --root."
    )


def chapters(root: Path, numbers: tuple[str, ...] = ()) -> list[Path]:
    """The notebooks of `root`, or those whose number is in `numbers`.

    Raises:
        CourseError: a number that no notebook has.
    """
    found = sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    if not numbers:
        return found
    by_number = {path.name[:2]: path for path in found}
    for number in numbers:
        if number.zfill(2) not in by_number:
            raise CourseError(
                f"no chapter {number!r}: expected one of "
                f"{', '.join(by_number) or 'none: notebooks/ is empty'}"
            )
    return [by_number[number.zfill(2)] for number in numbers]


def read(path: Path) -> nbformat.NotebookNode:
    """Read one notebook.

    Raises:
        CourseError: the file is not a notebook.
    """
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:
        raise CourseError(f"{path} is not a notebook: {error}") from None


def write(nb: nbformat.NotebookNode, path: Path) -> None:
    """Write one notebook whole or not at all."""
    replace_text(path, nbformat.writes(nb, version=4).rstrip("\n") + "\n")


def replace_text(path: Path, text: str) -> None:
    """Put `text` in the place of `path`, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, f".{os.getpid()}") as file:
        file.write(text.encode("utf-8"))


def module_name(nb: nbformat.NotebookNode) -> str | None:
    """The module that a notebook exports, from its `#| default_exp` line."""
    for cell in nb.cells:
        if cell.cell_type == "code":
            found = re.search(
                r"^\s*# *\| *default_exp +(\w+)", cell.source, re.M
            )
            if found:
                return found[1]
    return None


def is_exported(cell: nbformat.NotebookNode) -> bool:
    """Is it a code cell marked `#| export`, which enters the package?"""
    return cell.cell_type == "code" and bool(EXPORT.search(cell.source))


def exported_cells(nb: nbformat.NotebookNode) -> Iterator[tuple[int, str]]:
    """(cell number from 1, source) of each cell that enters the package."""
    for number, cell in enumerate(nb.cells, 1):
        if is_exported(cell):
            yield number, cell.source


def without_marks(source: str) -> str:
    """`source` without the lines that mark a solution."""
    lines = source.splitlines()
    return "\n".join(x for x in lines if x.strip() not in MARKS)


def syntax_error(source: str) -> str | None:
    """What is wrong with `source` as Python, in one line, or None."""
    try:
        ast.parse(source)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}: {(error.text or '').strip()}"
    return None
