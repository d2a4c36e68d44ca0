"""`python -m minigpt share`: a model as one HTML file, to send to a friend."""

import base64
import hashlib
import json
import tempfile
from html import escape
from pathlib import Path

import torch

from minigpt.files import atomic_write
from minigpt.run import bundle
from minigpt.run.card import OWN, Card
from minigpt.run.checkpoint import naming, open_model, save_model
from minigpt.run.models import find_folder, gpt2_folder, load_model
from minigpt.run.options import Share
from minigpt.tokenizer import BPETokenizer, CharTokenizer

LARGEST = 16_000_000  # parameters: a page of 22 MB, which mail still takes
HERE = bundle.BOOK / "share"
SCRIPT = [
    bundle.VIZ / "common.js",
    bundle.VIZ / "live_curve.js",
    HERE / "share.js",
]
STYLE = [bundle.VIZ / "live_curve.css", HERE / "share.css"]
ICON = bundle.BOOK / "theme" / "files" / "favicon.svg"
PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="{icon}">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<header>
<h1 dir="auto">{title}</h1>
<p class="share-lead">A small GPT that was trained from scratch on
<bdi>{text}</bdi>. It runs inside this page, and nothing you type leaves your
machine.</p>
{facts}</header>
<section aria-label="Let it write">
<div class="mg-playground" data-static="" data-version="" data-models="{models}">
<p>The model needs JavaScript. If you see this in a preview, save the file and
open it in a browser.</p></div>
</section>
<div class="share-two">
<div>
{curve}{counting}</div>
<div>
<section><h2>Model card</h2>
{card}</section>
{exercises}</div>
</div>
<footer>Made with <code>python -m minigpt share</code>, a command of the
course “Build a GPT from scratch”. The page is complete: it loads nothing and
sends nothing.</footer>
</main>
{scripts}</body>
</html>
"""


def write_page(options: Share) -> int:
    """`python -m minigpt share`.

    Raises ValueError where there is no model or the page cannot hold it.
    """
    out = options.out or Path(f"{options.source.resolve().name}.html")
    check_place(out)
    page = page_of(options).encode("utf-8", "replace")
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(out) as file:
        file.write(page)
    print(f"{len(page) / 1e6:.2f} MB  {out}")
    return 0


def check_place(out: Path) -> None:
    """Raises ValueError for a file that is no page, or without the course."""
    if out.suffix.lower() not in (".html", ".htm") or out.is_dir():
        raise ValueError(f"--out must be a file that ends in .html, got {out}")
    if not bundle.PLAYGROUND.is_dir():
        raise ValueError(
            f"the page's scripts are not in {bundle.PLAYGROUND}: share works "
            "in the folder of the course, installed as its README.md says"
        )


def page_of(options: Share) -> str:
    """The whole page. Raises ValueError for a model that it cannot hold."""
    folder = find_folder(options.source)
    model, tokenizer = open_shareable(folder)
    passed = exercises(folder) if options.exercises else ""
    title = options.title or folder.resolve().name
    with naming(folder):
        card = Card(folder, model, tokenizer)
        return page_with(title, card, passed)


def page_with(title: str, card: Card, passed: str) -> str:
    """A page about a model; `passed` is HTML about exercises."""
    small, error = rounded(card.model, card.sample)
    files = {
        "tokenizer.json": (card.folder / "tokenizer.json").read_bytes(),
        "model.safetensors": small,
    }
    known = {
        "name": "shared",
        "label": title,
        "about": "",
        "files": [bundle.facts(*file) for file in files.items()],
        "examples": card.examples,
    }
    scripts = [
        "".join(
            bundle.on_disk(f"shared/{name}", base64.b64encode(data).decode())
            for name, data in files.items()
        )
        + bundle.on_disk("worker.js", bundle.script("worker.js")),
        bundle.script("page.js"),
        bundle.joined(SCRIPT),
    ]
    style = palette() + bundle.script("page.css") + bundle.joined(STYLE)
    rounding = (
        f"int8, {len(small) / 1e6:.2f} MB; rounding changed no logit by more "
        f"than {above(error)} on {len(card.sample):,} tokens"
    )
    return PAGE.format(
        policy=policy(scripts, style),
        icon=data_address("image/svg+xml", ICON.read_bytes()),
        title=escape(title),
        style=style,
        text=escape(card.text),
        facts=terms("share-facts", card.numbers()),
        models=escape(json.dumps([known])),
        curve=section("How it learned", curve(card)),
        counting=section("Beside counting", counting(card)),
        card=terms("share-card", [*card.rows(), ("weights here", rounding)]),
        exercises=section("Exercises", passed),
        scripts="".join(f"<script>{text}</script>\n" for text in scripts),
    )


# --- the model ---------------------------------------------------------------


def open_shareable(folder: Path):
    """-> model and tokenizer, of a run or an exported model.

    Raises ValueError where there is none that a page can hold and compute.
    """
    if folder == gpt2_folder() or (folder / "config.json").exists():
        raise ValueError(
            "share takes the folder of a run or of an exported model; GPT-2 "
            "is too large for a page to send"
        )
    model, tokenizer = load_model(folder)
    n_weights = sum(p.numel() for p in model.parameters())
    if n_weights > LARGEST:
        raise ValueError(
            f"the model has {n_weights:,} parameters, and a page to send holds "
            f"at most {LARGEST:,}"
        )
    if not isinstance(tokenizer, CharTokenizer | BPETokenizer):
        raise ValueError(
            "share takes models of characters or of byte-pair encoding, got "
            f"{type(tokenizer).__name__}"
        )
    return model, tokenizer


@torch.no_grad()
def rounded(model, ids) -> tuple[bytes, float]:
    """The model's file in int8, and the most that it changes a logit of ids."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "model.safetensors"
        save_model(path, model, bits=8)
        small, data = open_model(path)[0], path.read_bytes()
    change = 0.0
    for window in ids.split(model.config.block_size):
        difference = model(window[None]) - small(window[None])
        change = max(change, difference.abs().max().item())
    return data, change


