"""The recorded ladders and broken models, and the benchmarks behind them."""

import json
import math
from dataclasses import asdict
from pathlib import Path

import pytest
from benches import benchmark_module

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "notebooks" / "results"
LECTURES = {
    "bigram": 2.49,
    "one head + positions": 2.41,  # the lectures' single head has positions
    "multi-head": 2.29,
    "feed-forward": 2.24,
    "residual, three blocks": 2.08,
    "LayerNorm": 2.06,
}
CORPORA = ("sotu", "tinyshakespeare")


@pytest.fixture(scope="module")
def ladder():
    return benchmark_module("ladder")


def record(name):
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("corpus", CORPORA)
def test_record_holds_the_stages_and_settings_of_the_benchmark(ladder, corpus):
    stages = {stage.name: stage for stage in ladder.STAGES}
    entries = record(f"ladder_{corpus}")["stages"]
    assert [e["stage"] for e in entries] == list(stages)[: len(entries)]
    assert len(entries) >= (8 if corpus == "sotu" else 7)
    for entry in entries:
        stage = stages[entry["stage"]]
        assert entry["settings"] == asdict(stage.settings)
        assert entry["chapter"] == stage.chapter
        bits = entry["nats"] / math.log(2)
        assert entry["bits_per_char"] == pytest.approx(bits, abs=1e-4)


@pytest.mark.parametrize("stage, nats", LECTURES.items())
def test_tiny_shakespeare_is_as_good_as_the_lectures(stage, nats):
    found = {s["stage"]: s for s in record("ladder_tinyshakespeare")["stages"]}
    assert found[stage]["nats"] <= nats + 0.03


@pytest.mark.parametrize("corpus", CORPORA)
def test_each_rung_is_better_than_the_one_below(corpus):
    nats = [s["nats"] for s in record(f"ladder_{corpus}")["stages"]]
    assert nats == sorted(nats, reverse=True)


def test_settings_are_those_of_the_lectures(ladder):
    for stage in ladder.STAGES[:7]:
        s = stage.settings
        assert (s.block_size, s.batch_size, s.steps) == (8, 32, 5000)
        assert s.n_embd == 32 and s.n_head in (1, 4)
        assert s.lr == (1e-2 if stage.name == "bigram" else 1e-3)


@pytest.mark.slow
def test_a_stage_comes_out_as_recorded(ladder):
    corpus = ladder.load("sotu")
    entry = ladder.run(ladder.STAGES[2], corpus, seed=1337)
    found = {s["stage"]: s for s in record("ladder_sotu")["stages"]}
    assert entry["parameters"] == found[entry["stage"]]["parameters"]
    assert abs(entry["nats"] - found[entry["stage"]]["nats"]) < 0.01


def test_broken_models_are_all_recorded():
    found = record("break_it")
    assert [v["broken"] for v in found["variants"]] == [
        "nothing",
        "no scaling",
        "no mask",
        "no positions",
        "no residual",
        "no LayerNorm",
        "untied head",
        "post-norm",
        "post-norm wide",
    ]
    for v in found["variants"]:
        assert len(v["gradient_before"]) == found["settings"]["n_layer"] == 12
        assert len(v["gradient_after"]) == 12
        assert all(math.isfinite(g) and g > 0 for g in v["gradient_before"])


def test_what_looks_ahead_cannot_write():
    found = {v["broken"]: v for v in record("break_it")["variants"]}
    whole, blind = found["nothing"], found["no mask"]
    assert blind["train_nats"] < 0.2 < whole["train_nats"]
    assert blind["held_out_last_nats"] > whole["held_out_last_nats"] + 0.5
