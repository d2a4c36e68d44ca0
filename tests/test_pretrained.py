"""GPT-2's format, in and out, against `transformers`; offline."""

import json
import os
import re
import struct
import time
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

import minigpt.modern  # noqa: F401, for the parts that GPT-2 lacks
from minigpt.__main__ import main
from minigpt.cache import new_cache
from minigpt.gpt import GPT, GPTConfig, count_parameters
from minigpt.pretrained import (
    config_from_json,
    config_from_shapes,
    config_to_json,
    from_gpt2,
    load_gpt2,
    rename,
    save_gpt2,
    to_gpt2,
    transpose,
)
from minigpt.run import models
from minigpt.sample import Sampling, generate
from minigpt.tokenizer import gpt2_bytes, gpt2_tokenizer

pytestmark = pytest.mark.usefixtures("one_thread")
SHAPES = [  # of random models; each with something of its own
    dict(n_layer=1, n_head=1, n_embd=8, vocab_size=11, n_positions=61),
    dict(n_layer=2, n_head=4, n_embd=32, vocab_size=97, n_positions=64),
    dict(n_layer=12, n_head=3, n_embd=24, vocab_size=50, n_positions=70),
    dict(
        n_layer=2, n_head=2, n_embd=16, vocab_size=64, n_positions=64,
        tie_word_embeddings=False,
    ),
    dict(
        n_layer=3, n_head=5, n_embd=40, vocab_size=30, n_positions=80,
        activation_function="gelu",
    ),
    dict(
        n_layer=2, n_head=2, n_embd=12, vocab_size=20, n_positions=64,
        activation_function="relu", tie_word_embeddings=False,
    ),
    dict(
        n_layer=2, n_head=2, n_embd=12, vocab_size=20, n_positions=64,
        activation_function="gelu_pytorch_tanh", n_inner=48,
    ),
]  # fmt: skip


def hugging(seed=0, **shape):
    """Hugging Face's GPT-2 with random weights that have opinions."""
    torch.manual_seed(seed)
    config = GPT2Config(
        **shape, initializer_range=0.25, bos_token_id=None, eos_token_id=None
    )
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() == 1:  # gains and biases that are not 1 and 0
                p.add_(0.1 * torch.randn(p.shape))
    return model


def tokens(model, T, B=2):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(
        model.config.vocab_size, (B, T), generator=generator
    )  # (B, T)


@torch.no_grad()
def equal_logits(ours, theirs):
    """To 1e-4 at every position of a whole context."""
    idx = tokens(ours, ours.config.block_size)
    return torch.allclose(ours(idx), theirs(idx).logits, rtol=0, atol=1e-4)


def greedy(model, idx, n=50):
    steps = generate(
        model, idx, n=n, sampling=Sampling(temperature=0),
        cache=new_cache(model),
    )  # fmt: skip
    return torch.stack([new for new, _ in steps], 1)


def tensors_of(model):
    """As in a file: tied heads once, no prefix."""
    found = {n: p.detach() for n, p in model.named_parameters()}
    return {n.removeprefix("transformer."): t for n, t in found.items()}


# in


@pytest.mark.parametrize("shape", SHAPES)
def test_logits_and_fifty_tokens_are_those_of_transformers(shape, tmp_path):
    theirs = hugging(**shape)
    theirs.save_pretrained(tmp_path)
    ours = load_gpt2(tmp_path)
    assert equal_logits(ours, theirs)
    idx = tokens(ours, 10)
    mask = torch.ones_like(idx)
    written = theirs.generate(
        idx, attention_mask=mask, max_new_tokens=50, do_sample=False,
        pad_token_id=0,
    )[:, 10:]  # fmt: skip
    assert torch.equal(greedy(ours, idx), written)
    assert len(set(written.flatten().tolist())) > 2, "too dull to prove much"
    assert ours.config.tied == shape.get("tie_word_embeddings", True)
    assert not ours.training
    n = sum(p.numel() for p in theirs.parameters())
    assert sum(p.numel() for p in ours.parameters()) == n
    assert count_parameters(ours.config) == n


