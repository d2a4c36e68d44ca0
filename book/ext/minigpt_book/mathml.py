"""LaTeX to MathML in Python: pages load no mathematics engine.

Browsers draw MathML themselves and screen readers speak it. The LaTeX source
goes along as `alttext`. What cannot be converted is a warning of the build,
never a broken formula on a page.
"""

import html
import itertools
import re
import xml.etree.ElementTree as ET

from latex2mathml.converter import convert_to_element
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)

# Environments that latex2mathml knows under another name only.
ALIASES = {"aligned": "align*", "split": "align*", "gathered": "gather*"}
CLOSING = (")", "]", "}", "⟩", "⌉", "⌋", "|", "‖", "!", "′")
SCRIPTS = ("msub", "msup", "msubsup", "munder", "mover", "munderover")
STYLES = {
    "bold": "font-weight: bold",
    "bold-italic": "font-weight: bold; font-style: italic",
    "italic": "font-style: italic",
    "monospace": "font-family: monospace",
}


class MathError(ValueError):
    """An expression that has no MathML."""


def to_mathml(latex, *, display=False):
    r"""Return MathML markup for a LaTeX expression.

    `x^2` -> `<math …><msup><mi>x</mi><mn>2</mn></msup></math>`

    Raises MathError naming the expression and what is wrong with it.
    """
    source = latex.strip()
    try:
        math = convert_to_element(
            rename(source), display="block" if display else "inline"
        )
    except Exception as error:  # the library raises bare errors of many kinds
        raise MathError(f"{source!r}: {type(error).__name__}") from error
    tidy(math)
    complain(math, source)
    math.set("alttext", " ".join(source.split()))
    return ET.tostring(math, encoding="unicode")


def rename(latex):
    """Put names that latex2mathml knows for those that it does not."""
    for name, known in ALIASES.items():
        latex = re.sub(
            rf"\\(begin|end)\{{{name}\}}",
            lambda m, known=known: f"\\{m[1]}{{{known}}}",
            latex,
        )
    return latex


def tidy(math):
    """Turn what latex2mathml writes into what browsers draw well."""
    for node in math.iter():
        node.text = html.unescape(node.text) if node.text else node.text
        plain_words(node)
        style_table(node)
        join_word(node)
        join_number(node)
        name_operator(node)
        close_up(node)
        style_letters(node)
    for node in math.iter():
        space_functions(node)
        mark_signs(node)


def plain_words(node):
    r"""Show \text{block\_size} without its stroke; … is a letter, : a sign."""
    if node.tag == "mtext" and node.text:
        node.text = re.sub(r"\\([_%&#$])", r"\1", node.text)
    if node.tag == "mo" and node.text in ("…", "⋯"):
        node.tag = "mi"
    if node.tag == "mo" and node.text == ":":  # as in {s : s < t}
        node.attrib.update(lspace="0.278em", rspace="0.278em")


def style_table(node):
    """Leave to minigpt.css what MathML Core no longer says in attributes."""
    if node.tag == "mtable" and node.attrib.pop("columnspacing", None):
        node.attrib.pop("rowspacing", None)
        node.set("class", "mg-aligned")
    if node.tag == "mtd" and node.get("columnalign"):
        node.set("class", f"mg-{node.attrib.pop('columnalign')}")


def join_word(node):
    r"""Make one upright word of the letters of \mathrm{word}."""
    letters = list(node)
    if node.tag != "mrow" or len(letters) < 2:
        return
    if all(c.tag == "mi" and c.get("mathvariant") == "normal" for c in letters):
        word = "".join(html.unescape(c.text or "") for c in letters)
        node.clear()
        node.tag, node.text = "mi", word


