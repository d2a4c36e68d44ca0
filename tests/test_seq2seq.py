"""The Transformer of 2017 against PyTorch's own layers and closed forms."""

import json
import math
from dataclasses import replace
from pathlib import Path
from statistics import mean

import pytest
import torch
import torch.nn.functional as F
from benches import benchmark_module
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from minigpt.attention import causal_mask
from minigpt.block import MLP, Block, LayerNorm
from minigpt.data import pad, pad_batch
from minigpt.multihead import MultiHeadAttention, join_heads, split_heads
from minigpt.seq2seq import (
    CrossAttention,
    DecoderBlock,
    Record,
    Seq2Seq,
    Seq2SeqConfig,
    inverse_sqrt,
    mean_weights,
    padding_mask,
    smooth_cross_entropy,
    teach,
    translate,
)

ROOT = Path(__file__).parents[1]
TINY = Seq2SeqConfig(
    vocab_size=11, block_size=12, n_layer=2, n_head=4, n_embd=16, dropout=0.0
)


def rand(*shape, seed=1):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=g)


def same(a, b):
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def model(config=TINY, seed=0):
    torch.manual_seed(seed)
    made = Seq2Seq(config)
    with torch.no_grad():  # norms and biases away from 1 and 0
        for p in made.parameters():
            p += 0.1 * torch.randn_like(p)
    return made


def stir(module, seed=0):
    """Norms and biases away from 1 and 0, so that a mix-up is seen."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p += 0.2 * torch.randn(p.shape, generator=g)
    return module


# --- attention and blocks, against torch ------------------------------------


def copy_attention(ours, theirs):
    """Weights of our attention, of either kind, into torch's."""
    with torch.no_grad():
        for kind in ("weight", "bias"):
            if isinstance(ours, CrossAttention):
                parts = getattr(ours.q, kind), getattr(ours.kv, kind)
            else:
                parts = (getattr(ours.qkv, kind),)
            getattr(theirs, f"in_proj_{kind}").copy_(torch.cat(parts))
            getattr(theirs.out_proj, kind).copy_(getattr(ours.proj, kind))


def copy_rest(ours, theirs, norms):
    for name in norms:
        theirs.get_submodule(name).load_state_dict(
            ours.get_submodule(name).state_dict()
        )
    theirs.linear1.load_state_dict(ours.mlp.fc.state_dict())
    theirs.linear2.load_state_dict(ours.mlp.proj.state_dict())


def padded():
    real = torch.ones(2, 7, dtype=torch.bool)
    real[1, :3] = False
    return real


@pytest.mark.parametrize("real", [None, padded()])
def test_cross_attention_equals_torch_forward_and_backward(real):
    torch.manual_seed(0)
    ours = CrossAttention(24, 3)
    theirs = nn.MultiheadAttention(24, 3, batch_first=True)
    copy_attention(ours, theirs)
    x, source = rand(2, 5, 24), rand(2, 7, 24, seed=2)
    x.requires_grad_()
    source.requires_grad_()
    record = []
    mine = ours(x, source, mask=padding_mask(real), record=record)
    same(ours(x, source, mask=padding_mask(real)), mine)  # the fused way
    hidden = None if real is None else ~real
    its, weights = theirs(
        x, source, source, key_padding_mask=hidden, average_attn_weights=False
    )
    same(mine, its)
    same(record[0], weights)
    up = rand(2, 5, 24, seed=3)
    grads = [torch.autograd.grad(y, [x, source], up) for y in (mine, its)]
    for a, b in zip(*grads, strict=True):
        same(a, b)


def test_cross_attention_equals_sdpa():
    ours = stir(CrossAttention(24, 3))
    x, source, real = rand(2, 5, 24), rand(2, 7, 24, seed=2), padded()
    k, v = ours.kv(source).chunk(2, -1)
    q, k, v = (split_heads(y, 3) for y in (ours.q(x), k, v))
    y = F.scaled_dot_product_attention(
        q, k, v, attn_mask=real[:, None, None, :]
    )
    mine = ours(x, source, mask=padding_mask(real))
    same(mine, ours.proj(join_heads(y)))


