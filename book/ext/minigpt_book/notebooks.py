"""What a notebook shows on its page; the file itself is never changed.

On `source-read` the text that Sphinx is about to parse is replaced:

- `#| export` and other directives, and the marks around solutions, go;
- a cell with a solution is shown twice: with its blanks, and folded whole,
  the exercise's two hints, folded too, between them;
- a cell tagged `solution` or `verdict` is folded;
- a figure gets its size, from its resolution;
- a widget becomes two outputs, its static stand-in and its view, and the
  page gets the state of the widgets it shows, each script text only once;
- links to pages that are planned but not there yet become plain words.
"""

import base64
import html
import json
import re
from io import BytesIO

from PIL import Image
from sphinx.util import logging

from minigpt.course.exercises import Question, find
from minigpt.course.source import HEAD

from .machine import card

logger = logging.getLogger(__name__)

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
MARKS = re.compile(
    r"^[ \t]*(#\|.*|### (BEGIN|END) SOLUTION)[ \t]*\n?", re.MULTILINE
)
BLANK = re.compile(
    r"^([ \t]*)### BEGIN SOLUTION.*?### END SOLUTION", re.MULTILINE | re.DOTALL
)
YOURS = r"\1# … yours to write"
FOLDED = {  # tag: what a reader clicks to open a cell, and to close it
    "solution": ("Show a solution", "Hide the solution"),
    "verdict": ("Commit first, then open the cell and its verdict", "Close"),
}
LINK = re.compile(
    r"\[([^\]]+)\]\((?:[^)\s]*/)?(\w+)\.(?:ipynb|md)(?:#[^)\s]*)?\)"
)


def on_source_read(app, docname, source):
    """Sphinx hook: `source` is a list of one text, replaced in place."""
    planned = set(app.config.minigpt_planned) - {
        name.rsplit("/", 1)[-1] for name in app.env.found_docs
    }
    if not app.env.doc2path(docname).endswith(".ipynb"):
        source[0] = unlink(source[0], planned)
        return
    notebook = json.loads(source[0])
    prepare(notebook, planned, docname)
    place_card(notebook, docname)
    source[0] = json.dumps(notebook)


def prepare(notebook, planned=(), docname=""):
    """Change a parsed notebook into what its page shows."""
    language = {"name": "python", "pygments_lexer": "ipython3"}
    notebook["metadata"].setdefault("language_info", language)
    for cell in notebook["cells"]:
        cell["source"] = text(cell["source"])
    notebook["cells"] = list(with_exercises(notebook["cells"]))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["source"] = MARKS.sub("", cell["source"]).strip("\n")
            fold(cell)
        elif cell["cell_type"] == "markdown":
            cell["source"] = unlink(cell["source"], planned)
    notebook["cells"] = [
        cell for cell in notebook["cells"] if cell["source"] or has_output(cell)
    ]
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            size_figure(output)
    embed_widgets(notebook, docname)
    for n, cell in enumerate(notebook["cells"]):
        cell.setdefault("id", f"page-{n}")  # nbformat asks for one each


def place_card(notebook, docname):
    """Put the machine's thumbnail below a chapter's first words."""
    picture = card(docname)
    if picture:
        notebook["cells"][0]["source"] += f"\n\n{picture}"


def with_exercises(cells):
    """The cells, with folded hints and solutions where they belong."""
    waiting = []
    for cell in cells:
        shown, *whole = blank(cell)
        yield shown
        asked = []
        if cell["cell_type"] == "markdown":
            heads = [(m[1], m[2]) for m in HEAD.finditer(cell["source"])]
            waiting += [id for kind, id in heads if kind == "Exercise"]
            asked = [id for kind, id in heads if kind == "Question"]
        elif whole:
            asked, waiting = waiting, []
        if asked:
            folded = "\n\n".join(map(hints, asked))
            yield {"cell_type": "markdown", "metadata": {}, "source": folded}
        yield from whole


def hints(id):
    """What helps with one exercise or question: <details> without scripts."""
    entry = find(id)
    parts = [(f"Hint {n} for", hint) for n, hint in enumerate(entry.hints, 1)]
    if isinstance(entry, Question):
        parts.append(("Answer to", f"{entry.answer}. {entry.why}"))
    return "\n\n".join(
        f"<details><summary>{what} <code>{id}</code></summary>"
        f"<p>{html.escape(words)}</p></details>"
        for what, words in parts
    )


def blank(cell):
    """A cell with a solution -> it with blanks, then all of it to unfold."""
    if cell["cell_type"] != "code" or not BLANK.search(cell["source"]):
        return [cell]
    shown = {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
        "source": BLANK.sub(YOURS, cell["source"]),
    }
    tags = cell.setdefault("metadata", {}).setdefault("tags", [])
    tags.append("solution")
    return [shown, cell]


