"""The shipped models: small, whole, and made by the commands they name."""

import json
import re

import pytest
import torch

from minigpt.__main__ import main, parse
from minigpt.run import probes
from minigpt.run.checkpoint import open_model
from minigpt.run.log import read
from minigpt.run.models import SHIPPED, load_model
from minigpt.run.options import ASSETS, PRESETS, Train
from minigpt.run.training import config_of, run_options, settled

MODELS = {  # a model that is here: most bytes, most bits per character
    "presidents": (8_000_000, 1.3),
    "second_term": (8_000_000, 1.2),
    "world": (3_000_000, 0.33),
}
FILES = (
    "model.safetensors", "tokenizer.json", "data.json", "log.jsonl",
    "curve.svg", "probes.safetensors",
)  # fmt: skip


@pytest.fixture(params=MODELS)
def name(request):
    return request.param


@pytest.fixture
def folder(name):
    return ASSETS / name


@pytest.fixture
def options(folder):
    """The options of the run, as its command says them."""
    words = read(folder / "log.jsonl")[0]["command"].split()[1:]
    preset = PRESETS[words[words.index("--preset") + 1]]
    return settled(parse(Train, words, default=preset))


def test_every_folder_is_a_shipped_model():
    folders = {path.name for path in ASSETS.iterdir() if path.is_dir()}
    assert folders == set(MODELS) <= set(SHIPPED)


def test_the_files_are_all_there_and_small(folder, name):
    assert {path.name for path in folder.iterdir()} == set(FILES)
    assert (folder / "model.safetensors").stat().st_size <= MODELS[name][0]


def test_it_was_made_by_the_command_that_makes_it_again(folder, name, options):
    start = read(folder / "log.jsonl")[0]
    assert start["command"] == SHIPPED[name][0]
    now, new = run_options(options), run_options(Train())
    assert new | start["options"] == now  # options that came later: defaults
    guide = (ASSETS / "README.md").read_text(encoding="utf-8")
    for line in SHIPPED[name]:
        assert f"\npython -m minigpt {line}\n" in guide


def test_the_model_is_that_of_the_preset(name, options):
    model, tokenizer = load_model(name)
    assert model.config == config_of(options, tokenizer.n_vocab)


def test_the_weights_are_those_with_the_lowest_held_out_loss(folder, name):
    evals = [x for x in read(folder / "log.jsonl") if x["kind"] == "eval"]
    best = min(evals, key=lambda x: x["loss"])
    _, facts = open_model(folder / "model.safetensors")
    assert (facts["step"], facts["loss"]) == (best["step"], best["loss"])
    assert best["bits_per_char"] < MODELS[name][1]


def test_data_json_says_what_it_was_trained_on(folder, options):
    data = json.loads((folder / "data.json").read_text(encoding="utf-8"))
    assert data["corpus"] == options.corpus
    assert data["tokenizer"] == options.tokenizer


def test_the_points_of_the_run_are_recorded(folder, options):
    tensors, facts = probes.open_probes(folder / "probes.safetensors")
    steps = [fact["step"] for fact in facts]
    assert steps == probes.probe_steps(options.probes, options.max_steps)
    assert all(len(fact["texts"]) == 2 for fact in facts)
    heads = (len(steps), options.n_layer, options.n_head)
    assert all(tensors[f"attention.{i}"].shape[:3] == heads for i in range(3))


def test_the_last_point_is_the_shipped_model(folder, name):
    model, _ = load_model(name)
    tensors, _ = probes.open_probes(folder / "probes.safetensors")
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
            found, weights[0][:, rows, columns], atol=0.05, rtol=0
        )


# --- by name -----------------------------------------------------------------


def test_a_folder_of_that_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    by_name, _ = load_model("presidents")
    default, _ = load_model()
    assert torch.equal(by_name.token.weight, default.token.weight)
    (tmp_path / "presidents").mkdir()
    with pytest.raises(ValueError, match="no model in presidents"):
        load_model("presidents")


def test_an_unknown_name_lists_those_that_exist(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["generate", "x", "--model", "abacus"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    for word in ("'abacus'", *SHIPPED, "gpt2", "folder"):
        assert word in said


DAMAGE = {  # what happened to a file: its name, and the content before -> now
    "missing": ("model.safetensors", None),
    "cut short": ("model.safetensors", lambda content: content[:-9]),
    "flipped": ("model.safetensors", lambda c: c[:-1] + bytes([c[-1] ^ 1])),
    "no tokenizer": ("tokenizer.json", None),
    "half a tokenizer": ("tokenizer.json", lambda content: content[:99]),
    "no facts": ("data.json", None),
    "half the facts": ("data.json", lambda content: content[:9]),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_file_is_named_with_the_command_that_makes_it_again(
    case, tmp_path, monkeypatch, capsys
):
    copy = tmp_path / "presidents"
    copy.mkdir()
    for name in FILES:
        (copy / name).write_bytes((ASSETS / "presidents" / name).read_bytes())
    name, change = DAMAGE[case]
    if change is None:
        (copy / name).unlink()
    else:
        (copy / name).write_bytes(change((copy / name).read_bytes()))
    monkeypatch.setattr("minigpt.run.models.ASSETS", tmp_path)
    assert main(["eval", "presidents", "--no-baselines"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    assert str(copy) in said and name in said
    again = re.findall(r"`python -m minigpt (.*?)`", said)
    assert tuple(again) == SHIPPED["presidents"]
