"""The Markdown of pages and notebooks, paragraph by paragraph."""

import re
from pathlib import Path
from typing import NamedTuple

import nbformat
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.front_matter import front_matter_plugin

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "book").glob("*.md")),
    ROOT / "minigpt" / "assets" / "README.md",
]
MARKDOWN = (
    MarkdownIt("commonmark")
    .enable("table")
    .use(dollarmath_plugin)
    .use(front_matter_plugin)
)
CUT = " … "  # stands for what is no prose: words do not join across it
DIRECTIVE = re.compile(r"\{(admonition|note|tip|important|warning|seealso)\}")


class Piece(NamedTuple):
    """A run of words in one paragraph of Markdown.

    `kind` is "text", "heading", "table", "code" or "alt"; `href` is where the
    words lead, if they are a link.
    """

    kind: str
    text: str
    href: str = ""


def inline(token, kind):
    """The pieces of one paragraph, heading or table cell."""
    href = ""
    for child in token.children:
        if child.type in ("softbreak", "hardbreak"):
            yield Piece(kind, "\n", href)
        elif child.type == "link_open":
            href = child.attrs["href"]
        elif child.type == "link_close":
            href = ""
        elif child.type == "text":
            yield Piece(kind, child.content, href)
        elif child.type == "image":
            yield Piece("alt", child.content, child.attrs["src"])
        elif child.type == "code_inline":
            yield Piece("code", child.content, href)
        elif child.content:  # a formula, HTML
            yield Piece(kind, CUT, href)


def paragraphs(text: str, first: int = 1):
    """(line, its pieces) for each paragraph; `text` begins at line `first`."""
    kinds = ["text"]
    for token in MARKDOWN.parse(text):
        line = first + (token.map[0] if token.map else 0)
        if token.type in ("heading_open", "table_open"):
            kinds.append(token.type.removesuffix("_open"))
        elif token.type in ("heading_close", "table_close"):
            kinds.pop()
        elif token.type == "inline":
            yield line, list(inline(token, kinds[-1]))
        elif token.type == "fence" and DIRECTIVE.match(token.info):
            yield line, [Piece("text", token.info.partition("}")[2])]
            said = re.sub(r"^:\S+:.*$", "", token.content, flags=re.M)
            yield from paragraphs(said, line + 1)
        elif token.type == "html_block":
            yield line, [Piece("text", re.sub("<[^>]*>", CUT, token.content))]


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def cells(path: Path, kind: str):
    """(place, source) of each cell of one kind."""
    nb = nbformat.reads(read(path), as_version=4)
    for number, cell in enumerate(nb.cells, 1):
        if cell.cell_type == kind:
            yield f"{name(path)}, cell {number}", cell.source
