"""Run code of others inside limits: time, printing, random state.

A call runs in a thread of its own, because that works on every system, also
inside a notebook. When its time is over, or when you interrupt the check, an
exception is raised in it; code that cannot be stopped that way (a long call
into C) is left behind.
"""

import contextlib
import ctypes
import functools
import io
import os
import random
import threading
import time

import numpy as np
import torch

PRINTED = 10_000  # characters kept of what a call prints
TRIES = 5  # times that a running call is told to stop
STEP = 0.1  # seconds of one wait: Windows notices an interrupt after a wait


class OutOfTime(BaseException):
    """Raised inside a call that runs too long."""


def run_limited(call, *, seconds, seed=0) -> BaseException | None:
    """The error that `call()` raised, if any; OutOfTime after `seconds`.

    The global random states are seeded before, and put back after. Memory
    that nobody has written yet is nan, whatever was there.
    """
    errors, done = [], threading.Event()

    def work():
        try:
            call()
        except BaseException as error:  # whatever the answer raises
            errors.append(error)
        finally:
            done.set()

    saved, mode = random_states(), torch.get_deterministic_debug_mode()
    _seed(seed)
    torch.set_deterministic_debug_mode("warn")  # fills empty memory
    thread = threading.Thread(target=work, daemon=True)
    short = _Short()
    try:
        with (
            contextlib.redirect_stdout(short),
            contextlib.redirect_stderr(short),
        ):
            late = _is_late(thread, done, seconds)
    finally:  # also when you interrupt the check
        _restore(saved)
        torch.set_deterministic_debug_mode(mode)
    if late:
        return OutOfTime()
    return errors[0] if errors else None


@contextlib.contextmanager
def one_thread():
    """Compute on one thread: inputs are small, and each call's own thread
    would start helpers of its own.
    """
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n)


@functools.cache
def real_file(name):
    """One name for a file that links, or letters' case, give several."""
    return os.path.normcase(os.path.realpath(name))


def _is_late(thread, done, seconds) -> bool:
    """Run a thread; stop it when its time is over, or at an interrupt.

    We wait for `done`, because a thread whose `join` is interrupted looks
    as if it had ended (Python before 3.13).
    """
    end = time.monotonic() + seconds
    try:
        thread.start()
        while not done.is_set() and time.monotonic() < end:
            done.wait(STEP)
        return not done.is_set()
    finally:
        for _ in range(TRIES):
            if not done.is_set():
                _interrupt(thread)
                done.wait(0.2)
        thread.join(0.2)


def _interrupt(thread):
    """Raise OutOfTime in a thread that runs Python."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident), ctypes.py_object(OutOfTime)
    )


def random_states() -> dict:
    """The global random states, as values that can be compared."""
    name, keys, *rest = np.random.get_state()
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "random": random.getstate(),
        "numpy": (name, keys.tobytes(), *rest),
    }


def _seed(seed):
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)


def _restore(saved):
    state = np.frombuffer(saved["torch"], dtype=np.uint8).copy()
    torch.set_rng_state(torch.from_numpy(state))
    random.setstate(saved["random"])
    name, keys, *rest = saved["numpy"]
    np.random.set_state((name, np.frombuffer(keys, dtype=np.uint32), *rest))


class _Short(io.TextIOBase):
    """A stream that keeps the first characters and drops the rest."""

    def __init__(self):
        self.kept = ""

    def writable(self):
        return True

    def write(self, text):
        self.kept += text[: PRINTED - len(self.kept)]
        return len(text)
