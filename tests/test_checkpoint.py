"""A save that dies anywhere costs nothing; a strange file is refused."""

import builtins
import errno
import json
import os
import pickle
import subprocess
import sys
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from minigpt import files
from minigpt.finetune import add_lora, merge_lora
from minigpt.gpt import GPT, GPTConfig
from minigpt.modern import Together
from minigpt.run import checkpoint
from minigpt.run.checkpoint import CheckpointError, read, write
from minigpt.train import Recipe, make_optimizer

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
    tensors, metadata = read(whole, KIND)
    assert torch.equal(tensors["w"], torch.arange(6.0))
    assert metadata["format"] == KIND
    ordinary = safetensors.torch.load_file(whole)
    assert torch.equal(ordinary["w"], torch.arange(6.0))


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
                read(whole, KIND)
    whole.write_bytes(good)
    read(whole, KIND)


def test_a_file_cut_short_anywhere_is_noticed(whole):
    good = whole.read_bytes()
    for wrong in [good[:n] for n in range(len(good))] + [good + b"\0"]:
        whole.write_bytes(wrong)
        with pytest.raises(CheckpointError):
            read(whole, KIND)


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def hostile_files(folder):
    """name -> bytes that must be refused."""
    bomb = Harmful(folder / "executed")
    torch.save({"w": bomb}, folder / "zip")
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    huge = {"dtype": "F32", "shape": [1 << 35], "data_offsets": [0, 1 << 37]}
    facts = {"format": KIND}

    def file(header, rest=b""):
        text = header if type(header) is bytes else json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + rest

    return {
        "a pickle": pickle.dumps(bomb),
        "torch.save": (folder / "zip").read_bytes(),
        "a header of 100 GB": (100 << 30).to_bytes(8, "little") + b"{}",
        "a tensor of 137 GB": file({"__metadata__": facts, "w": huge}),
        "overlapping tensors": file(
            {"__metadata__": facts, "a": entry, "b": entry}, bytes(16)
        ),
        "JSON without end": file(b"[" * 100_000),
        "a list": file([1, 2]),
        "no metadata": file({"w": entry}, bytes(8)),
        "someone else's": safetensors.torch.save({"w": torch.ones(2)}),
        "without a seal": safetensors.torch.save({"w": torch.ones(2)}, facts),
        "nothing": b"",
        "text": b"It was the best of times, " * 9,
    }


def test_foreign_and_hostile_files_are_refused(tmp_path):
    for name, content in hostile_files(tmp_path).items():
        path = tmp_path / "model.safetensors"
        path.write_bytes(content)
        tracemalloc.start()
        with pytest.raises(CheckpointError):
            read(path, KIND)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 20 << 20, f"{name} took {peak:,} bytes"
    assert not (tmp_path / "executed").exists()


def test_another_format_is_named(whole):
    with pytest.raises(CheckpointError, match="'a test 2', got 'a test 1'"):
        read(whole, "a test 2")


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
    "open": (files, "open", full),
    "write": (files, "open", failing_open),
    "fsync": (os, "fsync", full),
    "rename": (os, "replace", full),
}


@pytest.mark.parametrize("step", FAILURES)
def test_a_full_disk_leaves_the_last_file(step, whole, monkeypatch):
    before = whole.read_bytes()
    place, name, failure = FAILURES[step]
    monkeypatch.setattr(place, name, failure, raising=False)
    with pytest.raises(OSError, match="disk is full"):
        save(whole, w=torch.zeros(9))
    monkeypatch.undo()
    assert whole.read_bytes() == before
    assert [p.name for p in whole.parent.iterdir()] == [whole.name]


