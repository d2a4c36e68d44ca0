"""What each exercise expects: cases, hints, right and wrong answers.

The task itself is in the notebook, above the blank. One file here for each
chapter, named as its module; `find("attention.head")` loads it.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Edit:
    """The course's own lines, with one piece of them replaced."""

    old: str
    new: str


Lines = str | tuple[str | None, ...] | Edit  # one text a blank, None: as it is


@dataclass(frozen=True)
class Case:
    """Lines of code that must do with an answer what they do with the course's.

    The last is an expression. Its value counts, what it leaves of the inputs
    made before, whether it draws from the global random state, and, with
    `gradients`, what flows back to inputs and parameters. `holds` says what is
    true where an answer passes.
    """

    holds: str
    code: str
    atol: float = 1e-5
    gradients: bool = True


@dataclass(frozen=True)
class Exercise:
    """A blank in an exported definition.

    `target` is the function that has the blank, `right` and `wrong` are what
    could stand in it: other right answers, and typical wrong ones, each with
    the cause that a learner is told.
    """

    id: str
    target: str
    cases: tuple[Case, ...]
    hints: tuple[str, str]
    right: tuple[Lines, ...] = ()
    wrong: tuple[tuple[Lines, str], ...] = ()
    core: bool = False

    @property
    def module(self) -> str:
        """The chapter's module."""
        return self.id.split(".")[0]

    @property
    def name(self) -> str:
        """The definition that is handed to `check`."""
        return self.target.split(".")[0]


@dataclass(frozen=True)
class Question:
    """A question whose answer is a number or a choice.

    `words` are other ways to give the right choice, as good as its letter;
    `wrong` maps answers to why they are wrong; `within` is the tolerance of
    a number, `why` is said when the answer is right.
    """

    id: str
    answer: Any
    why: str
    hints: tuple[str, str]
    wrong: Mapping[Any, str] = field(default_factory=dict)
    within: float = 0.0
    words: tuple[str, ...] = ()


class UnknownExercise(ValueError):
    """An id that no exercise has."""


def modules() -> list[str]:
    """The chapters that have exercises here."""
    return sorted(p.stem for p in HERE.glob("*.py") if p.stem[0] != "_")


def of(module: str) -> list[Exercise | Question]:
    """The exercises and questions of one chapter."""
    if module not in modules():
        return []
    return list(importlib.import_module(f"{__name__}.{module}").EXERCISES)


def find(id: str) -> Exercise | Question:
    """The exercise or question with this id.

    Raises:
        UnknownExercise: there is none; the text names those there are.
    """
    module = str(id).split(".")[0]
    entries = {e.id: e for e in of(module)}
    if id not in entries:
        known = ", ".join(entries) or f"ids that begin with {modules()}"
        raise UnknownExercise(f"no exercise {id!r}: expected one of {known}")
    return entries[id]
