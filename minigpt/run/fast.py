"""The same model in fewer calls, and memory that a run keeps."""

import ctypes
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F

from minigpt.block import MLP, Block, LayerNorm
from minigpt.gpt import GPT, check_input
from minigpt.multihead import MultiHeadAttention, join_heads

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's names for mallopt


class FusedAttention(MultiHeadAttention):
    """`MultiHeadAttention` in fewer passes over memory.

    It has the same parameters and gives the same numbers (the tests compare
    them); with a mask, a cache or a record it is the taught one. In training
    its dropout is that of the output alone: drawing a random number for each
    of T x T weights takes half of the time of a step on a CPU.
    """

    def forward(self, x, *, mask=None, cache=None, record=None):
        if not (mask is cache is record is None):
            return super().forward(x, mask=mask, cache=cache, record=record)
        y = fused_attention(self.qkv(x), self.n_head)  # (B, T, C)
        return self.dropout(self.proj(y))


def fused_attention(qkv, n_head):
    """(B, T, 3·C) -> (B, T, C): causal attention, its heads side by side."""
    if qkv.dtype == torch.bfloat16 and qkv.device.type == "cpu":
        return join_heads(half_attention(qkv.unflatten(2, (3, n_head, -1))))
    heads = qkv.unflatten(2, (3 * n_head, -1))  # (B, T, 3·H, D)
    q, k, v = (p.transpose(1, 2) for p in heads.chunk(3, dim=2))
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return join_heads(y)


def half_attention(qkv):
    """(B, T, 3, H, D) bfloat16 -> (B, H, T, D), causal.

    On a CPU three products in bfloat16 take a third of the time of PyTorch's
    fused kernel; softmax adds up in float32 and keeps its result in bfloat16,
    as the product that follows would have it.
    """
    B, T, _, H, D = qkv.shape
    q, k, v = qkv.permute(2, 0, 3, 1, 4).reshape(3, B * H, T, D).unbind(0)
    future = torch.full((T, T), -torch.inf, dtype=qkv.dtype).triu(1)
    with torch.autocast("cpu", enabled=False):
        scores = torch.baddbmm(future, q, k.mT, alpha=D**-0.5)  # (B·H, T, T)
        y = scores.softmax(-1) @ v  # (B·H, T, D)
    return y.view(B, H, T, D)


class Parts(NamedTuple):
    """The weights of a block, each with its bias, without the modules."""

    norm1: tuple
    qkv: tuple
    proj: tuple
    norm2: tuple
    fc: tuple
    out: tuple
    activation: Callable
    n_head: int


def parts_of(block) -> Parts:
    """A Block of the parts that `is_plain` names -> its `Parts`."""
    attention, mlp = block.attention, block.mlp
    layers = (
        block.norm1,
        attention.qkv,
        attention.proj,
        block.norm2,
        mlp.fc,
        mlp.proj,
    )
    pairs = ((part.weight, part.bias) for part in layers)
    return Parts(*pairs, mlp.activation, attention.n_head)


def is_plain(model) -> bool:
    """Is the model built from the parts of chapters 6 to 8 alone?"""
    return type(model) in (GPT, FastGPT) and all(
        type(block) is Block
        and type(block.norm1) is type(block.norm2) is LayerNorm
        and block.norm1.eps == block.norm2.eps == 1e-5
        and type(block.attention) in (MultiHeadAttention, FusedAttention)
        and type(block.mlp) is MLP
        for block in model.blocks
    )


def norm(x, weight, bias):
    """x (N, C) -> (N, C): LayerNorm."""
    return torch.layer_norm(x, weight.shape, weight, bias)


def feed(x, parts):
    """x (N, C) -> (N, C): the MLP."""
    return F.linear(parts.activation(F.linear(x, *parts.fc)), *parts.out)


def pre_norm(x, parts, attend):
    """x (N, C) -> (N, C): `Block` with order="pre"."""
    x = x + attend(norm(x, *parts.norm1), parts)
    return x + feed(norm(x, *parts.norm2), parts)


def post_norm(x, parts, attend):
    """x (N, C) -> (N, C): `Block` with order="post"."""
    x = norm(x + attend(x, parts), *parts.norm1)
    return norm(x + feed(x, parts), *parts.norm2)


