"""A save that dies anywhere costs nothing; a strange file is refused."""

import builtins
import errno
import json
import os
import pickle
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
import safetensors.torch
import torch

from minigpt.gpt import GPT, GPTConfig
from minigpt.run import checkpoint, state
from minigpt.run.checkpoint import CheckpointError, numbers, verify, write

KIND = "a test 1"
SMALL = GPTConfig(vocab_size=11, block_size=8, n_layer=2, n_head=2, n_embd=8)


def save(path, **tensors):
    write(path, tensors or {"w": torch.arange(6.0)}, {"format": KIND})


@pytest.fixture
def whole(tmp_path):
    path = tmp_path / "whole.safetensors"
    save(path)
    return path


def test_what_is_written_comes_back(whole):
    header, metadata = verify(whole, KIND)
    assert header["w"]["shape"] == [6] and metadata["format"] == KIND
    assert torch.equal(numbers(whole)["w"], torch.arange(6.0))
    assert torch.equal(
        safetensors.torch.load_file(whole)["w"], torch.arange(6.0)
    ), "it is an ordinary safetensors file"


def test_two_saves_are_equal_bytes(tmp_path):
    save(tmp_path / "a"), save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_flipped_bit_anywhere_is_noticed(whole):
    good = whole.read_bytes()
    for place in range(len(good)):
        for bit in range(8):
            bad = bytearray(good)
            bad[place] ^= 1 << bit
            whole.write_bytes(bad)
            with pytest.raises(CheckpointError):
                verify(whole, KIND)
    whole.write_bytes(good)
    verify(whole, KIND)


def test_a_file_cut_short_anywhere_is_noticed(whole):
    good = whole.read_bytes()
    for length in range(len(good)):
        whole.write_bytes(good[:length])
        with pytest.raises(CheckpointError):
            verify(whole, KIND)
    whole.write_bytes(good + b"\0")
    with pytest.raises(CheckpointError, match="damaged"):
        verify(whole, KIND)


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def hostile_files(folder):
    """name -> bytes that must be refused, and a word of the message."""
    bomb = Harmful(folder / "executed")
    torch.save({"w": bomb}, folder / "zip")
    claims = (100 << 30).to_bytes(8, "little") + b'{"w":{}}'
    huge = {
        "__metadata__": {"format": KIND},
        "w": {"dtype": "F32", "shape": [1 << 35], "data_offsets": [0, 1 << 37]},
    }
    text = json.dumps(huge).encode()
    deep = b"[" * 100_000
    plain = safetensors.torch.save({"w": torch.ones(2)})
    sized = lambda text: len(text).to_bytes(8, "little") + text  # noqa: E731
    return {
        "a pickle": (pickle.dumps(bomb), "pickle"),
        "torch.save": ((folder / "zip").read_bytes(), "pickle"),
        "a header of 100 GB": (claims, "claims"),
        "a tensor of 137 GB": (sized(text), "bytes of numbers"),
        "JSON without end": (sized(deep), "not a checkpoint"),
        "a list": (sized(b"[1, 2]"), "object"),
        "someone else's": (plain, "metadata"),
        "nothing": (b"", "0 bytes"),
        "text": (b"It was the best of times, " * 9, "claims"),
    }


def test_foreign_and_hostile_files_are_refused(tmp_path, monkeypatch):
    files = hostile_files(tmp_path)
    loaded = []
    monkeypatch.setattr(safetensors.torch, "load_file", loaded.append)
    for name, (content, word) in files.items():
        path = tmp_path / "model.safetensors"
        path.write_bytes(content)
        tracemalloc.start()
        with pytest.raises(CheckpointError, match=word):
            verify(path, KIND)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 20 << 20, f"{name} took {peak:,} bytes"
    assert not (tmp_path / "executed").exists() and not loaded


def test_overlapping_tensors_are_refused(tmp_path):
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    header = {"__metadata__": {"format": KIND}, "a": entry, "b": entry}
    text = json.dumps(header).encode()
    path = tmp_path / "x"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(16))
    with pytest.raises(CheckpointError, match="follow"):
        verify(path, KIND)


def test_another_format_is_named(whole):
    with pytest.raises(CheckpointError, match="'a test 1'.*'a test 2'"):
        verify(whole, "a test 2")


# --- a save that fails -------------------------------------------------------


