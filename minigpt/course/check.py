"""Answers checked at once, with the likely cause in the learner's words.

`check("attention.head", Head)` runs the learner's code on small inputs, inside
limits, and says what holds, what does not, and why it looks so. `hint`,
`solution` and `use_reference` help on.
"""

import html
import inspect
import linecache
import sys
import unicodedata
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType

from minigpt.course.exercises import (
    Exercise,
    Question,
    UnknownExercise,
    find,
    of,
)
from minigpt.course.limits import one_thread, real_file
from minigpt.course.notebooks import module_name, read
from minigpt.course.source import definition, put_back, solutions, tasks, turn
from minigpt.course.trial import REFUSED, Example, Stop, Trial, tell

SECONDS = 10.0  # for one call of an answer
REFERENCE = Path(__file__).resolve().parents[1]  # the course's own minigpt
MISSING = object()
RECORDERS = []  # called with each Result; the learner edition adds one


@dataclass
class Result:
    """What a check found; shows itself as a panel or as text."""

    id: str
    status: str = "passed"  # passed, failed, not attempted, refused
    holds: list[str] = field(default_factory=list)
    cause: str = ""
    example: Example | None = None

    def __repr__(self) -> str:
        lines = [f"{self.id}: {self.status}"]
        lines += [f"  ✓ {x}" for x in self.holds]
        if self.cause:
            lines.append(f"  {self._mark} {self.cause}")
        if self.example:
            e = self.example
            lines += [f"      given     {e.given}"]
            lines += [
                f"      expected  {e.expected}",
                f"      got       {e.got}",
            ]
        return printable("\n".join(lines))

    @property
    def _mark(self) -> str:
        return "…" if self.status == "not attempted" else "✗"

    def _repr_html_(self) -> str:
        def safe(text):
            return html.escape(printable(text))

        items = [f"<li>✓ {safe(x)}</li>" for x in self.holds]
        if self.cause:
            cause = f"<strong>{safe(self.cause)}</strong>"
            items.append(f"<li>{self._mark} {cause}</li>")
        rows = ""
        if self.example:
            rows = "".join(
                f'<tr><th scope="row" style="text-align:left">{k}</th>'
                f'<td style="text-align:left"><code>{safe(v)}</code></td></tr>'
                for k, v in vars(self.example).items()
            )
            rows = f"<table><tbody>{rows}</tbody></table>"
        style = "list-style:none;padding-left:1em"
        return (
            f'<div class="mg-check" role="status" data-status="{self.status}" '
            'style="overflow-wrap:anywhere">'
            f"<p><code>{safe(self.id)}</code>: {self.status}</p>"
            f'<ul style="{style}">{"".join(items)}</ul>{rows}</div>'
        )


def printable(text: str) -> str:
    """Text of which all can be seen: a tab becomes a backslash and a t.

    A combining mark that no letter carries (one carries four) gets a circle.
    """
    shown, room = "", 0  # how many more marks the letter before can carry
    for c in text:
        if not c.isprintable() and c != "\n":
            c = c.encode("unicode_escape").decode()
        elif unicodedata.category(c)[0] == "M":
            c, room = (c, room - 1) if room else ("◌" + c, 3)
        else:
            room = 4 * c.isalnum()
        shown += c
    return shown


def check(
    id: str, answer=MISSING, *, seconds: float = SECONDS, seed: int = 1
) -> Result:
    """Check an answer: a definition of yours, or a number or choice.

    Without `answer` it is the definition of that name in the notebook.
    `seconds` is the limit for one call, `seed` chooses the numbers and letters
    that are tried.
    """
    try:
        exercise = find(id)
    except UnknownExercise as error:
        return Result(str(id), "failed", cause=str(error))
    if isinstance(exercise, Question):
        result = _check_question(exercise, answer)
    else:
        if answer is MISSING:
            answer = _namespace().get(exercise.name, MISSING)
        result = _check_exercise(exercise, answer, seconds, seed)
    for recorder in RECORDERS:
        recorder(result, answer)
    return result