def test_the_encoders_block_equals_torchs_layer():
    torch.manual_seed(0)
    look, mlp = MultiHeadAttention(16, 4), MLP(16, activation=F.relu)
    parts = LayerNorm(16), look, LayerNorm(16), mlp
    ours = stir(Block(*parts, order="post"))
    theirs = nn.TransformerEncoderLayer(
        16, 4, 64, dropout=0.0, batch_first=True, norm_first=False
    )
    copy_attention(look, theirs.self_attn)
    copy_rest(ours, theirs, ["norm1", "norm2"])
    x, real = rand(2, 7, 16), padded()
    same(ours(x), theirs(x))
    out = theirs(x, src_key_padding_mask=~real)
    same(ours(x, mask=padding_mask(real))[real], out[real])


def decoder_pair():
    torch.manual_seed(0)
    own, cross = MultiHeadAttention(16, 4), CrossAttention(16, 4)
    n1, n2, n3 = (LayerNorm(16) for _ in range(3))
    mlp = MLP(16, activation=F.relu)
    ours = stir(DecoderBlock(n1, own, n2, cross, n3, mlp))
    theirs = nn.TransformerDecoderLayer(
        16, 4, 64, dropout=0.0, batch_first=True, norm_first=False
    )
    copy_attention(own, theirs.self_attn)
    copy_attention(cross, theirs.multihead_attn)
    copy_rest(ours, theirs, ["norm1", "norm2", "norm3"])
    return ours, theirs


def test_the_decoders_block_equals_torchs_layer():
    ours, theirs = decoder_pair()
    x, memory, real = rand(2, 5, 16), rand(2, 7, 16, seed=2), padded()
    fits = torch.ones(2, 5, dtype=torch.bool)
    fits[0, 3:] = False
    out = theirs(
        x,
        memory,
        tgt_mask=~causal_mask(5),
        tgt_key_padding_mask=~fits,
        memory_key_padding_mask=~real,
    )
    own, across = causal_mask(5) & padding_mask(fits), padding_mask(real)
    same(ours(x, memory, mask=own, source_mask=across), out)


def test_the_whole_model_equals_torchs_stacks():
    ours = model()
    sizes = dict(dropout=0.0, batch_first=True, norm_first=False)
    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(16, 4, 64, **sizes),
        2,
        enable_nested_tensor=False,
    )
    decoder = nn.TransformerDecoder(
        nn.TransformerDecoderLayer(16, 4, 64, **sizes), 2
    )
    for mine, its in zip(ours.encoder, encoder.layers, strict=True):
        copy_attention(mine.attention, its.self_attn)
        copy_rest(mine, its, ["norm1", "norm2"])
    for mine, its in zip(ours.decoder, decoder.layers, strict=True):
        copy_attention(mine.attention, its.self_attn)
        copy_attention(mine.cross, its.multihead_attn)
        copy_rest(mine, its, ["norm1", "norm2", "norm3"])
    source = torch.randint(11, (2, 7))
    idx, real = torch.randint(11, (2, 5)), padded()
    memory = encoder(ours.embed(source, real), src_key_padding_mask=~real)
    out = decoder(
        ours.embed(idx),
        memory,
        tgt_mask=~causal_mask(5),
        memory_key_padding_mask=~real,
    )
    same(ours(source, idx, source_mask=real), out @ ours.token.weight.T)


# --- who sees whom ---------------------------


def test_the_encoder_looks_both_ways_and_the_decoder_does_not():
    m = model()
    source, idx = torch.randint(11, (1, 6)), torch.randint(11, (1, 5))
    other = source.clone()
    other[0, -1] = (other[0, -1] + 1) % 11
    moved = (m.encode(source) - m.encode(other)).abs().amax(-1)[0]
    assert (moved > 0).all()
    memory, later = m.encode(source), idx.clone()
    later[0, 3] = (later[0, 3] + 1) % 11
    moved = (m.decode(idx, memory) - m.decode(later, memory)).abs().amax(-1)[0]
    assert (moved[:3] == 0).all() and (moved[3:] > 0).all()


def test_records_have_the_shapes_and_zeros_of_the_masks():
    m, record = model(), Record()
    source, idx = torch.randint(11, (2, 7)), torch.randint(11, (2, 5))
    real = padded()
    m(source, idx, source_mask=real, record=record)
    kinds = record.encoder, record.decoder, record.cross
    shapes = (7, 7), (5, 5), (5, 7)
    for kept, shape in zip(kinds, shapes, strict=True):
        assert [w.shape for w in kept] == [(2, 4, *shape)] * 2
        for w in kept:
            same(w.sum(-1), torch.ones(2, 4, shape[0]))
    for w in (*record.encoder, *record.cross):
        assert (w[1, :, :, :3] == 0).all() and (w[0] > 0).all()
    assert all((w.triu(1) == 0).all() for w in record.decoder)


