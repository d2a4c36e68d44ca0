"""Answers checked at once, with the likely cause in the learner's words.

`check("attention.head", Head)` runs the learner's code on small inputs, inside
limits, and says what holds, what does not, and why it looks so. `hint`,
`solution` and `use_reference` help on.
"""

import html
import inspect
import linecache
import re
import sys
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from minigpt.course.compare import tell
from minigpt.course.exercises import (
    Exercise,
    Question,
    UnknownExercise,
    find,
    of,
)
from minigpt.course.judge import (
    REFERENCE,
    Example,
    cell_of,
    judge,
    template_of,
)
from minigpt.course.limits import one_thread, real_file
from minigpt.course.notebooks import EXPORT
from minigpt.course.source import (
    answers_in,
    binds,
    definition,
    put_back,
    solutions,
    turn,
)

SECONDS = 10.0  # for one case
MISSING = object()
RECORDERS = []  # called with each Result; the learner edition adds one
REFUSED = (
    "this is the course's own code; your own lines are asked for. To go on "
    "without them: use_reference"
)


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
            if e.differs:
                lines.append(f"      differs   {e.differs}")
        return printable("\n".join(lines))

    @property
    def _mark(self) -> str:
        return {"not attempted": "…", "reference": "✓"}.get(self.status, "✗")

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
                if v
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
    """The result for a definition."""
    if answer is MISSING or answer is None or answer is Ellipsis:
        cause = f"there is no {exercise.name} yet: run its cell"
        return Result(exercise.id, "not attempted", cause=cause)
    wanted = "class" if exercise.name[0].isupper() else "function"
    if not getattr(inspect, f"is{wanted}")(answer):
        call = f"check({exercise.id!r}, {exercise.name})"
        cause = f"hand over the {wanted} itself, {call}; got {tell(answer)}"
        return Result(exercise.id, "failed", cause=cause)
    source, file = found(answer, exercise.name)
    if not source:
        cause = f"the lines of {exercise.name} were not found: run its cell"
        return Result(exercise.id, "failed", cause=cause)
    if _is_the_courses(file, exercise.module) or exercise.id in _ids_in(file):
        return Result(exercise.id, "refused", cause=REFUSED)
    with one_thread():
        verdict = judge(
            exercise, source, _exported_names(), seconds=seconds, seed=seed
        )
    blanks = source.count(turn(exercise.id))
    if verdict.cause and blanks:
        # where lines around the blanks are gone too, one may stand for several
        guided = answers_in(template_of(exercise.id)[0], source) is not None
        if guided and blanks < len(blanks_of(exercise.id)):
            cause = f"the blank in {_where(source, turn(exercise.id))} is open"
            return Result(exercise.id, "failed", cause=cause)
        cause = "the blank is still there"
        return Result(exercise.id, "not attempted", cause=cause)
    status = "failed" if verdict.cause else "passed"
    if verdict.blocked:
        status = "not attempted"
    return Result(
        exercise.id, status, verdict.holds, verdict.cause, verdict.example
    )


def _where(source: str, line: str) -> str:
    """The function that a line is in, or the whole definition."""
    above = source[: source.index(line)]
    return ([""] + re.findall(r"^\s*def (\w+)", above, re.M))[-1]


def _is_the_courses(file: str, module: str) -> bool:
    """Is it the course's module, or the copy that an edition comes with?"""
    courses = REFERENCE / f"{module}.py"
    if real_file(file) == real_file(courses):
        return True
    if Path(file).name != courses.name or not Path(file).exists():
        return False
    text, course = (p.read_text("utf-8") for p in (Path(file), courses))
    return text == course  # whatever their ends of lines


def found(answer, name: str) -> tuple[str, str]:
    """(text, file) of a definition, also of a class in a notebook; or nothing.

    One that has another name gets this one too.
    """
    if not (inspect.isclass(answer) or inspect.isfunction(answer)):
        return "", ""
    own = answer.__name__
    parts = [answer, *vars(answer).values()]
    for function in map(inspect.unwrap, filter(inspect.isfunction, parts)):
        file = function.__code__.co_filename
        try:
            text = definition("".join(linecache.getlines(file)), own)
        except (SyntaxError, ValueError):
            continue
        return text if own == name else f"{text}\n{name} = {own}", file
    return "", ""


def source_of(answer, name: str) -> str:
    """The text of a definition, or nothing."""
    return found(answer, name)[0]


def _exported_names() -> dict:
    """What the cells marked `#| export` that were run in a notebook bind."""
    main = _namespace()
    cells = [x for x in main.get("In", []) if EXPORT.search(x)]
    names = {name for cell in cells for name in binds(cell)}
    return {name: main[name] for name in names if name in main}


def _check_question(question, answer) -> Result:
    """The result for a number or a choice."""
    if answer is MISSING or answer is None or answer is Ellipsis:
        cause = f"write your answer: check({question.id!r}, …)"
        return Result(question.id, "not attempted", cause=cause)
    if hasattr(answer, "item") and getattr(answer, "ndim", 1) == 0:
        answer = answer.item()
    given = answer
    if isinstance(answer, str):
        answer = answer.strip(" \t\n().").lower()
        if answer in question.words:
            answer = question.answer
        elif re.match(r"[a-z][) ]", answer):  # the whole line, "b) the same"
            answer = answer[0]
    if _equals(answer, question.answer, question.within):
        return Result(question.id, "passed", [question.why])
    for other, cause in question.wrong.items():
        if _equals(answer, other, question.within):
            return Result(question.id, "failed", cause=cause)
    kinds = {str: "a letter, such as 'a'"}
    kind = kinds.get(type(question.answer), "a number")
    if isinstance(answer, str) is not isinstance(question.answer, str):
        cause = f"the answer is {kind}, got {tell(given)}"
    else:
        cause = f"{tell(given)} is not it: hint({question.id!r}, 1)"
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
    return Text("\n\n".join(blanks_of(id)))


def blanks_of(id: str) -> list[str]:
    """What the course has in the blanks of an exercise, from its notebook."""
    cell, task = cell_of(id)
    return [solutions(cell)[block] for block in task.blocks]


def _course_source(exercise, target) -> str:
    path = REFERENCE / f"{exercise.id.split('.')[0]}.py"
    return definition(path.read_text(encoding="utf-8"), target)


def with_reference(source: str, exercise: Exercise) -> tuple[str, list[str]]:
    """A learner's definition with the course's lines in this blank, and whose
    exercises are the course's by that: where the blank is not as it was, the
    whole definition.
    """
    lines = blanks_of(exercise.id)
    made = put_back(source, exercise.id, lines)
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
    before = found(now, exercise.name)[1]
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
