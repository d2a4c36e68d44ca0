"""Tokens per second of the playground: the course's model in a browser.

`python benchmarks/playground.py` opens the playground in headless Chromium,
loads a model, lets it write and prints what the page and its worker took.
"""

import shutil
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import tyro
from common import load_average, open_browser, serve

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "book" / "ext"))

# The worker alone, without a page that draws: what the model can do.
ALONE = """(files) => new Promise((done, fail) => {
  const worker = new Worker("worker.js");
  const knobs = { t: 0.8, k: 50, p: 0.95, m: 0, penalty: 1 };
  const begin = performance.now();
  const found = { load: 0, speeds: [] };
  let serial = 0;
  const again = () => {
    serial += 1;
    worker.postMessage({ do: "write", serial, text: "Fellow citizens",
      n: 200, knobs, seed: found.speeds.length });
  };
  worker.onmessage = ({ data }) => {
    if (data.say === "failed") fail(new Error(data.why));
    if (data.say === "ready") {
      found.load = (performance.now() - begin) / 1000;
      again();
    }
    if (data.say === "done") {
      if (data.count > 20) found.speeds.push(data.count / data.seconds);
      if (found.speeds.length < 5) again();
      else { worker.terminate(); done(found); }
    }
  };
  worker.postMessage({ do: "load", files });
})"""


@dataclass(frozen=True)
class Options:
    """What is measured."""

    model: Path = ROOT / "minigpt" / "assets" / "presidents"
    """A folder with model.safetensors and tokenizer.json."""
    least: float = 0.0
    """Fail below this many tokens per second, of the worker alone."""


def site(folder, model):
    """Write the page, serve it, and return its address."""
    from minigpt_book import playground

    playground.write(folder, [model])
    html = playground.page_html([model])
    (folder / "page.html").write_text(html, encoding="utf-8")
    shutil.copy(ROOT / "book/theme/files/minigpt.css", folder)
    return serve(folder)


def measure(page, address, files):
    """-> seconds to load, tokens per second alone, and with the page."""
    page.set_default_timeout(300_000)
    page.goto(f"{address}/page.html")
    alone = page.evaluate(ALONE, files)
    page.get_by_role("button", name="Load the model").click()
    page.get_by_label("speed").select_option("0")  # all at once
    page.get_by_label("tokens to write").fill("200")
    page.get_by_role("button", name="continue").click()
    said = page.get_by_text("tokens written (").inner_text()
    drawn = int(said.split("(")[1].split()[0])
    return alone["load"], statistics.median(alone["speeds"]), drawn


def main(options):
    from minigpt_book import playground
    from playwright.sync_api import sync_playwright

    if not playground.built(options.model):
        raise SystemExit("needs a model in the given folder")
    (model,) = playground.models([options.model])
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as api:
        address = site(Path(folder), options.model)
        files = [
            file | {"url": f"{address}/{model['name']}/{file['name']}"}
            for file in model["files"]
        ]
        browser = open_browser(api)
        load, alone, drawn = measure(browser.new_page(), address, files)
        browser.close()
    size = sum(file["bytes"] for file in files)
    print(f"{size / 1e6:8.1f} MB loaded in {load:.2f} s")
    print(f"{alone:8.0f} tokens per second, the worker alone (median of 5)")
    print(f"{drawn:8.0f} tokens per second while the page draws them")
    # a busy machine says nothing about speed
    print(f"{load_average():8.1f} load of the machine, the last minute")
    if alone < options.least:
        raise SystemExit(f"slower than {options.least:.0f} tokens per second")


if __name__ == "__main__":
    main(tyro.cli(Options))