LENGTHS = st.lists(st.tuples(st.integers(1, 10), st.integers(1, 9)),
                   min_size=2, max_size=5)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(lengths=LENGTHS, side=st.sampled_from(["left", "right"]))
def test_a_padded_batch_equals_its_rows_alone(lengths, side):
    m = model()
    g = torch.Generator().manual_seed(len(lengths))
    rows = [
        [torch.randint(11, (n,), generator=g).tolist() for n in pair]
        for pair in lengths
    ]
    source, real = pad([s for s, _ in rows], 0, left=side == "left")
    x, _, fits = pad_batch([t for _, t in rows], bos=1, eos=2, pad_id=0)
    together = m(source, x, source_mask=real, mask=fits)
    for b, (s, t) in enumerate(rows):
        alone = m(torch.tensor([s]), torch.tensor([[1, *t]]))[0]
        same(together[b, : len(t) + 1], alone)


def test_what_stands_in_the_padding_does_not_matter():
    m, real = model(), padded()
    source, idx = torch.randint(11, (2, 7)), torch.randint(11, (2, 5))
    other = source.masked_fill(~real, 5)
    with torch.no_grad():
        a, b = (m(s, idx, source_mask=real) for s in (source, other))
    assert torch.equal(a, b)


# --- training ---------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_label_smoothing_equals_torch(smoothing):
    logits, targets = rand(3, 6, 9), torch.randint(9, (3, 6))
    targets[1, 4:] = -100
    logits.requires_grad_()
    both = [
        smooth_cross_entropy(logits, targets, smoothing),
        F.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), label_smoothing=smoothing
        ),
    ]
    same(*both)
    same(*(torch.autograd.grad(y, logits)[0] for y in both))


def test_the_smallest_smoothed_loss_is_the_entropy_of_what_is_asked_for():
    asked = torch.full((10,), 0.01)
    asked[3] = 0.91
    loss = smooth_cross_entropy(asked.log()[None, None], torch.tensor([[3]]))
    same(loss, -(asked * asked.log()).sum())
    g = torch.Generator().manual_seed(0)
    for _ in range(50):
        near = asked.log() + 0.3 * torch.randn(10, generator=g)
        worse = smooth_cross_entropy(near[None, None], torch.tensor([[3]]))
        assert worse > loss


def test_the_rate_climbs_in_a_line_and_falls_with_the_root():
    peak = inverse_sqrt(99, 64, 100)
    assert peak == pytest.approx((64 * 100) ** -0.5)
    assert inverse_sqrt(49, 64, 100) == pytest.approx(peak / 2)
    assert inverse_sqrt(399, 64, 100) == pytest.approx(peak / 2)
    assert inverse_sqrt(99, 256, 100) == pytest.approx(peak / 2)
    # the paper's base model: about 7e-4 at the end of 4,000 steps
    assert inverse_sqrt(3999, 512, 4000) == pytest.approx(6.988e-4, rel=1e-3)


def test_mean_weights_is_the_mean_of_each_tensor():
    states = [{"a": torch.tensor([1.0, 3.0])}, {"a": torch.tensor([3.0, 5.0])}]
    assert mean_weights(states)["a"].tolist() == [2.0, 4.0]


def copying(g):
    """Batches of a small task: write the source again."""
    ids = torch.randint(3, 11, (32, 4), generator=g)
    x, y, _ = pad_batch(ids.tolist(), bos=1, eos=2, pad_id=0)
    return {"source": ids, "idx": x}, y


def test_it_learns_to_copy_and_stops():
    small = replace(TINY, n_layer=1, n_embd=32)
    torch.manual_seed(0)
    m, g = Seq2Seq(small), torch.Generator().manual_seed(0)
    losses = teach(m, lambda: copying(g), max_steps=250, warmup_steps=80)
    assert losses[-1] < 0.5 * losses[0]
    inputs, y = copying(torch.Generator().manual_seed(99))
    out = translate(m, inputs["source"], bos=1, eos=2, n=8)
    assert out.shape[1] == 5, "four ids and <eos>"
    assert (out == y).all(1).float().mean() > 0.9


def test_teach_ends_with_the_mean_of_the_last_states():
    def states(average):
        torch.manual_seed(0)
        m, g = Seq2Seq(TINY), torch.Generator().manual_seed(0)
        teach(m, lambda: copying(g), max_steps=6, warmup_steps=3,
              average=average, every=2)  # fmt: skip
        return m.state_dict()

    def after(steps):
        torch.manual_seed(0)
        m, g = Seq2Seq(TINY), torch.Generator().manual_seed(0)
        teach(m, lambda: copying(g), max_steps=steps, warmup_steps=3,
              average=1)  # fmt: skip
        return m.state_dict()

    expected = mean_weights([after(2), after(4), after(6)])
    for name, value in states(3).items():
        same(value, expected[name])


