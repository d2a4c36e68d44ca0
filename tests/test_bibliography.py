"""Every paper that is named has an entry and a link; no entry is idle."""

import re

import pytest
from prose import NOTEBOOKS, PAGES, ROOT, cells, name, read
from pybtex.database import parse_file

BIB = parse_file(ROOT / "book" / "references.bib", bib_format="bibtex").entries
LINK = re.compile(r"\[([^\]]*)\]\((?:\.\./book/)?bibliography\.md#([\w-]+)\)")
ARXIV = re.compile(r"https://arxiv\.org/abs/\d{4}\.\d{4,5}")
# "Ba, Kiros and Hinton 2016", "Jain and Wallace (2019)", "So et al. 2021"
PAPER = re.compile(
    r"\b([A-Z][\w-]+)(?:(?:, [A-Z][\w-]+)*,? and [A-Z][\w-]+| et al\.)?"
    r",? \(?((?:19|20)\d\d)\b"
)
LATER = set()
SEVERAL = re.compile(r" and [A-Z]| et al\.")


def first_author(key: str) -> str:
    person = BIB[key].persons["author"][0]
    return re.sub(r"\W", "", "".join(person.last_names)).lower()


def named(text: str) -> dict[str, list[str]]:
    """The papers that a text names -> the keys that they may have."""
    found = {}
    authors = {first_author(key) for key in BIB}
    for match in PAPER.finditer(re.sub(r"\s+", " ", text)):
        said, author, year = match[0], match[1].lower(), match[2]
        if SEVERAL.search(said) or author in authors:
            found[said] = [
                key
                for key in BIB
                if first_author(key) == author
                and BIB[key].fields["year"] == year
            ]
    return found


def linked(text: str) -> set[str]:
    return {key for _, key in LINK.findall(text)}


def unlinked(text: str, links: set[str]) -> list[str]:
    """What is named in `text` and has no entry, or none of `links`."""
    wrong = []
    for said, keys in named(text).items():
        if not keys:
            wrong.append(f"{said}: not in references.bib")
        elif not links.intersection(keys):
            wrong.append(f"{said}: not linked to bibliography.md#{keys[0]}")
    return wrong


def chapter(path) -> tuple[str, str]:
    """(all prose, all code) of a chapter."""
    return tuple(
        "\n\n".join(source for _, source in cells(path, kind))
        for kind in ("markdown", "code")
    )


@pytest.mark.parametrize(
    "path", [p for p in NOTEBOOKS if p.stem not in LATER], ids=name
)
def test_a_paper_that_a_chapter_names_is_linked_from_it(path):
    """Docstrings name their sources; the prose beside them links them."""
    prose, code = chapter(path)
    assert unlinked(f"{prose}\n{code}", linked(prose)) == []


@pytest.mark.parametrize("path", [*NOTEBOOKS, *PAGES], ids=name)
def test_a_link_goes_to_the_paper_that_it_names(path):
    text = chapter(path)[0] if path.suffix == ".ipynb" else read(path)
    for said, key in LINK.findall(text):
        if said.startswith("`"):
            continue  # how to write one
        assert key in BIB, f"{said}: no entry {key}"
        assert BIB[key].fields["year"] in said
        author = re.match(r"[^\W\d]+", said)
        assert not author or author[0].lower() == first_author(key)


def test_every_entry_is_cited():
    texts = [chapter(path)[0] for path in NOTEBOOKS]
    cited = set().union(*map(linked, texts + [read(path) for path in PAGES]))
    for path in NOTEBOOKS:
        if path.stem in LATER:
            names = named("\n".join(chapter(path)))
            cited.update(*names.values())
    assert set(BIB) - cited == set()


@pytest.mark.parametrize("key", BIB)
def test_an_entry_is_whole(key):
    entry = BIB[key]
    assert {"title", "year"} <= set(entry.fields)
    assert key.startswith(first_author(key) + entry.fields["year"])
    url = entry.fields.get("url", "")
    assert ARXIV.fullmatch(url) or "arxiv" not in url.lower()
    said = re.search(r"arXiv:(\S+)", entry.fields.get("journal", ""))
    assert not said or url.endswith(f"/{said[1]}")
    eprint = entry.fields.get("eprint")
    assert not eprint or url.endswith(f"/{eprint}")


@pytest.mark.parametrize(
    "text, wrong",
    [
        ("as Nobody and Noone 2001 say", ["not in references.bib"]),
        ("Nobody et al. (2001)", ["not in references.bib"]),
        ("Vaswani\net al. 2017", ["#vaswani2017"]),
        ("Gage 1994, and in Russia 1994", ["#gage1994"]),
        ("In 2017, Chapter 2017", []),
    ],
)
def test_a_paper_without_a_link_is_found(text, wrong):
    found = unlinked(text, set())
    assert len(found) == len(wrong), found
    assert all(part in line for part, line in zip(wrong, found, strict=True))
