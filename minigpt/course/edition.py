"""The learner edition: blanks to fill, and a package of the learner's own.

Its folder holds the chapters' notebooks with the solutions taken out, and
beside them `minigpt/` with a copy of each chapter's module, which the learner's
export replaces. What a learner wrote is never overwritten: it is moved aside
under another name.
"""

import copy
import hashlib
import importlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell

import minigpt
from minigpt.course import exercises
from minigpt.course.check import (
    MISSING,
    RECORDERS,
    REFERENCE,
    SECONDS,
    check,
    source_of,
)
from minigpt.course.cli import Way
from minigpt.course.export import module_source
from minigpt.course.judge import judge, put
from minigpt.course.notebooks import (
    EXPORT,
    CourseError,
    chapters,
    is_exported,
    module_name,
    read,
    replace_text,
    write,
)
from minigpt.course.progress import (
    MARKER,
    blanks_in,
    fingerprint,
    load_progress,
    save_progress,
    standing,
    with_references,
)
from minigpt.course.source import defines, definition
from minigpt.course.ways import cells_for

INIT = '''\
"""Your own minigpt: a module per chapter. What you export replaces a copy here.

Everything else (widgets, training runs, checks) comes from the course.
"""

import sys
from importlib.machinery import PathFinder
from pathlib import Path

_mine = Path(__file__).resolve().parent


def _course():
    """The folder of the course's own minigpt, wherever it is installed."""
    others = [x for x in sys.path if Path(x or ".").resolve() != _mine.parent]
    for finder in sys.meta_path:
        path = others if finder is PathFinder else None
        spec = finder.find_spec("minigpt", path)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        if origin and origin.parent != _mine:
            return origin.parent
    raise ImportError(
        "the course's own minigpt was not found: install it with "
        "'pip install -r requirements.txt' in the folder of the course"
    )


__path__.append(str(_course()))

from minigpt.public import find as __getattr__  # noqa: E402, F401
'''
FIRST_CELL = """\
from minigpt.course.check import check, hint, solution, use_reference
from minigpt.course.edition import begin

begin()"""
ABOUT = """\
# Your edition of the course

    minigpt learn .

Fill the blanks, and let `check(...)` below each tell you how it went. When a
chapter is done, make a module of it, which later chapters then use:

    python -m minigpt course export 01

| command, in this folder | what it does |
| --- | --- |
| `python -m minigpt course status` | chapters, exercises passed, whose modules |
| `python -m minigpt course reset 01` | a chapter afresh; yours is kept beside |
| `python -m minigpt course reset 04 --way blank-page` | the same, to write whole functions |
| `python -m minigpt course reset 04 --way from-nothing` | the same, to write the whole module |
| `python -m minigpt course reset --module tokenizer` | back to the course's |
| `python -m minigpt course start .` | adds chapters that are not here yet |

Keep notebooks in this folder: `minigpt/` beside them is your own package.
"""


def learner_notebook(nb, way: Way = "guided") -> nbformat.NotebookNode:
    """A chapter without solutions, with checks, no outputs."""
    nb = copy.deepcopy(nb)
    cells = cells_for(nb, way)
    kinds = [cell.cell_type for cell in cells]
    if "code" in kinds:
        cells.insert(kinds.index("code"), new_code_cell(FIRST_CELL))
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number:03}"
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace("](../book/", "](book/")
    made = nbformat.v4.new_notebook(cells=cells, metadata=nb.metadata)
    made.metadata.pop("widgets", None)
    return made


def start(root: Path, folder: Path, way: Way | None = None):
    """Make a learner edition in `folder`; (notebook, written) for each.

    A notebook that is there already stays as it is. New ones are for `way`,
    or for that of the edition.

    Raises:
        CourseError: the folder is the course itself, or holds another minigpt.
    """
    folder = Path(folder).resolve()
    if folder in (root.resolve(), REFERENCE, root.resolve() / "notebooks"):
        raise CourseError(f"{folder} is the course itself: take a new folder")
    mine = folder / "minigpt"
    if mine.exists() and not (mine / MARKER).exists():
        raise CourseError(
            f"{mine} is there and was not made by this command: take a new "
            "folder"
        )
    done, way = [], way or load_progress(folder)["way"]
    for path in sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        target = folder / path.name
        fresh = not target.exists()
        if fresh:
            write(learner_notebook(read(path), way), target)
        done.append((target, fresh))
    for name, text in [("minigpt/__init__.py", INIT), ("README.md", ABOUT)]:
        if not (folder / name).exists():
            replace_text(folder / name, text)
    _copy_pages(root / "book", folder / "book")
    progress = load_progress(folder) | {"way": way}
    if not (mine / MARKER).exists():
        progress["course"] = str(root)
    save_progress(folder, progress)
    _copy_modules(root, folder)
    return done