def text(source):
    """A cell's source as one string: nbformat allows a list of lines."""
    return source if isinstance(source, str) else "".join(source)


def has_output(cell):
    return bool(cell.get("outputs"))


def unlink(markdown, planned):
    """Leave the words of a link whose chapter is planned but not written."""
    return LINK.sub(lambda m: m[1] if m[2] in planned else m[0], markdown)


def fold(cell):
    """Fold a tagged cell into a <details> that needs no script."""
    metadata = cell.setdefault("metadata", {})
    for tag in FOLDED.keys() & set(metadata.get("tags", [])):
        show, hide = FOLDED[tag]
        metadata["tags"].append("hide-cell")
        metadata.setdefault("mystnb", {}).update(
            code_prompt_show=show, code_prompt_hide=hide
        )


def size_figure(output):
    """Give a PNG the size at which its pixels are sharp (96 dpi = 1)."""
    png = output.get("data", {}).get("image/png")
    if not png:
        return
    image = Image.open(BytesIO(base64.b64decode(text(png))))
    scale = 96 / image.info.get("dpi", (96, 96))[0]
    metadata = output.setdefault("metadata", {}).setdefault("image/png", {})
    for name, pixels in zip(("width", "height"), image.size, strict=True):
        metadata.setdefault(name, round(pixels * scale))


def embed_widgets(notebook, docname=""):
    """Put each widget's stand-in, view and state where the page needs them."""
    widgets = notebook["metadata"].pop("widgets", {})
    states = widgets.get(STATE, {}).get("state", {})
    shown = []
    for cell in notebook["cells"]:
        cell["outputs"] = [
            part
            for output in cell.get("outputs", [])
            for part in split_view(output, shown)
        ]
        if cell["cell_type"] != "code":
            del cell["outputs"]
    for model in shown:
        if "_esm" not in states.get(model, {}).get("state", {}):
            logger.warning(
                "%s: widget %s has no script of its own (a progress bar?)"
                " or no stored state: no page can show it",
                docname,
                model,
            )
    wanted = share_scripts(needed(states, shown))
    if wanted:
        script = script_tag(STATE, {"state": wanted})
        notebook["cells"].append(
            {
                "cell_type": "raw",
                "metadata": {"format": "text/html"},
                "source": script,
            }
        )


def split_view(output, shown):
    """A widget's output -> its stand-in, then its view; others unchanged."""
    data = output.get("data", {})
    if VIEW not in data:
        return [output]
    view = data.pop(VIEW)
    shown.append(view["model_id"])
    tag = {
        "output_type": "display_data",
        "metadata": {},
        "data": {"text/html": script_tag(VIEW, view)},
    }
    return [output, tag] if data else [tag]


def needed(states, shown):
    """The states of the shown widgets and of the models they refer to."""
    found, waiting = {}, [name for name in shown if name in states]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        model = found[name] = states[name]
        # Layouts belong to the notebook's own interface: no page needs them.
        model.get("state", {}).pop("layout", None)
        refers = re.findall(r'"IPY_MODEL_(\w+)"', json.dumps(model["state"]))
        waiting += [other for other in refers if other in states]
    return found


def share_scripts(states):
    """Keep each `_esm` and `_css` text once: others say '=model_id'."""
    first = {}
    for name, model in states.items():
        for key in ("_esm", "_css"):
            value = model["state"].get(key)
            if value:
                owner = first.setdefault((key, value), name)
                if owner != name:
                    model["state"][key] = f"={owner}"
    return states


def script_tag(mime, data):
    """JSON inside a script element, which no text in it can end early."""
    body = json.dumps(data).replace("<", "\\u003c")
    return f'<script type="{mime}">{body}</script>'


def widget_page_html(notebook):
    """A page with nothing but a notebook's widgets, for testing them.

    The same scripts that the book's pages carry, without building the book.
    """
    plain = json.loads(json.dumps(notebook))
    embed_widgets(plain)
    start = f'<script type="{VIEW}">'
    views, state = [], ""
    for cell in plain["cells"]:
        if cell["cell_type"] == "raw" and STATE in cell["source"]:
            state = cell["source"]
        for output in cell.get("outputs", []):
            view = output.get("data", {}).get("text/html", "")
            if view.startswith(start):
                views.append(f'<div class="mg-widget">{view}</div>')
    return (
        '<!DOCTYPE html><html lang="en"><meta charset="utf-8">'
        '<title>widgets</title><link rel="stylesheet" href="minigpt.css">'
        f'<main>{"".join(views)}</main>{state}<script src="host.js"></script>'
    )


def setup(app):
    app.add_config_value("minigpt_planned", [], "env", [list])
    app.connect("source-read", on_source_read)
