"""Statements to judge: the reader commits first, then a cell decides.

    facts = FactCheck()
    facts.commit("12 unit variance", "textbook", "b", sure=80)
    facts.verdict(holds=False, condition=True)
    facts.tally()

`...` in place of a letter is no verdict yet: everything still runs.
"""

from dataclasses import dataclass

VERDICTS = {
    "a": "holds",
    "b": "holds with a condition",
    "c": "does not hold",
    "d": "not decided here",
}
SOURCES = ("textbook", "blog post", "paper")


@dataclass
class Claim:
    """A statement: where it is found, what the reader says, what a cell says.

    `yours` and `found` are letters of `VERDICTS`, or None.
    """

    name: str
    source: str
    yours: str | None = None
    sure: float | None = None  # percent
    found: str | None = None

    @property
    def hit(self) -> bool:
        """Is the reader's verdict that of the cell?"""
        return self.yours is not None and self.yours == self.found


class FactCheck:
    """The statements of a notebook, by name; a cell that runs again counts once."""

    def __init__(self):
        self.claims: dict[str, Claim] = {}
        self._last = ""

    def commit(self, name: str, source: str, yours=..., *, sure=None) -> None:
        """Note what the reader says about a statement, before it is tried.

        Raises:
            ValueError: no verdict has this letter, there is no such kind of
                source, or `sure` is no percentage.
        """
        if source not in SOURCES:
            raise ValueError(f"source must be one of {SOURCES}, got {source!r}")
        if sure is not None and not 0 <= sure <= 100:
            raise ValueError(f"sure must be 0 to 100 percent, got {sure}")
        letter = None if yours in (..., None) else letter_of(yours)
        self.claims[name], self._last = Claim(name, source, letter, sure), name

    def verdict(self, holds, condition=False, *, decided=True) -> None:
        """Answer the statement committed to last, by what its cell found.

        Is it true as it stands? If not: is it once a condition is added?
        `decided` is whether what the cell has can tell at all.
        """
        letter = "a" if holds else "b" if condition else "c"
        claim = self.claims[self._last]
        claim.found = letter if decided else "d"
        print(f"{claim.name}: {VERDICTS[claim.found]}")
        if claim.yours:
            mark = "✓" if claim.hit else "✗"
            print(f"{mark} you said: {VERDICTS[claim.yours]}")

    def tally(self) -> None:
        """Print the verdicts, the reader's hits, and how sure they were."""
        done = [c for c in self.claims.values() if c.found]
        for letter, words in VERDICTS.items():
            names = [c.name for c in done if c.found == letter]
            print(f"{words}: {len(names)}")
            for name in names:
                print("   ", name)
        print()
        print(self.score())

    def score(self) -> str:
        """The reader's hits in words, and how well they knew themselves."""
        done = [c for c in self.claims.values() if c.found and c.yours]
        if not done:
            return "You have committed to no verdict yet."
        said = [f"You were right about {_of(done)} statements."]
        for source in SOURCES:
            some = [c for c in done if c.source == source]
            if some:
                said.append(f"    from a {source}: {_of(some)}")
        said.append(
            f"Always the same letter would have been right about "
            f"{max(_always(done, x) for x in VERDICTS)} of them."
        )
        rated = [c for c in done if c.sure is not None]
        if rated:
            sure = sum(c.sure for c in rated) / len(rated)
            right = 100 * sum(c.hit for c in rated) / len(rated)
            said.append(
                f"Where you said how sure you were: {sure:.0f} % sure on "
                f"average, and {right:.0f} % right ({_of(rated)})."
            )
        return "\n".join(said)


def letter_of(yours) -> str:
    """ "b", "B)" or "holds with a condition" -> "b".

    Raises ValueError for anything else.
    """
    text = str(yours).strip().lower()
    found = [x for x, words in VERDICTS.items() if text in (x, f"{x})", words)]
    if not found:
        choices = ", ".join(f"{x} ({words})" for x, words in VERDICTS.items())
        raise ValueError(f"a verdict is one of {choices}; got {yours!r}")
    return found[0]


def _of(claims) -> str:
    return f"{sum(c.hit for c in claims)} of {len(claims)}"


def _always(claims, letter) -> int:
    return sum(c.found == letter for c in claims)
