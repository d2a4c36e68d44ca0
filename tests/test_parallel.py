"""Two real processes under torchrun train what one process trains."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from test_run import TINY, arguments, resumed, some_text, steps

from minigpt.bigram import cross_entropy
from minigpt.gpt import GPT, GPTConfig
from minigpt.run import log, parallel
from minigpt.run.checkpoint import checkpoints, open_training
from minigpt.run.options import Train
from minigpt.run.training import train_gpt
from minigpt.train import accumulate

TORCHRUN = [
    sys.executable, "-m", "torch.distributed.run", "--standalone",
    "--nproc-per-node", "2",
]  # fmt: skip


def torchrun(*words, **more):
    return subprocess.run(
        [*TORCHRUN, *words],
        capture_output=True, text=True, timeout=200, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, **more,
    )  # fmt: skip


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(some_text())
    options = Train(out=tmp_path / "two", corpus=str(path), **TINY)
    return replace(options, dropout=0.0, batch_size=8, micro_batch_size=2)


def close(pairs, others):
    a, b = dict(pairs), dict(others)
    assert a.keys() == b.keys()
    worst = max(abs(a[step] - b[step]) for step in a)
    assert worst < 1e-5, f"losses differ by {worst:.1e}"


@pytest.mark.slow
def test_two_processes_are_one_with_the_same_batch(tiny):
    """Losses, held-out losses and weights; then on, as one process."""
    one = replace(tiny, out=tiny.out.with_name("one"))
    ended = torchrun("-m", "minigpt", "train", *arguments(tiny))
    assert ended.returncode == 0, ended.stderr
    assert train_gpt(one) == 0
    close(steps(tiny.out), steps(one.out))
    lines = [log.read(o.out / "log.jsonl") for o in (tiny, one)]
    held_out = [
        [(x["step"], x["loss"]) for x in some if x["kind"] == "eval"]
        for some in lines
    ]
    close(*held_out)
    assert [x["processes"] for x in (lines[0][0], lines[1][0])] == [2, 1]
    assert len([x for x in lines[0] if x["kind"] == "start"]) == 1
    weights = [
        torch.cat([p.flatten() for p in open_training(f)[0].parameters()])
        for f in (checkpoints(tiny.out)[0], checkpoints(one.out)[0])
    ]
    torch.testing.assert_close(*weights, atol=1e-5, rtol=0)


GRADIENTS = """
import sys, torch
from minigpt.run.parallel import join_team
from minigpt.train import accumulate
from test_parallel import some_batches, small_model
with join_team(torch.device("cpu")) as team:
    model = small_model()
    wrapped = team.wrap(model)
    accumulate(wrapped, team.share(some_batches(), wrapped))
    torch.save([p.grad for p in model.parameters()],
               f"{sys.argv[1]}/{team.rank}.pt")
"""


def small_model():
    torch.manual_seed(0)
    return GPT(GPTConfig(11, 8, 2, 2, 8))


def some_batches():
    g = torch.Generator().manual_seed(1)
    return [tuple(torch.randint(11, (2, 2, 8), generator=g)) for _ in range(4)]


@pytest.mark.slow
def test_gradients_are_those_of_one_process(tmp_path):
    script = tmp_path / "gradients.py"
    script.write_text(GRADIENTS)
    here = os.path.dirname(__file__)
    path = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        [*TORCHRUN, str(script), str(tmp_path)],
        capture_output=True, text=True, timeout=200, check=False,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    model, batches = small_model(), some_batches()
    x, y = (torch.cat(parts) for parts in zip(*batches, strict=True))
    cross_entropy(model(x), y).backward()
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for p, gradient in zip(model.parameters(), found, strict=True):
            torch.testing.assert_close(gradient, p.grad, atol=1e-5, rtol=0)


FAILS = """
import os, sys
from minigpt.__main__ import main
from minigpt.run.training import Run
real = Run.take_step
def take_step(run, *rest):
    real(run, *rest)
    if run.step == 6 and run.team.rank == 1:
        raise MemoryError("rank 1 has no memory left")
Run.take_step = take_step
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_when_one_fails_all_end_and_the_checkpoint_stays(tiny, tmp_path):
    script = tmp_path / "fails.py"
    script.write_text(FAILS)
    ended = torchrun(str(script), "train", *arguments(tiny))
    assert ended.returncode != 0
    assert "rank 1 has no memory left" in ended.stderr
    assert "another process of the team failed" in ended.stderr
    names = [p.name for p in checkpoints(tiny.out)]
    assert names == ["step-0000004.safetensors"]
    open_training(checkpoints(tiny.out)[0])
    assert train_gpt(resumed(tiny.out)) == 0
    assert [step for step, _ in steps(tiny.out)] == list(range(1, 13))


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_is_refused_by_all(tiny):
    odd = replace(tiny, batch_size=7, micro_batch_size=7)
    ended = torchrun("-m", "minigpt", "train", *arguments(odd))
    assert ended.returncode != 0
    assert "--batch-size 7" in ended.stderr
    assert not odd.out.exists(), "the corrected command can use the folder"


def test_alone_there_is_nothing_to_talk_about():
    with parallel.join_team(torch.device("cpu")) as team:
        model, batches = small_model(), some_batches()
        assert team.wrap(model) is model and team.leads
        assert team.sum(1.0) == 1.0
        for ours, theirs in zip(team.share(batches, model), batches):
            assert torch.equal(ours[0], theirs[0])
        team.wait()


def test_only_the_last_micro_batch_makes_the_team_talk():
    model, flags = torch.nn.Module(), []
    batches = parallel.SyncedLast(model, ["a", "b", "c"])
    for _ in batches:
        flags.append(model.require_backward_grad_sync)
    assert flags == [False, False, True] and len(batches) == 3


def test_accumulate_takes_the_list_that_talks():
    model = small_model()
    once = accumulate(model, some_batches())
    again = accumulate(model, parallel.SyncedLast(model, some_batches()))
    assert once == again


@pytest.mark.parametrize(
    ("here", "expected"),
    [((), "cpu"), (("mps",), "mps"), (("mps", "cuda"), "cuda")],
)
def test_auto_takes_the_fastest_device_that_is_here(
    here, expected, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in here)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_device", lambda n: None)
    mps = torch.backends.mps
    monkeypatch.setattr(mps, "is_available", lambda: "mps" in here)
    assert parallel.pick_device("auto").type == expected
    for name in ("cpu", "cuda", "mps"):
        if name == "cpu" or name in here:
            assert parallel.pick_device(name).type == name
        else:
            with pytest.raises(ValueError, match=name):
                parallel.pick_device(name)


def test_an_unknown_device_is_an_error():
    with pytest.raises(ValueError, match="abacus"):
        parallel.pick_device("abacus")