def _check_exercise(exercise, answer, seconds, seed) -> Result:
    """The result for a definition; whatever goes wrong is put in words."""
    module = exercise.id.split(".")[0]
    trial = Trial(
        exercise.id,
        answer,
        exercise.target,
        str(REFERENCE / f"{module}.py"),
        seconds,
        seed,
    )
    try:
        _is_fit(exercise, answer, module)
        with one_thread():
            exercise.check(trial)
    except Stop as stop:
        status, cause = stop.status, stop.cause
        left = _blanks_left(exercise, answer)
        if status == "not attempted" and 0 < left < exercise.blanks:
            status, cause = "failed", "one of the blanks is still there"
        if status == "blocked":
            untouched = left >= exercise.blanks
            status = "not attempted" if untouched else "failed"
        return Result(exercise.id, status, trial.holds, cause, stop.example)
    except Exception as error:  # an answer that no check foresaw
        cause = (
            "the answer behaves in a way that this check cannot judge "
            f"({type(error).__name__}): {error}"
        )
        return Result(exercise.id, "failed", trial.holds, cause)
    return Result(exercise.id, "passed", trial.holds)


def _is_fit(exercise, answer, module) -> None:
    """Stop for an answer that is no definition of the learner's own."""
    if answer is MISSING or answer is None or answer is Ellipsis:
        name = exercise.name
        raise Stop("not attempted", f"there is no {name} yet: run its cell")
    is_class = "." in exercise.target or exercise.name[0].isupper()
    if is_class and not inspect.isclass(answer):
        of_class = type(answer).__name__ == exercise.name
        got = "an object of it" if of_class else tell(answer)
        call = f"check({exercise.id!r}, {exercise.name})"
        raise Stop("failed", f"hand over the class itself, {call}; got {got}")
    if not callable(answer):
        raise Stop("failed", f"expected a function, got {tell(answer)}")
    file = _file(exercise, answer)
    if _is_the_courses(file, module) or exercise.id in _ids_in(file):
        raise Stop("refused", REFUSED)


def _is_the_courses(file: str, module: str) -> bool:
    """Is it the course's module, or the copy that an edition comes with?"""
    courses = REFERENCE / f"{module}.py"
    if real_file(file) == real_file(courses):
        return True
    if Path(file).name != courses.name or not Path(file).exists():
        return False
    text, course = (p.read_text("utf-8") for p in (Path(file), courses))
    return text == course  # whatever their ends of lines


def _file(exercise, answer) -> str:
    """The file in which the answer's blank was filled."""
    while isinstance(answer, partial):
        answer = answer.func
    for part in exercise.target.split(".")[1:]:
        answer = getattr(answer, part, None)
    if isinstance(answer, property):
        answer = answer.fget
    answer = inspect.unwrap(answer) if callable(answer) else answer
    code = getattr(answer, "__code__", None)
    return code.co_filename if code else ""


def _blanks_left(exercise, answer) -> int:
    """How many of an exercise's blanks are still there."""
    return source_of(answer, exercise.name).count(turn(exercise.id))


def source_of(answer, name: str) -> str:
    """The text of a definition, also of a class in a notebook; or nothing."""
    if not (inspect.isclass(answer) or inspect.isfunction(answer)):
        return ""
    for function in [answer, *vars(answer).values()]:
        if not inspect.isfunction(function):
            continue
        lines = linecache.getlines(function.__code__.co_filename)
        try:
            return definition("".join(lines), name)
        except (SyntaxError, ValueError):
            continue
    return ""


def _check_question(question, answer) -> Result:
    """The result for a number or a choice."""
    if answer is MISSING or answer is None or answer is Ellipsis:
        cause = f"write your answer: check({question.id!r}, …)"
        return Result(question.id, "not attempted", cause=cause)
    if hasattr(answer, "item") and getattr(answer, "ndim", 1) == 0:
        answer = answer.item()
    if isinstance(answer, str):
        answer = answer.strip(" \t\n().").lower()
        if answer[1:2] == ")":  # the whole line, "b) the same"
            answer = answer[0]
        if answer in question.words:
            answer = question.answer
    if _equals(answer, question.answer, question.within):
        return Result(question.id, "passed", [question.why])
    for other, cause in question.wrong.items():
        if _equals(answer, other, question.within):
            return Result(question.id, "failed", cause=cause)
    kinds = {str: "a letter, such as 'a'"}
    kind = kinds.get(type(question.answer), "a number")
    if isinstance(answer, str) is not isinstance(question.answer, str):
        cause = f"the answer is {kind}, got {tell(answer)}"
    else:
        cause = f"{tell(answer)} is not it: hint({question.id!r}, 1)"
    return Result(question.id, "failed", cause=cause)


