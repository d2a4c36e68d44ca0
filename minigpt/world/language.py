"""Sentences of the little world: from an event to words, and back."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from minigpt.world.patterns import LINKS, PATTERNS, TELLS
from minigpt.world.state import EVENTS, people
from minigpt.world.words import (
    BAD,
    BOYS,
    DAYS,
    GIRLS,
    GOOD,
    KIND_OF,
    KINDS,
    LOOKS,
    NAMES,
    NUMBERS,
    OTHER,
    PAIRS,
    PLACES,
    SPOTS,
    THINGS,
    article,
    inflect,
)

HE = {"he": "he", "him": "him", "his": "his"}
SHE = {"he": "she", "him": "her", "his": "her"}
THEY = {"he": "they", "him": "them", "his": "their"}
SORT = {  # what a letter stands for
    **dict.fromkeys("ABC", "person"), **dict.fromkeys("PQR", "place"),
    **dict.fromkeys("xy", "thing"), **dict.fromkeys("st", "spot"),
    **dict.fromkeys("nmi", "number"), "k": "kind", "c": "look", "m": "mood",
    "d": "day",
}  # fmt: skip
SIGNATURE = {
    kind: list(inspect.signature(f).parameters)[1:]
    for kind, f in EVENTS.items()
}


@dataclass(frozen=True)
class Event:
    """Something that happens, or a fact that is told."""

    kind: str
    args: tuple[tuple[str, str | int], ...]

    @classmethod
    def of(cls, kind: str, args: dict) -> "Event":
        return cls(kind, tuple((a, args[a]) for a in SIGNATURE[kind]))

    def __str__(self) -> str:
        return f"{self.kind}({', '.join(str(v) for _, v in self.args)})"


@dataclass
class Context:
    """What a pronoun in the next sentence can mean."""

    people: list[str] = field(default_factory=list)
    things: list[str] = field(default_factory=list)
    kind: str = ""

    def after(self, args: dict) -> None:
        """Takes note of a sentence. People stay until others are named."""
        persons = [
            name
            for letter, value in args.items()
            if SORT[letter] == "person"
            for name in people(value)
        ]
        self.people = list(dict.fromkeys(persons)) or self.people
        self.things = [v for a, v in args.items() if SORT[a] == "thing"]
        self.kind = args.get("k", "")

    def persons(self, pronoun: str) -> str | None:
        """The only person or pair that he, she or they can mean."""
        if pronoun == "they":
            return join(self.people) if len(self.people) == 2 else None
        group = BOYS if pronoun == "he" else GIRLS
        found = [name for name in self.people if name in group]
        return found[0] if len(found) == 1 else None

    def thing(self, pronoun: str) -> str | None:
        """The only thing that it or them can mean."""
        found = [x for x in self.things if (x in PAIRS) == (pronoun == "them")]
        if len(found) != 1 or (self.kind and pronoun == "them"):
            return None
        return found[0]


def join(names: list[str]) -> str:
    """Tom, Mia -> `Mia and Tom`: a pair is always in this order."""
    return " and ".join(sorted(names))


def pronouns(person: str) -> dict[str, str]:
    if " and " in person:
        return THEY
    return SHE if person in GIRLS else HE


# --- patterns ----------------------------------------------------------------

WORD = re.compile(r"(?<!\S)[A-Za-z]+(?!\S)")  # with nothing attached to it
SLOT = re.compile(r"\{(\w|\+|)(?:\.(\w+))?(?::(\w+)(!?))?\}")
NAME = r"[A-Z][a-z]+(?: and [A-Z][a-z]+)?"
SHAPES = {  # a form -> a regular expression for its words
    "person": rf"{NAME}|he|she|they",
    "person.obj": rf"{NAME}|him|her|them",
    "person.name": NAME,
    "person.poss": rf"(?:{NAME})'s|his|her|their",
    "thing": r"(?:the [a-z]+(?: [a-z]+)?|it|them)",
    "thing.sub": r"(?:the [a-z]+(?: [a-z]+)?|it)",
    "thing.the": r"the [a-z]+(?: [a-z]+)?",
    "thing.The": r"The [a-z]+(?: [a-z]+)?",
    "thing.noun": r"[a-z]+",
    "thing.a": r"(?:a|an|some) [a-z]+(?: [a-z]+)?",
    "place": r"the [a-z]+",
    "place.in": r"(?:in|at|on|by) the [a-z]+",
    "place.to": r"to the [a-z]+",
    "spot": r"(?:in|on|under|behind|next to) the [a-z]+",
    "number.k": r"[a-z]+ [a-z]+",
    "day": r"[A-Z][a-z]+",
}


@dataclass(frozen=True)
class Slot:
    """A part of a pattern that the event fills in."""

    letter: str
    form: str
    verb: str
    now: bool  # a verb in the present, whatever the tense of the story

    @property
    def shape(self) -> str:
        name = SORT.get(self.letter, "")
        if self.form:
            name += f".{self.form}"
        return SHAPES.get("" if self.verb else name, "[a-z]+")


class Pattern:
    """One way to say an event: makes a sentence and reads one."""

    def __init__(self, kind: str, text: str):
        self.kind, self.text = TELLS.get(kind, kind), text
        self.parts: list[str | Slot] = []
        end = 0
        for found in SLOT.finditer(text):
            self.parts.append(text[end : found.start()])
            letter, form, verb, now = found.groups()
            self.parts.append(Slot(letter, form or "", verb or "", bool(now)))
            end = found.end()
        self.parts.append(text[end:])
        self.parts[0] = lower_first(self.parts[0])
        self.slots = [p for p in self.parts if isinstance(p, Slot)]
        self.letters = {s.letter for s in self.slots}
        self.bare_number = any(
            SORT.get(s.letter) == "number" and not s.form and not s.verb
            for s in self.slots
        )
        self.elided = "k" in SIGNATURE[self.kind] and not (
            "k" in self.letters or any(s.form == "k" for s in self.slots)
        )
        told = self.letters | {"k"} | {"c"}
        assert set(SIGNATURE[self.kind]) <= told, f"{text} leaves out something"
        regex = "".join(
            f"({p.shape})" if isinstance(p, Slot) else re.escape(p)
            for p in self.parts
        )
        self.regex = re.compile(regex)
        literal = " ".join(p for p in self.parts if isinstance(p, str))
        self.words = frozenset(WORD.findall(literal))

    def takes(self, link: str) -> bool:
        """Whether the sentence can begin with this word."""
        if not link:
            return True
        if link == "Now":
            return bool(
                re.match(
                    r"\{(A|x\.sub)\} \{\w:(be|have)\} (?!still|back)", self.text
                )
            )
        return self.text.startswith(("{A} ", "{B} "))

    def fits(self, args: dict, context: Context) -> bool:
        """Whether it can tell this event at this point."""
        if self.elided and args["k"] != context.kind:
            return False
        if '"' in self.text and " and " in args.get("A", ""):
            return False  # only one person speaks at a time
        needs_some = self.bare_number or " only " in self.text
        return not (needs_some and args.get("n") == 0)


@cache
def patterns() -> dict[str, list[Pattern]]:
    """Kind of event -> the ways to say it."""
    return {
        kind: [
            Pattern(kind, line.strip()) for line in lines.strip().split("\n")
        ]
        for kind, lines in PATTERNS.items()
    }


def lower_first(text: str) -> str:
    """A sentence as it looks inside another one: names keep their capital."""
    word = re.match(r"\w*", text)[0]
    if word in NAMES or word in DAYS:
        return text
    return text[:1].lower() + text[1:]


def upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


# --- from an event to a sentence ---------------------------------------------


def fixed(slot: Slot, args: dict) -> str | None:
    """The words of a slot if there is only one choice, or else None."""
    value, form = args.get(slot.letter), slot.form
    match SORT[slot.letter], form:
        case "person", "he" | "him" | "his":
            return pronouns(value)[form]
        case "person", "name":
            return value
        case "thing", "it" | "they":
            plural = {"it": "them", "they": "they"}
            return plural[form] if value in PAIRS else "it"
        case "thing", "noun":
            return value
        case "place", "":
            return f"the {value}"
        case "place", "in":
            return f"{PLACES[value]} the {value}"
        case "place", "to":
            return f"to the {value}"
        case "number", "":
            return NUMBERS[value]
        case "number", "k":
            return amount(value, args["k"])
        case "number", "them":
            return "it" if value == 1 else "them"
        case "kind", _:
            return KINDS[value]
        case "spot" | "look" | "mood" | "day", _:
            return value
    return None


def amount(n: int, kind: str) -> str:
    """2, apple -> two apples."""
    return f"{NUMBERS[n] if n else 'no'} {kind if n == 1 else KINDS[kind]}"


def is_plural(letter: str, args: dict) -> bool:
    """Whether a verb of this subject is plural."""
    if letter in ("", "+"):
        return letter == "+"
    value = args[letter]
    match SORT[letter]:
        case "person":
            return " and " in value
        case "thing":
            return value in PAIRS
        case "number":
            return value != 1
    return False


class Speaker:
    """Says the events of one story."""

    def __init__(self, rng, tense: str, look: dict[str, str]):
        self.rng, self.tense, self.look = rng, tense, look
        self.context = Context()
        self.used: set[str] = set()

    def say(self, kind: str, args: dict, link: str = "") -> str:
        """An event -> a sentence."""
        ways = [p for p in patterns()[kind] if p.fits(args, self.context)]
        fresh = [p for p in ways if p.text not in self.used]
        pattern = self.rng.choice(fresh or ways)
        self.used.add(pattern.text)
        text = "".join(
            self.fill(p, args) if isinstance(p, Slot) else p
            for p in pattern.parts
        )
        if link and pattern.takes(link):
            text = f"{link} {text}"
        self.context.after(args)
        return upper_first(text)

    def fill(self, slot: Slot, args: dict) -> str:
        if slot.verb:
            tense = "present" if slot.now else self.tense
            return inflect(slot.verb, tense, is_plural(slot.letter, args))
        words = fixed(slot, args)
        if words is not None:
            return words
        value = args[slot.letter]
        if SORT[slot.letter] == "person":
            return self.person(value, slot.form)
        return self.thing(value, slot.form, args)

    def person(self, value: str, form: str) -> str:
        words = pronouns(value)
        known = self.context.persons(words["he"]) == value
        if known and self.rng.random() < 0.75:
            return words[{"": "he", "obj": "him", "poss": "his"}[form]]
        return value + "'s" if form == "poss" else value

    def thing(self, value: str, form: str, args: dict) -> str:
        plural = value in PAIRS
        if form == "a":
            words = f"{args['c']} {value}".strip()
            return f"{'some' if plural else article(words)} {words}"
        pronoun = "them" if plural else "it"
        possible = form == "" or (form == "sub" and not plural)
        known = possible and self.context.thing(pronoun) == value
        if known and self.rng.random() < 0.6:
            return pronoun
        look = self.look.get(value)
        words = f"{look} {value}" if look and self.rng.random() < 0.2 else value
        return f"{'The' if form == 'The' else 'the'} {words}"


# --- from a sentence to an event ---------------------------------------------


class NoMatch(ValueError):
    """A pattern does not match this."""


@dataclass
class Reading:
    """What a sentence says: an event, and looks that it mentions."""

    event: Event
    looks: list[tuple[str, str]]


def read(sentence: str, context: Context) -> Iterator[Reading]:
    """Every way to read a sentence; none if no pattern matches it."""
    for text, link in without_link(sentence.strip()):
        for pattern in candidates(text):
            found = pattern.regex.fullmatch(text)
            if found and pattern.takes(link):
                try:
                    yield bind(pattern, found.groups(), context)
                except NoMatch:
                    pass


def without_link(sentence: str) -> list[tuple[str, str]]:
    """The sentence as a pattern begins, and what follows Then, Now, ..."""
    texts = [(lower_first(sentence), "")]
    for link in (*LINKS, "Now"):
        if sentence.startswith(f"{link} "):
            texts.append((sentence[len(link) + 1 :], link))
    return texts


def candidates(text: str) -> Iterator[Pattern]:
    """The patterns whose fixed words are all in the text."""
    words = dict.fromkeys(WORD.findall(text))
    for word in ("", *words):
        for pattern in by_longest_word().get(word, ()):
            if pattern.words <= words.keys():
                yield pattern


@cache
def by_longest_word() -> dict[str, list[Pattern]]:
    """A pattern's longest fixed word -> the patterns; "" if it has none."""
    found: dict[str, list[Pattern]] = {}
    for pattern in (p for ways in patterns().values() for p in ways):
        longest = max(sorted(pattern.words), key=len, default="")
        found.setdefault(longest, []).append(pattern)
    return found


