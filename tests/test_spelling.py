"""British spelling everywhere, and the slips that no dictionary shows.

The dictionary is Hunspell's American one, which comes with chunspell; a list
that comes with codespell makes it British. What neither has, terms and names,
stands in words.txt: sorted, each in use.
"""

import builtins
import functools
import re
from pathlib import Path

import codespell_lib
import pytest
from hunspell import Hunspell
from prose import everything, markdown, python

LIST = Path(__file__).with_name("words.txt")
OWN = LIST.read_text(encoding="utf-8").split("\n")
# American for a British word, and a British word of its own
BOTH = {"biased", "dialog", "practice", "program", "story"}
CODE = re.compile(
    r"`+[^`]*`+|(https?:|U\+)\S+|\b(noqa|fmt|type): *\S+|(?<!\w)--?\w[\w-]*"
    r"|\S*[_/\\=(\[{<>|@^*]\S*|\S*\d\S*|\w*\.\w\S*|\"\w+\":|\w+Error\b"
)
LETTER = "[A-Za-zÀ-ÖØ-öø-ÿ]"  # Greek and others are no English
WORD = re.compile(rf"\b{LETTER}+(?:['’]{LETTER}+)*\b")
IZE = re.compile(r"(?<=[a-z]{3})([iy])z(e|e[drs]|ers|es|ing|ations?|able)$")
ISE = re.compile(IZE.pattern.replace("z(", "s("))
TWICE = re.compile(r"\b([a-z]+)\s+\1\b", re.I)
VARIABLE = r"(?!(?:and|or|is|alone|as|x)\b)"  # A and B, a is the rate
ARTICLE = re.compile(
    rf"(?<![\w.'’])(an?)\s+[\"“*(]*{VARIABLE}({LETTER}+)", re.I
)
VOWEL = re.compile(
    r"(?!uni(?!n|m)|us[aeu]|ut[ei]|eu|one\b|once)[aeioué]|hour|honest|heir"
    r"|(?-i:[FHLMNRSX](?:[A-Z]|s?$))|[fhlmnrsx]$|nb",  # an MLP, an n, an nb…
    re.I,
)


def differing() -> dict[str, str]:
    """British to American spellings, from codespell."""
    data = Path(codespell_lib.__file__).parent / "data"
    text = (data / "dictionary_en-GB_to_en-US.txt").read_text("utf-8")
    pairs = (line.split("->") for line in text.splitlines() if "->" in line)
    return {british: american.split(",")[0] for british, american in pairs}


class Speller:
    """Knows British words and those of `own`, and notes which it used."""

    def __init__(self, own):
        self.own, self.used = frozenset(own), set()
        self.hunspell = Hunspell("en_US")
        self.british = differing()
        self.american = {us: gb for gb, us in self.british.items()}
        self.knows = functools.cache(self._knows)

    def _knows(self, word: str) -> bool:
        plain = re.sub("'s?$", "", word.replace("’", "'"))
        lower = plain.lower()
        form = plain if plain in self.own else lower
        if form in self.own:
            self.used.add(form)
            return True
        if lower in self.british:
            return True
        if (lower in self.american and lower not in BOTH) or IZE.search(lower):
            return False
        # Hunspell's own letters: anything else is no word of its language
        spell = self.hunspell.spell
        return spell(plain) or spell(ISE.sub(r"\1z\2", lower))

    def instead(self, word: str) -> str:
        """What may have been meant."""
        lower = word.lower()
        twin = self.american.get(lower) or IZE.sub(r"\1s\2", lower)
        if twin != lower:
            return twin
        return ", ".join(self.hunspell.suggest(word)[:4]) or "?"


def words(prose):
    """(offset, word) of each word of prose that is no code."""
    code = prose.names | set(dir(builtins))
    blank = CODE.sub(lambda found: " " * len(found[0]), prose.text)
    for found in WORD.finditer(blank):
        if len(found[0]) > 1 and found[0] not in code:
            yield found.start(), found[0]


def misspelt(speller, prose) -> list[str]:
    """Place, word and suggestions for each word that is not known."""
    said = list(words(prose))
    wrong = [(at, word) for at, word in said if not speller.knows(word)]
    if prose.message and 2 * len(wrong) > len(said):
        return []  # a sample of another language, or code
    return [
        f"{prose.where(at)}: {word!r} ({speller.instead(word)})"
        for at, word in wrong
    ]


