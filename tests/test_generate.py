"""`python -m minigpt generate`: the same text, streamed, or a clear error."""

import io
import json
import math
import os
import subprocess
import sys
import tracemalloc
from dataclasses import fields, replace

import pytest
import torch

from minigpt.__main__ import main
from minigpt.gpt import GPT, GPTConfig
from minigpt.pretrained import save_gpt2
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


def other_tokenizer(**changes):
    """A tokenizer file, as bytes, of the model's 266 tokens but for changes."""
    tokens = [chr(b) for b in range(256)] + [f"t{i}" for i in range(9)]
    fields = {"kind": "BPETokenizer", "version": 1, "tokens": tokens}
    return json.dumps(fields | {"special_tokens": [END]} | changes).encode()


CHARACTERS = {"kind": "CharTokenizer"}
STRANGE = {
    "fewer tokens": other_tokenizer(special_tokens=[]),
    "more tokens": other_tokenizer(special_tokens=[END, "<|more|>"]),
    "no text": other_tokenizer(**CHARACTERS, tokens=list(range(266))),
    "without a byte": other_tokenizer(tokens=[f"t{i}" for i in range(265)]),
    "null": b"null",
    "a list": b"[1, 2]",
    "deep": b"[" * 10**5,
    "not UTF-8": b"\xff",
    "nothing": b"",
}


@pytest.mark.parametrize("case", STRANGE)
def test_a_strange_tokenizer_is_named_before_anything_is_written(
    case, folder, tmp_path, capsys
):
    model = (folder / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(model)
    words = ["generate", "the cat", "--tokens", "3", "--model", str(tmp_path)]
    (tmp_path / "tokenizer.json").write_bytes(other_tokenizer())
    assert main(words) == 0
    capsys.readouterr()
    (tmp_path / "tokenizer.json").write_bytes(STRANGE[case])
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1
    assert str(tmp_path / "tokenizer.json") in err


def test_a_tokenizer_too_large_for_any_model_is_never_parsed(
    folder, tmp_path, capsys
):
    """Its ten million merges would take gigabytes of memory."""
    model = (folder / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(model)
    tokens = [str(i) for i in range(2_000_000)]
    path = tmp_path / "tokenizer.json"
    path.write_bytes(other_tokenizer(tokens=tokens))
    del tokens
    tracemalloc.start()
    assert main(["generate", "x", "--model", str(tmp_path)]) == 2
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(path) in capsys.readouterr().err and peak < 30 << 20


@pytest.mark.parametrize("number", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["token.weight", "blocks.1.norm2.bias"])
def test_weights_that_are_no_numbers_are_said(
    number, name, folder, tmp_path, capsys
):
    tokenizer = (folder / "tokenizer.json").read_bytes()
    (tmp_path / "tokenizer.json").write_bytes(tokenizer)
    model = some_model(CONFIG)
    with torch.no_grad():
        model.get_parameter(name)[-1] = number
    for bits in (None, 8):
        save_model(tmp_path / "model.safetensors", model, bits=bits)
        assert main(["generate", "the", "--model", str(tmp_path)]) == 2
        out, err = capsys.readouterr()
        assert out == "" and str(tmp_path) in err and name in err


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", "null"),
        ("config.json", "[]"),
        ("config.json", "7"),
        ("config.json", '{"n_embd": null}'),
        ("vocab.json", "[]"),
        ("vocab.json", "null"),
        ("tokenizer.json", '{"model": [1]}'),
    ],
)
def test_a_damaged_folder_in_gpt2s_format_is_named(
    name, content, tmp_path, capsys
):
    config = replace(CONFIG, mlp="gelu_tanh")
    save_gpt2(some_model(config), tmp_path)
    (tmp_path / name).write_text(content)
    assert main(["generate", "x", "--model", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1
    assert str(tmp_path / name) in err


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