def _equals(answer, expected, within) -> bool:
    if isinstance(expected, str) or isinstance(answer, str):
        return answer == expected
    try:
        return abs(answer - expected) <= within
    except TypeError:
        return False


class Text(str):
    """Text that a notebook shows as it is."""

    def __repr__(self) -> str:
        return str(self)


def hint(id: str, number: int = 1) -> Text:
    """The first or second hint of an exercise."""
    exercise = find(id)
    if number not in (1, 2):
        raise ValueError(f"there are hints 1 and 2, got {number}")
    more = f"\n(one more: hint({id!r}, 2))" if number == 1 else ""
    return Text(exercise.hints[number - 1] + more)


def solution(id: str) -> Text:
    """One right answer: the lines that the course has in the blank."""
    exercise = find(id)
    if isinstance(exercise, Question):
        return Text(f"{exercise.answer}: {exercise.why}")
    lines = blanks_of(id)
    if lines is None:
        return Text(_course_source(exercise, exercise.target))
    return Text("\n\n".join(lines))


def blanks_of(id: str) -> list[str] | None:
    """What the course has in the blanks of an exercise, from its notebook."""
    for path in sorted((REFERENCE.parent / "notebooks").glob("*.ipynb")):
        nb = read(path)
        if module_name(nb) == id.split(".")[0]:
            for task in tasks(nb):
                if task.id == id and task.code is not None:
                    every = solutions(nb.cells[task.code].source)
                    return [every[block] for block in task.blocks]
    return None


def _course_source(exercise, target) -> str:
    path = REFERENCE / f"{exercise.id.split('.')[0]}.py"
    return definition(path.read_text(encoding="utf-8"), target)


def with_reference(source: str, exercise: Exercise) -> tuple[str, list[str]]:
    """A learner's definition with the course's lines in this blank, and whose
    exercises are the course's by that: where the blank is not as it was, the
    whole definition.
    """
    lines = blanks_of(exercise.id)
    made = put_back(source, exercise.id, lines) if lines else None
    if made is not None:
        return made, [exercise.id]
    every = of(exercise.id.split(".")[0])
    same = [e.id for e in every if getattr(e, "name", "") == exercise.name]
    return _course_source(exercise, exercise.name), same


COURSE_LINES = "<with the course's lines for "


def use_reference(id: str) -> Result:
    """Go on with the course's own lines in place of a blank."""
    exercise = find(id)
    if isinstance(exercise, Question):
        return Result(id, "reference", cause=str(solution(id)))
    now = _namespace().get(exercise.name)
    source, ids = with_reference(source_of(now, exercise.name), exercise)
    before = _file(exercise, now) if now is not None else ""
    ids = dict.fromkeys([*_ids_in(before), *ids])
    name = f"{COURSE_LINES}{', '.join(ids)}>"
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    exec(compile(source, name, "exec"), _namespace())
    result = Result(
        id, "reference", cause=f"{exercise.name} has the course's lines now"
    )
    for recorder in RECORDERS:
        recorder(result, MISSING)
    return result


def _ids_in(name: str) -> list[str]:
    """The exercises whose lines are the course's, from a file name."""
    if not name.startswith(COURSE_LINES):
        return []
    return name.removeprefix(COURSE_LINES).rstrip(">").split(", ")


def _namespace() -> dict:
    """The names of the notebook (or script) that is being worked in."""
    main = sys.modules.get("__main__") or ModuleType("__main__")
    return vars(main)


__all__ = [
    "Exercise",
    "Result",
    "check",
    "hint",
    "solution",
    "use_reference",
]