@pytest.mark.parametrize("shape", SHAPES)
def test_names_and_shapes_are_those_of_transformers(shape):
    theirs = hugging(**shape)
    config = config_from_json(theirs.config.to_json_string())
    found = {n: tuple(p.shape) for n, p in GPT(config).named_parameters()}
    assert found == {
        rename(n): tuple(transpose(n, p).shape)
        for n, p in tensors_of(theirs).items()
    }


def test_transposing_is_for_conv1d_weights_alone():
    square = torch.arange(4.0).view(2, 2)
    for name in ("h.0.attn.c_attn", "h.9.attn.c_proj", "h.11.mlp.c_fc"):
        assert torch.equal(transpose(f"{name}.weight", square), square.t())
        assert torch.equal(transpose(f"{name}.weight", square.t()), square)
    for name in ("wte", "wpe", "lm_head", "h.0.ln_1"):
        assert torch.equal(transpose(f"{name}.weight", square), square)
    row = torch.arange(3.0)
    assert torch.equal(transpose("h.0.attn.c_attn.bias", row), row)


def old_file(theirs, prefix):
    """Tensors as old files have them: masks in it, perhaps a prefix."""
    T, found = theirs.config.n_positions, tensors_of(theirs)
    for i in range(theirs.config.n_layer):
        found[f"h.{i}.attn.bias"] = torch.ones(1, 1, T, T).tril()
        found[f"h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
    return {prefix + name: t.contiguous() for name, t in found.items()}


@pytest.mark.parametrize("prefix", ["", "transformer."])
def test_masks_are_ignored_by_name_and_prefixes_are_not_needed(
    prefix, tmp_path
):
    theirs = hugging(**SHAPES[2])
    file = tmp_path / "some.safetensors"
    save_file(old_file(theirs, prefix), file)
    ours = load_gpt2(file, n_head=3)
    assert equal_logits(ours, theirs)
    assert len(list(ours.named_parameters())) == len(tensors_of(theirs))
    direct = from_gpt2(old_file(theirs, prefix), ours.config)
    assert equal_logits(direct, theirs)


@pytest.mark.parametrize(
    "name",
    [
        "h.0.attn.biass", "h.0.mlp.bias", "h.x.attn.bias", "attn.bias",
        "h.0.attn.bias.weight", "h.0.attn.c_attn.masked_bias",
    ],
)  # fmt: skip
def test_what_is_almost_a_mask_is_refused(name):
    theirs = hugging(**SHAPES[0])
    config = config_from_json(theirs.config.to_json_string())
    tensors = tensors_of(theirs) | {name: torch.zeros(3)}
    with pytest.raises(RuntimeError, match=re.escape(rename(name))):
        from_gpt2(tensors, config)


@pytest.fixture
def whole():
    """A configuration and all its tensors."""
    torch.manual_seed(0)
    model = GPT(GPTConfig(13, 9, 3, 2, 8, mlp="gelu_tanh"))
    with torch.no_grad():
        for p in model.parameters():
            p.normal_()
    return model.config, to_gpt2(model)


def test_each_tensor_that_is_missing_or_unlike_is_named(whole):
    config, tensors = whole
    for name, t in tensors.items():
        without = {n: t for n, t in tensors.items() if n != name}
        with pytest.raises((RuntimeError, KeyError), match=rename(name)):
            from_gpt2(without, config)
        wide = tensors | {name: t.new_zeros(*t.shape[:-1], t.size(-1) + 1)}
        with pytest.raises(RuntimeError, match=re.escape(rename(name))):
            from_gpt2(wide, config)


def test_a_block_too_many_or_too_few_is_refused(whole):
    config, tensors = whole
    with pytest.raises(RuntimeError, match="blocks.2.attention.qkv.bias"):
        from_gpt2(tensors, replace(config, n_layer=2))
    with pytest.raises(RuntimeError, match="blocks.3.norm1.weight"):
        from_gpt2(tensors, replace(config, n_layer=4))


def test_a_head_in_the_file_is_the_models_head(whole):
    config, tensors = whole
    head = tensors["wte.weight"] + 1
    for tied in (True, False):
        with_head = tensors | {"lm_head.weight": head}
        model = from_gpt2(with_head, replace(config, tied=tied))
        assert torch.equal(model.head.weight, head)
        assert torch.equal(model.token.weight, tensors["wte.weight"])
        assert not model.config.tied
    with pytest.raises(RuntimeError, match="head.weight"):
        from_gpt2(tensors, replace(config, tied=False))
    same = tensors | {"lm_head.weight": tensors["wte.weight"].clone()}
    model = from_gpt2(same, config)
    assert model.head.weight is model.token.weight and model.config.tied


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_precisions_become_float32(whole, dtype):
    config, tensors = whole
    stored = {n: t.to(getattr(torch, dtype)) for n, t in tensors.items()}
    model = from_gpt2(stored, config)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    table = stored["wte.weight"].float()
    assert torch.equal(model.token.weight, table)


def test_the_model_has_its_own_numbers(whole):
    config, tensors = whole
    before = {n: t.clone() for n, t in tensors.items()}
    model = from_gpt2(tensors, config)
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    assert all(torch.equal(tensors[n], before[n]) for n in before)


def test_what_is_not_gpt2_is_refused_on_the_way_in(whole):
    config, tensors = whole
    for change in (
        dict(order="post"),
        dict(position="sinusoidal"),
        dict(position="none"),
        dict(mlp="relu2"),
        dict(norm="rms"),
        dict(n_hidden=16),
        dict(n_kv_head=1),
        dict(qk_norm=True),
    ):
        with pytest.raises(ValueError):
            from_gpt2(tensors, replace(config, **change))
    with pytest.raises(RuntimeError):
        from_gpt2(tensors, replace(config, bias=False))


# what the shapes and config.json say


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_tell_the_sizes(shape):
    theirs = hugging(**shape)
    shapes = {n: p.shape for n, p in tensors_of(theirs).items()}
    config = config_from_json(theirs.config.to_json_string())
    found = config_from_shapes(shapes, config.n_head)
    assert replace(found, mlp=config.mlp, tied=config.tied) == config
    for n_head in (None, 7):
        with pytest.raises(ValueError, match="n_head"):
            config_from_shapes(shapes, n_head)


@pytest.mark.parametrize(
    "change",
    [
        dict(model_type="llama"),
        dict(layer_norm_epsilon=1e-6),
        dict(scale_attn_weights=False),
        dict(scale_attn_by_inverse_layer_idx=True),
        dict(add_cross_attention=True),
        dict(n_inner=100),
        dict(activation_function="silu"),
        dict(activation_function="relu2"),
        dict(activation_function=["gelu"]),
        dict(n_head=7),
        dict(n_layer="12"),
        dict(n_positions=None),
        dict(vocab_size=-1),
    ],
)
def test_a_configuration_that_is_not_ours_is_refused(change):
    with pytest.raises((ValueError, TypeError)):
        config_from_json(json.dumps(change))


def test_what_transformers_leaves_out_has_its_defaults():
    ours = config_from_json("{}")
    assert config_from_json(GPT2Config().to_json_string()) == ours
    assert count_parameters(ours) == 124_439_808
    assert ours.mlp == "gelu_tanh"


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("mlp", ["gelu", "gelu_tanh", "relu"])
def test_a_configuration_survives_config_json(tied, mlp):
    config = GPTConfig(23, 17, 3, 2, 10, dropout=0.2, tied=tied, mlp=mlp)
    text = config_to_json(config)
    assert config_from_json(text) == replace(config, dropout=0.0)
    theirs = GPT2Config(**json.loads(text))
    assert theirs.resid_pdrop == theirs.embd_pdrop == theirs.attn_pdrop == 0.2
    assert config_from_json(theirs.to_json_string()).n_layer == 3


# out


def some_model(**change):
    torch.manual_seed(3)
    model = GPT(GPTConfig(31, 64, 2, 4, 16, **change)).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn(p.shape))
    return model