DYING = """
import os, sys, torch
from pathlib import Path
from minigpt import files
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
files.open = dies(open)
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
        codes.append(code.returncode)
        values.append(len(read(whole, KIND)[0]["w"]))
    assert codes == [9, 9, 9, 9, 0]
    assert values == [6, 6, 6, 9, 9], "the old one, then the new one"


# --- a model in a file -------------------------------------------------------


def test_a_model_comes_back_exactly(tmp_path):
    model = GPT(SMALL)
    path = tmp_path / "model.safetensors"
    checkpoint.save_model(path, model, dtype=torch.float32, step=3)
    again, facts = checkpoint.open_model(path)
    idx = torch.randint(11, (2, 8))
    assert torch.equal(model.eval()(idx), again(idx))
    assert facts == {"step": 3} and again.config == SMALL
    assert again.head.weight is again.token.weight, "still tied"


def test_a_model_with_lora_is_saved_once_it_is_merged(tmp_path):
    model, path = GPT(SMALL).eval(), tmp_path / "model.safetensors"
    add_lora(model, 2)
    model.blocks[0].attention.qkv.B.data.normal_()
    with pytest.raises(ValueError, match="merge_lora"):
        checkpoint.save_model(path, model)
    assert not path.exists()
    idx = torch.randint(11, (2, 8))
    expected = model(idx)
    merge_lora(model)
    checkpoint.save_model(path, model, dtype=torch.float32)
    torch.testing.assert_close(checkpoint.open_model(path)[0](idx), expected)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_an_optimizer_comes_back_exactly(name, tmp_path):
    """Another model with another optimizer takes the same next step."""
    models = [GPT(SMALL), GPT(SMALL)]
    recipe = Recipe(optimizer=name)
    optimizers = [make_optimizer(model, recipe) for model in models]
    assert isinstance(optimizers[0], Together) == (name == "muon")
    idx = torch.randint(11, (2, 8))

    def step(model, optimizer):
        optimizer.zero_grad()
        model(idx).square().mean().backward()
        optimizer.step()

    step(models[0], optimizers[0]), step(models[1], optimizers[1])
    checkpoint.save_training(tmp_path, models[0], optimizers[0], 1, 0.1 + 0.2)
    model, tensors, place = checkpoint.newest(tmp_path)
    assert place == {"step": 1, "best": 0.1 + 0.2}
    checkpoint.load_weights(models[1], checkpoint.weights(model))
    checkpoint.load_optimizer(optimizers[1], models[1], tensors)
    step(models[0], optimizers[0]), step(models[1], optimizers[1])
    for p, q in zip(*(m.parameters() for m in models), strict=True):
        assert torch.equal(p, q)


def seal_with(path, model, **changes):
    """A model file whose seal is right and whose configuration lies."""
    config = {**json.loads(json.dumps(vars(model.config))), **changes}
    facts = {"config": json.dumps(config), "facts": "{}"}
    weights = checkpoint.weights(model)
    write(path, weights, {"format": checkpoint.MODEL, **facts})


@pytest.mark.parametrize(
    "changes",
    [
        {"n_layer": 10**9},
        {"vocab_size": 10**11},
        {"block_size": 10**9},
        {"n_layer": 3},
        {"n_layer": 1},
        {"n_embd": -8},
        {"n_embd": "8"},
        {"n_head": 0},
        {"mlp": "swiglu"},
        {"norm": "abacus"},
        {"tied": False},
        {"color": 1},
    ],
)
def test_a_configuration_that_lies_is_refused(tmp_path, changes):
    path = tmp_path / "model.safetensors"
    seal_with(path, GPT(SMALL), **changes)
    tracemalloc.start()
    with pytest.raises(CheckpointError):
        checkpoint.open_model(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 << 20


def test_a_good_configuration_with_a_seal_opens(tmp_path):
    seal_with(tmp_path / "m", GPT(SMALL))
    assert checkpoint.open_model(tmp_path / "m")[0].config == SMALL


@pytest.mark.parametrize("position", ["sinusoidal", "rope", "alibi", "none"])
def test_a_context_that_would_fill_the_memory_is_refused(tmp_path, position):
    """Nothing in the file has the size of such a context."""
    model = GPT(replace(SMALL, position=position))
    seal_with(tmp_path / "m", model, block_size=5_000_000)
    with pytest.raises(CheckpointError, match="block_size"):
        checkpoint.open_model(tmp_path / "m")


def test_empty_tensors_do_not_make_layers(tmp_path):
    """Thousands of layers are refused without building one after another."""
    config = replace(SMALL, n_layer=3000)
    empty = {name: torch.empty(0) for name in checkpoint.shapes_of(config)}
    metadata = {"config": json.dumps(vars(config)), "facts": "{}"}
    write(tmp_path / "m", empty, {"format": checkpoint.MODEL, **metadata})
    begin = time.perf_counter()
    with pytest.raises(CheckpointError):
        checkpoint.open_model(tmp_path / "m")
    assert time.perf_counter() - begin < 10


@pytest.mark.parametrize("position", ["learned", "rope"])
@pytest.mark.parametrize("tied", [True, False])
def test_shapes_are_those_of_the_whole_model(position, tied):
    config = replace(SMALL, n_layer=11, position=position, tied=tied)
    built = {n: p.shape for n, p in GPT(config).named_parameters()}
    assert checkpoint.shapes_of(config) == built


@pytest.mark.parametrize("key", ["config", "facts"])
@pytest.mark.parametrize("text", [None, "null", "[1]", "3", "", "[" * 10**5])
def test_metadata_that_is_no_object_is_refused(tmp_path, key, text):
    path = tmp_path / "m"
    model = GPT(SMALL)
    metadata = {"config": json.dumps(vars(SMALL)), "facts": "{}", key: text}
    metadata = {k: v for k, v in metadata.items() if v is not None}
    weights = checkpoint.weights(model)
    write(path, weights, {"format": checkpoint.MODEL, **metadata})
    with pytest.raises(CheckpointError) as error:
        checkpoint.open_model(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("changes", [{"step": "x"}, {"best": None}])
def test_a_checkpoint_without_its_place_is_refused(tmp_path, changes):
    path = tmp_path / "m"
    place = {"config": json.dumps(vars(SMALL)), "step": "3", "best": "0.5"}
    model = {f"model.{n}": p for n, p in GPT(SMALL).named_parameters()}
    for metadata in (place, place | changes):
        metadata = {k: v for k, v in metadata.items() if v is not None}
        write(path, model, {"format": checkpoint.TRAINING, **metadata})
        if metadata == place:
            assert checkpoint.open_training(path)[2] == {"step": 3, "best": 0.5}
    with pytest.raises(CheckpointError) as error:
        checkpoint.open_training(path)
    assert str(path) in str(error.value)


def test_checking_costs_no_memory():
    """The shapes of 175 billion parameters, without the parameters."""
    config = GPTConfig(n_layer=96, n_head=96, n_embd=12288)
    shapes = checkpoint.shapes_of(config)
    assert sum(shape.numel() for shape in shapes.values()) > 170e9


# --- few bits ----------------------------------------------------------------


@pytest.mark.parametrize("tied", [True, False])
def test_a_model_in_int8_has_a_scale_for_each_row_of_each_matrix(
    tmp_path, tied
):
    path = tmp_path / "m"
    model = GPT(replace(SMALL, tied=tied)).eval()
    checkpoint.save_model(path, model, bits=8, step=3)
    stored, _ = read(path, checkpoint.MODEL)
    expected = {}
    for name, p in model.named_parameters():
        kind = torch.int8 if p.dim() == 2 else torch.float16
        expected[name] = kind, p.shape
        if p.dim() == 2:
            expected[f"{name}.scale"] = torch.float16, p.shape[:1]
    assert {n: (t.dtype, t.shape) for n, t in stored.items()} == expected
    assert ("head.weight" in stored) != tied
    again, facts = checkpoint.open_model(path)
    assert facts == {"step": 3} and again.config == model.config
    assert (again.head.weight is again.token.weight) == tied
    for name, p in model.named_parameters():
        q = again.get_parameter(name)
        limit = p.abs().amax(-1, keepdim=True) / 253
        if p.dim() == 1:
            limit = p.abs() / 2048
        assert q.dtype == torch.float32 and ((p - q).abs() <= limit).all()


def test_a_model_in_4_bits_has_a_scale_for_every_32_numbers(tmp_path):
    path = tmp_path / "m"
    model = GPT(replace(SMALL, n_embd=64)).eval()
    checkpoint.save_model(path, model, bits=4)
    stored, _ = read(path, checkpoint.MODEL)
    again, _ = checkpoint.open_model(path)
    for name, p in model.named_parameters():
        if p.dim() == 2:
            rows, columns = p.shape
            assert stored[name].dtype == torch.uint8
            assert stored[name].shape == (rows, columns // 2)
            scale = stored[f"{name}.scale"]
            assert (scale.dtype, scale.shape) == (
                torch.half, (rows, columns // 32),
            )  # fmt: skip
            largest = p.view(rows, -1, 32).abs().amax(-1, keepdim=True)
            error = (again.get_parameter(name) - p).abs().view(rows, -1, 32)
            assert (error <= largest / 13.9).all()
    with pytest.raises(ValueError, match="group must divide 8 columns, got 32"):
        checkpoint.save_model(path, GPT(SMALL), bits=4)


@pytest.mark.parametrize("bits", [8, 4])
def test_a_small_model_is_saved_again_as_the_same_bytes(tmp_path, bits):
    """Nothing is lost a second time."""
    first, second = tmp_path / "first", tmp_path / "second"
    model = GPT(replace(SMALL, n_embd=64))
    checkpoint.save_model(first, model, bits=bits)
    checkpoint.save_model(second, checkpoint.open_model(first)[0], bits=bits)
    assert first.read_bytes() == second.read_bytes()


W, S = "token.weight", "token.weight.scale"  # (11, 8) and (11,)
MISFITS = {
    "no scale": {S: None},
    "a scale of another length": {S: torch.ones(10).half()},
    "a scale for each number": {S: torch.ones(11, 8).half()},
    "a scale in float32": {S: torch.ones(11)},
    "a scale in int8": {S: torch.ones(11).char()},
    "a scale without a matrix": {"norm.weight.scale": torch.ones(8).half()},
    "a scale beside float16": {W: torch.ones(11, 8).half()},
    "a vector in int8": {
        "norm.weight": torch.ones(8).char(),
        "norm.weight.scale": torch.ones(8).half(),
    },
    "a matrix in int16": {W: torch.ones(11, 8).short()},
    "a matrix of booleans": {W: torch.ones(11, 8).bool()},
    "another shape": {W: torch.ones(11, 9).char()},
    "4 bits with a scale for each row": {W: torch.ones(11, 4).byte()},
    "4 bits of another shape": {
        W: torch.ones(11, 16).byte(),
        S: torch.ones(11, 1).half(),
    },
}


@pytest.mark.parametrize("case", MISFITS)
def test_int8_that_does_not_fit_is_refused(tmp_path, case):
    path = tmp_path / "m"
    changed = checkpoint.quantize(checkpoint.weights(GPT(SMALL)), 8)
    changed |= MISFITS[case]
    changed = {name: t for name, t in changed.items() if t is not None}
    metadata = {"config": json.dumps(vars(SMALL)), "facts": "{}"}
    write(path, changed, {"format": checkpoint.MODEL, **metadata})
    with pytest.raises(CheckpointError) as error:
        checkpoint.open_model(path)
    named = next(iter(MISFITS[case]))
    assert str(path) in str(error.value) and named in str(error.value)
