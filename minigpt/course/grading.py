"""How nbgrader grades a submission: it repairs cells and survives answers.

The `nbgrader_config.py` of a class names both preprocessors.
"""

import copy
from pathlib import Path

from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_output
from nbgrader.preprocessors import Execute, NbGraderPreprocessor

from minigpt.course.notebooks import read, syntax_error


class MendCells(NbGraderPreprocessor):
    """Puts a submission back into the cells of the released assignment.

    Without it, one copied answer cell ends the grading of the whole class, and
    a deleted test is never graded.
    """

    def preprocess(self, nb, resources):
        ids = resources["nbgrader"]
        course = self.parent.parent.coursedir
        folder = course.format_path(
            course.release_directory, ".", ids["assignment"]
        )
        released = read(Path(folder) / f"{ids['notebook']}.ipynb")
        nb, changes = mended(nb, released)
        for change in changes:
            self.log.warning("Repaired for %s: %s", ids["student"], change)
        if changes:
            text = "\n- ".join(["Repaired before grading:\n", *changes])
            nb.cells.insert(0, new_markdown_cell(text, id="mended"))
        return nb, resources


def mended(nb, released) -> tuple[NotebookNode, list[str]]:
    """A submission in the cells of its assignment, and what was repaired.

    The cells come in the order of the assignment. Cells that a student added
    stay below the cell that they were below.
    """
    names = [_name(cell) for cell in released.cells]
    below, order = {name: [] for name in [None, *names]}, [None]
    for cell in nb.cells:
        if _name(cell) in names:
            order.append(_name(cell))
        below[order[-1]].append(cell)
    made, changes = copy.deepcopy(released), []
    made.cells = below[None]
    for original in released.cells:
        cells, said = _put_back(original, below[_name(original)])
        made.cells += cells
        changes += said
    order = list(dict.fromkeys(order[1:]))  # without copies
    if order != sorted(order, key=names.index):
        changes.append("cells were moved: they are back in order")
    for number, cell in enumerate(made.cells):
        cell.id = f"cell-{number:03}"
        if _name(cell) in names:
            names.remove(_name(cell))
        else:
            cell.metadata.pop("nbgrader", None)
    return made, changes


def _name(cell) -> str | None:
    """The name under which nbgrader knows a cell."""
    mark = cell.metadata.get("nbgrader")
    return mark.get("grade_id") if isinstance(mark, dict) else None


def _put_back(original, cells) -> tuple[list[NotebookNode], list[str]]:
    """A cell of the assignment with what the student has in and below it."""
    name, blank = _name(original), original.source.strip()
    own = [cell for cell in cells if _name(cell) == name]
    answers = [cell for cell in own if cell.source.strip() != blank]
    locked = original.metadata.nbgrader.locked
    changes = []
    if not own:
        changes.append(f"{name} was deleted: it has been restored")
    elif any(cell.cell_type != original.cell_type for cell in own):
        kind = original.cell_type
        changes.append(f"{name} was not a {kind} cell: it is one again")
    elif len(own) > 1:
        changes.append(f"{name} appeared {len(own)} times: only one counts")
    elif locked and answers:
        changes.append(f"{name} was changed: it has been restored")
    kept = [] if answers and not locked else [copy.deepcopy(original)]
    for cell in cells:
        if _name(cell) != name:
            kept.append(cell)
        elif cell.source.strip() != blank and not locked:
            kept.append(copy.deepcopy(original))
            kept[-1].source = cell.source
    return kept if locked else _joined(kept), changes


def _joined(cells) -> list[NotebookNode]:
    """The cells, with the parts of one that was split back together."""
    made = []
    for cell in cells:
        if made and made[-1].cell_type == cell.cell_type == "code":
            both = f"{made[-1].source}\n{cell.source}"
            split = syntax_error(made[-1].source) or syntax_error(cell.source)
            if split and not syntax_error(both):
                made[-1].source = both
                continue
        made.append(cell)
    return made


class ExecuteOnward(Execute):
    """Runs all cells, and skips one that kills or blocks the kernel."""

    def preprocess(self, nb, resources, km=None):
        self.place, self.fatal = None, {}  # index of a cell -> the error
        while True:
            try:
                return super().preprocess(nb, resources, km)
            except (CellTimeoutError, DeadKernelError) as error:
                if self.place in self.fatal:
                    raise
                self.fatal[self.place] = error

    def preprocess_cell(self, cell, resources, index):
        if index not in self.fatal:
            self.place = index
            return super().preprocess_cell(cell, resources, index)
        kind, text = type(self.fatal[index]).__name__, str(self.fatal[index])
        cell.outputs = [new_output("error", ename=kind, evalue=text)]
        return cell, resources
