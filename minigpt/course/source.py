"""Exercises in the source of a notebook: ids, tasks, blanks, definitions."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import nbformat

from minigpt.course.notebooks import EXPORT, MARKS, CourseError, syntax_error

HEAD = re.compile(
    r"^\*\*(Exercise|Question)\*\* `([a-z_0-9]+\.[a-z_0-9-]+)` · (★{1,3}) · "
    r"(\d+) minutes?$",
    re.M,
)


@dataclass(frozen=True)
class Task:
    """An exercise or question as its notebook has it."""

    id: str
    kind: str  # Exercise or Question
    difficulty: int
    minutes: int
    text: str
    cell: int  # index of the markdown cell
    code: int | None  # index of the code cell that has its blanks


def tasks(nb: nbformat.NotebookNode) -> list[Task]:
    """The exercises and questions of a notebook, in order.

    Raises:
        CourseError: a blank without exercise, or an exercise without blank.
    """
    found, waiting = [], None
    for place, cell in enumerate(nb.cells):
        if cell.cell_type == "markdown":
            heads = list(HEAD.finditer(cell.source))
            for n, head in enumerate(heads):
                end = heads[n + 1].start() if n + 1 < len(heads) else None
                text = cell.source[head.end() : end].strip()
                task = Task(
                    head[2], head[1], len(head[3]), int(head[4]), text,
                    place, None,
                )  # fmt: skip
                if head[1] == "Question":
                    found.append(task)
                    continue
                _none_waits(waiting)
                waiting = task
        elif cell.cell_type == "code" and MARKS[0] in cell.source:
            if waiting is None:
                raise CourseError(
                    f"cell {place + 1} has a solution, but no exercise above "
                    "it: expected a line **Exercise** `module.name` · ★ · "
                    "5 minutes"
                )
            found.append(Task(**(vars(waiting) | {"code": place})))
            waiting = None
    _none_waits(waiting)
    return found


def _none_waits(task):
    if task is not None:
        raise CourseError(f"{task.id} has no cell with a solution below it")


def pieces(source: str) -> Iterator[tuple[bool, str, list[str]]]:
    """(is a solution, indent, lines) of the parts of a cell."""
    part, solved = [], False
    for line in source.splitlines():
        if line.strip() == MARKS[0]:
            yield False, "", part
            part, solved, indent = [], True, line[: -len(line.lstrip())]
        elif line.strip() == MARKS[1]:
            yield True, indent, part
            part, solved = [], False
        else:
            part.append(line)
    if solved:
        raise CourseError(f"{MARKS[0]} without {MARKS[1]}")
    yield False, "", part


def solutions(source: str) -> list[str]:
    """What stands between the marks, each as one text without its indent."""
    return [
        "\n".join(x[len(indent) :] for x in lines)
        for solved, indent, lines in pieces(source)
        if solved
    ]


def filled(source: str, answers: Sequence[str | None]) -> str:
    """The cell with `answers` in its blanks (None: as it was), no marks."""
    answers, lines = list(answers), []
    for solved, indent, part in pieces(source):
        if not solved:
            lines += part
            continue
        answer = answers.pop(0)
        if answer is None:
            lines += part
        else:
            lines += [f"{indent}{x}" if x else x for x in answer.splitlines()]
    return "\n".join(lines)


def stub(source: str, id: str) -> str:
    """The cell with one line that raises in the place of each solution.

    Raises:
        CourseError: the stub is not Python.
    """
    line = f'raise NotImplementedError("{id}: your turn")'
    made = filled(source, [line] * len(solutions(source)))
    if wrong := syntax_error(made):
        raise CourseError(f"{id}: its stub is not valid Python, {wrong}")
    return made


def definition(source: str, target: str) -> str:
    """The text of `name` or `Class.method`, with its decorators."""
    body, first = ast.parse(source).body, None
    for name in target.split("."):
        [first] = [n for n in body if getattr(n, "name", None) == name]
        body = first.body
    start = min([first.lineno, *(d.lineno for d in first.decorator_list)])
    lines = source.splitlines()[start - 1 : first.end_lineno]
    indent = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(x[indent:] for x in lines)


def defines(source: str) -> set[str]:
    """The names of the classes and functions at the top of a cell."""
    if syntax_error(source):
        return set()
    kinds = (ast.FunctionDef, ast.ClassDef)
    return {n.name for n in ast.parse(source).body if isinstance(n, kinds)}


def is_exported(cell) -> bool:
    """Is it a code cell that enters the package?"""
    lines = map(str.rstrip, cell.source.splitlines())
    return cell.cell_type == "code" and EXPORT in lines
