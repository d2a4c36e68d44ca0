"""Questions about a story, each with its one right answer."""

import random

from minigpt.world.language import join
from minigpt.world.state import LOST
from minigpt.world.stories import CLASS, Story
from minigpt.world.words import (
    COLORS,
    KINDS,
    NAMES,
    NUMBERS,
    PAIRS,
    PLACES,
    THINGS,
)

NOBODY_SAID = "Nobody said."
WEATHER = {
    "sun": "Sunny.", "rain": "Rainy.", "snow": "Snowy.", "wind": "Windy.",
    "": NOBODY_SAID,
}  # fmt: skip


def questions(story: Story) -> list[tuple[str, str]]:
    """Everything you can ask about the end of a story and what came before.

    If the story does not say, the answer is "Nobody said." That is also the
    answer to the last questions, which are about a person, a thing and a kind
    that the story never mentions.
    """
    state = story.state
    asked = []
    for thing in story.cast.things:
        asked += about_thing(state, thing)
        asked.append(yes_or_no(story, thing))
    for name in story.cast.names:
        asked += about_person(state, name, story.cast.things)
    for kind in story.cast.kinds:
        asked += about_numbers(state, kind, story.cast.names)
    asked.append(("How was the weather?", WEATHER[state.weather]))
    day = f"{state.day}." if state.day else NOBODY_SAID
    asked.append(("What day was it?", day))
    return asked + about_nobody(story)


def about_thing(state, thing: str) -> list[tuple[str, str]]:
    """Where it is, who has it, who had it before, and its color."""
    verb = "are" if thing in PAIRS else "is"
    had = state.holders.get(thing, [])
    owner = state.where[thing] if state.where[thing] in NAMES else None
    asked = [
        (f"Where {verb} the {thing}?", inside(state.place_of(thing))),
        (f"Who has the {thing}?", f"{owner}." if owner else "Nobody."),
    ]
    if had and had.count(had[-1]) == 1:
        before = f"{had[-2]}." if len(had) > 1 else NOBODY_SAID
        asked.append((f"Who had the {thing} before {had[-1]}?", before))
    look = state.look.get(thing)
    color = f"{look.capitalize()}." if look in COLORS else NOBODY_SAID
    asked.append((f"What color {verb} the {thing}?", color))
    return asked


def yes_or_no(story: Story, thing: str) -> tuple[str, str]:
    """Whether it is in one of the story's places."""
    rng = random.Random(story.text)
    place, real = rng.choice(story.cast.places), story.state.place_of(thing)
    verb = "Are" if thing in PAIRS else "Is"
    question = f"{verb} the {thing} {PLACES[place]} the {place}?"
    if real is None:
        return question, NOBODY_SAID
    return question, "Yes." if place == real else "No."


def about_person(state, name: str, things) -> list[tuple[str, str]]:
    """Where someone is and was before, and where they last saw each thing."""
    went = state.went[name]
    asked = [(f"Where is {name}?", inside(went[-1]))]
    if went.count(went[-1]) == 1:
        before = inside(went[-2]) if len(went) > 1 else NOBODY_SAID
        here = f"{PLACES[went[-1]]} the {went[-1]}"
        asked.append((f"Where was {name} before {name} was {here}?", before))
    for thing in things:
        if state.where[thing] in (LOST, name):
            continue
        seen = state.seen.get((name, thing))
        asked.append((f"Where did {name} last see the {thing}?", inside(seen)))
    return asked


def about_numbers(state, kind: str, names) -> list[tuple[str, str]]:
    """How many everyone has, and had at first."""
    many = KINDS[kind]
    asked = []
    for name in names:
        n = state.count.get((name, kind))
        asked.append((f"How many {many} does {name} have?", number(n)))
        n = state.at_first.get((name, kind))
        question = f"How many {many} did {name} have at first?"
        asked.append((question, number(n)))
    known = [name for name in names if (name, kind) in state.count]
    if len(known) == 2:
        n = sum(state.count[name, kind] for name in known)
        question = f"How many {many} do {join(known)} have together?"
        asked.append((question, number(n)))
        a, b = (state.count[name, kind] for name in known)
        who = known[0] if a > b else known[1] if b > a else "Both the same"
        asked.append((f"Who has more {many}, {' or '.join(known)}?", f"{who}."))
    return asked


def about_nobody(story: Story) -> list[tuple[str, str]]:
    """Questions about a person, a thing and a kind that are not in the story.

    Each has the class of one that is in it, so that the questions stay within
    the combinations of the story's part.
    """
    rng = random.Random(story.text)
    cast = story.cast
    name = other(rng, NAMES, cast.names)
    thing = other(rng, THINGS, cast.things or cast.kinds)
    kind = other(rng, list(KINDS), cast.kinds or cast.things)
    verb = "are" if thing in PAIRS else "is"
    return [
        (f"Where is {name}?", NOBODY_SAID),
        (f"Where {verb} the {thing}?", NOBODY_SAID),
        (f"Who has the {thing}?", NOBODY_SAID),
        (f"How many {KINDS[kind]} does {cast.names[0]} have?", NOBODY_SAID),
    ]


def other(rng: random.Random, words: list[str], used: tuple[str, ...]) -> str:
    """A word of the class of one that is used, but not used itself."""
    of_class = CLASS[used[0]]
    return rng.choice(
        [w for w in words if CLASS[w] == of_class and w not in used]
    )


def inside(place: str | None) -> str:
    """kitchen -> In the kitchen."""
    if place is None:
        return NOBODY_SAID
    return f"{PLACES[place].capitalize()} the {place}."


def number(n: int | None) -> str:
    """3 -> Three."""
    if n is None:
        return NOBODY_SAID
    return "None." if n == 0 else f"{NUMBERS[n].capitalize()}."
