"""The recorded example of the playground, shown before a model is loaded.

    python benchmarks/example.py

lets the worker of the playground continue a text in headless Chromium, with
the settings that the playground starts with, and writes
book/playground/recorded.js: the tokens, and for each of them what it reads
(the mean of all heads) and the likeliest next tokens. Run it again when the
first model of the playground changes.
"""

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import tyro
from common import open_browser, serve

from minigpt.tokenizer import BPETokenizer

ROOT = Path(__file__).parents[1]
OUT = ROOT / "book" / "playground" / "recorded.js"
sys.path.append(str(ROOT / "book" / "ext"))

# One token at a time; before each, what the page would show.
WATCH = """([files, text, seed, n]) => new Promise((done, fail) => {
  const worker = new Worker("worker.js");
  const knobs = { t: 0.7, k: Infinity, p: 0.9, m: 0, penalty: 1 };
  const seen = [];
  const send = (message) => worker.postMessage({ serial: 1, text, knobs,
    ...message });
  worker.onmessage = ({ data }) => {
    if (data.say === "failed") fail(new Error(data.why));
    if (data.say === "ready") send({ do: "look", most: 40 });
    if (data.say === "state") {
      const { shape: [L, H, T], data: { buffer } } = data.maps;
      const all = new Float32Array(buffer);
      const size = (T * (T + 1)) / 2;
      const read = Array.from({ length: T }, (_, s) => {
        let sum = 0;
        for (let i = 1; i <= L * H; i += 1) sum += all[i * size - T + s];
        return sum / (L * H);
      });
      const next = data.lines.filter((line) => line.after > 0).sort(
        (a, b) => b.after - a.after).slice(0, 5).map(
        (line) => [line.id, line.after]);
      seen.push({ ids: data.ids, read, next });
      if (seen.length > n) {
        worker.terminate();
        done(seen);
      } else send({ do: "write", n: 1, seed });
    }
    if (data.say === "done") send({ do: "look", most: 40 });
  };
  worker.postMessage({ do: "load", files });
})"""


@dataclass(frozen=True)
class Options:
    """What is written."""

    text: str = "I ask the Congress to"
    seed: int = 2
    """The seed, as in the page."""
    tokens: int = 45
    """How many tokens are written."""
    dry: bool = False
    """Print the text and write no file."""


def watch(options, folder):
    """What the worker says about the text, before each new token."""
    from minigpt_book import playground
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as site, sync_playwright() as api:
        playground.write(Path(site), [folder])
        html = playground.page_html([folder])
        (Path(site) / "page.html").write_text(html, encoding="utf-8")
        address = serve(Path(site))
        (model,) = playground.models([folder])
        files = [
            file | {"url": f"{address}/{model['name']}/{file['name']}"}
            for file in model["files"]
        ]
        browser = open_browser(api)
        page = browser.new_page()
        page.goto(f"{address}/page.html")
        said = [files, options.text, options.seed, options.tokens]
        seen = page.evaluate(WATCH, said)
        browser.close()
    return model, seen


def record(options, model, seen, tokenizer):
    """The same, as small as the page needs it."""
    ids = seen[-1]["ids"]
    return {
        "model": model["name"],
        "sha256": model["files"][1]["sha256"],
        "seed": options.seed,
        "own": len(seen[0]["ids"]),
        "tokens": [tokenizer.decode([i]) for i in ids],
        "steps": [
            {
                "read": [round(255 * w) for w in step["read"]],
                "next": [
                    [tokenizer.decode([i]), round(1000 * p)]
                    for i, p in step["next"]
                ],
            }
            for step in seen
        ],
    }


def main(options):
    from minigpt_book import playground

    folder = playground.shipped()[0]
    tokenizer = BPETokenizer.load(folder / "tokenizer.json")
    model, seen = watch(options, folder)
    print(tokenizer.decode(seen[-1]["ids"]))
    if options.dry:
        return
    found = record(options, model, seen, tokenizer)
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    code = (
        f"// Recorded by benchmarks/example.py.\nconst PG_RECORDED = {text};\n"
    )
    OUT.write_text(code, encoding="utf-8")
    print(f"{OUT.name}: {len(code.encode()):,} bytes")


if __name__ == "__main__":
    main(tyro.cli(Options))
