"""Figures and widgets in the document tree, just before it becomes HTML."""

import html
import re

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

from .notebooks import VIEW

logger = logging.getLogger(__name__)

WIDE = 650  # pixels: more are several panels, too small on a phone


class FigureText(SphinxPostTransform):
    """Give each figure the alt text that stands beside it as text/plain."""

    default_priority = 3  # before myst-nb keeps one form of each output

    def run(self, **kwargs):
        for bundle in self.document.findall(is_bundle):
            forms = {part["mime_type"]: part for part in bundle.children}
            words = forms.get("text/plain")
            alt = words.astext().strip() if words else ""
            for mime, part in forms.items():
                if mime.startswith("image/"):
                    self.describe(part[0], alt)

    def describe(self, image, alt):
        if not alt or alt.startswith("<"):
            logger.warning(
                "figure without alt text: draw it with minigpt.viz.show",
                location=image,
            )
        image["alt"] = alt
        image["loading"] = "lazy"
        image["classes"].append("mg-figure")


class PrintedText(SphinxPostTransform):
    """Let sentences and long lists wrap; a table keeps its columns."""

    default_priority = 20  # after myst-nb has chosen the forms

    def run(self, **kwargs):
        for block in self.document.findall(nodes.literal_block):
            if "output" in block["classes"]:
                block["classes"] += flow(block.astext())


def flow(text):
    """Whether lines may wrap: anywhere, only behind 80 letters, or not."""
    lines = text.splitlines()
    wide = max(map(len, lines), default=0) > 80
    if sum(bool(re.search(r"\S {2,}\S|\t", line)) for line in lines) > 1:
        return ["mg-flow", "mg-columns"] if wide else []
    indented = any(line.startswith(" ") for line in lines)
    return [] if indented and not wide else ["mg-flow"]


def is_bundle(node):
    return (
        isinstance(node, nodes.container)
        and node.get("nb_element") == "mime_bundle"
    )


class WidgetFrame(SphinxPostTransform):
    """Put a widget's view and the stand-in before it into one container."""

    default_priority = 20  # after myst-nb has chosen the forms

    def run(self, **kwargs):
        start = f'<script type="{VIEW}">'
        for view in list(self.document.findall(nodes.raw)):
            if view.astext().startswith(start):
                frame(view)


def frame(view):
    parent = view.parent
    place = parent.index(view)
    box = nodes.container(classes=["mg-widget"])
    if place > 0:
        inner = nodes.container(classes=["mg-standin"])
        stand_in = parent[place - 1]
        parent.remove(stand_in)
        inner.append(stand_in)
        box.append(inner)
    view.replace_self(box)
    box.append(view)


def visit_image(translator, node):
    """An <img> with width and height, so nothing jumps while it loads."""
    if "mg-figure" not in node["classes"] or "width" not in node:
        HTML5Translator.visit_image(translator, node)
        return
    name = translator.builder.images.get(node["uri"])
    source = f"{translator.builder.imgpath}/{name}" if name else node["uri"]
    width = int(str(node["width"]).removesuffix("px"))
    wide = f' mg-wide" style="--mg-width: {width}px' if width > WIDE else ""
    translator.body.append(
        f'<img class="mg-figure{wide}" src="{html.escape(source)}"'
        f' alt="{html.escape(node["alt"])}" loading="lazy" decoding="async"'
        f' width="{node["width"]}" height="{node["height"]}">\n'
    )


def depart_image(translator, node):
    """Nothing is left open."""


def setup(app):
    app.add_post_transform(FigureText)
    app.add_post_transform(PrintedText)
    app.add_post_transform(WidgetFrame)
    app.add_node(nodes.image, override=True, html=(visit_image, depart_image))
