"""What is true in a story: where everyone and everything is, and who knows it.

Each function below is one kind of event. It first checks that the event can
happen, then makes it happen. A fact ("Tom was in the barn") is an event, too:
it must agree with what is known, and changes nothing if it was known already.
"""

from minigpt.world.words import (
    FOOD,
    OUTDOORS,
    PLACES,
    SPOTS_OUTDOORS,
)

LOST = "nobody knows where"
MOST = 10  # of a kind, for one person


class Contradiction(ValueError):
    """A sentence cannot be true after the sentences before it."""


def need(condition: bool, what: str) -> None:
    """Raises Contradiction if the condition does not hold."""
    if not condition:
        raise Contradiction(what)


def people(names: str) -> list[str]:
    """`Mia and Tom` -> Mia, Tom."""
    return names.split(" and ")


class State:
    """What the sentences so far have made true.

    If `strict`, a sentence may use only facts that were told before it;
    stories are made that way. Otherwise, an unknown fact is learned from the
    first sentence that needs it.
    """

    def __init__(self, strict: bool = False):
        self.strict = strict
        self.place: dict[str, str] = {}  # person: place
        self.where: dict[str, str] = {}  # thing: its holder, its place, or LOST
        self.spot: dict[str, str] = {}  # thing: where in its place
        self.look: dict[str, str] = {}  # thing: its color or another adjective
        self.count: dict[tuple[str, str], int] = {}  # (person, kind): how many
        self.at_first: dict[tuple[str, str], int] = {}
        self.seen: dict[tuple[str, str], str] = {}  # (person, thing): place
        self.mood: dict[str, str] = {}
        self.weather = ""
        self.day = ""
        self.holders: dict[str, list[str]] = {}  # thing: all, in time order
        self.went: dict[str, list[str]] = {}  # person: places, in time order

    def copy(self) -> "State":
        other = State(self.strict)
        vars(other).update(
            {
                k: v.copy() if isinstance(v, dict) else v
                for k, v in vars(self).items()
            }
        )
        other.holders = {k: list(v) for k, v in self.holders.items()}
        other.went = {k: list(v) for k, v in self.went.items()}
        return other

    def facts(self) -> dict:
        """All of it, to compare two states."""
        return {k: v for k, v in vars(self).items() if k != "strict"}

    # --- what an event requires ---

    def claim(self, table: dict, key, value) -> None:
        """Requires that an entry has this value, or stores it as a new one."""
        known = table.get(key)
        if known is None:
            need(not self.strict, f"nobody said: {key}")
            table[key] = value
        about = key if isinstance(key, str) else ", ".join(key)
        need(known in (None, value), f"{about}: {known}, not {value}")

    def is_at(self, person: str, place: str) -> None:
        for name in people(person):
            if name not in self.place and not self.strict:
                self.move(name, place)
            self.claim(self.place, name, place)

    def together(self, *persons: str) -> None:
        """Requires that all are in one place, as a single person always is."""
        if len(persons) == 1:
            return
        names = [name for person in persons for name in people(person)]
        need(len(set(names)) == len(names), "one person cannot be two")
        known = [self.place[n] for n in names if n in self.place]
        need(bool(known) or not self.strict, "nobody said where they are")
        for name in names if known else ():
            self.is_at(name, known[0])

    def has(self, person: str, thing: str) -> None:
        known = self.where.get(thing)
        self.claim(self.where, thing, person)
        if known is None:
            self.hold(person, thing)

    def free(self, person: str, thing: str) -> None:
        """Requires that the thing lies where the person is."""
        where = self.where.get(thing)
        need(where is not None or not self.strict, f"nobody said: {thing}")
        need(where is None or where in PLACES, f"{thing}: {where}")
        if where:
            self.is_at(person, where)

    def fits(self, spot: str, place: str | None) -> None:
        need(
            place is None or (spot in SPOTS_OUTDOORS) == (place in OUTDOORS),
            f"nothing is {spot} in the {place}",
        )

    def place_of(self, thing: str) -> str | None:
        """The place of a thing, lying or held; None if nobody said."""
        where = self.where.get(thing)
        return self.place.get(where, None if where == LOST else where)

    def placed(self, person: str) -> None:
        """The story has said where they are."""
        known = all(name in self.place for name in people(person))
        need(known or not self.strict, f"nobody said where {person} is")

    def mentioned(self, thing: str) -> None:
        """The story has said where the thing is."""
        need(self.knows(thing) or not self.strict, f"nobody said: {thing}")

    def knows(self, thing: str) -> bool:
        return thing in self.where

    # --- what an event does ---

    def move(self, person: str, place: str) -> None:
        for name in people(person):
            self.place[name] = place
            self.went.setdefault(name, []).append(place)

    def hold(self, person: str, thing: str) -> None:
        self.where[thing] = person
        self.spot.pop(thing, None)
        self.holders.setdefault(thing, []).append(person)

    def lay(self, thing: str, place: str | None, spot: str = "") -> None:
        self.spot.pop(thing, None)
        if place is None:
            self.where.pop(thing, None)
            return
        self.where[thing] = place
        if spot:
            self.spot[thing] = spot

    def change(self, person: str, kind: str, by: int) -> None:
        known = self.count.get((person, kind))
        need(known is not None or not self.strict, f"nobody said: {kind}")
        if known is not None:
            need(known + by >= 0, f"{person} has only {known} {kind}")
            need(known + by <= MOST, f"more than {MOST}")
            self.count[person, kind] = known + by

    def look_around(self) -> None:
        """Everyone sees the things that are where they are."""
        for thing in self.where:
            place = self.place_of(thing)
            for person, here in self.place.items():
                if here == place or self.where[thing] == person:
                    self.seen[person, thing] = here


