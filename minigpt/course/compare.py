"""Values compared, and told in one line."""

import math

import numpy as np
import torch

SHOWN = 160  # characters of a value in an example


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
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(alike(a[k], b[k], atol) for k in a)
    if isinstance(a, (str, bytes, int, bool, set, type(None))):
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
                f"the type is {type(got).__name__}, expected "
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
    if isinstance(got, dict) and got.keys() == expected.keys():
        got, expected = list(got.values()), [expected[k] for k in got]
    if isinstance(got, (list, tuple)) and len(got) == len(expected):
        if any(x is None for x in expected):  # here None is a value
            return ""
        parts = map(unlike_kind, got, expected)
        return next((kind for kind in parts if kind), "")
    if torch.is_tensor(got) and got.device != expected.device:
        return f"the result is on {got.device}, expected {expected.device}"
    return ""


def difference(expected, got) -> str:
    """Where two values of the same shape first differ, or nothing."""
    if isinstance(expected, np.ndarray) and isinstance(got, np.ndarray):
        expected, got = torch.from_numpy(expected), torch.from_numpy(got)
    if torch.is_tensor(expected) and torch.is_tensor(got):
        if expected.shape != got.shape or not expected.dim():
            return ""
        expected, got = expected.tolist(), got.tolist()
    if isinstance(expected, dict) and isinstance(got, dict):
        places = [k for k in expected if k in got]
    elif isinstance(expected, (list, tuple)) and type(expected) is type(got):
        places = range(min(len(expected), len(got)))
    else:
        return ""
    for place in places:
        if not alike(expected[place], got[place]):
            inner = difference(expected[place], got[place])
            here = f"[{place!r}]"
            if inner:
                return here + inner
            pair = tell(expected[place]), tell(got[place])
            return f"{here}: expected {pair[0]}, got {pair[1]}"
    return ""


def tell_text(text: str) -> str:
    """Text, cut to what fits an example."""
    return text if len(text) <= SHOWN else text[: SHOWN - 2] + " …"


def tell(value, other=None, *, short=False) -> str:
    """A value as one short line; `short`: no numbers of a large tensor."""
    if short and isinstance(value, (torch.Tensor, np.ndarray)):
        if math.prod(value.shape) > 12:
            return f"a tensor of shape {tuple(value.shape)}"
    if torch.is_tensor(value) and value.is_meta:
        return f"a tensor of shape {tuple(value.shape)} without numbers"
    if torch.is_tensor(value):
        return _tell_array(value.detach().cpu(), value, other)
    if isinstance(value, np.ndarray):
        return _tell_array(torch.from_numpy(np.array(value)), value, other)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, (str, bytes, int, list, tuple, dict, set)):
        return tell_text(_nested(value, short) or repr(value))
    if value is None:
        return "None"
    return f"a {type(value).__name__}"


def _tell_array(tensor, original, other):
    text = tell_text(_nested(tensor.tolist()) or "?")
    if other is not None and getattr(other, "dtype", None) != original.dtype:
        text += f"  ({str(original.dtype)})"
    return text


def _nested(value, short=False) -> str:
    """Numbers rounded, in nested lists, tuples and dicts."""
    if isinstance(value, (list, tuple)):
        inner = ", ".join(_nested(x, short) for x in value)
        if isinstance(value, tuple):
            return f"({inner},)" if len(value) == 1 else f"({inner})"
        return f"[{inner}]"
    if isinstance(value, dict):
        items = (f"{k!r}: {_nested(x, short)}" for k, x in value.items())
        return f"{{{', '.join(items)}}}"
    if isinstance(value, float):
        return _number(value)
    if torch.is_tensor(value) or isinstance(value, np.ndarray):
        return tell(value, short=short)
    if isinstance(value, (str, bytes, int, bool, set, type(None))):
        return repr(value)
    return f"a {type(value).__name__}"


def _number(x: float) -> str:
    if not math.isfinite(x):
        return str(x)
    text = f"{x:.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
