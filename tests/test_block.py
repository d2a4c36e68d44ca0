"""LayerNorm, MLP and Block against PyTorch's own and closed forms."""

import copy
import math
import pickle

import pytest
import torch
from torch import nn

from minigpt.block import ACTIVATIONS, MLP, Block, LayerNorm, standardize
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


def test_standardize_by_hand():
    x = torch.tensor([[1.0, 3.0], [-5.0, 5.0]])
    y = standardize(x, eps=0.0)
    assert torch.equal(y, torch.tensor([[-1.0, 1.0], [-1.0, 1.0]]))
    # eps stands under the root: x - μ = ±1, σ² = 1, eps = 3 -> ±1/2
    assert standardize(x, eps=3.0)[0].tolist() == [-0.5, 0.5]
    assert (standardize(torch.full((2, 5), 9.0)) == 0).all()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("eps", [1e-5, 1e-2])
@pytest.mark.parametrize("form", ["class", "by hand"])
def test_layer_norm_equals_torch(form, eps, bias):
    theirs = nn.LayerNorm(32, eps=eps, bias=bias)
    ours = LayerNorm(32, eps=eps, bias=bias)
    g = torch.Generator().manual_seed(0)
    for p in theirs.parameters():
        p.data += 0.1 * torch.randn(32, generator=g)
    ours.load_state_dict(theirs.state_dict())

    def by_hand(x):
        y = standardize(x, eps) * ours.weight
        return y if ours.bias is None else y + ours.bias

    mine = ours if form == "class" else by_hand
    x, up = leaf(4, 7, 32), torch.randn(4, 7, 32, generator=g)
    torch.testing.assert_close(mine(x), theirs(x), rtol=1e-6, atol=1e-6)
    grads = [
        torch.autograd.grad(f(x), [x, *layer.parameters()], up)
        for f, layer in ((mine, ours), (theirs, theirs))
    ]
    for a, b in zip(*grads, strict=True):
        # a weight's gradient is a sum over 28 tokens
        torch.testing.assert_close(a, b, rtol=1e-6, atol=5e-6)


def test_layer_norm_gradient_by_finite_differences():
    x = leaf(3, 5).double().detach().requires_grad_()
    assert torch.autograd.gradcheck(standardize, (x,))


def test_layer_norm_asks_no_neighbour():
    norm, x = LayerNorm(8), leaf(2, 3, 8).detach()
    before = norm(x)
    x[1, 2] += 10 * torch.arange(8)
    moved = (norm(x) != before).any(-1)
    assert moved.tolist() == [[False] * 3, [False, False, True]]


@pytest.mark.parametrize("shape", [(2, 7), (8, 1), ()])
def test_layer_norm_refuses_another_width(shape):
    with pytest.raises(ValueError, match=r"shape \(…, 8\), got"):
        LayerNorm(8)(torch.zeros(shape))


def phi(x):
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


@pytest.mark.parametrize("x", [-3.0, -1.0, -0.1, 0.0, 0.5, 2.0])
def test_activations_are_their_formulas(x):
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    expected = {
        "gelu": x * phi(x),
        "gelu_tanh": 0.5 * x * (1 + math.tanh(inner)),
        "relu": max(0.0, x),
    }
    assert set(expected) == set(ACTIVATIONS)
    for name, value in expected.items():
        got = ACTIVATIONS[name](torch.tensor(x, dtype=torch.float64)).item()
        assert got == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_mlp_is_a_memory_of_keys_and_values(name):
    torch.manual_seed(0)
    mlp, x = MLP(3, activation=name), leaf(3)
    keys, values = mlp.fc.weight, mlp.proj.weight.T
    assert keys.shape == values.shape == (12, 3)
    y = mlp.proj.bias
    for key, value, shift in zip(keys, values, mlp.fc.bias, strict=True):
        y = y + ACTIVATIONS[name](key @ x + shift) * value
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


def test_mlp_refuses_an_unknown_activation():
    with pytest.raises(ValueError, match="one of.*relu.*got 'swish'"):
        MLP(8, activation="swish")


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
    hidden = ~torch.ones(6, 6).tril().bool()
    out = ours(x), theirs(x, src_mask=hidden)
    torch.testing.assert_close(*out, rtol=1e-5, atol=1e-5)
    grads = (torch.autograd.grad(y, x, up)[0] for y in out)
    torch.testing.assert_close(*grads, rtol=1e-5, atol=1e-5)


def test_a_pre_norm_block_of_zeros_is_the_identity():
    ours, x = block(), leaf(1, 3, 16)
    for p in ours.parameters():
        p.data.zero_()
    assert torch.equal(ours(x), x)


def test_a_post_norm_block_leaves_normalised_tokens():
    y = block(order="post")(leaf(2, 5, 16))
    torch.testing.assert_close(y.mean(-1), torch.zeros(2, 5), rtol=0, atol=1e-5)
    assert (y.var(-1, unbiased=False) - 1).abs().max() < 1e-3


def test_block_parameters():
    assert count(block(16)) == 12 * 16**2 + 13 * 16


@pytest.mark.parametrize("order", ["pre", "post"])
def test_block_hands_its_keywords_to_attention(order):
    seen = {}

    class Spy(nn.Module):
        def forward(self, x, **keys):
            seen.update(keys)
            return x

    ours = Block(nn.Identity(), Spy(), nn.Identity(), MLP(4), order=order)
    keys = {"mask": object(), "cache": object(), "record": object()}
    ours(leaf(1, 2, 4), **keys)
    assert seen == keys


def test_block_refuses_another_order():
    with pytest.raises(ValueError, match='"pre" or "post", got \'sandwich\''):
        block(order="sandwich")


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
