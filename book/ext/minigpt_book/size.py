"""The size of the built site, said at the end of every build.

The `pages` directive says what benchmarks/pages.py recorded.
"""

import gzip
import json
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.util import logging

logger = logging.getLogger(__name__)
RECORD = Path(__file__).parents[3] / "notebooks" / "results" / "pages.json"
SAID = (
    "Recorded on {date} with {cores} cores: the {count} pages first paint "
    "after {median:.2f} s in the median and {worst:.2f} s at worst "
    "({slowest}); the largest page loads {largest:.0f} KB gzipped ({heaviest})."
    " The site has {files} files: {raw:.1f} MB, {gzipped:.1f} MB gzipped, of "
    "which {weights:.1f} MB are the playground's weights."
)
# loaded only when a reader asks for the model; the scripts, from the disk
WEIGHTS = (".safetensors", ".safetensors.js")


def sizes(site):
    """{path: (bytes, bytes gzipped)} of every file of a built site."""
    return {
        path: (path.stat().st_size, len(gzip.compress(path.read_bytes())))
        for path in sorted(Path(site).rglob("*"))
        if path.is_file()
    }


def totals(site):
    """Files of the site and their megabytes, the weights set apart."""
    found = sizes(site)
    raw, gzipped = (sum(p[i] for p in found.values()) / 1e6 for i in (0, 1))
    weights = sum(p[1] for f, p in found.items() if f.name.endswith(WEIGHTS))
    return {
        "files": len(found),
        "raw": round(raw, 2),
        "gzipped": round(gzipped, 2),
        "weights": round(weights / 1e6, 2),
    }


def summary(site):
    return (
        "{files} files, {raw:.1f} MB; {gzipped:.1f} MB gzipped, of which "
        "{weights:.1f} MB are the playground's weights"
    ).format(**totals(site))


def on_finished(app, error):
    if not error and app.builder.format == "html":
        logger.info("size of the site: %s", summary(app.outdir))


class Pages(Directive):
    """`{pages}`: size and speed of the pages, as last recorded."""

    def run(self):
        self.state.document.settings.env.note_dependency(str(RECORD))
        if not RECORD.is_file():
            return []
        record = json.loads(RECORD.read_text(encoding="utf-8"))
        words = SAID.format(**record["said"], **record["site"])
        return [nodes.paragraph(words, words)]


def setup(app):
    app.add_directive("pages", Pages)
    app.connect("build-finished", on_finished, priority=990)
