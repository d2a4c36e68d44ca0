"""Models and numbers that tests share."""

import torch

from minigpt.gpt import GPT


def some_model(config, seed=0):
    """A model whose weights are large enough that positions matter."""
    torch.manual_seed(seed)
    model = GPT(config).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn_like(p) * 0.3 if p.dim() == 2 else p)
    return model


def dice(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