@pytest.mark.parametrize(
    "change",
    [
        dict(mlp="gelu_tanh"),
        dict(mlp="gelu", tied=False),
        dict(mlp="relu", dropout=0.1),
        dict(mlp="gelu_tanh", bias=False),
    ],
)
def test_transformers_opens_what_we_write(change, tmp_path):
    ours = some_model(**change)
    save_gpt2(ours, tmp_path / "new" / "folder")
    theirs, report = GPT2LMHeadModel.from_pretrained(
        tmp_path / "new" / "folder", output_loading_info=True
    )
    assert not any(report.values()), report
    assert equal_logits(ours, theirs.eval())
    assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]
    back = load_gpt2(tmp_path / "new" / "folder")
    with torch.no_grad():
        idx = tokens(ours, 64)
        assert torch.allclose(back(idx), ours(idx), atol=1e-5)


def test_what_we_write_holds_what_transformers_writes(tmp_path):
    theirs = hugging(**SHAPES[3])
    theirs.save_pretrained(tmp_path / "theirs")
    save_gpt2(load_gpt2(tmp_path / "theirs"), tmp_path / "ours")
    files = [tmp_path / who / "model.safetensors" for who in ("theirs", "ours")]
    before, after = map(load_file, files)
    before = {n.removeprefix("transformer."): t for n, t in before.items()}
    assert before.keys() == after.keys()
    assert all(torch.equal(before[n], after[n]) for n in before)


