"""Where a line of text may end, and where it may not.

A formula stays with the bracket before and the comma behind it, a shape such
as (B, T) stays whole, and long names in tables may break at their dots and
underscores where a screen is narrow, and signatures at their bracket.
"""

import re

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

NO_BREAK = "\u00a0"
# (B, T), (B,), (3, 4, 8); not (A, see below)
SHAPE = re.compile(r"\((?:[A-Z0-9…]{1,2}, )+[A-Z0-9…]{0,2}\)")
# · ★★ · 10 minutes: a line may end behind a dot, but not within 125 · 10
MARK = re.compile(r" (?=· [★\d])|(?<=\d ·) (?=\d)|(?<=\d) (?=minutes?\b)")
MATH = re.compile(
    r"([^\s<>;]{0,30})"
    r'(<math [^>]*display="inline".*?</math>)([^\s<&]*)'
)
TABLE = re.compile(r"<table.*?</table>", re.DOTALL)
NAME = re.compile(r'<span class="pre">[^<]*</span>')
ADDRESS = re.compile(r"(?<=>)https?://[^<\s]*(?=</a>)")


class WholeShapes(SphinxPostTransform):
    """Put spaces at which no line ends into shapes, in text only."""

    default_priority = 30

    def run(self, **kwargs):
        for text in list(self.document.findall(nodes.Text)):
            if isinstance(text.parent, (nodes.literal, nodes.FixedTextElement)):
                continue
            if isinstance(text.parent, (nodes.math, nodes.math_block)):
                continue
            whole = unbroken(text)
            if whole != text:
                text.parent.replace(text, nodes.Text(whole))


def unbroken(text):
    """`of shape (B, T)` -> the same with a space that keeps it on one line."""
    text = SHAPE.sub(lambda m: m[0].replace(" ", NO_BREAK), str(text))
    return MARK.sub(NO_BREAK, text)


def keep(body):
    """Wrap each formula with what stands right before and behind it."""

    def wrap(match):
        before, math, after = match.groups()
        if not before + after:
            return math
        return f'<span class="mg-keep">{before}{math}{after}</span>'

    return MATH.sub(wrap, body)


def breaks(body):
    """Offer a place to break after dots and underscores in tables."""

    def name(match):
        return re.sub(r"(?<=\w)([._])(?=\w)", r"\1<wbr>", match[0])

    return TABLE.sub(lambda table: NAME.sub(name, table[0]), body)


def addresses(body):
    """Offer a place to break after each stroke of an address in the text."""

    def strokes(match):
        return re.sub(r"(?<=\w)/(?=\w)", "/<wbr>", match[0])

    return ADDRESS.sub(strokes, body)


def signatures(body):
    """Offer a place to break before a name and after its bracket."""
    body = body.replace('<span class="sig-name', '<wbr><span class="sig-name')
    bracket = '<span class="sig-paren">(</span>'
    return body.replace(bracket, f"{bracket}<wbr>")


def on_page(app, pagename, templatename, context, doctree):
    body = context.get("body")
    if body:
        context["body"] = addresses(signatures(breaks(keep(body))))


def setup(app):
    app.add_post_transform(WholeShapes)
    app.connect("html-page-context", on_page)