def happen(state: State, kind: str, args: dict) -> None:
    """One event changes the state. Raises Contradiction if it cannot happen."""
    EVENTS[kind](state, **args)
    state.look_around()


EVENTS = {}


def event(function):
    """Registers a function as a kind of event, by its name."""
    EVENTS[function.__name__] = function
    return function


# --- people and places -------------------------------------------------------


@event
def be_at(w, A, P):
    for name in people(A):
        if name not in w.place:
            w.move(name, P)
    w.is_at(A, P)


@event
def both_at(w, A, B, P):
    need(A != B, "two people")
    be_at(w, A, P)
    be_at(w, B, P)


@event
def near(w, A, B):
    """A condition that an episode can have; no sentence tells it."""
    w.together(A, B)


EVENTS |= dict.fromkeys(("greet", "thank", "together_act"), near)


@event
def go(w, A, P):
    w.together(*people(A))
    for name in people(A):
        need(w.place.get(name) != P, f"{name} is there already")
    w.move(A, P)


@event
def leave(w, A, P, Q):
    w.is_at(A, P)
    go(w, A, Q)


@event
def follow(w, A, B, P):
    need(A != B, "two people")
    w.is_at(B, P)
    go(w, A, P)


@event
def carry(w, A, x, P):
    w.has(A, x)
    go(w, A, P)


@event
def meet(w, A, B, P):
    w.together(A, B)
    w.is_at(A, P)
    w.is_at(B, P)


@event
def alone(w, A, P):
    w.is_at(A, P)
    others = [n for n, p in w.place.items() if p == P and n not in people(A)]
    need(not others, f"{A} is not alone")


# --- things ------------------------------------------------------------------


@event
def new_have(w, A, x, c=""):
    need(not w.knows(x), f"{x} is known")
    w.placed(A)
    w.hold(A, x)
    if c:
        w.look[x] = c


@event
def new_lie(w, x, P, s, c=""):
    need(not w.knows(x), f"{x} is known")
    w.fits(s, P)
    w.lay(x, P, s)
    if c:
        w.look[x] = c


@event
def new_find(w, A, x, s, c=""):
    need(not w.knows(x), f"{x} is known")
    w.placed(A)
    w.fits(s, w.place.get(A))
    w.hold(A, x)
    if c:
        w.look[x] = c


@event
def holds(w, A, x):
    w.has(A, x)