fused_gpt = partial(GPT, attention=FusedAttention)


class FastGPT(GPT):
    """`GPT` with `FusedAttention`, in fewer calls: the same bits, sooner.

    A small model spends part of its time on calling modules and on turning
    (B, T, C) into rows and back, once for each matrix. Here all tokens of a
    batch stay rows of one matrix (B·T, C), and the bare operations follow each
    other, so that hooks on a block are not called. With a mask, a cache, a
    record or dropout the modules are called as usual.
    """

    def __init__(self, config):
        super().__init__(config, attention=FusedAttention)

    def forward(self, idx, *, mask=None, cache=None, record=None):
        dropping = self.training and self.config.dropout > 0
        if dropping or not (mask is cache is record is None):
            return super().forward(idx, mask=mask, cache=cache, record=record)
        check_input(idx, self.config)
        x = self.embed(idx).flatten(0, 1)  # (B·T, C)
        attend = partial(attend_rows, T=idx.size(1))
        pre = self.config.norm == "pre"
        step = pre_norm if pre else post_norm
        for block in self.blocks:
            x = step(x, parts_of(block), attend)
        if pre:
            x = norm(x, self.norm.weight, self.norm.bias)
        return F.linear(x, self.head.weight).unflatten(0, idx.shape)


def attend_rows(x, parts, T):
    """x (B·T, C) -> (B·T, C): causal, each text of T tokens for itself."""
    qkv = F.linear(x, *parts.qkv).unflatten(0, (-1, T))  # (B, T, 3·C)
    y = fused_attention(qkv, parts.n_head).flatten(0, 1)  # (B·T, C)
    return F.linear(y, *parts.proj)


def outcome(kind, config):
    """{name: gradient} of all parameters, and the logits under "logits".

    In float64, so that a small difference shows, and with stirred weights:
    fresh ones hide a gain, which starts at 1, or a bias, which starts at 0.
    """
    model = kind(config).double().train()
    with torch.no_grad():
        for n, (_, p) in enumerate(sorted(model.named_parameters())):
            wave = torch.sin(12.9898 * torch.arange(n, n + p.numel()))
            p.copy_(0.1 * wave.view(p.shape) + float(p.dim() < 2))
    idx = torch.arange(2 * config.block_size) % config.vocab_size
    torch.manual_seed(0)  # for a part that draws
    logits = model(idx.view(2, -1))
    logits.logsumexp(-1).sum().backward()
    gradients = {
        name: torch.zeros_like(p) if p.grad is None else p.grad
        for name, p in model.named_parameters()
    }
    return {"logits": logits, **gradients}


def follows(kind, config) -> bool:
    """Does this kind of model compute what `GPT(config)` computes?

    The quick kinds know the parts of the chapters by heart. Whoever changes a
    cell there, and with it the code of a part, must not train the old part:
    logits and gradients of a shallow model are compared.
    """
    c = replace(
        config,
        dropout=0.0,
        n_layer=min(2, config.n_layer),
        vocab_size=min(256, config.vocab_size),
        block_size=min(128, config.block_size),
    )
    try:
        with torch.random.fork_rng(devices=[]):
            ours, taught = outcome(kind, c), outcome(GPT, c)
        return ours.keys() == taught.keys() and all(
            bool((ours[n] - x).abs().max() <= 1e-9 * max(1, x.abs().max()))
            for n, x in taught.items()
        )
    except Exception:  # parts of other names or shapes
        return False


def quickest(config):
    """The quickest kind of model that computes what `GPT(config)` does."""
    for kind in FastGPT, fused_gpt:
        if follows(kind, config):
            return kind
    return GPT


def keep_memory():
    """Lets this process keep the memory it frees; True where that worked.

    glibc gives large freed blocks back to the system and asks for them again
    at the next step, and the system fills them with zeros each time. Other
    systems have other allocators: there, nothing is done.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library than glibc
        return False
    kept = mallopt(M_MMAP_THRESHOLD, 2**30) == 1
    return mallopt(M_TRIM_THRESHOLD, 2**31 - 1) == 1 and kept
