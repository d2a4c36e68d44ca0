"""A GPT built from scratch, chapter by chapter.

from minigpt import GPT, GPTConfig, load_model, generate
"""

from minigpt.public import EXPORTS
from minigpt.public import find as __getattr__  # noqa: F401

__all__ = list(EXPORTS)
__version__ = "0.2.0"
