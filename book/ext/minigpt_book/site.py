"""What a page loads: the theme's own scripts and styles, made small.

Scripts and styles of others are taken from the installed packages while the
book is built; nothing of theirs is kept in the repository, nothing is loaded
from another host.
"""

import re
import shutil
from pathlib import Path

THEME = Path(__file__).parents[2] / "theme"
BIBLIOGRAPHY = "book/bibliography"

# Parts of the theme that pages never use: an icon font with 2,000 icons (the
# few that pages show are drawn in minigpt.css), maps for debuggers, locales.
UNUSED = (
    "vendor",
    "locales",
    "scripts/fontawesome.js",
    "scripts/fontawesome.js.LICENSE.txt",
    "images",
    "webpack-macros.html",
    "sbt-webpack-macros.html",
)
ICON_RULE = re.compile(
    r'(?:\.fa-[\w-]+:{1,2}before,?)+\{content:"[^"]*"\}|@font-face\{[^}]*\}'
)


def on_config(app, config):
    """Show the theme where this book's files and templates are."""
    config.html_static_path.append(str(THEME / "files"))
    config.templates_path.append(str(THEME / "templates"))


def on_page(app, pagename, templatename, context, doctree):
    """Load the widget host only where there is a widget."""
    body = context.get("body") or ""
    if "mg-widget" in body:
        app.add_js_file("host.js", loading_method="defer")
    # Sphinx calls the bibliography a list, but its entries no list items.
    if body:
        context["body"] = body.replace('role="list" class="citation-list"', "")


def on_doctree(app, doctree):
    """Let `bibliography.md#key` be a link for every key, as for headings."""
    if app.env.docname != BIBLIOGRAPHY or "cite" not in app.env.domains:
        return
    slugs = app.env.metadata[BIBLIOGRAPHY].setdefault("myst_slugs", {})
    for key in app.env.get_domain("cite").bibdata.data.entries:
        slugs[key.lower()] = (0, key.lower(), key)


def on_finished(app, error):
    """Drop from the built site what no page uses."""
    if error or app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    for name in UNUSED:
        path = static / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for path in static.rglob("*.map"):
        path.unlink()
    for path in static.rglob("*.js"):
        drop_map_comment(path)
    css = static / "styles" / "pydata-sphinx-theme.css"
    css.write_text(
        drop_map(ICON_RULE.sub("", css.read_text(encoding="utf-8"))),
        encoding="utf-8",
    )


def drop_map_comment(path):
    text = path.read_text(encoding="utf-8")
    if "sourceMappingURL" in text:
        path.write_text(drop_map(text), encoding="utf-8")


def drop_map(text):
    """Without the pointer to a map that is not there."""
    return re.sub(r"(//|/\*)# sourceMappingURL=\S+(\s*\*/)?", "", text)


def setup(app):
    # Jupyter Book always sets it, for an extension that this book leaves out.
    app.add_config_value("comments_config", {}, "html", [dict])
    app.connect("config-inited", on_config, priority=400)
    app.connect("html-page-context", on_page)
    app.connect("doctree-read", on_doctree)
    app.connect("build-finished", on_finished, priority=900)
