"""The `machine` directive: the whole computation of one sentence, as a page.

The scripts in book/machine become one file for the page; one more is a part
of the playground's worker, which loads the model. The page shows a recorded
sentence first (benchmarks/machine.py), and lines of the chapters' code, which
are read from the package while the book is built.
"""

import ast
import html
import json
import re
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.util.osutil import relative_uri

from minigpt.run import bundle
from minigpt.run.bundle import BOOK, PACKAGE, PLAYGROUND, VIZ

from . import playground as play
from .policy import META

HERE = BOOK / "machine"
RECORD = HERE / "record.json"
NOTEBOOKS = Path(__file__).parents[3] / "notebooks"
PARTS = [
    VIZ / "common.js",
    PLAYGROUND / "tokenizer.js",
    PLAYGROUND / "model.js",
    PLAYGROUND / "start.js",
    *(
        HERE / f"{name}.js"
        for name in (
            "sums", "record", "engine", "address", "overview", "block",
            "matrix", "cell", "tour", "page",
        )
    ),
]  # fmt: skip
STYLES = [VIZ / "common.css", HERE / "page.css"]

# What the page can ask for: a chapter, a module, a function of it, and how the
# lines begin that are shown.
CODE = {
    "scores": (
        "04_attention", "attention", "attention_weights",
        ["scores = q @", "scores = scores.masked_fill", "return scores"],
    ),
    "blend": (
        "04_attention", "attention", "attention",
        ["weights = attention_weights", "return weights @ v"],
    ),
    "heads": (
        "06_multihead", "multihead", "MultiHeadAttention.heads",
        ["parts = self.qkv", "return tuple(split_heads"],
    ),
    "grouped": (
        "15_modern", "modern", "GroupedQueryAttention.heads",
        ["q, k, v = self.qkv", "q, k = self.norm_q", "q = rotate"],
    ),
    "proj": (
        "06_multihead", "multihead", "MultiHeadAttention.forward",
        ["y = self.proj(join_heads(y))", "return self.dropout(y)"],
    ),
    "mlp": (
        "07_block", "block", "MLP.forward",
        ["hidden = self.activation", "return self.dropout(self.proj"],
    ),
    "swiglu": (
        "15_modern", "modern", "SwiGLU.forward",
        ["gate, value = self.fc", "return self.dropout(self.proj"],
    ),
    "head": (
        "08_gpt", "gpt", "GPT.forward",
        ["x = self.hidden", "return self.head(x)"],
    ),
}  # fmt: skip
TOUR = re.compile(r'chapter: "(\w+)"')


def code(name):
    """{module, chapter, lines}: lines of the package as they are now.

    Raises LookupError where the package no longer has them.
    """
    chapter, module, path, starts = CODE[name]
    text = (PACKAGE / f"{module}.py").read_text(encoding="utf-8")
    found = ast.parse(text)
    for part in path.split("."):
        named = [x for x in found.body if getattr(x, "name", None) == part]
        if not named:
            raise LookupError(f"minigpt/{module}.py has no {path}")
        found = named[0]
    body = text.splitlines()[found.lineno - 1 : found.end_lineno]
    lines = []
    for start in starts:
        fits = [x.strip() for x in body if x.strip().startswith(start)]
        if not fits:
            raise LookupError(f"{path} has no line that begins {start!r}")
        lines.append(fits[0])
    return {"module": f"{module}.py", "chapter": chapter, "lines": lines}


def chapters():
    """The chapters that the page links to: its code and its tour."""
    tour = (HERE / "tour.js").read_text(encoding="utf-8")
    return {x[0] for x in CODE.values()} | {*TOUR.findall(tour)}


def title(chapter):
    return f"chapter {int(chapter[:2])}"


def plain(path):
    """A part; of the model only what has no weights: norms, softmax."""
    text = bundle.plain(path)
    if path.name == "model.js":
        text = text.partition("// --- the parts")[2].partition("\n")[2]
        text = text.partition("// --- one text")[0]
        assert "function gptNorm" in text, "model.js has other parts"
    return text


def script():
    """The page's script: the parts without comments and indentation."""
    text = "\n".join(plain(path) for path in PARTS)
    lines = (line.strip() for line in text.splitlines())
    kept = (line for line in lines if line and not line.startswith("//"))
    return '(() => {\n"use strict";\n' + "\n".join(kept) + "\n})();\n"


def style():
    return "\n".join(path.read_text(encoding="utf-8") for path in STYLES)


def record():
    return json.loads(RECORD.read_text(encoding="utf-8"))


def box(static, link, folders):
    """The HTML of the machine; `link(chapter)` is a chapter's address."""
    known = play.models(folders)
    if not known:
        return f'<div class="mg-machine">{play.NOTHING}</div>\n'
    facts = {
        "static": static,
        "version": play.version(),
        "model": known[0],
        "record": record(),
        "code": {name: code(name) for name in CODE},
        "chapters": {
            name: {"href": link(name), "title": title(name)}
            for name in sorted(chapters())
        },
    }
    text = html.escape(json.dumps(facts, separators=(",", ":")))
    return (
        f'<div class="mg-machine" data-machine="{text}">{play.NO_SCRIPT}'
        "</div>\n"
    )


