"""What a check is written with: run the answer, compare, find the cause.

A check is a function of one `Trial`. Each comparison that holds adds a line
to the result; the first that does not ends the check with its likely cause,
found by comparing the output with what typical mistakes give.
"""

import copy
import linecache
import math
import random
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from minigpt.course.limits import OutOfTime, run_limited

HERE = (Path(__file__).parent, Path(__file__).parent / "exercises")
SHOWN = 160  # characters of a value in an example


@dataclass(frozen=True)
class Example:
    """The smallest case that shows what is wrong."""

    given: str
    expected: str
    got: str


class Stop(Exception):
    """Ends a check: there is nothing more to find out."""

    def __init__(self, status, cause, example=None):
        super().__init__(cause)
        self.status, self.cause, self.example = status, cause, example


@dataclass
class Trial:
    """One answer under test."""

    id: str
    answer: Any
    target: str = ""  # qualified name of what is checked
    reference: str = ""  # file whose `target` must not run
    seconds: float = 10.0
    seed: int = 1  # 1 is what learners see; graders take others
    holds: list[str] = field(default_factory=list)

    def call(
        self,
        function: Callable,
        *args,
        given: str,
        dice: bool = False,
        errors: Mapping[str, str] | None = None,
        **kwargs,
    ):
        """What `function(*args)` returns, or the end of the check.

        `errors` maps a piece of an error's text to its cause; `dice=True`
        allows the global random state (a module that is being built).
        """
        given_to = [] if dice else _flat([*args, *kwargs.values()])
        before = copy.deepcopy(given_to)
        out = run_limited(
            lambda: function(*args, **kwargs),
            seconds=self.seconds,
            watch=self.reference,
        )
        if self._reference_ran(out.ran):
            raise Stop("refused", REFUSED)
        if out.error is not None:
            self._explain(out.error, given, errors or {})
        if not dice and out.dice:
            raise Stop(
                "failed",
                f"it draws from the global random state ({out.dice}): draw "
                "from the generator that was passed in, or not at all",
                Example(given, "no use of global random state", out.dice),
            )
        for old, new in zip(before, given_to, strict=True):
            if not alike(old, new):
                raise Stop(
                    "failed",
                    "it changes what it was given: work on a copy",
                    Example(given, f"{tell(old)} left as it is", tell(new)),
                )
        return out.value

    def _reference_ran(self, ran):
        return any(
            name == self.target or name.startswith(f"{self.target}.")
            for name in ran
        )

    def _explain(self, error, given, errors):
        """End the check with the cause of an error."""
        name, text = type(error).__name__, str(error)
        if isinstance(error, OutOfTime):
            raise Stop(
                "failed",
                f"still running after {self.seconds:g} seconds: a loop that "
                "never ends?",
                Example(given, "an answer in well under a second", "none"),
            )
        found = [c for e, c in errors.items() if e in f"{name}: {text}"]
        if isinstance(error, NotImplementedError) and text:
            other = text.split(":")[0]
            if other == self.id:
                raise Stop("not attempted", "the blank is still there")
            if "." in other and " " not in other and not found:
                raise Stop("blocked", f"it needs {other}, which is still blank")
        first = text.strip().splitlines()[0] if text.strip() else ""
        raised = f"{name}: {first}" if first else name
        line = _line(error)
        where = f", raised by `{line}`" if line else ""
        raise Stop(
            "failed",
            found[0] if found else f"it raises {name}{where}",
            Example(given, "no error", tell_text(raised)),
        )

    def letters(self, text: str) -> str:
        """`text` with other letters for another seed, the same for seed 1."""
        if self.seed == 1:
            return text
        order = list(string.ascii_lowercase)
        random.Random(self.seed).shuffle(order)
        table = dict(zip(string.ascii_lowercase, order, strict=True))
        return "".join(table.get(c, c) for c in text)

    def make(self, function, *args, given, **kwargs):
        """Like `call`, for what may draw numbers: building a module."""
        return self.call(function, *args, given=given, dice=True, **kwargs)

    def same(
        self,
        got,
        expected,
        holds: str,
        *,
        given: str,
        mistakes: Mapping[str, Any] | None = None,
        otherwise: str = "",
        atol: float = 1e-5,
    ):
        """Note that `holds`, or end the check with the likely cause.

        `mistakes` maps a cause to the output that it gives, or to a function
        that computes it.
        """
        if alike(got, expected, atol):
            self.holds.append(holds)
            return
        example = Example(given, tell(expected, got), tell(got, expected))
        for cause, output in (mistakes or {}).items():
            if alike(got, output() if callable(output) else output, atol):
                raise Stop("failed", cause, example)
        kind = unlike_kind(got, expected)
        cause = kind or otherwise or f"not so: {holds}"
        raise Stop("failed", cause, example)

    def true(self, condition, holds, cause, *, given, expected, got):
        """Note that `holds`, or end the check with `cause`."""
        if not condition:
            raise Stop("failed", cause, Example(given, expected, tell(got)))
        self.holds.append(holds)