def join_number(node):
    """Make one number of 1{,}000."""
    children = list(node)
    for left, comma, right in zip(
        children, children[1:], children[2:], strict=False
    ):
        group = "".join(comma.itertext())
        if (left.tag, comma.tag, right.tag) == ("mn", "mrow", "mn") and (
            html.unescape(group) == ","
        ):
            right.text = f"{left.text},{right.text}"
            node.remove(left)
            node.remove(comma)


def name_operator(node):
    r"""Set \operatorname{softmax} as a name: no gap before its bracket."""
    if node.tag == "mo" and len(node.text or "") > 1 and node.text.isalpha():
        node.tag = "mi"
        node.attrib.pop("movablelimits", None)


def close_up(node):
    """Leave no gaps around signs in indices, nor around infinity: as TeX."""
    if node.tag in SCRIPTS:
        for script in node[1:]:
            for sign in script.iter("mo"):
                sign.attrib.update(lspace="0", rspace="0")
    if node.tag == "mo" and node.text == "∞":
        node.tag = "mi"


def space_functions(node):
    r"""Leave the thin gaps of TeX around \ln and its like, beside letters."""
    if node.tag in (*SCRIPTS, "mfrac", "mroot"):
        return  # the children stand in places, not in a row
    children = list(node)
    for place in range(len(children) - 1, 0, -1):
        pair = children[place - 1 : place + 1]
        named = any(is_name(child) for child in pair)
        if named and not any(c.tag in ("mo", "mspace") for c in pair):
            node.insert(place, ET.Element("mspace", width="0.167em"))


def is_name(node):
    """Whether it is the name of a function, or one with an index."""
    name = node[0] if node.tag in SCRIPTS and len(node) else node
    return name.tag == "mi" and len(name.text or "") > 1


def mark_signs(node):
    """Set the sign of = -1 close to its number: it is no difference."""
    children = list(node)
    for before, sign in itertools.pairwise(children):
        after_operator = before.tag == "mo" and before.text not in CLOSING
        if sign.tag == "mo" and sign.text in "+−-±" and after_operator:
            sign.set("form", "prefix")


def style_letters(node):
    """Browsers know `mathvariant` only as 'normal': use CSS for the others."""
    variant = node.get("mathvariant")
    if variant in STYLES:
        del node.attrib["mathvariant"]
        node.set("style", STYLES[variant])
    if node.tag == "mi" and len(node.text or "") == 1 and not variant:
        if "Α" <= node.text <= "Ω":  # Greek capitals stand upright, as in TeX
            node.set("mathvariant", "normal")


def complain(math, source):
    """Refuse what latex2mathml passed through without understanding it."""
    for node in math.iter():
        text = node.text or ""
        if "\\" in text and node.tag != "mtext":
            raise MathError(f"{source!r}: unknown command {text!r}")
        if text == "&" and r"\&" not in source:
            raise MathError(f"{source!r}: '&' outside an aligned environment")


def convert(translator, node, *, display):
    """MathML for a docutils node, or its source and a warning."""
    latex = node.astext()
    try:
        return to_mathml(latex, display=display)
    except MathError as error:
        logger.warning("mathematics without MathML: %s", error, location=node)
        return f"<code>{translator.encode(latex)}</code>"


def visit_inline(translator, node):
    translator.body.append(convert(translator, node, display=False))
    raise_skip()


def visit_display(translator, node):
    """A centred formula, with its number and a target where it has a label."""
    body = translator.body
    body.append(translator.starttag(node, "div", CLASS="math mg-display"))
    body.append(convert(translator, node, display=True))
    if node["number"]:
        number = get_node_equation_number(translator, node)
        body.append(f'<span class="eqno">({number})')
        translator.add_permalink_ref(node, "Link to this equation")
        body.append("</span>")
    body.append("</div>\n")
    raise_skip()


def raise_skip():
    from docutils.nodes import SkipNode

    raise SkipNode


def setup(app):
    app.add_html_math_renderer(
        "mathml", (visit_inline, None), (visit_display, None)
    )
    app.config.html_math_renderer = "mathml"
