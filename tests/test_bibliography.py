"""Every link to the bibliography leads to the paper that it names."""

import re
from pathlib import Path

import nbformat
import pytest
from pybtex.database import parse_file

ROOT = Path(__file__).parents[1]
BIB = parse_file(ROOT / "book" / "references.bib", bib_format="bibtex").entries
LINK = re.compile(r"\[([^`\]]*)\]\((?:\.\./book/)?bibliography\.md#([\w-]+)\)")
PAGES = [
    *ROOT.glob("notebooks/*.ipynb"),
    *ROOT.glob("book/*.md"),
    ROOT / "index.md",
]


def text_of(path):
    """The Markdown of a page or a notebook."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(c.source for c in cells if c.cell_type == "markdown")


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.stem)
def test_links_go_to_the_paper_that_they_name(path):
    for said, key in LINK.findall(text_of(path)):
        assert key in BIB, f"{said}: no entry {key}"
        assert BIB[key].fields["year"] in said


@pytest.mark.parametrize("key", BIB)
def test_the_address_of_an_entry_is_that_of_its_paper(key):
    fields = BIB[key].fields
    said = re.search(r"arXiv:(\S+)", fields.get("journal", ""))
    number = fields.get("eprint") or (said and said[1])
    assert not number or fields["url"].endswith(f"/{number}")