def failing_open(path, mode="r", *rest, **more):
    file = real_open(path, mode, *rest, **more)
    if str(path).endswith(".part"):
        file.write = lambda content: full()
    return file


real_open = builtins.open


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


FAILURES = {
    "open": (checkpoint, "open", full),
    "write": (checkpoint, "open", failing_open),
    "fsync": (os, "fsync", full),
    "rename": (os, "replace", full),
}


@pytest.mark.parametrize("step", FAILURES)
def test_a_full_disk_leaves_the_last_file(step, whole, monkeypatch):
    before = whole.read_bytes()
    place, name, failure = FAILURES[step]
    monkeypatch.setattr(place, name, failure, raising=False)
    with pytest.raises(OSError, match="disk is full.*not written.*--resume"):
        save(whole, w=torch.zeros(9))
    monkeypatch.undo()
    assert whole.read_bytes() == before
    assert [p.name for p in whole.parent.iterdir()] == [whole.name]


DYING = """
import os, sys, torch
from pathlib import Path
from minigpt.run import checkpoint
calls, last = 0, int(sys.argv[2])
def dies(real):
    def call(*args, **more):
        global calls
        calls += 1
        if calls > last:
            os._exit(9)
        return real(*args, **more)
    return call
os.fsync, os.replace = dies(os.fsync), dies(os.replace)
checkpoint.open = dies(open)
checkpoint.write(
    Path(sys.argv[1]), {"w": torch.zeros(9)}, {"format": "a test 1"}
)
"""


def test_a_process_that_dies_in_a_save_leaves_a_whole_file(whole):
    """open, flush to disk, rename, flush the folder: after each it may end."""
    values, codes = [], []
    for last in range(5):
        save(whole)
        code = subprocess.run(
            [sys.executable, "-c", DYING, str(whole), str(last)],
            timeout=100, check=False,
        )  # fmt: skip
        verify(whole, KIND)
        codes.append(code.returncode)
        values.append(len(numbers(whole)["w"]))
    assert codes == [9, 9, 9, 9, 0]
    assert values == [6, 6, 6, 9, 9], "the old one, then the new one"


# --- a model in a file -------------------------------------------------------


def test_a_model_comes_back_exactly(tmp_path):
    model = GPT(SMALL)
    path = tmp_path / "model.safetensors"
    state.save_model(path, model, dtype=torch.float32, step=3)
    again, facts = state.open_model(path)
    idx = torch.randint(11, (2, 8))
    assert torch.equal(model.eval()(idx), again(idx))
    assert facts == {"step": 3} and again.config == SMALL
    assert again.head.weight is again.token.weight, "still tied"


def seal_with(path, model, **changes):
    """A model file whose seal is right and whose configuration lies."""
    config = {**json.loads(json.dumps(vars(model.config))), **changes}
    write(
        path,
        state.weights(model),
        {"format": state.MODEL, "config": json.dumps(config), "facts": "{}"},
    )


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"n_layer": 10**9}, "claims 1000000000 layers"),
        ({"vocab_size": 10**11}, "should be"),
        ({"block_size": 10**9}, "should be"),
        ({"n_layer": 3}, "is not in the file"),
        ({"n_layer": 1}, "is not in the model"),
        ({"n_embd": -8}, "no such model|should be"),
        ({"n_embd": "8"}, "no such model|should be"),
        ({"n_head": 0}, "no such model"),
        ({"colour": 1}, "another version.*colour"),
    ],
)
def test_a_configuration_that_lies_is_refused(tmp_path, changes, word):
    path = tmp_path / "model.safetensors"
    seal_with(path, GPT(SMALL), **changes)
    tracemalloc.start()
    with pytest.raises(CheckpointError, match=word):
        state.open_model(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 << 20


def test_a_good_configuration_with_a_seal_opens(tmp_path):
    model = GPT(SMALL)
    seal_with(tmp_path / "m", model)
    opened = state.open_model(tmp_path / "m")[0]
    assert opened.config == SMALL


def test_checking_costs_no_memory():
    """A model of 175 billion parameters is compared without being built."""
    config = GPTConfig(n_layer=96, n_head=96, n_embd=12288)
    with torch.device("meta"):
        model = GPT(config)
    n = sum(p.numel() for p in model.parameters())
    assert n > 170e9 and all(p.is_meta for p in model.parameters())
