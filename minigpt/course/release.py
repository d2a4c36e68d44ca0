"""The classroom edition: an nbgrader course from the same notebooks.

One assignment a chapter: its definitions, with blanks where the exercises
are, and under each a visible and a hidden test, both made of the exercise's
check. `nbgrader generate_assignment` takes the solutions out, `autograde`
puts locked cells back as they were and runs the tests.
"""

import secrets
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from minigpt.course import exercises
from minigpt.course.check import REFERENCE, check
from minigpt.course.notebooks import (
    BESIDE,
    CourseError,
    chapters,
    is_exported,
    module_name,
    read,
    replace_text,
    write,
)
from minigpt.course.source import tasks

CONFIG = '''\
"""Settings of this nbgrader course, made by `python -m minigpt course release`.

    nbgrader generate_assignment 01_tokenizer
    nbgrader autograde 01_tokenizer
    nbgrader export
"""

c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "minigpt"
c.ClearSolutions.code_stub = {
    "python": 'raise NotImplementedError("your turn")'
}
# Damaged notebooks are repaired, one student at a time.
c.Autograde.sanitize_preprocessors = [
    "nbgrader.preprocessors.ClearOutput",
    "minigpt.course.grading.MendCells",
    "nbgrader.preprocessors.OverwriteKernelspec",
    "nbgrader.preprocessors.OverwriteCells",
    "nbgrader.preprocessors.CheckCellMetadata",
]
# An answer that never ends, or kills the kernel, fails only its own tests.
c.Autograde.autograde_preprocessors = [
    "minigpt.course.grading.ExecuteOnward",
    "nbgrader.preprocessors.IgnorePattern",
    "nbconvert.preprocessors.ClearMetadataPreprocessor",
    "nbgrader.preprocessors.LimitOutput",
    "nbgrader.preprocessors.SaveAutoGrades",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]
c.ExecutePreprocessor.timeout = 60
c.ExecutePreprocessor.interrupt_on_timeout = True
c.Execute.timeout = 60
c.Execute.interrupt_on_timeout = True
c.Execute.error_on_timeout = {
    "ename": "CellTimeoutError",
    "evalue": "no answer after 60 seconds",
    "traceback": [],
}
'''
INTRO = """\
# {title}

Fill the blanks where a line says `raise NotImplementedError`, and run the
tests below each. More is tested when this is graded than here: write what is
asked for, not what these tests ask.
"""
FIRST = """\
from minigpt.course.release import begin_graded, graded

begin_graded({module!r}, earlier={earlier!r})"""
VISIBLE = "graded({id!r}, {name}, first=True)"
HIDDEN = """\
# more is tested here when this is graded
### BEGIN HIDDEN TESTS
graded({id!r}, {name}, seed={seed})
### END HIDDEN TESTS"""
SECONDS = 8.0  # for one call of an answer


def release(root: Path, folder: Path, numbers=()) -> list[Path]:
    """Write the sources of an nbgrader course; the notebooks made.

    Raises:
        CourseError: an assignment is there already: it may have been changed.
    """
    folder, made = Path(folder).resolve(), []
    order = [module_name(read(path)) for path in chapters(root)]
    for path in chapters(root, tuple(numbers)):
        nb = read(path)
        module = module_name(nb)
        if module not in exercises.modules():
            continue
        target = folder / "source" / path.stem / path.name
        if target.exists():
            raise CourseError(f"{target} is there already: remove it first")
        earlier = [m for m in order[: order.index(module)] if m]
        made.append((target, assignment(nb, module, earlier)))
    for target, nb in made:
        write(nb, target)
    if not (folder / "nbgrader_config.py").exists():
        replace_text(folder / "nbgrader_config.py", CONFIG)
    return [target for target, _ in made]