def _copy_modules(root: Path, folder: Path) -> None:
    """The course's modules, but for those that the learner exported or edited."""
    progress = load_progress(folder)
    copies = progress["copies"]
    for path in chapters(root):
        name = module_name(read(path))
        if name is None:
            continue
        target = folder / "minigpt" / f"{name}.py"
        text = (root / "minigpt" / f"{name}.py").read_text(encoding="utf-8")
        old = target.read_text(encoding="utf-8") if target.exists() else None
        if old is None or _sha(old) == copies.get(name):
            replace_text(target, text)
            copies[name] = _sha(text)
    save_progress(folder, progress)


def _copy_pages(source: Path, target: Path) -> None:
    """Copy the pages that are not there yet, with their links to notebooks."""
    for path in sorted(source.glob("*.md")):
        if not (target / path.name).exists():
            text = path.read_text(encoding="utf-8")
            text = text.replace("](../notebooks/", "](../")
            replace_text(target / path.name, text)


def find_edition(start: Path | None = None) -> Path | None:
    """The learner edition that `start` is in, if it is in one."""
    start = Path(start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "minigpt" / MARKER).exists():
            return folder
    return None


def the_edition(start: Path | None = None) -> Path:
    """Like `find_edition`, for commands that need one."""
    folder = find_edition(start)
    if folder is None:
        raise CourseError(
            f"{Path(start or Path.cwd()).resolve()} is not inside a learner "
            "edition: change to the folder that 'minigpt learn' made"
        )
    return folder


def notebooks(folder: Path, numbers: tuple[str, ...] = ()) -> list[Path]:
    """The chapters in an edition, all or by number."""
    found = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    by_number = {path.name[:2]: path for path in found}
    for number in numbers:
        if number.zfill(2) not in by_number:
            there = ", ".join(by_number) or "none"
            raise CourseError(f"no chapter {number!r} here: there is {there}")
    return [by_number[n.zfill(2)] for n in numbers] if numbers else found


def begin() -> None:
    """First cell of a chapter: is this the right place, and whose code runs?"""
    here = Path.cwd()
    if Path(minigpt.__file__).resolve().parent != (here / "minigpt").resolve():
        raise CourseError(
            f"this notebook runs in {here} and imported minigpt from "
            f"{Path(minigpt.__file__).parent}: it must run in the folder of "
            "your copy of the course. Run 'minigpt learn' there, or open that "
            "folder in VS Code"
        )
    if _record not in RECORDERS:
        RECORDERS.append(_record)
    mine = own_modules(here)
    print(
        f"your own code: {', '.join(mine)}"
        if mine
        else "no module is yours yet"
    )
    for name in mine:
        try:
            importlib.import_module(f"minigpt.{name}")
        except Exception as error:
            print(
                f"your minigpt/{name}.py raises {type(error).__name__}: "
                f"{error}. Mend it in its notebook and export it again, or "
                "take the course's: python -m minigpt course reset --module "
                f"{name}"
            )


def own_modules(folder: Path) -> list[str]:
    """The modules that are the learner's, in the order of the chapters."""
    progress = load_progress(folder)
    names = [module_name(read(path)) for path in notebooks(folder)]
    return [n for n in names if n and _is_own(folder, n, progress)]


def _is_own(folder: Path, name: str, progress: dict) -> bool:
    """Is a module anything else than the copy that the edition came with?"""
    path = folder / "minigpt" / f"{name}.py"
    if not path.exists():
        return False
    text = path.read_text(encoding="utf-8")
    course = (REFERENCE / path.name).read_text(encoding="utf-8")
    return text != course and _sha(text) != progress["copies"].get(name)