def above(x: float) -> str:
    """A number rounded up, to two digits that count."""
    digits = f"{x * 1.05:.1e}"
    return f"{float(digits):.2g}" if x else "0"


def exercises(folder: Path) -> str:
    """A table of the exercises passed in a learner's copy of the course.

    Raises ValueError where neither the run nor the current folder is in one.
    """
    from minigpt.course import edition
    from minigpt.course.notebooks import read
    from minigpt.course.progress import load_progress, standing

    mine = edition.find_edition(folder) or edition.the_edition()
    progress, rows = load_progress(mine), []
    passed = every = 0
    for path in edition.notebooks(mine):
        nb = read(path)
        states = list(standing(nb, progress).values())
        n = states.count("passed")
        if n:
            name = nb.cells[0].source.splitlines()[0].lstrip("# ")
            rows.append((name, n / len(states), f"{n} of {len(states)}"))
        passed, every = passed + n, every + len(states)
    return (
        bars(f"{passed} of {every} exercises of the course are passed.", rows)
        + '<p class="share-note">Self-declared: this comes from a file on the '
        "computer of the person who made this page, and nobody has checked "
        "it.</p>\n"
    )


# --- HTML --------------------------------------------------------------------


def curve(card: Card) -> str:
    """The training curve; book/share/share.js draws it."""
    found = card.curve()
    if not found:
        return ""
    state, sentence = found
    return f'<div data-curve="{escape(state)}">{escape(sentence)}</div>\n'


def counting(card: Card) -> str:
    """The model's bits per character beside those of n-grams."""
    rows = card.counting()
    if not rows:
        return ""
    most = rows[0][1]
    return bars(
        "Bits per character of held-out text: less is better. A table of "
        "n-grams counts which character follows the n − 1 before it.",
        [(name, x / most, f"{x:.2f}") for name, x in rows],
        own=OWN,
    )


def section(title: str, content: str) -> str:
    """A part of the page; "" without content."""
    if not content:
        return ""
    return f"<section><h2>{escape(title)}</h2>\n{content}</section>\n"


def terms(kind: str, rows: list[tuple[str, str]]) -> str:
    """Names and values as a list of terms."""
    return f'<dl class="{kind}">\n' + "".join(
        f"<div><dt>{escape(name)}</dt><dd><bdi>{escape(value)}</bdi></dd>"
        "</div>\n"
        for name, value in rows
    ) + "</dl>\n"  # fmt: skip


def bars(caption: str, rows, own: str | None = None) -> str:
    """(name, share, number) -> a table with a bar in each row."""
    body = "".join(
        f"<tr{' class=share-own' if name == own else ''}>"
        f'<th scope="row"><bdi>{escape(name)}</bdi></th><td><svg '
        'viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{100 * share:.2f}" height="8"/></svg></td>'
        f"<td>{escape(number)}</td></tr>\n"
        for name, share, number in rows
    )
    return (
        f'<table class="share-bars">\n<caption>{escape(caption)}</caption>\n'
        f"<tbody>\n{body}</tbody>\n</table>\n"
    )


def palette() -> str:
    """The colors of the course's figures, as the widgets name them."""
    from minigpt.viz.style import palette as colors  # takes a second

    named = "".join(f"--mg-{name}: {color};" for name, color in colors.items())
    return f":root {{ {named} }}\n"


def data_address(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def policy(scripts: list[str], style: str) -> str:
    """What the page may do: run its own scripts and worker, load nothing."""

    def sources(*texts):
        return " ".join(
            f"'sha256-{base64.b64encode(hashlib.sha256(t.encode()).digest()).decode()}'"
            for t in texts
        )

    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {sources(*scripts)}",
            f"style-src {sources(style)}",
            "img-src data:",
            "worker-src blob:",
            "form-action 'none'",
            "base-uri 'none'",
        ]
    )
