"""The same model, faster: one cached token at a time with fewer calls."""

import math
from functools import partial

import torch
import torch.nn.functional as F

from minigpt.cache import new_cache
from minigpt.gpt import check_input
from minigpt.run.fast import (
    is_plain,
    norm,
    parts_of,
    post_norm,
    pre_norm,
)


def quick(model):
    """A `Decoder` of the model, or the model itself where they differ.

    They differ when a part is of another class, or when somebody changed the
    code of a part in its chapter: one step of both is compared. The model is
    in evaluation mode afterwards.
    """
    c = model.eval().config
    T = min(64, c.block_size)
    if T == 1:
        return model  # never a second token: nothing to gain
    idx = (torch.arange(T) % c.vocab_size)[None]  # (1, T)
    try:
        decoder, cache = Decoder(model), new_cache(model)
        decoder(idx[:, :-1], cache=cache)
        short = decoder(idx[:, -1:], cache=cache)
        with torch.no_grad():
            full = model(idx)[:, -1:]
        same = (short - full).abs().max() <= 1e-4 * full.abs().max()
    except Exception:  # parts of other classes, names or shapes
        return model
    return decoder if same else model


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
                "a Decoder takes a GPT of the parts that chapters 6 to 8 "
                "build; this one has other parts"
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
            x = step(x, parts, partial(attend, kept=kept))
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


def attend(x, parts, kept):
    """x (B, C) -> (B, C): one query to all that is kept, and to itself."""
    B, C = x.shape
    H = parts.n_head
    qkv = F.linear(x, *parts.qkv).view(B, 3, H, 1, C // H)
    q, k, v = qkv.unbind(1)  # (B, H, 1, D)
    keys, values, _ = kept.update(k, v)  # (B, H, S, D)
    y = F.scaled_dot_product_attention(q, keys, values)
    return F.linear(y.reshape(B, C), *parts.proj)
