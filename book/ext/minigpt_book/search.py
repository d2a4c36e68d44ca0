"""The texts that search results quote, as one script for the search page."""

import json
from pathlib import Path

from bs4 import BeautifulSoup

FILE = "_static/mg-texts.js"
NOT_TEXT = ".headerlink, script, style, math, .highlight, .mg-widget, .mg-foot"


def text_of(path):
    """What a page says, without its furniture."""
    html = BeautifulSoup(path.read_bytes(), "html.parser")
    article = html.select_one("article.bd-article")
    for part in article.select(NOT_TEXT):
        part.decompose()
    return " ".join(article.text.split())


def on_finished(app, error):
    if error or app.builder.format != "html":
        return
    uris = map(app.builder.get_target_uri, sorted(app.env.all_docs))
    out = Path(app.outdir)
    texts = {uri: text_of(out / uri) for uri in uris}
    (out / FILE).write_text(
        f"window.mgTexts = {json.dumps(texts, ensure_ascii=False)};\n",
        encoding="utf-8",
    )


def setup(app):
    app.connect("build-finished", on_finished)