@event
def lies(w, x, P):
    where = w.where.get(x)
    need(where != LOST, f"{x} is lost")
    if where is None:
        need(not w.strict, f"nobody said: {x}")
        w.lay(x, P)
    elif where in PLACES:
        need(where == P, f"{x} is in the {where}, not in the {P}")
    else:
        w.is_at(where, P)


@event
def lies_on(w, x, s):
    where = w.where.get(x)
    need(where is None or where in PLACES, f"{x} does not lie anywhere")
    need(not w.strict or where is not None, f"nobody said: {x}")
    w.fits(s, where)
    w.claim(w.spot, x, s)


@event
def looks(w, x, c):
    w.claim(w.look, x, c)


@event
def take(w, A, x):
    w.free(A, x)
    w.hold(A, x)


@event
def take_off(w, A, x, s):
    w.free(A, x)
    w.fits(s, w.place.get(A))
    w.claim(w.spot, x, s)
    w.hold(A, x)


@event
def put(w, A, x, s):
    w.has(A, x)
    w.placed(A)
    w.fits(s, w.place.get(A))
    w.lay(x, w.place.get(A), s)


@event
def leave_thing(w, A, x, P):
    w.has(A, x)
    w.is_at(A, P)
    w.lay(x, P)


@event
def give(w, A, B, x):
    w.has(A, x)
    w.together(A, B)
    w.hold(B, x)


@event
def give_back(w, A, B, x):
    need(not w.strict or B in w.holders.get(x, ())[:-1], "never had it")
    give(w, A, B, x)


@event
def trade(w, A, B, x, y):
    need(x != y, "two things")
    w.has(A, x)
    w.has(B, y)
    w.together(A, B)
    w.hold(B, x)
    w.hold(A, y)


@event
def lose(w, A, x):
    w.has(A, x)
    w.spot.pop(x, None)
    w.where[x] = LOST


@event
def find(w, A, x, s):
    if w.where.get(x) != LOST:
        w.free(A, x)
        if x in w.spot:
            w.claim(w.spot, x, s)
    w.fits(s, w.place.get(A))
    w.placed(A)
    w.hold(A, x)


@event
def see(w, A, x, s):
    w.free(A, x)
    w.fits(s, w.place.get(A))
    w.claim(w.spot, x, s)


@event
def miss(w, A, x, P):
    w.is_at(A, P)
    w.mentioned(x)
    need(w.place_of(x) != P, f"{x} is right there")


@event
def show(w, A, B, x):
    w.has(A, x)
    w.together(A, B)


@event
def play_with(w, A, x):
    w.together(*people(A))
    where = w.where.get(x)
    need(where is not None or not w.strict, f"nobody said: {x}")
    need(where != LOST, f"{x} is lost")
    if where in PLACES:
        w.is_at(A, where)
    elif where is not None and where not in people(A):
        w.together(A, where)


@event
def like(w, A, x):
    w.mentioned(x)


@event
def want(w, A, x):
    w.mentioned(x)
    need(w.where.get(x) != A, f"{A} has it already")


# --- counting ----------------------------------------------------------------


@event
def new_count(w, A, n, k):
    need((A, k) not in w.count and n > 0, f"known: how many {k} {A} has")
    w.count[A, k] = w.at_first[A, k] = n


@event
def counts(w, A, n, k):
    w.claim(w.count, (A, k), n)


@event
def more(w, A, B, k):
    a, b = w.count.get((A, k)), w.count.get((B, k))
    need(not w.strict or None not in (a, b), f"nobody said: {k}")
    need(a is None or b is None or a > b, f"{a} {k} are not more than {b}")


@event
def same(w, A, B, k):
    a, b = w.count.get((A, k)), w.count.get((B, k))
    need(not w.strict or None not in (a, b), f"nobody said: {k}")
    need(A != B and (a is None or b is None or a == b), f"{a} is not {b}")


@event
def sum_up(w, A, n, k):
    known = [w.count.get((name, k)) for name in people(A)]
    need(not w.strict or None not in known, f"nobody said: {k}")
    need(None in known or sum(known) == n, f"together they are not {n}")


