"""LayerNorm, MLP and Block against PyTorch's own and closed forms."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minigpt.attention import causal_mask
from minigpt.block import MLP, Block, LayerNorm
from minigpt.cache import KVCache
from minigpt.multihead import MultiHeadAttention


def leaf(*shape, seed=1):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=g, requires_grad=True)


def count(module):
    return sum(p.numel() for p in module.parameters())


def block(n_embd=16, n_head=4, norm=LayerNorm, **options):
    torch.manual_seed(0)
    attention = MultiHeadAttention(n_embd, n_head)
    return Block(norm(n_embd), attention, norm(n_embd), MLP(n_embd), **options)


def standardize(x, eps):
    """The formula, written out."""
    mean = x.mean(-1, keepdim=True)
    variance = (x - mean).square().mean(-1, keepdim=True)
    return (x - mean) / (variance + eps).sqrt()


def test_layer_norm_by_hand():
    x = torch.tensor([[1.0, 3.0], [-5.0, 5.0]])
    y = LayerNorm(2, eps=0.0)(x)
    assert torch.equal(y, torch.tensor([[-1.0, 1.0], [-1.0, 1.0]]))
    # eps is under the root: x - μ = ±1, σ² = 1, eps = 3 -> ±1/2
    assert LayerNorm(2, eps=3.0)(x)[0].tolist() == [-0.5, 0.5]
    assert (LayerNorm(5)(torch.full((2, 5), 9.0)) == 0).all()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("eps", [1e-5, 1e-2])
def test_layer_norm_equals_torch_and_the_formula(eps, bias):
    theirs = nn.LayerNorm(32, eps=eps, bias=bias)
    ours = LayerNorm(32, eps=eps, bias=bias)
    g = torch.Generator().manual_seed(0)
    for p in theirs.parameters():
        p.data += 0.1 * torch.randn(32, generator=g)
    ours.load_state_dict(theirs.state_dict())
    x, up = leaf(4, 7, 32), torch.randn(4, 7, 32, generator=g)
    formula = standardize(x, eps) * ours.weight
    formula = formula + ours.bias if bias else formula
    outs = {theirs: theirs(x), ours: ours(x)}
    grads = {
        layer: torch.autograd.grad(y, [x, *layer.parameters()], up)
        for layer, y in outs.items()
    }
    by_hand = torch.autograd.grad(formula, [x, *ours.parameters()], up)
    for y, grad in ((outs[theirs], grads[theirs]), (formula, by_hand)):
        torch.testing.assert_close(outs[ours], y, rtol=1e-6, atol=1e-6)
        for a, b in zip(grads[ours], grad, strict=True):
            # a weight's gradient is a sum over 28 tokens
            torch.testing.assert_close(a, b, rtol=1e-6, atol=5e-6)


def test_layer_norm_gradient_by_finite_differences():
    x = leaf(3, 5).double().detach().requires_grad_()
    assert torch.autograd.gradcheck(LayerNorm(5).double(), (x,))


def test_layer_norm_asks_no_neighbor():
    norm, x = LayerNorm(8), leaf(2, 3, 8).detach()
    before = norm(x)
    x[1, 2] += 10 * torch.arange(8)
    moved = (norm(x) != before).any(-1)
    assert moved.tolist() == [[False] * 3, [False, False, True]]


@pytest.mark.parametrize("activation", [F.gelu, F.relu, torch.tanh])
def test_mlp_is_a_memory_of_keys_and_values(activation):
    torch.manual_seed(0)
    mlp, x = MLP(3, activation=activation), leaf(3)
    keys, values = mlp.fc.weight, mlp.proj.weight.T
    assert keys.shape == values.shape == (12, 3)
    y = mlp.proj.bias
    for key, value, shift in zip(keys, values, mlp.fc.bias, strict=True):
        y = y + activation(key @ x + shift) * value
    torch.testing.assert_close(mlp(x), y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bias", [True, False])
def test_mlp_parameters(bias):
    assert count(MLP(16, bias=bias)) == 8 * 16**2 + 5 * 16 * bias


def test_mlp_treats_each_token_alone():
    mlp, x = MLP(8), leaf(2, 4, 8).detach()
    before = mlp(x)
    x[0, 1] += 1
    assert ((mlp(x) - before).abs().amax(-1) > 0).sum() == 1


def test_mlp_dropout_acts_in_training_only():
    torch.manual_seed(0)
    mlp, x = MLP(8, dropout=0.5), leaf(2, 4, 8)
    assert (mlp(x) == 0).any()
    mlp.eval()
    assert (mlp(x) != 0).all() and torch.equal(mlp(x), mlp(x))


@pytest.mark.parametrize("order", ["pre", "post"])
def test_block_equals_the_layer_of_torch(order):
    ours = block(order=order)
    theirs = nn.TransformerEncoderLayer(
        16,
        4,
        dim_feedforward=64,
        dropout=0.0,
        activation="gelu",
        batch_first=True,
        norm_first=order == "pre",
    )
    names = {
        "self_attn.in_proj_": "attention.qkv.",
        "self_attn.out_proj.": "attention.proj.",
        "linear1.": "mlp.fc.",
        "linear2.": "mlp.proj.",
        "norm1.": "norm1.",
        "norm2.": "norm2.",
    }
    own = ours.state_dict()
    theirs.load_state_dict(
        {
            a + kind: own[b + kind]
            for a, b in names.items()
            for kind in ("weight", "bias")
        }
    )
    x, up = leaf(2, 6, 16), torch.randn(2, 6, 16)
    causal = causal_mask(6)
    out = ours(x, mask=causal), theirs(x, src_mask=~causal)
    torch.testing.assert_close(*out, rtol=1e-5, atol=1e-5)
    grads = (torch.autograd.grad(y, x, up)[0] for y in out)
    torch.testing.assert_close(*grads, rtol=1e-5, atol=1e-5)


def test_a_pre_norm_block_of_zeros_is_the_identity():
    ours, x = block(), leaf(1, 3, 16)
    for p in ours.parameters():
        p.data.zero_()
    assert torch.equal(ours(x), x)


def test_a_post_norm_block_leaves_normalized_tokens():
    y = block(order="post")(leaf(2, 5, 16))
    torch.testing.assert_close(y.mean(-1), torch.zeros(2, 5), rtol=0, atol=1e-5)
    assert (y.var(-1, unbiased=False) - 1).abs().max() < 1e-3


def test_block_parameters():
    assert count(block(16)) == 12 * 16**2 + 13 * 16


@pytest.mark.parametrize("order", ["pre", "post"])
def test_with_a_cache_as_all_at_once(order):
    ours, x = block(order=order), leaf(2, 6, 16)
    cache, mask, parts = KVCache(block_size=8), causal_mask(6), []
    for part in x.split([3, 1, 2], dim=1):
        S = cache.offset + part.size(1)
        rows = mask[cache.offset : S, :S]  # (T, S)
        parts.append(ours(part, mask=rows, cache=cache))
    whole = ours(x, mask=mask)
    torch.testing.assert_close(
        torch.cat(parts, dim=1), whole, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("order", ["pre", "post"])
def test_recording_changes_nothing(order):
    ours, x, record = block(order=order), leaf(2, 6, 16), []
    written_out = ours(x, mask=causal_mask(6), record=record)
    torch.testing.assert_close(
        written_out, ours(x, mask=causal_mask(6)), rtol=1e-5, atol=1e-5
    )
    assert [weights.shape for weights in record] == [(2, 4, 6, 6)]


@pytest.mark.parametrize("order", ["pre", "post"])
def test_compiles_into_one_graph(order):
    ours, x, mask = block(order=order), leaf(2, 6, 16), causal_mask(6)
    compiled = torch.compile(ours, fullgraph=True, backend="aot_eager")
    y, wanted = compiled(x, mask=mask), ours(x, mask=mask)
    torch.testing.assert_close(y, wanted, rtol=1e-5, atol=1e-5)
    up = torch.randn(2, 6, 16)
    grads = (torch.autograd.grad(z, x, up)[0] for z in (y, wanted))
    torch.testing.assert_close(*grads, rtol=1e-5, atol=1e-5)


def test_shapes_without_numbers():
    with torch.device("meta"):
        y = block()(torch.empty(2, 6, 16), mask=causal_mask(6))
    assert y.shape == (2, 6, 16) and y.is_meta


def test_block_can_be_copied_and_pickled():
    ours, x = block(), leaf(1, 3, 16)
    for twin in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert torch.equal(twin(x), ours(x))


def gradient(order, norm, depth=12):
    torch.manual_seed(0)
    x = leaf(2, 8, 16)
    parts = nn.Sequential(
        *(block(norm=norm, order=order) for _ in range(depth))
    )
    parts(x).square().mean().backward()
    return x.grad.norm().item()


def test_without_norm_the_stream_of_a_deep_stack_grows_far_more():
    assert gradient("pre", nn.Identity) > 5 * gradient("pre", LayerNorm)
