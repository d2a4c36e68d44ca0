"""Judges an answer by what it does: beside the course's, and beside mistakes.

A case is a few lines of code. They run with the course's own definition, with
the learner's and, where the two differ, with every typical wrong answer: the
one that does just what the learner's does knows the cause.
"""

import ast
import functools
import importlib
import importlib.util
import linecache
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import torch
from torch import nn

from minigpt.course import kit
from minigpt.course.compare import alike, difference, tell, unlike_kind
from minigpt.course.exercises import Edit, Exercise, find
from minigpt.course.limits import OutOfTime, random_states, run_limited
from minigpt.course.notebooks import MARKS, module_name, read
from minigpt.course.source import (
    answers_in,
    definition,
    filled,
    solutions,
    tasks,
)

REFERENCE = Path(__file__).resolve().parents[1]  # the course's own minigpt
CONTAINERS = (torch.Tensor, np.ndarray, list, tuple, dict, set)
DATA = (*CONTAINERS, str, bytes, int, float)
FILE = "<your {}>"  # where tracebacks say that a line is the learner's
LOCAL = re.compile(r"\S+<locals>\.")  # which function an inner one is in
VARIANT_SECONDS = 2.0  # for one run of a wrong answer


@dataclass(frozen=True)
class Example:
    """The smallest case that shows what is wrong."""

    given: str
    expected: str
    got: str
    differs: str = ""  # the first entry in which they differ


@dataclass
class Verdict:
    """What holds and, where a case failed, its likely cause."""

    holds: list[str] = field(default_factory=list)
    cause: str = ""
    example: Example | None = None
    known: bool = False  # a wrong answer of the table has this cause
    blocked: bool = False  # another part of the definition is still blank


@dataclass
class Outcome:
    """What the lines of a case did."""

    given: str = ""
    value: Any = None
    error: BaseException | None = None
    left: dict = field(default_factory=dict)  # the inputs, afterwards
    dice: str = ""  # global random states that the last line used
    gradients: dict = field(default_factory=dict)


def judge(exercise: Exercise, source: str, extra: dict, *, seconds, seed):
    """Verdict about a definition of the learner's, whose text is `source`.

    `extra` are names that the learner's module has and the course's has not.
    What fails as a whole is tried again one blank at a time, with the course's
    lines in the others: so the cause is looked for where it is.
    """
    verdicts = []
    for lines, may_pass in _versions(exercise, source):
        verdict = _judged(exercise, lines, extra, seconds, seed)
        if verdict.known or may_pass and not verdict.cause:
            return verdict
        if verdict.cause:
            verdicts.append((may_pass, verdict))
    return [verdict for may_pass, verdict in verdicts if may_pass][-1]


def _versions(exercise, source) -> Iterator[tuple[str, bool]]:
    """(the definition with some of its blanks from the course, may it pass).

    First as it is, then with the blanks of the exercise only, then with each
    of them alone.
    """
    yield source, True
    template, own = template_of(exercise.id)
    answers = answers_in(template, source)
    if answers is None or len(answers) == 1:
        return
    if len(own) < len(answers):
        kept = [x if i in own else None for i, x in enumerate(answers)]
        yield filled(template, kept), True
    if len(own) > 1:
        for place in own:
            kept = [x if i == place else None for i, x in enumerate(answers)]
            yield filled(template, kept), False


def _judged(exercise, source, extra, seconds, seed) -> Verdict:
    """Verdict about one version of the answer."""
    name = FILE.format(exercise.name)
    verdict = Verdict()
    mine = functools.partial(
        run, exercise, source, extra=extra, file=name, seconds=seconds,
        seed=seed,
    )  # fmt: skip
    for place, case in enumerate(exercise.cases):
        want = reference(exercise, case, seed)
        got = mine(case)
        verdict.cause = _unlike(case, got, want, seconds)
        if verdict.cause:
            verdict.example = _example(got, want)
            found = _cause(exercise, place, got, mine, seed)
            verdict.known = bool(found)
            verdict.blocked = _is_blank(got.error)
            verdict.cause = found or verdict.cause
            return verdict
        verdict.holds.append(case.holds)
    return verdict


def _cause(exercise, place, got, mine, seed) -> str:
    """The cause of the wrong answer that does what the learner's does.

    It passes the cases that the learner's has passed. Where several do the
    same here, later cases decide between them.
    """
    left, cases = list(exercise.wrong), exercise.cases
    for case in cases[place:]:
        got = got or mine(case)
        same = [
            (lines, cause)
            for lines, cause in left
            if _same(case, got, variant(exercise, lines, case, seed))
        ]
        if case is cases[place]:
            same = [x for x in same if _passes(exercise, x[0], place, seed)]
        if case is cases[place] or same:
            left = same
        if len(left) < 2 or isinstance(got.error, OutOfTime):
            break
        got = None
    return left[0][1] if left else ""


def _passes(exercise, lines, place, seed) -> bool:
    """Does a wrong answer do what it should in all cases before this one?"""
    return not any(
        _unlike(
            case, variant(exercise, lines, case, seed),
            reference(exercise, case, seed), VARIANT_SECONDS,
        )
        for case in exercise.cases[:place]
    )  # fmt: skip


