"""`python -m minigpt generate`: the same text, streamed, or a clear error."""

import io
import os
import subprocess
import sys
from dataclasses import fields, replace

import pytest
import torch

from minigpt.__main__ import main
from minigpt.gpt import GPT, GPTConfig
from minigpt.run import generation
from minigpt.run.checkpoint import open_model, save_model
from minigpt.run.corpus import END
from minigpt.run.generation import write_text
from minigpt.run.options import Generate
from minigpt.sample import Sampling, generate
from minigpt.tokenizer import BPETokenizer, CharTokenizer, Tokenizer

MINIGPT = [sys.executable, "-m", "minigpt", "generate"]
CONFIG = GPTConfig(266, block_size=24, n_layer=2, n_head=2, n_embd=16)


def some_model(config):
    torch.manual_seed(0)
    model = GPT(config).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.3)
            p.copy_(p.half())  # a model file holds half precision
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An exported model whose tokens are bytes and a few words."""
    folder = tmp_path_factory.mktemp("model")
    text = "the cat sat on the mat " * 9
    tokenizer = BPETokenizer.train(
        text, 266, special_tokens=(END,), progress=False
    )
    tokenizer.save(folder / "tokenizer.json")
    save_model(folder / "model.safetensors", some_model(CONFIG))
    return folder


@pytest.fixture
def options(folder):
    return Generate("the cat", model=folder, tokens=40, threads=1, device="cpu")


def written(options, capsys):
    """The text after the prompt, and what went to standard error."""
    assert write_text(options) == 0
    out, err = capsys.readouterr()
    assert out.startswith(options.prompt) and out.endswith("\n")
    return out.removeprefix(options.prompt)[:-1], err


def test_it_writes_what_generate_writes(options, folder, capsys):
    for knobs in (
        {"temperature": 0.0},
        {"seed": 3},
        {"temperature": 0.8, "top_k": 50, "top_p": 0.9, "min_p": 0.01},
        {"penalty": 1.3, "cache": False},
    ):
        o = replace(options, **knobs)
        text, err = written(o, capsys)
        model, _ = open_model(folder / "model.safetensors")
        tokenizer = Tokenizer.load(folder / "tokenizer.json")
        sampling = Sampling(o.temperature, o.top_k, o.top_p, o.min_p, o.penalty)
        end = tokenizer.special_tokens[END]
        steps = generate(
            model, torch.tensor([tokenizer.encode("the cat")]), n=40,
            sampling=sampling, stop=[end],
            generator=torch.Generator().manual_seed(o.seed),
        )  # fmt: skip
        ids = [new.item() for new, _ in steps]
        ids = ids[: ids.index(end)] if end in ids else ids
        assert text == tokenizer.decode(ids)
        assert err.startswith(f"{len(ids)} tokens") and "tokens/s" in err


def test_with_and_without_cache_it_is_the_same_text(options, capsys):
    for seed in range(3):
        o = replace(options, seed=seed, tokens=60)  # far past the context
        assert written(o, capsys)[0] == written(
            replace(o, cache=False), capsys
        )[0]  # fmt: skip


def test_the_end_of_text_token_ends_and_is_not_shown(tmp_path, capsys):
    tokenizer = BPETokenizer.train(
        "aaaa", 257, special_tokens=(END,), progress=False
    )
    tokenizer.save(tmp_path / "tokenizer.json")
    model = some_model(replace(CONFIG, vocab_size=257, tied=False))
    with torch.no_grad():  # whatever comes, the end comes next
        model.norm.weight.zero_()
        model.norm.bias.fill_(1)
        model.head.weight.zero_()[256] = 1
    save_model(tmp_path / "model.safetensors", model)
    o = Generate("ab", model=tmp_path, temperature=0.0)
    text, err = written(o, capsys)
    assert text == "" and err.startswith("0 tokens")


def test_the_prompt_comes_from_standard_input(folder, capsys, monkeypatch):
    words = ["--model", str(folder), "--tokens", "12"]
    piped = subprocess.run(
        [*MINIGPT, *words],
        input="the né\ncat\n", capture_output=True, text=True, timeout=120,
        encoding="utf-8", env=os.environ | {"PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert main(["generate", "the né\ncat", *words]) == 0 == piped.returncode
    assert capsys.readouterr().out == piped.stdout
    assert piped.stdout.startswith("the né\ncat")
    assert "tokens/s" in piped.stderr and "tokens/s" not in piped.stdout
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert main(["generate", *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "the prompt is empty" in err


@pytest.mark.parametrize(
    "words",
    [
        [""],
        ["x" * 25],
        ["x", "--top-k", "0"],
        ["x", "--top-p", "1.5"],
        ["x", "--temperature", "-1"],
        ["x", "--penalty", "0"],
        ["x", "--tokens", "0"],
        ["x", "--seed", "-1"],
        ["x", "--threads", "-1"],
        ["x", "--device", "abacus"],
        ["x", "--model", "no/such"],
    ],
)
def test_a_mistake_is_one_line_that_names_it(words, folder, capsys):
    assert main(["generate", "--model", str(folder), *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1
    assert words[-1][-6:] in err or str(len(words[0])) in err


def test_a_character_that_the_model_does_not_know(tmp_path, capsys):
    tokenizer = CharTokenizer.train("abc ")
    tokenizer.save(tmp_path / "tokenizer.json")
    model = some_model(replace(CONFIG, vocab_size=4))
    save_model(tmp_path / "model.safetensors", model)
    assert main(["generate", "cab!", "--model", str(tmp_path)]) == 2
    assert "no token for '!' at position 3" in capsys.readouterr().err
    o = Generate("cab", model=tmp_path, tokens=5)
    assert len(written(o, capsys)[0]) == 5


def test_help_names_every_option():
    run = subprocess.run(
        [*MINIGPT, "--help"],
        capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    shown = " ".join(run.stdout.split())
    for field in fields(Generate)[1:]:
        assert "--" + field.name.replace("_", "-") in shown, field.name


def test_text_appears_as_it_is_written(options, monkeypatch):
    shown = []

    def slow(*args, **kwargs):
        for i in (104, 105):
            shown.append("token")
            yield i

    monkeypatch.setattr(generation, "new_ids", slow)
    monkeypatch.setattr(
        "builtins.print", lambda *text, **kw: shown.append(text[0:1])
    )
    assert write_text(options) == 0
    assert shown[:5] == [
        ("the cat",), "token", ("h",), "token", ("i",)
    ]  # fmt: skip


def test_stopping_by_hand_still_reports(options, monkeypatch, capsys):
    def stopped(*args, **kwargs):
        yield 104
        raise KeyboardInterrupt

    monkeypatch.setattr(generation, "new_ids", stopped)
    text, err = written(options, capsys)
    assert text == "h" and err.startswith("1 tokens")
