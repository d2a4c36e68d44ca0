"""Every term of the glossary is linked where a chapter first uses it."""

import re

import pytest
from prose import NOTEBOOKS, ROOT, cells, paragraphs, read

GLOSSARY = read(ROOT / "book" / "glossary.md")
TERMS = re.findall(r"^### (.+)$", GLOSSARY, re.M)

# How a text says it, where not by the term itself (or its plural).
SAID = {
    "activation function": r"activations?",
    "attention head": r"heads?",
    "block size": r"`block_size`",
    "bos, eos, pad": r"`<(bos|eos|pad)>`",
    "deduplication": r"deduplicat\w+",
    "decode": r"decod(e[ds]?|ing)",
    "decoder-only": r"decoder",
    "emergence": r"emergen(t|ce)",
    "few-shot prompting": r"few-shot",
    "gradient accumulation": r"accumul\w+",
    "gradient clipping": r"clip(ping|ped)",
    "greedy": r"greed(y|ily)",
    "head (of a model)": r"heads?",
    "head_dim": r"`head_dim[^`]*`",
    "held-out text": r"held-out( text)?",
    "initialisation": r"initialis\w+",
    "instruction tuning": r"instructions?",
    "key-value cache": r"caches?",
    "layer normalisation": r"layer norm(alisation)?",
    "learned position": r"learned (positions?|table)",
    "Muon": r"Muon(?!:)",  # with a colon it names a source
    "pre-split": r"chunks?|pre-split",
    "query": r"quer(y|ies)",
    "rank of a matrix": r"ranks?",
    "residual connection": r"residual (connection|path)s?",
    "sampling": r"sampl\w+|draws?",
    "scaling law": r"(scaling|power) laws?",
    "sinusoidal position": r"sinusoidal( positions?)?",
    "training, validation and test part": r"validation",
    "warm-up": r"warm-ups?",
    "weight tying": r"tied",
}
# Words that are also ordinary ones, or have another sense before: the chapter
# from which on they are meant.
MEANT = {
    "activation": 17,
    "attention": 4,
    "batch": 2,
    "bias": 6,
    "block": 7,
    "decoder-only": 8,
    "encoder": 5,
    "head (of a model)": 8,
    "head_dim": 6,
    "instruction tuning": 14,
    "key": 4,
    "key-value cache": 5,
    "position": 4,
    "query": 4,
    "rank of a matrix": 14,
    "sampling": 10,
    "scores": 4,
    "value": 4,
    "weight tying": 8,
    "window": 2,
}
ASIDE = re.compile(r"^\*\*(Exercise|Question)\*\*", re.M)


def anchor(term: str) -> str:
    return re.sub(r"[^\w\- ]", "", term.lower()).replace(" ", "-")


def pattern(term: str) -> re.Pattern:
    """What says `term` in a text."""
    plain = re.escape(term).replace(r"\ ", r"[\s-]")
    said = SAID.get(term, f"{plain}(s|es)?")
    return re.compile(rf"(?<![\w`/-])({said})(?!\w)", re.I)


def reading(path):
    """(place, words, glossary links) of the running text of a chapter.

    Without its opening, its card, headings, tables and exercises.
    """
    for place, source in cells(path, "markdown"):
        number = int(place.split()[-1])
        if number < 3:
            continue
        # an exercise ends at the next heading
        parts = re.split(r"(?m)^(?=#)", source)
        source = "".join(ASIDE.split(part)[0] for part in parts)
        words, links = [], set()
        for _, found in paragraphs(source):
            for piece in found:
                words += [piece.text] * (piece.kind == "text")
                words += [f"`{piece.text}`"] * (piece.kind == "code")
            words.append("\n")
            links |= {p.href.split("glossary.md#")[-1] for p in found if p.href}
        yield place, "".join(words), links


@pytest.fixture(scope="module")
def course():
    """Every chapter's reading, in order."""
    return {int(path.name[:2]): list(reading(path)) for path in NOTEBOOKS}


def first_use(course, term):
    """(chapter, index) of the cell that says `term` first."""
    said = pattern(term)
    for chapter, texts in course.items():
        if chapter < MEANT.get(term, 0):
            continue
        for i, (_, words, _) in enumerate(texts):
            if said.search(words):
                return chapter, i
    return None


def missing_link(course, term) -> str | None:
    """Where the link to `term` should be and is not."""
    found = first_use(course, term)
    if not found:
        return f"{term}: no chapter says it"
    chapter, i = found
    before = [text for n in course if n < chapter for text in course[n]]
    before += course[chapter][: i + 1]
    linked = set().union(*(links for *_, links in before))
    if anchor(term) in linked:
        return None
    return f"{term}: first said in {course[chapter][i][0]}, and not linked"


def test_every_term_is_linked_where_it_is_first_used(course):
    missing = [missing_link(course, term) for term in TERMS]
    missing = [line for line in missing if line]
    if missing:
        pytest.fail("\n".join(missing), pytrace=False)


def test_terms_are_in_order_and_each_stands_once():
    plain = [re.sub(r"[^a-z0-9]", "", term.lower()) for term in TERMS]
    assert plain == sorted(set(plain))
    for term in TERMS:
        section = GLOSSARY.split(f"### {term}\n")[0].rsplit("\n## ", 1)[1]
        assert section[0] == term[0].upper()


def test_the_lists_above_name_terms_only():
    assert set(SAID) <= set(TERMS)
    assert set(MEANT) <= set(TERMS)


def test_a_missing_link_is_found():
    here = [("cell 3", "Two heads look.", set()), ("cell 5", "a b", {"heap"})]
    assert "cell 3" in missing_link({4: here}, "attention head")
    assert "no chapter" in missing_link({4: here}, "heap")
    here[0] = ("cell 3", "A heap.", {"heap"})
    assert missing_link({4: here}, "heap") is None
    here = [("cell 3", "A heap.", set()), ("cell 5", "a b", {"heap"})]
    assert missing_link({4: here}, "heap")  # the link comes too late