def run(exercise, source, case, *, extra, file, seconds, seed) -> Outcome:
    """What the lines of a case do with this text of the definition."""
    given = seconds, seed
    outcome = _run(exercise, source, case, extra, file, *given, False)
    if outcome.error is None and _floats(outcome.value) and case.gradients:
        again = _run(exercise, source, case, extra, file, *given, True)
        if again.error is None:
            outcome.gradients = again.gradients
    return outcome


def _run(exercise, source, case, extra, file, seconds, seed, grad) -> Outcome:
    outcome = Outcome()
    *setup, last = ast.parse(dedent(case.code).strip()).body

    def work():
        own = {**extra, **vars(course_module(exercise.module))}
        put(source, file, own)
        names = {**vars(kit), **vars(table_of(exercise)), **own}
        before = dict(names)
        exec(compile(ast.Module(setup, []), "<case>", "exec"), names)
        inputs = {k: x for k, x in names.items() if before.get(k) is not x}
        outcome.given = _given(setup, last, inputs)
        leaves = _leaves(inputs) if grad else {}
        names |= {k: x.clone() for k, x in leaves.items() if k in inputs}
        states = random_states()
        code = compile(ast.Expression(last.value), "<case>", "eval")
        outcome.value = eval(code, names)
        after = random_states()
        outcome.dice = ", ".join(k for k in states if states[k] != after[k])
        outcome.left = {
            k: names[k] for k, x in inputs.items() if isinstance(x, CONTAINERS)
        }
        outcome.gradients = _gradients(outcome.value, leaves)

    outcome.error = run_limited(work, seconds=seconds, seed=seed)
    return outcome


def _leaves(inputs) -> dict:
    """Name -> what gradients may flow back to: inputs and parameters."""
    found = {}
    for name, x in inputs.items():
        if torch.is_tensor(x) and x.is_floating_point():
            found[name] = x.detach().requires_grad_()
        elif isinstance(x, nn.Module):
            for key, p in x.named_parameters():
                if p.requires_grad:
                    found[f"{name}.{key}"] = p
    return found