def bind(pattern: Pattern, texts: tuple[str, ...], context: Context) -> Reading:
    """The words in the slots -> an event. Raises NoMatch."""
    args: dict = {}
    looks: list[tuple[str, str]] = []
    pairs = list(zip(pattern.slots, texts))
    for slot, text in pairs:
        if not slot.verb:
            for letter, value in meaning(slot, text, context, looks):
                if args.setdefault(letter, value) != value:
                    raise NoMatch(f"two values of {letter}")
    if pattern.elided:
        args["k"] = context.kind
    if any(
        args.get(a) in (None, "") for a in SIGNATURE[pattern.kind] if a != "c"
    ):
        raise NoMatch("a slot without meaning")
    if "c" in SIGNATURE[pattern.kind]:
        args.setdefault("c", "")
    tenses = {"past", "present"}
    for slot, text in pairs:
        if slot.verb:
            plural = is_plural(slot.letter, args)
            fitting = {
                tense
                for tense in ("past", "present")
                if inflect(slot.verb, tense, plural) == text
            }
            if slot.now and "present" not in fitting:
                raise NoMatch("not in the present")
            tenses = tenses if slot.now else tenses & fitting
        elif fixed(slot, args) not in (None, text):
            raise NoMatch(f"{text} does not agree")
    if not tenses:
        raise NoMatch("a verb does not agree")
    return Reading(Event.of(pattern.kind, args), looks)