def test_in_and_out_is_the_same_to_the_last_bit(whole):
    config, tensors = whole
    back = to_gpt2(from_gpt2(tensors, config))
    assert list(back) == list(tensors)
    assert all(torch.equal(back[n], tensors[n]) for n in tensors)
    model = from_gpt2(tensors, config)
    to_gpt2(model)["wte.weight"].zero_()
    assert torch.equal(model.token.weight, tensors["wte.weight"])


@pytest.mark.parametrize(
    "change",
    [
        dict(order="post"),
        dict(position="none"),
        dict(norm="rms"),
        dict(mlp="swiglu"),
        dict(n_kv_head=2),
    ],
)
def test_a_model_that_the_format_cannot_hold_is_refused(change, tmp_path):
    with pytest.raises(ValueError):
        save_gpt2(some_model(**change), tmp_path / "folder")
    assert not (tmp_path / "folder" / "model.safetensors").exists()


# files


@pytest.fixture
def folder(tmp_path):
    save_gpt2(some_model(mlp="gelu_tanh"), tmp_path)
    return tmp_path


def test_n_head_comes_from_config_json_or_from_the_caller(folder):
    file = folder / "model.safetensors"
    assert load_gpt2(folder).config.n_head == 4
    assert load_gpt2(file, n_head=4).config.n_head == 4
    assert load_gpt2(folder, n_head=2).config.n_head == 4
    (folder / "config.json").unlink()
    with pytest.raises(ValueError, match="n_head"):
        load_gpt2(folder)
    assert load_gpt2(folder, n_head=2).config.n_head == 2  # nobody can tell


def test_what_is_not_there_is_said(folder):
    (folder / "bare").mkdir()
    for path in (folder / "no.safetensors", folder / "bare"):
        with pytest.raises(FileNotFoundError, match="safetensors"):
            load_gpt2(path)