@event
def give_some(w, A, B, n, k):
    need(n > 0, "some")
    w.together(A, B)
    w.change(A, k, -n)
    w.count.setdefault((B, k), 0)
    w.at_first.setdefault((B, k), w.count[B, k])
    w.change(B, k, n)


@event
def eat(w, A, n, k):
    need(k in FOOD and n > 0, f"nobody eats {k}")
    w.change(A, k, -n)


@event
def lose_some(w, A, n, k):
    need(n > 0, "some")
    w.change(A, k, -n)


@event
def find_some(w, A, n, k):
    need(n > 0, "more")
    w.change(A, k, n)


# --- talk --------------------------------------------------------------------


@event
def ask_where(w, A, x):
    w.placed(A)
    w.mentioned(x)
    need(w.where.get(x) != A, f"{A} has it")
    if w.strict and w.place_of(x) == w.place[A]:  # it may be in a bag
        need(w.where[x] not in PLACES, f"{A} sees it")
        need(A not in w.holders[x], f"{A} knows it")


@event
def ask_person(w, A, B):
    need(not w.strict or (A in w.place and B in w.place), "nobody said")
    need(A != B, "two people")


@event
def tell(w, A, x, P):
    lies(w, x, P)
    for person, place in list(w.place.items()):
        if place == w.place.get(A):
            w.seen[person, x] = P


@event
def tell_person(w, A, B, P):
    need(A != B, "two people")
    w.is_at(B, P)


@event
def tell_holder(w, A, B, x):
    need(A != B, "two people")
    w.has(B, x)


@event
def tell_mine(w, A, x):
    w.has(A, x)


@event
def wonder(w, A, x):
    w.mentioned(x)
    need(w.where.get(x) != A, f"{A} has it")
    place = w.place_of(x)
    need(place is None or w.place.get(A) != place, f"{A} sees it")


@event
def believe(w, A, x, P):
    """A thinks that x is at P, where A last saw it; it is not there now."""
    w.claim(w.seen, (A, x), P)
    w.mentioned(x)
    need(w.place_of(x) != P, f"{x} is there, so {A} is right")
    need(w.where.get(x) != A, f"{A} has it")


@event
def ask_for(w, A, B, x):
    w.together(A, B)
    w.has(B, x)


@event
def ask_some(w, A, B, n, k):
    w.together(A, B)
    need(n > 0, "some")
    known = w.count.get((B, k))
    need(known is not None or not w.strict, f"nobody said: {k}")
    need(known is None or known >= n, f"{B} has only {known}")


@event
def send(w, A, B, x, P):
    w.together(A, B)
    lies(w, x, P)
    need(w.place.get(A) != P, "it is here")
    for person in (A, B):
        w.seen[person, x] = P


@event
def invite(w, A, B, P):
    w.together(A, B)
    need(w.place.get(A) != P, "they are there")


@event
def yes(w, A):
    w.placed(A)


EVENTS["no"] = EVENTS["act"] = yes


# --- the rest ----------------------------------------------------------------


@event
def feel(w, A, m):
    for name in people(A):
        w.mood[name] = m


@event
def feel_lost(w, A, m, x):
    need(not w.strict or w.where.get(x) == LOST, f"{x} is not lost")
    need(w.where.get(x) in (None, LOST), f"{x} is not lost")
    feel(w, A, m)


@event
def feel_have(w, A, m, x):
    w.has(A, x)
    feel(w, A, m)


@event
def scene(w):
    """Something nearby, which changes nothing."""


def weather_is(w, weather):
    need(w.weather in ("", weather), f"the weather is {w.weather}")
    w.weather = weather


@event
def end(w):
    """The story is over, and nothing changes."""


@event
def sun(w):
    weather_is(w, "sun")


@event
def rain(w):
    weather_is(w, "rain")


@event
def snow(w):
    weather_is(w, "snow")


@event
def wind(w):
    weather_is(w, "wind")


@event
def day_is(w, d):
    need(w.day in ("", d), f"it is {w.day}")
    w.day = d
