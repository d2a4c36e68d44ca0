"""Exercises in the source of a notebook: ids, tasks, blanks, definitions."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import dedent, indent

import nbformat

from minigpt.course.notebooks import MARKS, CourseError, syntax_error

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
    code: int | None = None  # index of the code cell that has its blanks
    blocks: tuple[int, ...] = ()  # which of the cell's blanks, from 0


def tasks(nb: nbformat.NotebookNode) -> list[Task]:
    """The exercises and questions of a notebook, in order.

    The blanks of a cell belong to the exercises above it: all to one, or to
    each of several its own.

    Raises:
        CourseError: a blank without exercise, or an exercise without blank.
    """
    found, waiting = [], []
    for place, cell in enumerate(nb.cells):
        if cell.cell_type == "markdown":
            for task in _heads(cell.source, place):
                (found if task.kind == "Question" else waiting).append(task)
        elif cell.cell_type == "code" and MARKS[0] in cell.source:
            found += _with_blanks(waiting, cell.source, place)
            waiting = []
    if waiting:
        raise CourseError(f"{waiting[0].id}: no cell with a solution below it")
    return found


def _heads(text: str, place: int) -> Iterator[Task]:
    """The exercises that a markdown cell sets."""
    heads = list(HEAD.finditer(text))
    ends = [*(head.start() for head in heads[1:]), None]
    for head, end in zip(heads, ends, strict=False):
        kind, id, stars, minutes = head.groups()
        task = text[head.end() : end].strip()
        yield Task(id, kind, len(stars), int(minutes), task, place)


def _with_blanks(waiting, source: str, place: int) -> list[Task]:
    """The exercises, each with its blanks in the cell."""
    n_blanks, n = len(solutions(source)), len(waiting)
    if n not in (1, n_blanks):
        raise CourseError(
            f"cell {place + 1} has {n_blanks} blanks and {n} exercises above "
            "it: expected one for all, or one for each (a line **Exercise** "
            "`module.name` · ★ · 5 minutes)"
        )
    blocks = [range(n_blanks)] if n == 1 else [[i] for i in range(n_blanks)]
    return [
        Task(**(vars(task) | {"code": place, "blocks": tuple(block)}))
        for task, block in zip(waiting, blocks, strict=True)
    ]


def pieces(source: str) -> Iterator[tuple[bool, str, list[str]]]:
    """(is a solution, indent, lines) of the parts of a cell."""
    part, solved, margin = [], False, ""
    for line in source.splitlines():
        if line.strip() == MARKS[0]:
            yield False, "", part
            part, solved, margin = [], True, line[: -len(line.lstrip())]
        elif line.strip() == MARKS[1]:
            yield True, margin, part
            part, solved = [], False
        else:
            part.append(line)
    if solved:
        raise CourseError(f"{MARKS[0]} without {MARKS[1]}")
    yield False, "", part


def solutions(source: str) -> list[str]:
    """What stands between the marks, each as one text without its indent."""
    return [
        "\n".join(x[len(margin) :] for x in lines)
        for solved, margin, lines in pieces(source)
        if solved
    ]


def filled(source: str, answers: Sequence[str | None]) -> str:
    """The cell with `answers` in its blanks (None: as it was), no marks."""
    answers, lines = list(answers), []
    for solved, margin, part in pieces(source):
        if not solved:
            lines += part
            continue
        answer = answers.pop(0)
        if answer is None:
            lines += part
        else:
            lines += indent(answer, margin).splitlines()
    return "\n".join(lines)


def answers_in(template: str, source: str) -> list[str] | None:
    """What stands in the blanks of a learner's definition, without indent.

    `template` is the course's, with its marks. None: the lines around the
    blanks are not the course's any more. Where a blank follows another, the
    first one ends where the lines are indented less.
    """
    pattern = ""
    for solved, margin, lines in pieces(template.rstrip()):
        each = [re.escape(x.rstrip()) + r"[ \t]*\n" for x in lines]
        blank = rf"((?:{margin}.*\n|(?!{margin})[ \t]*\n)*)"
        pattern += blank if solved else "".join(each)
    found = re.fullmatch(pattern, source.rstrip() + "\n")
    return found and [dedent(x).strip("\n") for x in found.groups()]


def turn(id: str) -> str:
    """The line that stands in a blank."""
    return f'raise NotImplementedError("{id}: your turn")'


def stub(source: str, tasks: Sequence[Task]) -> str:
    """The cell with one line that raises in the place of each solution.

    Raises:
        CourseError: the stub is not Python.
    """
    owner = {block: task.id for task in tasks for block in task.blocks}
    lines = [turn(owner[i]) for i in range(len(solutions(source)))]
    made = filled(source, lines)
    if wrong := syntax_error(made):
        raise CourseError(f"{lines[0]}: not valid Python there, {wrong}")
    return made


def put_back(source: str, id: str, answers: Sequence[str]) -> str | None:
    """The source with `answers` in the blanks of `id`; None: not all blank."""
    pattern = re.compile(rf"^([ \t]*){re.escape(turn(id))}[^\n]*$", re.M)
    if len(pattern.findall(source)) != len(answers):
        return None
    left = iter(answers)
    return pattern.sub(lambda m: indent(next(left), m[1]), source)


def definition(source: str, target: str) -> str:
    """The text of `name` or `Class.method`, with its decorators."""
    body, first = ast.parse(source).body, None
    for name in target.split("."):
        [first] = [n for n in body if getattr(n, "name", None) == name]
        body = first.body
    start = min([first.lineno, *(d.lineno for d in first.decorator_list)])
    lines = source.splitlines()[start - 1 : first.end_lineno]
    margin = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(x[margin:] for x in lines)


def defines(source: str) -> set[str]:
    """The names of the classes and functions at the top of a cell."""
    if syntax_error(source):
        return set()
    kinds = (ast.FunctionDef, ast.ClassDef)
    return {n.name for n in ast.parse(source).body if isinstance(n, kinds)}


def binds(source: str) -> set[str]:
    """The names that the statements at the top of a cell bind."""
    if syntax_error(source):
        return set()
    names = defines(source)
    for node in ast.parse(source).body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {(a.asname or a.name).split(".")[0] for a in node.names}
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            names |= {
                n.id
                for n in ast.walk(node)
                if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
            }
    return names
