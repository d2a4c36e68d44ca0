"""A font for formulas, cut down to the signs that the book uses.

Large brackets, sums and roots need a font with a table for mathematics, which
many systems lack. STIX Two Math comes with the package `ziamath`; what the
pages need of it goes into one style sheet of some tens of kilobytes, which
also works where a page may not load font files (file:// in some browsers).
"""

import base64
import html
import importlib.util
import re
from io import BytesIO
from pathlib import Path

from fontTools import subset
from sphinx.util import logging

logger = logging.getLogger(__name__)

FILE = "fonts/STIXTwoMath-Regular.ttf"
FORMULA = re.compile(r"<math.*?</math>", re.DOTALL)
# Beside the letters themselves: what a browser draws for <msqrt>, and accents.
ALWAYS = "".join(map(chr, range(32, 127))) + "√¯ˆ˜‾⏞⏟"
RULE = (
    '@font-face {{ font-family: "STIX Two Math subset"; src: '
    'url("data:font/woff;base64,{data}") format("woff"); }}\n'
    'math {{ font-family: "STIX Two Math subset", math; }}\n'
)


def on_page(app, pagename, templatename, context, doctree):
    """Load the font only where there is a formula."""
    if "<math" in (context.get("body") or ""):
        app.add_css_file("math.css", priority=900)


def on_finished(app, error):
    """Write the style sheet for the formulas of all pages."""
    if error or app.builder.format != "html":
        return
    found = importlib.util.find_spec("ziamath")
    font = found and Path(found.submodule_search_locations[0]) / FILE
    data = b""
    if font and font.exists():
        data = cut(font, characters(Path(app.outdir).rglob("*.html")))
    else:
        logger.warning("formulas have no font: pip install ziamath")
    rule = RULE.format(data=base64.b64encode(data).decode()) if data else ""
    target = Path(app.outdir) / "_static" / "math.css"
    target.write_text(rule, encoding="utf-8")


def characters(pages):
    """Every sign in a formula, with the italics that browsers put for letters.

    `<math><mi>x</mi></math>` -> {"x", "𝑥", …}
    """
    found = set(ALWAYS)
    for page in pages:
        for formula in FORMULA.findall(page.read_text(encoding="utf-8")):
            found |= set(html.unescape(re.sub(r"<[^>]*>", "", formula)))
    return found | {italic(letter) for letter in found}


def italic(letter):
    """`x` -> `𝑥`: how a browser draws a name of one letter."""
    if letter == "h":
        return "\u210e"  # Planck's constant stands where the h would be
    for first, last, start in (
        ("a", "z", 0x1D44E),
        ("A", "Z", 0x1D434),
        ("α", "ω", 0x1D6FC),
        ("Α", "Ω", 0x1D6E2),
    ):
        if first <= letter <= last:
            return chr(start + ord(letter) - ord(first))
    return letter


def cut(font, letters):
    """The bytes of a WOFF font with these letters only."""
    options = subset.Options(
        flavor="woff", hinting=False, layout_features=["ssty", "dtls", "flac"]
    )
    options.name_IDs = [0, 1, 2, 13, 14]  # whose it is, and its licence
    loaded = subset.load_font(str(font), options)
    cutter = subset.Subsetter(options)
    cutter.populate(text="".join(sorted(letters)))
    cutter.subset(loaded)
    narrow_roots(loaded)
    out = BytesIO()
    subset.save_font(loaded, out, options)
    return out.getvalue()


def narrow_roots(font):
    """Make the tall signs of a root as narrow as the small one.

    Chromium leaves room for the widest of them behind every root.
    """
    variants, widths = font["MATH"].table.MathVariants, font["hmtx"]
    root = font.getBestCmap()[ord("√")]
    place = variants.VertGlyphCoverage.glyphs.index(root)
    forms = variants.VertGlyphConstruction[place]
    names = {form.VariantGlyph for form in forms.MathGlyphVariantRecord}
    names |= {part.glyph for part in forms.GlyphAssembly.PartRecords}
    for name in names - {root}:
        outline = font["glyf"][name]
        outline.coordinates.scale((widths[root][0] / widths[name][0], 1))
        outline.recalcBounds(font["glyf"])
        widths[name] = (widths[root][0], outline.xMin)


def setup(app):
    app.connect("html-page-context", on_page)
    app.connect("build-finished", on_finished, priority=800)
