"""What the benchmarks share."""

import json
from dataclasses import dataclass

import pytest
from benches import benchmark_module


@dataclass
class Trial:
    name: str


def test_a_record_grows_trial_by_trial_and_forgets_none(tmp_path):
    common, path = benchmark_module("common"), tmp_path / "record.json"
    trials, run = [Trial(c) for c in "abcd"], []

    def one(trial):
        run.append(trial.name)
        if trial.name == "c":
            raise KeyboardInterrupt
        return {"loss": 1.5}

    common.fill(path, {"command": "x"}, "runs", trials, one, only=1)
    with pytest.raises(KeyboardInterrupt):
        common.fill(path, common.read(path), "runs", trials, one)
    assert run == ["a", "b", "c"]
    record = json.loads(path.read_text())
    assert record["command"] == "x" and record["date"] == common.today()
    assert record["runs"] == [{"name": n, "loss": 1.5} for n in "ab"]