REFUSED = (
    "this runs the course's own code for this exercise; your own lines are "
    "asked for. To go on without them: use_reference"
)


def alike(a, b, atol=1e-5) -> bool:
    """Are two values equal, in kind too?"""
    if torch.is_tensor(a) and torch.is_tensor(b):
        if a.shape != b.shape or a.dtype != b.dtype or a.device != b.device:
            return False
        a, b = a.detach(), b.detach()
        if not (a.is_floating_point() or a.is_complex()):
            return torch.equal(a, b)
        return torch.allclose(a, b, rtol=1e-4, atol=atol, equal_nan=True)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        if a.dtype.kind != "f":
            return np.array_equal(a, b)
        return np.allclose(a, b, rtol=1e-4, atol=atol, equal_nan=True)
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-4, abs_tol=atol) or (
            math.isnan(a) and math.isnan(b)
        )
    if type(a) is not type(b):
        return False
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(
            alike(x, y, atol) for x, y in zip(a, b, strict=True)
        )
    if isinstance(a, (str, bytes, int, bool, set, dict, type(None))):
        return a == b
    return a is b


def unlike_kind(got, expected) -> str:
    """How two values differ in kind (type, shape, …), or nothing."""
    if got is None:
        return "it returns None: is the `return` missing?"
    if type(got) is not type(expected):
        kinds = {type(got).__name__, type(expected).__name__}
        if kinds != {"ndarray", "memmap"}:
            return (
                f"it gives a {type(got).__name__}, expected a "
                f"{type(expected).__name__}"
            )
    if torch.is_tensor(got) or isinstance(got, np.ndarray):
        if tuple(got.shape) != tuple(expected.shape):
            return (
                f"the shape is {tuple(got.shape)}, expected "
                f"{tuple(expected.shape)}"
            )
        if got.dtype != expected.dtype:
            return f"the dtype is {got.dtype}, expected {expected.dtype}"
    if torch.is_tensor(got) and got.device != expected.device:
        return f"the result is on {got.device}, expected {expected.device}"
    return ""


def tell_text(text: str) -> str:
    """Text, cut to what fits an example."""
    return text if len(text) <= SHOWN else text[: SHOWN - 2] + " …"


def tell(value, other=None) -> str:
    """A value as one short line."""
    if torch.is_tensor(value) and value.is_meta:
        return f"a tensor of shape {tuple(value.shape)} without numbers"
    if torch.is_tensor(value):
        return _tell_array(value.detach().cpu(), value, other)
    if isinstance(value, np.ndarray):
        return _tell_array(torch.from_numpy(np.array(value)), value, other)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, (str, bytes, int, list, tuple, dict, set)):
        return tell_text(_nested(value) or repr(value))
    if value is None:
        return "None"
    return f"a {type(value).__name__}"


def _tell_array(tensor, original, other):
    text = tell_text(_nested(tensor.tolist()) or "?")
    if other is not None and getattr(other, "dtype", None) != original.dtype:
        text += f"  ({str(original.dtype)})"
    return text


def _nested(value) -> str:
    """Numbers rounded, in lists of lists."""
    if isinstance(value, (list, tuple)):
        inner = ", ".join(_nested(x) for x in value)
        if isinstance(value, tuple):
            return f"({inner},)" if len(value) == 1 else f"({inner})"
        return f"[{inner}]"
    if isinstance(value, float):
        return _number(value)
    if torch.is_tensor(value) or isinstance(value, np.ndarray):
        return tell(value)
    if isinstance(value, (str, bytes, int, bool, set, dict, type(None))):
        return repr(value)
    return f"a {type(value).__name__}"


def _number(x: float) -> str:
    if not math.isfinite(x):
        return str(x)
    text = f"{x:.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _flat(values) -> list:
    """The tensors, arrays and containers among some arguments."""
    kinds = (torch.Tensor, np.ndarray, list, tuple, dict, set)
    return [x for x in values if isinstance(x, kinds)]


def _line(error) -> str:
    """The learner's line that raised, if it can be read."""
    frame, found = error.__traceback__, ""
    while frame is not None:
        code = frame.tb_frame.f_code
        if Path(code.co_filename).parent in HERE:
            frame = frame.tb_next
            continue
        if "site-packages" in code.co_filename:
            break
        text = linecache.getline(code.co_filename, frame.tb_lineno).strip()
        found = text or found
        frame = frame.tb_next
    return found