def write(site):
    """Script and style, into the playground's folder of the site."""
    site.mkdir(parents=True, exist_ok=True)
    (site / "machine.js").write_text(script(), encoding="utf-8")
    (site / "machine.css").write_text(style(), encoding="utf-8")


def page_html(folders):
    """A page with nothing but the machine, for testing it."""
    return (
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8">{META}'
        '<meta name="viewport" content="width=device-width">'
        "<title>machine</title>"
        '<link rel="stylesheet" href="minigpt.css">'
        '<link rel="stylesheet" href="machine.css">'
        f"<main>{box('', '{}.html'.format, folders)}</main>"
        '<script src="machine.js"></script>'
    )


# --- the thumbnail ----------------------------------------------------------

# A chapter's part of the machine, and the place that its thumbnail leads to.
PLACES = {
    "01_tokenizer": ("tokens", "s=1"),
    "04_attention": ("head", "b=3&h=1&q=4&k=1&s=4"),
    "05_position": ("embedding", "s=3"),
    "06_multihead": ("heads", "s=5"),
    "07_block": ("block", "b=3&s=6"),
    "08_gpt": ("all", "s=2"),
    "10_sample": ("output", "s=8"),
    "11_cache": ("lane", "s=9"),
    "12_lens": ("lens", "s=7"),
    "15_modern": ("block", "b=3"),
}
LANES, BANDS, WIDE, HIGH = 5, 4, 30, 22  # of the thumbnail


def thumbnail(part):
    """The overview as a small SVG in which one part is lit."""
    middle = [WIDE * (t + 0.5) for t in range(LANES)]
    level = [HIGH * (BANDS - i) + 14 for i in range(BANDS + 1)]
    last = LANES - 1
    shapes = []

    def draw(lit, shape):
        kind = "mg-lit" if part in ("all", *lit) else "mg-dim"
        shapes.append(f'<g class="{kind}">{shape}</g>')

    for i in range(BANDS):
        for s in range(last):
            curve = (
                f'<path d="M{middle[s]} {level[i] - 4}C{middle[s]} '
                f"{level[i] - 12} {middle[last]} {level[i + 1] + 12} "
                f'{middle[last]} {level[i + 1] + 4}"/>'
            )
            one = ("head",) if (i, s) == (2, 1) else ()
            block = ("block",) if i == 1 else ()
            draw(("heads", "lane", *one, *block), curve)
    for i, y in enumerate(level):
        for t, x in enumerate(middle):
            lit = {0: ("embedding",), 1: ("block",), 2: ("block",)}.get(i, ())
            if t == last:
                lit += ("lane",)
            if i == BANDS:
                lit += ("output",)
            draw(lit, f'<rect x="{x - 6}" y="{y - 4}" width="12" height="8"/>')
            if i:
                lens = ("lens", "output") if i == BANDS else ("lens",)
                draw(lens, f'<path d="M{x - 5} {y - 7}h10"/>')
    for t, x in enumerate(middle):
        lit = ("tokens", "lane") if t == last else ("tokens",)
        draw(lit, f'<path d="M{x - 8} {level[0] + 11}h16"/>')
    width, height = WIDE * LANES, level[0] + 16
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" aria-hidden="true">{"".join(shapes)}</svg>'
    )


def card(docname):
    """HTML for the top of a chapter, or "" where it has no part of its own."""
    chapter = docname.rpartition("/")[2]
    if chapter not in PLACES:
        return ""
    part, place = PLACES[chapter]
    address = f"../book/machine.html#{html.escape(place)}"
    return (
        f'<a class="mg-thumbnail" href="{address}">'
        f"{thumbnail(part)}<span>This chapter in the machine</span></a>"
    )


class machine(nodes.General, nodes.Element):
    """Stands for the box until the page's address is known."""


class Machine(Directive):
    """`{machine}`: no content, no options."""

    def run(self):
        env = self.state.document.settings.env
        modules = {PACKAGE / f"{x[1]}.py" for x in CODE.values()}
        for path in [*PARTS, *STYLES, RECORD, *sorted(modules)]:
            env.note_dependency(str(path))
        return [machine()]


def visit(translator, node):
    builder = translator.builder
    here = builder.get_target_uri(builder.current_docname)

    def link(chapter):
        there = builder.get_target_uri(f"notebooks/{chapter}")
        return relative_uri(here, there)

    static = relative_uri(here, play.FOLDER + "/")
    translator.body.append(box(static, link, play.shipped()))
    raise nodes.SkipNode


def on_page(app, pagename, templatename, context, doctree):
    """Load script and style only where they are needed."""
    if "data-machine=" in (context.get("body") or ""):
        app.add_js_file("playground/machine.js", loading_method="defer")
        app.add_css_file("playground/machine.css")


def on_start(app):
    if app.builder.format == "html":
        write(Path(app.outdir) / play.FOLDER)


def setup(app):
    app.add_node(machine, html=(visit, None))
    app.add_directive("machine", Machine)
    app.connect("html-page-context", on_page)
    app.connect("builder-inited", on_start)
