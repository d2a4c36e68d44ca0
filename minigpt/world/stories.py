"""Stories of the little world: a cast, an opening, episodes, an end."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from minigpt.world.language import SIGNATURE, SORT, Event, Speaker, join
from minigpt.world.patterns import EPISODES, FACTS, LINKED, LINKS, TELLS
from minigpt.world.state import LOST, Contradiction, State, happen
from minigpt.world.words import (
    BAD,
    BOYS,
    DAYS,
    FOOD,
    GIRLS,
    GOOD,
    INDOORS,
    KINDS,
    LOOKS,
    NAMES,
    OTHER,
    OUTDOORS,
    PLACES,
    SPOTS_INDOORS,
    SPOTS_OUTDOORS,
    THINGS,
    TREASURE,
)

PARTS = {"train": (0, 1, 2), "val": (3,), "test": (4,)}  # classes of each part
N_STORIES = {"train": 60_000, "val": 1_000, "test": 1_000}  # of the corpus
N_CLASSES = 5
CLASS = {
    word: i % N_CLASSES
    for words in (GIRLS, BOYS, THINGS, list(FOOD), list(TREASURE),
                  list(INDOORS), list(OUTDOORS))
    for i, word in enumerate(words)
}  # fmt: skip
SIZES = (  # people, things, kinds that are counted, places
    (2, 1, 0, 3), (2, 1, 0, 2), (2, 2, 0, 3), (2, 1, 1, 2), (2, 0, 1, 2),
    (3, 1, 0, 3), (3, 1, 0, 2), (3, 2, 0, 3), (3, 1, 1, 2), (3, 0, 1, 3),
)  # fmt: skip


@dataclass(frozen=True)
class Cast:
    """Who and what a story is about."""

    names: tuple[str, ...]
    things: tuple[str, ...]
    kinds: tuple[str, ...]
    places: tuple[str, ...]

    def combinations(self) -> set[tuple[str, str, str]]:
        """Every name with every thing or kind and every place."""
        return {
            (name, thing, place)
            for name in self.names
            for thing in self.things + self.kinds
            for place in self.places
        }


@dataclass(frozen=True)
class Story:
    """A story, the events it tells, and what is true at its end."""

    text: str
    events: tuple[Event, ...]
    state: State
    cast: Cast
    sentences: tuple[str, ...]
    tense: str  # past or present


def part_of(name: str, thing: str, place: str) -> str:
    """The part whose stories may bring these three together."""
    total = (CLASS[name] + CLASS[thing] + CLASS[place]) % N_CLASSES
    return next(part for part, classes in PARTS.items() if total in classes)


def draw_cast(rng: random.Random, part: str) -> Cast:
    """A cast whose combinations all belong to the part."""
    n_names, n_things, n_kinds, n_places = rng.choice(SIZES)
    while True:
        stuff, land = rng.randrange(N_CLASSES), rng.randrange(N_CLASSES)
        things = pick(rng, THINGS, n_things, part, stuff)
        kinds = pick(rng, KINDS, n_kinds, part, stuff)
        places = pick(rng, PLACES, n_places, part, land)
        sums = {CLASS[t] + CLASS[p] for t in things + kinds for p in places}
        names = [
            name
            for name in NAMES
            if all((CLASS[name] + n) % N_CLASSES in PARTS[part] for n in sums)
        ]
        if len(names) >= n_names:
            names = rng.sample(names, n_names)
            return Cast(
                tuple(names), tuple(things), tuple(kinds), tuple(places)
            )


def pick(rng, words, n: int, part: str, of_class: int) -> list[str]:
    """n of the words; if the part has only one class, all of `of_class`."""
    mixed = len(PARTS[part]) > 1
    return rng.sample([w for w in words if mixed or CLASS[w] == of_class], n)


# --- episodes ----------------------------------------------------------------


@cache
def episodes() -> tuple:
    """For each: the letters it needs, its steps (optional, alternatives)."""
    found = []  # those about a thing or a kind are there three times
    for text in EPISODES.values():
        steps = []
        for line in text.strip().splitlines():
            optional, line = line.strip().startswith("?"), line.strip(" ?")
            steps.append((optional, [way.split() for way in line.split(" / ")]))
        words = text.replace("+", " ").split()
        letters = {w for w in words if w in SORT}
        found += [(letters, steps)] * (3 if letters & {"x", "k"} else 1)
    return tuple(found)


class Telling:
    """One story in the making."""

    def __init__(self, rng: random.Random, cast: Cast):
        self.rng, self.cast = rng, cast
        self.state = State(strict=True)
        tense = "present" if rng.random() < 0.2 else "past"
        self.speaker = Speaker(rng, tense, self.state.look)
        self.events: list[Event] = []
        self.sentences: list[str] = []

    def tell(self, kind: str, link: str = "", **args) -> None:
        """Adds a sentence, and makes true what it says."""
        if (
            kind == "counts"
            and self.has_fewer(args)
            and self.rng.random() < 0.6
        ):
            kind = "left"
        event = Event.of(TELLS.get(kind, kind), args)
        happen(self.state, event.kind, args)
        self.sentences.append(self.speaker.say(kind, args, link))
        self.events.append(event)

    def has_fewer(self, args: dict) -> bool:
        """Whether this person has just lost some of what is counted."""
        last = self.events[-1]
        fewer = last.kind in ("give_some", "eat", "lose_some")
        return fewer and dict(last.args)["A"] == args["A"]

    def complete(self) -> bool:
        """Tells the whole story; False if it got stuck or became too long."""
        self.open()
        length = self.rng.randint(7, 11)
        while len(self.sentences) < length:
            if not self.episode():
                return False
        if self.rng.random() < 0.5:
            self.tell("end")
        return len(self.sentences) <= 16

    # --- opening ---

    def open(self) -> None:
        """Introduces the people and the things."""
        rng, cast = self.rng, self.cast
        if rng.random() < 0.3:
            self.around()
        home, *others = cast.places
        first, *rest = cast.names
        if rng.random() < 0.3:
            second = rest.pop()
            if rng.random() < 0.5:
                self.tell("first_at", A=join([first, second]), P=home)
            else:
                self.tell("both_at", A=first, B=second, P=home)
        else:
            self.tell("first_at", A=first, P=home)
        steps = [(self.bring, name) for name in rest]
        steps += [(self.bring, thing) for thing in cast.things]
        rng.shuffle(steps)
        for step, what in steps:
            step(what)
        for kind in cast.kinds:
            owners = rng.sample(cast.names, rng.choice((1, 2)))
            for owner in owners:
                self.tell("new_count", A=owner, n=rng.randint(2, 7), k=kind)

    def bring(self, what: str) -> None:
        """A person or a thing appears for the first time."""
        rng, here = self.rng, list(self.state.place)
        if what in NAMES:
            kind = rng.choice(("is_at", "go"))
            self.tell(kind, A=what, P=rng.choice(self.cast.places))
            return
        look = rng.choice(LOOKS) if rng.random() < 0.7 else ""
        if rng.random() < 0.6:
            self.tell("new_have", A=rng.choice(here), x=what, c=look)
            return
        place = self.state.place[rng.choice(here)]
        spot = self.spot_at(place)
        self.tell("new_lie", x=what, P=place, s=spot, c=look)

    def around(self) -> None:
        """The day, the weather, or something nearby."""
        kind = self.rng.choice(("sun", "rain", "snow", "wind", "day_is"))
        if kind == "day_is":
            self.tell(kind, d=self.rng.choice(DAYS))
        else:
            self.tell(kind)

    def spot_at(self, place: str) -> str:
        outside = place in OUTDOORS
        return self.rng.choice(SPOTS_OUTDOORS if outside else SPOTS_INDOORS)

    # --- episodes ---

    def episode(self) -> bool:
        """Tells a random episode that can happen; False if it finds none."""
        for _ in range(200):
            letters, steps = self.rng.choice(episodes())
            plan = self.plan(letters, steps)
            if plan:
                for kind, args in plan:
                    self.tell_step(kind, args)
                return True
        return False

    def plan(self, letters: set[str], steps: list) -> list | None:
        """Events that can happen one after the other, or None."""
        bound = self.bind(letters)
        if bound is None:
            return None
        state, plan = self.state.copy(), []
        for optional, ways in steps:
            if optional and self.rng.random() < 0.5:
                continue
            for kind, *words in self.rng.sample(ways, len(ways)):
                args = self.arguments(state, kind, words, bound)
                trial = state.copy() if len(ways) > 1 or optional else state
                if None in args.values():
                    continue
                try:
                    happen(trial, kind, args)
                except Contradiction:
                    continue
                state = trial
                if kind != "near":
                    plan.append((kind, args))
                break
            else:
                if not optional:
                    return None
        return plan

    def bind(self, letters: set[str]) -> dict | None:
        """A, B, C, x, y, k, P, Q, R -> someone and something of the cast."""
        groups = (
            ("ABC", self.cast.names), ("xy", self.cast.things),
            ("k", self.cast.kinds), ("PQR", self.cast.places),
        )  # fmt: skip
        bound = {}
        for group, words in groups:
            used = [a for a in group if a in letters]
            if len(used) > len(words):
                return None
            bound |= dict(zip(used, self.rng.sample(words, len(used))))
        return bound

    def arguments(self, state: State, kind: str, words: list, bound: dict):
        """The words of a step -> what its event is about.

        Numbers and spots follow from the state where a fact is told, and are
        drawn where something new happens.
        """
        args: dict = {}
        for letter, word in zip(SIGNATURE[kind], words):
            if word.startswith("@"):
                who = bound[word[1:]]
                at = state.place_of if who in THINGS else state.place.get
                args[letter] = at(who)
            elif "+" in word:
                args[letter] = join([bound[a] for a in word.split("+")])
            elif word in ("good", "bad", "other"):
                moods = {"good": GOOD, "bad": BAD, "other": OTHER}[word]
                args[letter] = self.rng.choice(moods)
            else:
                args[letter] = bound.get(word)
        if "n" in SIGNATURE[kind]:
            letter = words[SIGNATURE[kind].index("n")]
            if not bound.get(letter):
                bound[letter] = self.number(state, kind, args)
            args["n"] = bound[letter]
        if "s" in SIGNATURE[kind]:
            spot = state.spot.get(args["x"])
            known = kind in ("take_off", "see", "find") and spot
            place = state.place.get(args["A"])
            args["s"] = spot if known else self.spot_at(place)
        if kind == "believe":
            args["P"] = state.seen.get((args["A"], args["x"]))
        if "c" in SIGNATURE[kind]:
            args["c"] = self.rng.choice(LOOKS)
        return args

    def number(self, state: State, kind: str, args: dict) -> int | None:
        if kind == "sum_up":
            names = args["A"].split(" and ")
            return sum(state.count.get((n, args["k"]), 99) for n in names)
        owner = args["B"] if kind == "ask_some" else args["A"]
        have = state.count.get((owner, args["k"]))
        if kind == "counts" or not have:
            return have
        if kind == "find_some":
            return self.rng.randint(1, 4)
        return self.rng.randint(1, min(have, 4))

    def tell_step(self, kind: str, args: dict) -> None:
        """An event of an episode, and perhaps a fact or a pause after it."""
        rng = self.rng
        link = ""
        if kind in LINKED and rng.random() < 0.15:
            link = rng.choice(LINKS)
        self.tell(kind, link, **args)
        if rng.random() < 0.35 and kind not in FACTS:
            self.restate(args)
        if rng.random() < 0.1:
            self.pause()

    def restate(self, args: dict) -> None:
        """A fact about what just happened, if there is one to tell."""
        facts = []
        where = self.state.where.get(args.get("x"))
        if where in NAMES:
            facts.append(("holds", {"A": where, "x": args["x"]}))
        elif where in PLACES:
            facts.append(("lies", {"x": args["x"], "P": where}))
            if spot := self.state.spot.get(args["x"]):
                facts.append(("lies_on", {"x": args["x"], "s": spot}))
        for owner in (args.get("A"), args.get("B")):
            n = self.state.count.get((owner, args.get("k")))
            if n is not None:
                facts.append(("counts", {"A": owner, "n": n, "k": args["k"]}))
        if (
            not facts
            and self.rng.random() < 0.5
            and "P" in args
            and args.get("A") in self.state.place
        ):
            place = self.state.place[args["A"]]
            facts.append(("be_at", {"A": args["A"], "P": place}))
        if facts:
            kind, about = self.rng.choice(facts)
            self.tell(kind, self.rng.choice(("", "Now")), **about)

    def pause(self) -> None:
        """Something small that changes nothing, or a fact from earlier."""
        kind = self.rng.choice(("act", "feel", "scene", "recall", "recall"))
        if kind == "scene":
            self.tell("scene")
            return
        if kind == "recall":
            self.recall()
            return
        who = self.rng.choice(list(self.state.place))
        if kind == "act":
            self.tell("act", A=who)
        else:
            self.tell("feel", A=who, m=self.rng.choice(OTHER))

    def recall(self) -> None:
        """A fact that the last two sentences were not about."""
        last = {
            word
            for event in self.events[-2:]
            for _, value in event.args
            for word in str(value).split(" and ")
        }
        facts = [
            ("still_at", {"A": name, "P": place})
            for name, place in self.state.place.items()
            if name not in last
        ]
        for thing, where in self.state.where.items():
            if thing in last or where == LOST:
                continue
            if where in NAMES:
                facts.append(("still_holds", {"A": where, "x": thing}))
            else:
                facts.append(("still_lies", {"x": thing, "P": where}))
            if spot := self.state.spot.get(thing):
                facts.append(("still_lies_on", {"x": thing, "s": spot}))
        facts += [
            ("still_counts", {"A": name, "n": n, "k": kind})
            for (name, kind), n in self.state.count.items()
            if n > 1 and name not in last
        ]
        if facts:
            kind, about = self.rng.choice(facts)
            self.tell(kind, **about)


def story(seed: int, part: str = "train") -> Story:
    """The story of a seed; each part has its own.

    Raises ValueError for a part that is not train, val or test.
    """
    if part not in PARTS:
        raise ValueError(f"part must be train, val or test, got {part!r}")
    rng = random.Random(f"{part} {seed}")
    telling = Telling(rng, draw_cast(rng, part))
    while not telling.complete():
        telling = Telling(rng, draw_cast(rng, part))
    return Story(
        " ".join(telling.sentences),
        tuple(telling.events),
        telling.state,
        telling.cast,
        tuple(telling.sentences),
        telling.speaker.tense,
    )


@cache
def documents(part: str) -> tuple[str, ...]:
    """The corpus: the texts of the first stories of a part."""
    return tuple(
        story(seed, part).text for seed in range(N_STORIES.get(part, 1))
    )


def stories(part: str = "train", seed: int = 0) -> Iterator[Story]:
    """Stories without end, from the seed on."""
    while True:
        yield story(seed, part)
        seed += 1