def _record(result, answer) -> None:
    """Remember the outcome of a check in the edition that runs."""
    folder = find_edition()
    if folder is None or result.status == "not attempted":
        return
    progress = load_progress(folder)
    entry = {"status": result.status}
    name = getattr(exercises.find(result.id), "name", "")
    if answer is not MISSING and hasattr(answer, "__name__"):
        entry["code"] = fingerprint(source_of(answer, name))
    progress["exercises"][result.id] = entry
    try:
        save_progress(folder, progress)
    except OSError as error:  # the answer's result is shown all the same
        print(f"not noted for `course status`: {error}")
        return
    if "code" in entry:
        _check_others(folder, result.id, answer, entry["code"])


def _check_others(folder, id: str, answer, code: str) -> None:
    """Check again what passed with other code of the same definition."""
    name = exercises.find(id).name
    for exercise in exercises.of(id.split(".")[0]):
        entry = load_progress(folder)["exercises"].get(exercise.id, {})
        passed = entry.get("status") == "passed" and entry.get("code") != code
        if passed and getattr(exercise, "name", "") == name:
            check(exercise.id, answer)


WORDS = {  # what `course status` says about exercises that are not passed
    "changed": "changed since it passed",
    "failed": "not right yet",
    "reference": "by use_reference",
    "refused": "refused",
}


def status(folder: Path) -> str:
    """A table: chapter, exercises, whose module; what needs another look."""
    progress, rows, notes = load_progress(folder), [], []
    mine = own_modules(folder)
    for path in notebooks(folder):
        nb = read(path)
        name = module_name(nb)
        states = standing(nb, progress)
        passed = sum(state == "passed" for state in states.values())
        notes += [
            f"{id}: {WORDS[state]}"
            for id, state in states.items()
            if state in WORDS
        ]
        done = f"{passed} of {len(states)} passed" if states else "no exercises"
        owner = "yours" if name in mine else "the course's"
        whose = f"{name}: {owner}" if name else "no module"
        rows.append((path.stem, done, whose))
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(x.ljust(n) for x, n in zip(row, wide, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, *([""] if notes else []), *notes])


def export(
    folder: Path, numbers: tuple[str, ...] = ()
) -> list[tuple[str, str]]:
    """Write the learner's modules; (what happened, name) for each chapter.

    Raises:
        CourseError: a chapter asked for by number still has blanks.
    """
    progress, made = load_progress(folder), []
    for path in notebooks(folder, numbers):
        nb = read(path)
        refuse_lost_cells(nb, path.name, folder)
        if module_name(nb) is None:
            if numbers:
                raise CourseError(f"{path.name} has no module to export")
            continue
        left = _fill_blanks(nb, progress)
        if left and numbers:
            raise CourseError(
                f"{path.name} has blanks: {', '.join(left)}. Fill them, or "
                f'run use_reference("{left[0]}") in the notebook'
            )
        made.append((path, nb, left))
    return [_write_module(folder, progress, *each) for each in made]


def refuse_lost_cells(nb, filename: str, folder: Path) -> None:
    """Raises CourseError where a notebook no longer exports what it should."""
    for number, cell in enumerate(nb.cells, 1):
        if cell.cell_type != "code" and EXPORT.search(cell.source):
            raise CourseError(
                f"{filename}, cell {number} is marked '#| export' but is not a "
                "code cell: select it and press Y"
            )
    source = course_of(folder) / "notebooks" / filename
    expected = module_name(read(source)) if source.exists() else None
    if expected and module_name(nb) != expected:
        raise CourseError(
            f"{filename}: no cell says '#| default_exp {expected}', so there "
            "is no module to write: put that line back into the first code cell"
        )


def _fill_blanks(nb, progress) -> list[str]:
    """Put the course's lines where use_reference was run; ids that are open."""
    states, left = standing(nb, progress), []
    for cell in filter(is_exported, nb.cells):
        cell.source = with_references(cell.source, progress)
        left += [x for x in blanks_in(cell.source) if states.get(x) != "passed"]
    return left


