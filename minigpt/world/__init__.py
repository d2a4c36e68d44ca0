"""A little world: short stories whose truth is always known."""

from minigpt.world.checking import Report, check
from minigpt.world.stories import Story, documents, part_of, stories, story

__all__ = [
    "Report", "Story", "check", "documents", "part_of", "stories", "story",
]  # fmt: skip
