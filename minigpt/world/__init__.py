"""A little world: short stories in which we always know what is true."""

from minigpt.world.checking import Report, Verdict, check
from minigpt.world.language import Event
from minigpt.world.questions import NOBODY_SAID, questions
from minigpt.world.state import State
from minigpt.world.stories import Story, documents, part_of, stories, story

__all__ = [
    "NOBODY_SAID", "Event", "Report", "State", "Story", "Verdict", "check",
    "documents", "part_of", "questions", "stories", "story",
]  # fmt: skip