def slips(prose) -> list[str]:
    """Repeated words, and a for an."""
    found = [] if prose.message else list(TWICE.finditer(prose.text))
    wrong = [f"{prose.where(m.start())}: {m[0]!r}" for m in found]
    text = CODE.sub(lambda code: "…" * len(code[0]), prose.text)
    for m in ARTICLE.finditer(text):
        if bool(VOWEL.match(m[2])) != (len(m[1]) == 2):
            wrong.append(f"{prose.where(m.start())}: {m[0]!r}")
    return wrong


@pytest.fixture(scope="module")
def prose():
    """All prose; of tests and benchmarks the comments only."""
    mute = ("tests/", "benchmarks/")
    return [
        p for p in everything() if not (p.message and p.place.startswith(mute))
    ]


def test_every_word_is_spelt_right_and_every_own_word_is_used(prose):
    speller = Speller(filter(None, OWN))
    wrong = [line for p in prose for line in misspelt(speller, p)]
    if wrong:
        advice = "mend it; a term or a name goes into tests/words.txt:\n"
        pytest.fail(advice + "\n".join(wrong), pytrace=False)
    unused = sorted(speller.own - speller.used)
    assert not unused, "no text needs these words of tests/words.txt any more"


def test_own_words_are_sorted():
    assert OWN[-1] == "", "the last line ends, too"
    assert OWN[:-1] == sorted(set(OWN[:-1]), key=lambda w: (w.lower(), w))


def test_no_word_stands_twice_and_articles_fit(prose):
    wrong = [line for p in prose for line in slips(p)]
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


@pytest.mark.parametrize(
    "text, said",
    [
        ("One line.\nThey recieve it.", ["a.md:2: 'recieve' (receive"]),
        ("The color of the center", ["'color' (colour)", "'center' (centre)"]),
        ("to normalize it", ["'normalize' (normalise)"]),
        ("## A hedding", ["'hedding'"]),
        ("[a lnik](b.md)", ["'lnik'"]),
        ("| a | tabel |\n|---|---|\n| b | c |", ["'tabel'"]),
        ("```{note}\nA wrod here.\n```", ["a.md:2: 'wrod'"]),
        ("![A pikture](a.png)", ["'pikture'"]),
        ("Colour, centre, normalising and normalised GPTs", []),
        ("`recieve` $recieve$ <recieve@b.de> https://recieve.org", []),
        ("[words](recieve.md)\n\n```python\nrecieve\n```", []),
    ],
)
def test_a_wrong_word_is_found_in_markdown(text, said):
    speller = Speller({"GPTs"})
    found = [x for p in markdown("a.md", text) for x in misspelt(speller, p)]
    assert len(found) == len(said), found
    assert all(part in line for part, line in zip(said, found, strict=True))


SCRIPT = """
def f(recieved):
    \"\"\"Give what was recieved, or recived.\"\"\"
    # a coment
    raise ValueError("that was not the rigth answer", "rigth")
"""


def test_a_wrong_word_is_found_in_a_script():
    """In docstrings, comments and messages; names of the code are no words."""
    speller = Speller(())
    found = [x for p in python("a.py", SCRIPT) for x in misspelt(speller, p)]
    places = sorted(line.split(" (")[0] for line in found)
    assert places == [
        "a.py:3: 'recived'",
        "a.py:4: 'coment'",
        "a.py:5: 'rigth'",
    ]


@pytest.mark.parametrize(
    "text, said",
    [
        ("so that\nthat is", ["a.md:1: 'that\\nthat'"]),
        ("a apple, an pear", ["'a apple'", "'an pear'"]),
        ("a MLP and an unit", ["'a MLP'", "'an unit'"]),
        ("an MLP, a unit, an hour, a LoRA, an n × m table, a `egg`", []),
        ("The cat, the dog. A and B", []),
    ],
)
def test_a_slip_is_found(text, said):
    found = [x for p in markdown("a.md", text) for x in slips(p)]
    assert len(found) == len(said), found
    assert all(part in line for part, line in zip(said, found, strict=True))
