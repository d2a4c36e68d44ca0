"""The same model, faster: one cached token at a time with fewer calls."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F

from minigpt.block import MLP, Block, LayerNorm
from minigpt.gpt import GPT, check_input
from minigpt.multihead import MultiHeadAttention
from minigpt.run.fast import FusedAttention

ATTENTION = (MultiHeadAttention, FusedAttention)


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
    """A Block -> what `Decoder` needs of it."""
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
    return type(model) is GPT and all(
        type(block) is Block
        and type(block.norm1) is type(block.norm2) is LayerNorm
        and block.norm1.eps == block.norm2.eps == 1e-5
        and type(block.attention) in ATTENTION
        and type(block.mlp) is MLP
        for block in model.blocks
    )


class Decoder:
    """A GPT for `generate`: the same tokens, sooner.

    One new token takes a handful of sums, and PyTorch spends more time on
    calling modules, checking shapes and masking nothing than on the sums.
    Here a single token passes through the bare operations, and of a prompt
    only the last token goes through the head. It shares the model's weights,
    but for a copy of the head, turned: it is the largest matrix, and memory is
    read faster along its longer side. Make a new one after training.

    Raises ValueError for a model with parts that it does not know.
    """

    training = False

    def __init__(self, model):
        if not is_plain(model):
            raise ValueError(
                "a Decoder takes a GPT of Block, MultiHeadAttention, MLP and "
                "LayerNorm; this one has other parts"
            )
        self.model, self.config = model.eval(), model.config
        self.parts = [parts_of(block) for block in model.blocks]
        self.token = model.token.weight
        self.head = model.head.weight.detach().t().contiguous()  # (C, V)
        if self.config.norm == "pre":
            self.norm = model.norm.weight, model.norm.bias
        self.places = None
        if self.config.position == "learned":
            self.places = model.position.weight
        elif self.config.position == "sinusoidal":
            self.places = model.position.table

    @torch.no_grad()
    def __call__(self, idx, *, mask=None, cache=None):
        """idx (B, T) -> logits (B, 1, V), after the last token alone."""
        if not self.is_step(idx, mask, cache):
            return self.last(idx, mask, cache)
        pre = self.config.norm == "pre"
        x = self.embed(idx[:, 0], cache[0].offset)  # (B, C)
        step = pre_norm if pre else post_norm
        for parts, kept in zip(self.parts, cache, strict=True):
            x = step(x, parts, kept)
        if pre:
            x = norm(x, *self.norm)
        return (x @ self.head)[:, None]  # (B, 1, V)

    def embed(self, ids, place):
        """ids (B,), all at the same place -> (B, C)."""
        x = F.embedding(ids, self.token)
        if self.config.position == "sinusoidal":
            x = x * math.sqrt(self.config.n_embd)
        return x if self.places is None else x + self.places[place]

    def last(self, idx, mask, cache):
        """idx (B, T) -> logits (B, 1, V), by the model's own parts."""
        m = self.model
        check_input(idx, self.config, mask=mask, cache=cache)
        x = m.embed(idx, mask, cache[0].start if cache else 0)
        caches = cache or [None] * len(m.blocks)
        for block, kept in zip(m.blocks, caches, strict=True):
            x = block(x, mask=mask, cache=kept)
        return m.head(m.norm(x[:, -1:]))

    def is_step(self, idx, mask, cache) -> bool:
        """Is this one more token for texts that a cache holds, unpadded?"""
        return (
            idx.size(1) == 1
            and mask is None
            and cache is not None
            and len(cache) == self.config.n_layer
            and 0 < cache[0].offset < self.config.block_size
            and cache[0].mask is None
        )


def norm(x, weight, bias):
    """x (B, C) -> (B, C): LayerNorm."""
    return torch.layer_norm(x, weight.shape, weight, bias)


def attend(x, parts, kept):
    """x (B, C) -> (B, C): one query to all that is kept, and to itself."""
    B, C = x.shape
    H = parts.n_head
    qkv = F.linear(x, *parts.qkv).view(B, 3, H, 1, C // H)
    q, k, v = qkv.unbind(1)  # (B, H, 1, D)
    keys, values, _ = kept.update(k, v)  # (B, H, S, D)
    y = F.scaled_dot_product_attention(q, keys, values)
    return F.linear(y.reshape(B, C), *parts.proj)


def feed(x, parts):
    """x (B, C) -> (B, C): the MLP."""
    return F.linear(parts.activation(F.linear(x, *parts.fc)), *parts.out)


def pre_norm(x, parts, kept):
    """x (B, C) -> (B, C): `Block` with order="pre"."""
    x = x + attend(norm(x, *parts.norm1), parts, kept)
    return x + feed(norm(x, *parts.norm2), parts)


def post_norm(x, parts, kept):
    """x (B, C) -> (B, C): `Block` with order="post"."""
    x = norm(x + attend(x, parts, kept), *parts.norm1)
    return norm(x + feed(x, parts), *parts.norm2)