def _write_module(folder, progress, path, nb, left) -> tuple[str, str]:
    """Export one chapter that has no blanks left."""
    name = module_name(nb)
    if left:
        return f"{len(left)} blanks left in", path.name
    with tempfile.TemporaryDirectory() as temporary:
        copied = Path(temporary) / path.name
        write(nb, copied)
        name, source = module_source(copied)
    source = source.replace(f"../notebooks/{path.name}", f"../{path.name}")
    refuse_unknown_names(source, path.name)
    refuse_lost_names(source, path.name, name)
    refuse_wrong_answers(source, path.name, name)
    target = folder / "minigpt" / f"{name}.py"
    old = target.read_text(encoding="utf-8") if target.exists() else None
    if old == source:
        return "unchanged", target.name
    known = (progress["modules"].get(name), progress["copies"].get(name))
    if old is not None and _sha(old) not in known:
        put_aside(target)
    replace_text(target, source)
    progress["modules"][name] = _sha(source)
    save_progress(folder, progress)
    return "wrote", target.name


def refuse_lost_names(source: str, notebook: str, name: str) -> None:
    """Raises CourseError for a module that lacks what later chapters import."""
    course = (REFERENCE / f"{name}.py").read_text(encoding="utf-8")
    if lost := defines(course) - defines(source):
        raise CourseError(
            f"{notebook}: no exported cell defines {', '.join(sorted(lost))}, "
            f"which the course's {name}.py has: put '#| export' at the top of "
            "the cell that defines it"
        )


def refuse_wrong_answers(source: str, notebook: str, name: str) -> None:
    """Raises CourseError for a module that does not do what was asked for."""
    names = {"__name__": f"minigpt.{name}"}
    put(source, f"<minigpt/{name}.py>", names)
    for entry in exercises.of(name):
        if isinstance(entry, exercises.Exercise):
            text = definition(source, entry.name)
            verdict = judge(entry, text, names, seconds=SECONDS, seed=1)
            if verdict.cause:
                raise CourseError(f"{notebook}: {entry.id}: {verdict.cause}")


def refuse_unknown_names(source: str, notebook: str) -> None:
    """Raises CourseError for a module that uses a name it does not know.

    A helper or an import in a cell without `#| export` is there while the
    notebook runs, and missing in the module.
    """
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--quiet",
               "--select", "F821", "--output-format", "json", "-"]  # fmt: skip
    done = subprocess.run(
        command,
        input=source,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    names = [
        re.search("`(.+?)`", x["message"])[1] for x in json.loads(done.stdout)
    ]
    if names:
        raise CourseError(
            f"{notebook}: the exported cells use {', '.join(dict.fromkeys(names))}"
            ", which none of them defines or imports: mark that cell with "
            "'#| export' too, or import it in an exported cell"
        )


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def put_aside(path: Path) -> Path:
    """Rename a learner's file to old1_…, old2_…, whichever is free."""
    number = 1
    while (kept := path.with_name(f"old{number}_{path.name}")).exists():
        number += 1
    path.rename(kept)
    return kept


def reset(root: Path, folder: Path, number: str, way=None) -> list[Path]:
    """Give a chapter back fresh, for one of the ways; the files put aside."""
    [path] = notebooks(folder, (number,))
    source = root / "notebooks" / path.name
    if not source.exists():
        raise CourseError(f"the course has no {path.name}: nothing to reset to")
    way = way or load_progress(folder)["way"]
    fresh = learner_notebook(read(source), way)
    kept = [put_aside(path)]
    write(fresh, path)
    if name := module_name(fresh):
        kept += reset_module(folder, name, missing_ok=True)
    return kept


def reset_module(folder: Path, name: str, missing_ok=False) -> list[Path]:
    """Use the course's module again; the learner's is put aside."""
    progress = load_progress(folder)
    target = folder / "minigpt" / f"{name}.py"
    if not _is_own(folder, name, progress):
        if missing_ok:
            return []
        if not target.exists():
            raise CourseError(f"there is no module {name!r} in {target.parent}")
        raise CourseError(f"{name} is the course's already")
    kept = put_aside(target)
    progress["modules"].pop(name, None)
    save_progress(folder, progress)
    _copy_modules(course_of(folder), folder)
    return [kept]


def course_of(folder: Path) -> Path:
    """The folder of the course that an edition came from."""
    root = Path(load_progress(folder).get("course", REFERENCE.parent))
    for place in (REFERENCE.parent, root):
        if (place / "notebooks").is_dir():
            return place
    raise CourseError(
        "the course's notebooks were not found: expected them in "
        f"{REFERENCE.parent / 'notebooks'}"
    )