# --- writing ---------------------------


def test_translate_equals_the_long_way_row_by_row():
    m = model()
    sources = [[3, 4, 5, 6], [7], [8, 9]]
    source, real = pad(sources, 0, left=True)
    out = translate(m, source, bos=1, eos=2, n=10, source_mask=real)
    for row, ids in zip(sources, out.tolist(), strict=True):
        written = []
        while len(written) < 10 and 2 not in written:
            idx = torch.tensor([[1, *written]])
            logits = m(torch.tensor([row]), idx)
            written.append(logits[0, -1].argmax().item())
        written += [2] * (len(ids) - len(written))
        assert ids == written[: len(ids)]


def test_translate_leaves_the_mode_as_it_was_and_drops_nothing():
    m = model(replace(TINY, dropout=0.5)).train()
    source = torch.randint(3, 11, (2, 5))
    a, b = (translate(m, source, bos=1, eos=2, n=6) for _ in range(2))
    assert torch.equal(a, b) and m.training


# --- what does not fit ---------------------------


IDS = torch.zeros(2, 5, dtype=torch.long)
REAL = torch.ones(2, 5, dtype=torch.bool)
HALF = torch.tensor([[True] * 5, [False] * 5])


@pytest.mark.parametrize(
    "change",
    [
        dict(source=IDS[:, :0]),
        dict(source=IDS.repeat(1, 3)),
        dict(idx=IDS.repeat(1, 3)),
        dict(idx=IDS[:, :0]),
        dict(source_mask=HALF),
        dict(source_mask=REAL[:, :4]),
        dict(source_mask=REAL.float()),
        dict(mask=REAL[:1]),
        dict(source=IDS + 11),
        dict(source=IDS - 1),
        dict(source=IDS.float()),
        dict(source=IDS[0]),
    ],
)
def test_what_does_not_fit_is_refused(change):
    with pytest.raises((ValueError, RuntimeError)):
        model()(**{"source": IDS, "idx": IDS, **change})


def test_each_target_needs_its_own_source():
    with pytest.raises(AssertionError):
        model()(IDS, IDS[:1])
    with pytest.raises(ValueError):
        replace(TINY, n_layer=0)


def test_the_size_of_the_base_model():
    with torch.device("meta"):
        made = Seq2Seq(Seq2SeqConfig())
    C, V = 512, 37000
    norm, attention, mlp = 2 * C, 4 * C * C + 4 * C, 8 * C * C + 5 * C
    layers = 6 * (3 * attention + 2 * mlp + 5 * norm)
    total = sum(p.numel() for p in made.parameters())
    assert total == V * C + layers
    assert made.head.weight is made.token.weight


def test_the_start_keeps_the_size_of_what_passes_through():
    torch.manual_seed(0)
    m = Seq2Seq(replace(TINY, n_embd=64, vocab_size=500))
    assert m.token.weight.std().item() == pytest.approx(1 / 8, rel=0.05)
    a = math.sqrt(6 / (64 + 64))
    weight = m.decoder[0].cross.q.weight
    assert weight.abs().max() <= a and weight.std() > 0.5 * a
    assert (m.decoder[0].cross.q.bias == 0).all()


# ---- the record


@pytest.fixture(scope="module")
def dates():
    return benchmark_module("dates")


@pytest.fixture(scope="module")
def record():
    path = ROOT / "notebooks" / "results" / "dates.json"
    return json.loads(path.read_text(encoding="utf-8"))


def test_record_holds_the_runs_of_the_benchmark(dates, record):
    every = dates.every(550, record["gpt_steps"], seeds=3)
    assert [run["name"] for run in record["runs"]] == [r.name for r in every]


def test_the_shorter_runs_of_the_gpt_take_as_long_as_the_other_model(record):
    seconds = {}
    for run in record["runs"]:
        seconds.setdefault((run["model"], run["steps"]), []).append(
            run["seconds"]
        )
    ours = mean(seconds["encoder-decoder", 550])
    theirs = mean(seconds["GPT", record["gpt_steps"]])
    assert theirs == pytest.approx(ours, rel=0.15)
    assert mean(seconds["GPT", 550]) > 1.2 * ours