def header(entries):
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04" + bytes(100),
        b"\x80\x02}q\x00." + bytes(100),
        struct.pack("<Q", 1 << 60) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        header({"wte.weight": {"dtype": "F32", "shape": [2, 2],
                               "data_offsets": [0, 999]}}),
        header({"wte.weight": {"dtype": "F32", "shape": [1 << 40, 1 << 40],
                               "data_offsets": [0, 4]}}) + bytes(4),
    ],
)  # fmt: skip
def test_what_is_no_safetensors_file_is_refused(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="model.safetensors"):
        load_gpt2(folder)


def as_bin(folder):
    torch.save(
        load_file(folder / "model.safetensors"), folder / "pytorch_model.bin"
    )


def in_parts(folder):
    theirs = GPT2LMHeadModel.from_pretrained(folder)
    theirs.save_pretrained(folder, max_shard_size="20KB")


@pytest.mark.parametrize("another_form", [as_bin, in_parts])
def test_weights_in_another_form_are_refused_with_the_way_out(
    another_form, folder, capsys
):
    another_form(folder)
    (folder / "model.safetensors").unlink(missing_ok=True)
    with pytest.raises(ValueError, match="one safetensors file") as refused:
        load_gpt2(folder)
    assert main(["generate", "Hi", "--model", str(folder)]) == 2
    assert str(refused.value) in capsys.readouterr().err
    # what the message says to call
    way_out = str(refused.value).partition("to write one: ")[2]
    new = folder / "new"
    names = {
        "AutoModelForCausalLM": AutoModelForCausalLM,
        "old": folder,
        "new": new,
    }
    eval(way_out, names)
    theirs = GPT2LMHeadModel.from_pretrained(folder).eval()
    idx = torch.arange(9)[None]
    with torch.no_grad():
        torch.testing.assert_close(
            load_gpt2(new)(idx), theirs(idx).logits, atol=1e-4, rtol=0
        )


def test_a_git_lfs_pointer_is_refused_with_the_way_out(folder):
    (folder / "model.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\n"
        f"oid sha256:{'0' * 64}\nsize 548105171\n"
    )
    with pytest.raises(ValueError, match=r"model.safetensors .*git lfs pull"):
        load_gpt2(folder)