def _floats(value) -> list:
    """The tensors of real numbers in nested lists, tuples and dicts."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [x for part in value for x in _floats(part)]
    is_float = torch.is_tensor(value) and value.is_floating_point()
    return [value] if is_float else []


def _gradients(value, leaves) -> dict:
    """Name -> gradient of some weighted sum of all numbers in `value`."""
    outputs = [x for x in _floats(value) if x.requires_grad]
    if not outputs or not leaves:
        return {}
    total = sum((x * kit.waves(x)).sum() for x in outputs)
    every = torch.autograd.grad(total, [*leaves.values()], allow_unused=True)
    return {
        name: torch.zeros_like(x) if gradient is None else gradient
        for (name, x), gradient in zip(leaves.items(), every, strict=True)
    }


def table_of(exercise):
    """The module with the table: its names are for the cases alone."""
    return importlib.import_module(
        f"minigpt.course.exercises.{exercise.module}"
    )


@functools.cache
def course_module(name: str):
    """The course's own module, also where `minigpt` is a learner's."""
    path = REFERENCE / f"{name}.py"
    try:
        spec = importlib.util.find_spec(f"minigpt.{name}")
    except ImportError:  # while it is graded
        spec = None
    if spec and Path(spec.origin).resolve() == path:
        return importlib.import_module(f"minigpt.{name}")
    spec = importlib.util.spec_from_file_location(f"_course_{name}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def put(source: str, file: str, names: dict) -> None:
    """Run the text of a definition, so that its lines can be read back."""
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    exec(compile(source, file, "exec"), names)


@functools.cache
def cell_of(id: str):
    """(source of the cell with the blanks, the task) of an exercise."""
    for path in sorted((REFERENCE.parent / "notebooks").glob("*.ipynb")):
        nb = read(path)
        if module_name(nb) == id.split(".")[0]:
            for task in tasks(nb):
                if task.id == id and task.code is not None:
                    return nb.cells[task.code].source, task
    raise FileNotFoundError(f"no notebook of the course has a blank for {id}")


@functools.cache
def template_of(id: str) -> tuple[str, list[int]]:
    """(the definition with its marks, which of its blanks are this exercise's)."""
    cell, task = cell_of(id)
    start = cell.index(definition(cell, find(id).name))
    head = cell.index("\n", cell.index(f" {find(id).name}", start))
    template = cell[start:head] + re.split(r"\n(?=\S)", cell[head:])[0]
    above = cell[:start].count(MARKS[0])
    return template, [block - above for block in task.blocks]


def with_answer(exercise: Exercise, lines) -> str:
    """The course's definition with these lines in the exercise's blanks."""
    template, own = template_of(exercise.id)
    every = solutions(template)
    if isinstance(lines, Edit):
        [place] = [i for i in own if lines.old in every[i]]
        every[place] = every[place].replace(lines.old, lines.new)
    elif lines is not None:
        parts = (lines,) if isinstance(lines, str) else lines
        for place, part in zip(own, parts, strict=True):
            every[place] = every[place] if part is None else part
    return filled(template, every)


@functools.lru_cache(256)
def reference(exercise, case, seed) -> Outcome:
    """What the course's own lines do."""
    source = with_answer(exercise, None)
    return run(
        exercise, source, case, extra={}, file="<the course's>",
        seconds=60.0, seed=seed,
    )  # fmt: skip


@functools.lru_cache(256)
def variant(exercise, lines, case, seed) -> Outcome:
    """What a wrong answer of the table does."""
    return run(
        exercise, with_answer(exercise, lines), case, extra={},
        file="<a mistake>", seconds=VARIANT_SECONDS, seed=seed,
    )  # fmt: skip


def _same(case, a: Outcome, b: Outcome) -> bool:
    """Did two answers do the same?"""
    if a.error is not None or b.error is not None:
        texts = [LOCAL.sub("", str(x.error)) for x in (a, b)]
        return type(a.error) is type(b.error) and texts[0] == texts[1]
    return (
        alike(a.value, b.value, case.atol)
        and alike(a.left, b.left, case.atol)
        and a.dice == b.dice
        and alike(a.gradients, b.gradients, 10 * case.atol)
    )


def _unlike(case, got: Outcome, want: Outcome, seconds) -> str:
    """What the answer does otherwise than the course's, or nothing."""
    if got.error is not None and type(got.error) is not type(want.error):
        return _raised(got.error, seconds)
    if want.error is not None:
        if got.error is None:
            return f"no error is raised, but {case.holds}"
        return ""
    if not alike(got.value, want.value, case.atol):
        kind = unlike_kind(got.value, want.value)
        return kind or f"this does not hold: {case.holds}"
    if not alike(got.left, want.left, case.atol):
        return "it changes what it was given: work on a copy"
    if got.dice and not want.dice:
        return (
            f"it draws from the global random state ({got.dice}): draw from "
            "the generator that was passed in, or not at all"
        )
    if _flows(want) and not _flows(got):
        return "no gradient flows back: do without detach and torch.no_grad"
    if not alike(got.gradients, want.gradients, 10 * case.atol):
        return "the values are right, but not the gradients that flow back"
    return ""


def _flows(outcome: Outcome) -> bool:
    """Does any gradient flow back that is not 0?"""
    return any(x.any() for x in outcome.gradients.values())


def _is_blank(error) -> bool:
    """Was it raised by a blank that nobody filled yet?"""
    is_ours = isinstance(error, NotImplementedError)
    return is_ours and ": your turn" in str(error)


def _raised(error, seconds) -> str:
    """An error in words, with the learner's line that raised it."""
    if isinstance(error, OutOfTime):
        return (
            f"still running after {seconds:g} seconds: a loop that never ends?"
        )
    if _is_blank(error):
        return f"it needs {str(error).split(':')[0]}, which is still blank"
    name = getattr(error, "name", None)
    if isinstance(error, NameError) and name in vars(sys.modules["__main__"]):
        return (
            f"your module will not know `{name}`: import or define it in a "
            "cell marked #| export, or do without it"
        )
    line = _line(error)
    where = f", raised by `{line}`" if line else ""
    return f"it raises {type(error).__name__}{where}"


def _line(error) -> str:
    """The innermost line of the learner's that led to an error."""
    frame, found = error.__traceback__, ""
    while frame is not None:
        file = frame.tb_frame.f_code.co_filename
        if file.startswith(FILE.split("{")[0]):
            found = linecache.getline(file, frame.tb_lineno).strip() or found
        frame = frame.tb_next
    return found


def _given(setup, last, inputs) -> str:
    """The inputs of a case and its last line, to be read."""
    parts = []
    for statement in setup:
        targets = map(ast.walk, getattr(statement, "targets", []))
        names = [n.id for target in targets for n in target
                 if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]  # fmt: skip
        data = [n for n in names if isinstance(inputs.get(n), DATA)]
        if isinstance(statement, ast.Assign) and data == names:
            parts += [
                f"{name} = {tell(inputs[name], short=True)}" for name in names
            ]
        elif not isinstance(
            statement, (ast.Import, ast.ImportFrom, ast.FunctionDef)
        ):
            parts.append(ast.unparse(statement))
    return "; ".join(dict.fromkeys([*parts, ast.unparse(last)]))


def _example(got: Outcome, want: Outcome) -> Example:
    """The case in words."""
    pairs = [
        (got.value, want.value), (got.left, want.left),
        (got.dice, want.dice), (got.gradients, want.gradients),
    ]  # fmt: skip
    if got.error is not None or want.error is not None:
        pairs = [(_said(got), _said(want))]
    a, b = next(pair for pair in pairs if not alike(*pair))
    return Example(
        want.given or got.given, tell(b, a), tell(a, b), difference(b, a)
    )


class Said(str):
    """Words that are shown without quotes."""

    __repr__ = str.__str__


def _said(outcome: Outcome):
    """The value or, where there is none, the error in one line."""
    if outcome.error is None:
        return outcome.value
    lines = str(outcome.error).strip().splitlines()
    first = f": {lines[0]}" if lines else ""
    return Said(f"{type(outcome.error).__name__}{first}")
