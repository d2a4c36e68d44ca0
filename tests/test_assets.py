"""The shipped model: small, whole, and made by the command it names."""

import json

import pytest
import torch

from minigpt.run import probes
from minigpt.run.log import read
from minigpt.run.models import load_model
from minigpt.run.options import ASSETS, PRESETS
from minigpt.run.training import config_of, run_options

PRESIDENTS = ASSETS / "presidents"
LOG = PRESIDENTS / "log.jsonl"
REFERENCE = PRESETS["reference"]


@pytest.fixture(scope="module")
def shipped():
    return load_model()


def test_the_weights_are_small():
    assert (PRESIDENTS / "model.safetensors").stat().st_size <= 8_000_000


def test_the_model_is_that_of_the_preset(shipped):
    model, tokenizer = shipped
    expected = config_of(REFERENCE, tokenizer.n_vocab)
    assert model.config == expected
    start = read(LOG)[0]
    assert "--preset reference" in start["command"]
    assert start["options"] == run_options(REFERENCE)


def test_the_weights_are_those_with_the_lowest_held_out_loss():
    evals = [x for x in read(LOG) if x["kind"] == "eval"]
    best = min(evals, key=lambda x: x["loss"])
    assert best["step"] == REFERENCE.max_steps
    assert best["bits_per_char"] < 1.3
    data = json.loads((PRESIDENTS / "data.json").read_text(encoding="utf-8"))
    assert data["corpus"] == "sotu" and data["tokenizer"] == "bpe"


def test_ten_points_of_the_run_are_recorded(shipped):
    model, tokenizer = shipped
    tensors, facts = probes.open_probes(PRESIDENTS / "probes.safetensors")
    steps = [fact["step"] for fact in facts]
    assert steps == probes.probe_steps(10, REFERENCE.max_steps)
    assert all(len(fact["texts"]) == 2 for fact in facts)
    heads = (10, model.config.n_layer, model.config.n_head)
    assert all(tensors[f"attention.{i}"].shape[:3] == heads for i in range(3))


def test_the_last_point_is_the_shipped_model(shipped):
    model, tokenizer = shipped
    tensors, facts = probes.open_probes(PRESIDENTS / "probes.safetensors")
    ids = tensors["ids.0"][None].long()
    record = []
    with torch.no_grad():
        model(ids, record=record)
    T = ids.size(1)
    rows, columns = torch.tril_indices(T, T)
    last = tensors["attention.0"][-1].float()
    for layer, weights in enumerate(record):
        found = last[layer][:, : len(rows)]
        torch.testing.assert_close(
            found, weights[0][:, rows, columns], atol=0.02, rtol=0.02
        )