def test_a_file_cut_short_is_refused(folder):
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    for end in (len(whole) - 1, len(whole) // 2, 20, 4):
        file.write_bytes(whole[:end])
        with pytest.raises(ValueError, match="model.safetensors"):
            load_gpt2(folder)


def test_the_message_names_file_and_tensor(folder):
    file = folder / "model.safetensors"
    tensors = load_file(file)
    tensors["h.1.ln_1.bias"] = torch.zeros(17)
    save_file(tensors, file)
    with pytest.raises(
        ValueError, match="(?s)safetensors.*blocks.1.norm1.bias"
    ):
        load_gpt2(folder)


def test_a_configuration_that_lies_costs_nothing(folder):
    values = json.loads((folder / "config.json").read_text())
    for change in (
        dict(n_layer=10**9),
        dict(n_layer=3),
        dict(n_embd=4 * 10**9),
        dict(vocab_size=10**12),
        dict(n_positions=10**12),
        dict(tie_word_embeddings=False),
    ):
        text = json.dumps(values | change)
        (folder / "config.json").write_text(text)
        start = time.process_time()
        with pytest.raises(ValueError):
            load_gpt2(folder)
        assert time.process_time() - start < 1


@pytest.mark.skipif(os.name == "nt", reason="no sparse files by seeking")
def test_a_large_wrong_file_is_refused_before_it_is_read(folder):
    entry = {"dtype": "F32", "shape": [31, 10**7]}
    n_bytes = 4 * 31 * 10**7
    none = {"dtype": "F32", "shape": [0], "data_offsets": [n_bytes, n_bytes]}
    entries = dict.fromkeys(load_file(folder / "model.safetensors"), none)
    wide = {"wte.weight": entry | {"data_offsets": [0, n_bytes]}}
    head = header(wide | {n: e for n, e in entries.items() if n not in wide})
    with open(folder / "model.safetensors", "wb") as file:
        file.write(head)
        file.truncate(len(head) + n_bytes)  # 1.2 GB that take no room
    start = time.process_time()
    with pytest.raises(ValueError, match=r"\[31, 10000000\]"):
        load_gpt2(folder)
    assert time.process_time() - start < 0.2


# the command line


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """A folder in Hugging Face's format with GPT-2's vocabulary."""
    folder = tmp_path_factory.mktemp("hf")
    theirs = hugging(
        n_layer=2, n_head=2, n_embd=8, vocab_size=50257, n_positions=32
    )
    theirs.save_pretrained(folder)
    return folder, theirs


def vocabulary():
    """{token as GPT-2's files write it: id}."""
    letter = {byte[0]: c for c, byte in gpt2_bytes().items()}
    ranks = gpt2_tokenizer().ranks
    found = {"".join(letter[b] for b in t): i for t, i in ranks.items()}
    return found | {"<|endoftext|>": 50256}


def test_generate_writes_what_transformers_writes(words, capsys):
    folder, theirs = words
    tokenizer = gpt2_tokenizer()
    idx = torch.tensor([tokenizer.encode("It is said that")])
    written = theirs.generate(
        idx, attention_mask=torch.ones_like(idx), max_new_tokens=20,
        do_sample=False, pad_token_id=0,
    )[0].tolist()  # fmt: skip
    arguments = ["--temperature", "0", "--tokens", "20", "--threads", "1"]
    options = ["It is said that", "--model", str(folder), *arguments]
    assert main(["generate", *options]) == 0
    assert capsys.readouterr().out == tokenizer.decode(written) + "\n"


@pytest.mark.parametrize("name", ["vocab.json", "tokenizer.json"])
def test_a_vocabulary_in_the_folder_must_be_gpt2s(name, words, tmp_path):
    for file in words[0].glob("[mc]o*"):
        os.symlink(file, tmp_path / file.name)
    found = vocabulary()

    def put(vocabulary):
        whole = {"model": {"vocab": vocabulary}}
        text = json.dumps(vocabulary if name == "vocab.json" else whole)
        (tmp_path / name).write_text(text, encoding="utf-8")

    put(found)
    assert models.load_model(tmp_path)[1].n_vocab == 50257
    put(found | {"Ġthe": 5, "&": found["Ġthe"]})
    with pytest.raises(ValueError, match=f"{name}: token 5 is not GPT-2's"):
        models.load_model(tmp_path)


def test_another_size_of_vocabulary_is_refused(folder, capsys):
    assert main(["generate", "Hi", "--model", str(folder)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert "50,257" in err and "31" in err


def test_a_wrong_folder_is_one_clear_line(folder, capsys):
    values = json.loads((folder / "config.json").read_text())
    text = json.dumps(values | {"n_layer": 3})
    (folder / "config.json").write_text(text)
    assert main(["generate", "Hi", "--model", str(folder)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err
    assert "model.safetensors" in err and "blocks.2.norm1.weight" in err


@pytest.mark.network
def test_the_real_gpt2():
    """Fetches 548 MB, once."""
    folder = models.fetch_gpt2()
    ours, tokenizer = models.load_model(folder)
    theirs = GPT2LMHeadModel.from_pretrained(folder).eval()
    idx = torch.tensor([tokenizer.encode("The capital of France is Paris.")])
    with torch.no_grad():
        here, there = ours(idx), theirs(idx).logits
    assert torch.allclose(here.softmax(-1), there.softmax(-1), atol=1e-4)
    written = theirs.generate(
        idx, attention_mask=torch.ones_like(idx), max_new_tokens=50,
        do_sample=False, pad_token_id=0,
    )[:, idx.size(1) :]  # fmt: skip
    assert torch.equal(greedy(ours, idx)[:, : written.size(1)], written)
