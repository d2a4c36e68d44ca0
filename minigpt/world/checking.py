"""Does a text of the little world contradict itself?"""

import re
from dataclasses import dataclass

from minigpt.world.language import Context, Event, Reading, read
from minigpt.world.state import Contradiction, State, happen

END_OF_SENTENCE = re.compile(r'(?<=[.!?])\s+|(?<=[.!?]")\s+(?=[A-Z"])')


@dataclass(frozen=True)
class Verdict:
    """One sentence: what it says, and what is wrong with it, if anything."""

    sentence: str
    event: Event | None  # None if no pattern matches
    contradiction: str  # empty if there is none


@dataclass(frozen=True)
class Report:
    """A text, sentence by sentence, and what is true after it."""

    verdicts: tuple[Verdict, ...]
    state: State

    @property
    def sentences(self) -> int:
        return len(self.verdicts)

    @property
    def parsed(self) -> int:
        return sum(v.event is not None for v in self.verdicts)

    @property
    def contradictions(self) -> int:
        return sum(bool(v.contradiction) for v in self.verdicts)


def split_sentences(text: str) -> list[str]:
    return [s for s in END_OF_SENTENCE.split(text.strip()) if s]


def check(text: str) -> Report:
    """Reads a text and keeps track of what is true.

    A sentence that contradicts the ones before it changes nothing, and
    neither does one that matches no pattern.
    """
    state, context, verdicts = State(), Context(), []
    for sentence in split_sentences(text):
        event, wrong = None, ""
        for reading in read(sentence, context):
            trial = state.copy()
            event, wrong = reading.event, accept(trial, reading)
            if not wrong:
                state = trial
                break
        if event is not None:
            context.after(dict(event.args))
        verdicts.append(Verdict(sentence, event, wrong))
    return Report(tuple(verdicts), state)


def accept(state: State, reading: Reading) -> str:
    """Makes a reading true. Returns why it cannot be, or an empty text."""
    try:
        for thing, look in reading.looks:
            happen(state, "looks", {"x": thing, "c": look})
        happen(state, reading.event.kind, dict(reading.event.args))
    except Contradiction as error:
        return str(error)
    return ""