def meaning(slot: Slot, text: str, context: Context, looks: list):
    """The words in one slot -> [(letter, value)]. Raises NoMatch."""
    letter, form = slot.letter, slot.form
    match SORT[letter], form:
        case "person", "" | "obj" | "name" | "poss":
            return [(letter, read_person(text, form, context))]
        case "thing", "" | "sub" | "the" | "The" | "noun" | "a":
            return read_thing(letter, text, form, context, looks)
        case "place", _:
            return [(letter, known(text.split()[-1], PLACES))]
        case "spot", _:
            return [(letter, known(text, SPOTS))]
        case "number", "":
            return [(letter, NUMBERS.index(known(text, NUMBERS)))]
        case "number", "k":
            number, noun = text.split()
            number = "zero" if number == "no" else known(number, NUMBERS)
            kind = KIND_OF[known(noun, KIND_OF)]
            return [(letter, NUMBERS.index(number)), ("k", kind)]
        case "kind", _:
            return [(letter, KIND_OF[known(text, KIND_OF)])]
        case "look", _:
            return [(letter, known(text, LOOKS))]
        case "mood", _:
            return [(letter, known(text, GOOD + BAD + OTHER))]
        case "day", _:
            return [(letter, known(text, DAYS))]
    return []


def known(word: str, words) -> str:
    if word not in words:
        raise NoMatch(f"{word} is not of this world")
    return word


def read_person(text: str, form: str, context: Context) -> str:
    for pronoun in ("he", "she", "they"):
        words = {"he": HE, "she": SHE, "they": THEY}[pronoun]
        if (
            text
            == words[{"": "he", "obj": "him", "poss": "his"}.get(form, "he")]
        ):
            return context.persons(pronoun) or known(text, ())
    if form == "poss":
        text = text.removesuffix("'s")
    names = [known(name, NAMES) for name in people(text)]
    if text != join(list(dict.fromkeys(names))):
        raise NoMatch("names in another order, or twice")
    return text


def read_thing(letter, text, form, context, looks):
    if text in ("it", "them"):
        return [(letter, context.thing(text) or known(text, ()))]
    *before, noun = text.split()
    known(noun, THINGS)
    look = known(before[1], LOOKS) if len(before) > 1 else ""
    if form == "a":
        right = "some" if noun in PAIRS else article(look or noun)
        if before[0] != right:
            raise NoMatch(f"{before[0]} {look or noun}")
        return [(letter, noun), ("c", look)]
    if look:
        looks.append((noun, look))
    return [(letter, noun)]
