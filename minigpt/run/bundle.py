"""The playground's scripts and styles, each joined from its parts.

The pages of the book and the page that `python -m minigpt share` writes use
these. They are in the course's folder, beside the package.
"""

import hashlib
import json
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
VIZ = PACKAGE / "viz"
BOOK = PACKAGE.parent / "book"
PLAYGROUND = BOOK / "playground"
PARTS = {
    "worker.js": [
        VIZ / "common.js",
        VIZ / "sampling_dial.js",
        *(
            PLAYGROUND / f"{name}.js"
            for name in ("tokenizer", "model", "load", "worker")
        ),
        *(BOOK / "machine" / f"{name}.js" for name in ("sums", "inside")),
    ],
    "page.js": [
        VIZ / "common.js",
        VIZ / "sampling_dial.js",
        VIZ / "attention_map.js",
        *(
            PLAYGROUND / f"{name}.js"
            for name in (
                "tokenizer",
                "start",
                "recorded",
                "address",
                "stage",
                "views",
                "picture",
                "page",
            )
        ),
    ],
    "page.css": [
        VIZ / "common.css",
        VIZ / "attention_map.css",
        PLAYGROUND / "page.css",
    ],
}
EXPORT = "export default {"  # how a widget's own part begins
USED = {  # widgets that a page draws itself, and under which name
    "attention_map.js": "mgAttentionMap",
    "live_curve.js": "mgLiveCurve",
}


def script(name):
    """The text of one of PARTS, from its parts."""
    return joined(PARTS[name])


def joined(paths):
    """Scripts or style sheets as one; names of a script stay inside it."""
    text = "\n".join(plain(path) for path in paths)
    if paths[0].suffix == ".css":
        return text
    return f'(() => {{\n"use strict";\n{text}\n}})();\n'


def plain(path):
    """A part without its export, which only a module may have."""
    text = path.read_text(encoding="utf-8")
    if path.name in USED:
        before, found, after = text.partition(EXPORT)
        assert found, f"{path} exports nothing"
        return f"{before}const {USED[path.name]} = {{{after}"
    return text.partition(EXPORT)[0]  # of the dial only its sums


def facts(name, data):
    """What the page must know about a file that it loads."""
    digest = hashlib.sha256(data).hexdigest()
    return {"name": name, "bytes": len(data), "sha256": digest}


def on_disk(name, text):
    """`text` as a script that puts it into mgDisk[name] (see start.js)."""
    return f"(self.mgDisk ||= {{}})[{quoted(name)}] = {quoted(text)};\n"


def quoted(text):
    """Text in quotes for a script, also for one in the middle of a page."""
    return json.dumps(text).replace("<", "\\u003c")
