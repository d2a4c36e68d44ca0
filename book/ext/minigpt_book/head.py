"""What others learn about a page: its description, address and picture.

Search engines and messengers read it. A preview needs whole addresses, so
previews, the canonical address and the sitemap appear only when the book knows
its own address: `html: baseurl:` in _config.yml, or BOOK_ADDRESS in the
environment, which the publishing workflow sets.
"""

import io
import os
import re
import textwrap
from base64 import b64decode
from html import escape
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import matplotlib
import nbformat
from docutils import nodes
from PIL import Image, ImageDraw, ImageFont
from sphinx.util import logging

logger = logging.getLogger(__name__)
THEME = Path(__file__).parents[2] / "theme"
CARDS = "_static/cards"
SIZE = (1200, 630)  # pixels, what messengers show without cutting
LENGTH = 200  # of a description, in characters
LOST = "There is no such page"
WAY = "<p>The chapters are on the left, and the search finds words.</p>"
VIEWPORT = re.compile(r'<meta name="viewport"[^>]*>\s*')


def on_config(app, config):
    """The address of the site, with a slash at its end, or ""."""
    address = os.environ.get("BOOK_ADDRESS", "") or config.html_baseurl
    parts = urlsplit(address)
    if address and (parts.scheme not in ("http", "https") or not parts.netloc):
        logger.warning("the book's address is no http(s):// one: %s", address)
        address = ""
    config.html_baseurl = f"{address.rstrip('/')}/" if address else ""
    config.notfound_urls_prefix = urlsplit(config.html_baseurl).path or "/"
    config.notfound_context = {"title": LOST, "body": f"<h1>{LOST}</h1>{WAY}"}


def description(doctree):
    """The line below the title, or else the first paragraph."""
    quote = next(doctree.findall(nodes.block_quote), None)
    place = doctree if quote is None else quote
    paragraph = next(place.findall(nodes.paragraph), None)
    text = paragraph.astext() if paragraph is not None else ""
    return textwrap.shorten(text, LENGTH, placeholder=" …")


def card_name(pagename):
    return f"{CARDS}/{pagename.replace('/', '-')}.png"


def on_page(app, pagename, templatename, context, doctree):
    """Into the head of each page that has a text."""
    context["metatags"] = VIEWPORT.sub("", context.get("metatags") or "")
    if doctree is None:
        return
    title = app.env.titles[pagename].astext()
    said = description(doctree)
    found = {"description": said}
    address = app.config.html_baseurl
    if address:
        found |= {
            "og:type": "website",
            "og:site_name": app.config.html_title,
            "og:title": title,
            "og:description": said,
            "og:url": urljoin(address, app.builder.get_target_uri(pagename)),
            "og:image": urljoin(address, card_name(pagename)),
            "og:image:width": str(SIZE[0]),
            "og:image:height": str(SIZE[1]),
            "og:image:alt": said,
            "twitter:card": "summary_large_image",
        }
    for name, text in found.items():
        kind = "property" if name.startswith("og:") else "name"
        context["metatags"] += (
            f'<meta {kind}="{name}" content="{escape(text)}">\n'
        )


def figure(source):
    """The richest wide figure of a notebook, or else the README's picture."""
    found = [(THEME / "writing.png").read_bytes()]
    if source.suffix == ".ipynb":
        cells = nbformat.read(source, as_version=4).cells
        outputs = [o for cell in cells for o in cell.get("outputs", ())]
        pngs = [o.get("data", {}).get("image/png") for o in outputs]
        wide = [png for png in map(b64decode, filter(None, pngs)) if fits(png)]
        found = wide or found
    return Image.open(io.BytesIO(max(found, key=len)))


def fits(png):
    width, height = Image.open(io.BytesIO(png)).size
    return width > 1.4 * height


def card(site, title, said, picture):
    """An image of SIZE: title and description above a figure."""
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    image = Image.new("RGB", SIZE, "#ffffff")
    draw = ImageDraw.Draw(image)

    def write(text, y, size, color, width, face="DejaVuSans.ttf"):
        font = ImageFont.truetype(fonts / face, size)
        for line in textwrap.wrap(text, width)[:2]:
            draw.text((60, y), line, fill=color, font=font)
            y += int(1.35 * size)
        return y

    draw.rectangle((0, 0, 16, SIZE[1]), fill="#0072b2")
    y = write(title, 44, 54, "#1f2328", 34, "DejaVuSans-Bold.ttf")
    said = textwrap.shorten(said, 2 * 72, placeholder=" …")
    y = write(said, y + 14, 26, "#57606a", 78) + 20
    picture = picture.convert("RGBA")
    room = (SIZE[0] - 120, SIZE[1] - y - 70)
    factor = min(a / b for a, b in zip(room, picture.size, strict=True))
    picture = picture.resize([max(1, int(factor * x)) for x in picture.size])
    place = (60 + (room[0] - picture.width) // 2, y)
    image.paste(picture, place, picture)
    write(site, SIZE[1] - 52, 24, "#0072b2", 60)
    return image


def on_finished(app, error):
    """Pictures and the sitemap, when the book knows its address."""
    address = app.config.html_baseurl
    if error or app.builder.format != "html" or not address:
        return
    env, out = app.env, Path(app.outdir)
    (out / CARDS).mkdir(parents=True, exist_ok=True)
    for page in sorted(env.all_docs):
        image = card(
            app.config.html_title,
            env.titles[page].astext(),
            description(env.get_doctree(page)),
            figure(Path(env.doc2path(page))),
        )
        image.save(out / card_name(page), optimize=True)
    places = [
        urljoin(address, app.builder.get_target_uri(page))
        for page in sorted(env.all_docs)
    ]
    rows = "".join(f"<url><loc>{escape(x)}</loc></url>\n" for x in places)
    (out / "sitemap.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
        f"{rows}</urlset>\n",
        encoding="utf-8",
    )


def setup(app):
    app.setup_extension("notfound.extension")
    # before the address of a page is made from it
    app.connect("config-inited", on_config, priority=400)
    app.connect("html-page-context", on_page, priority=700)
    app.connect("build-finished", on_finished)