def assignment(nb, module: str, earlier: list[str]) -> nbformat.NotebookNode:
    """One chapter as an nbgrader source notebook, solutions included."""
    by_cell = {}
    for task in tasks(nb):
        if task.code is not None:
            by_cell.setdefault(task.code, []).append(task)
    title = nb.cells[0].source.splitlines()[0].removeprefix("# ")
    cells = [
        _locked(new_markdown_cell(INTRO.format(title=title)), "intro"),
        _locked(
            new_code_cell(FIRST.format(module=module, earlier=earlier)), "begin"
        ),
    ]
    for place, cell in enumerate(nb.cells):
        if not is_exported(cell):
            continue
        name = f"{module}-{place}"
        source = "\n".join(
            x for x in cell.source.splitlines() if not x.startswith("#|")
        )
        if place not in by_cell:
            cells.append(_locked(new_code_cell(source), name))
            continue
        found = by_cell[place]
        text = "\n\n".join(f"`{t.id}`: {t.text}" for t in found)
        cells.append(_locked(new_markdown_cell(text), f"{name}-task"))
        cells.append(_marked(new_code_cell(source), name, solution=True))
        for task in found:
            cells += _tests(task)
    made = new_notebook(cells=cells)
    made.metadata = nbformat.from_dict(
        {
            "kernelspec": {
                "display_name": "Python 3 (ipykernel)",
                "language": "python",
                "name": "python3",
            },
            "language_info": {"name": "python"},
        }
    )
    return made


def _tests(task) -> list:
    """A visible and a hidden test, each worth as many points as stars."""
    name, id = exercises.find(task.id).name, task.id
    seed = 2 + secrets.randbelow(10**6)
    visible = new_code_cell(VISIBLE.format(id=id, name=name))
    hidden = new_code_cell(HIDDEN.format(id=id, name=name, seed=seed))
    slug, points = id.replace(".", "-"), task.difficulty
    return [
        _marked(visible, f"{slug}-visible", points=points),
        _marked(hidden, f"{slug}-hidden", points=points),
    ]


def _marked(cell, grade_id, *, solution=False, points=0):
    """Say in the cell's metadata what nbgrader shall do with it."""
    cell.metadata["nbgrader"] = {
        "schema_version": 3,
        "grade_id": grade_id,
        "grade": points > 0,
        "solution": solution,
        "locked": not solution,
        "task": False,
        "cell_type": cell.cell_type,
    }
    if points:
        cell.metadata["nbgrader"]["points"] = points
    return cell


def _locked(cell, grade_id):
    return _marked(cell, grade_id)


def _is_chapter(name: str) -> bool:
    """Is it a module that a chapter exports?"""
    return name not in BESIDE and (REFERENCE / f"{name}.py").exists()


class _Blocked(MetaPathFinder):
    """Refuses imports of what is graded, and of all that is made from it."""

    def __init__(self, module, earlier):
        self.module, self.earlier = module, earlier

    def find_spec(self, fullname, path=None, target=None):
        package, _, name = fullname.rpartition(".")
        graded = _is_chapter(name) and name not in self.earlier
        if package == "minigpt" and graded:
            raise ImportError(
                f"{fullname} is not there while {self.module} is graded"
            )


def begin_graded(module: str, earlier: list[str]) -> None:
    """First cell of an assignment: what is asked for cannot be imported."""
    for name in [m for m in sys.modules if m.startswith("minigpt.")]:
        chapter = name.split(".")[1]
        if _is_chapter(chapter) and chapter not in earlier:
            del sys.modules[name]
    sys.meta_path.insert(0, _Blocked(module, earlier))


class NotRight(AssertionError):
    """An answer that a test of an assignment refuses; shows the result."""


def graded(id: str, answer, *, first: bool = False, seed: int = 1) -> None:
    """The check as a test: raises when the answer is not right.

    `first=True` asks only for the first thing that must hold; another `seed`
    asks with other numbers. Prints, because nbgrader reads what a test
    returns as points.
    """
    result = check(id, answer, seconds=SECONDS, seed=seed)
    tried = result.status not in ("not attempted", "refused")
    if result.status != "passed" and not (first and tried and result.holds):
        raise NotRight(repr(result))
    print(result)
