"""Size and speed of every page of the built book, and of the whole site.

`python benchmarks/pages.py` serves _build/html without compression, opens
each page in headless Chromium with an empty cache, and prints what it loads,
when it first paints and how far its content moves. `--record` writes
notebooks/results/pages.json, from which the page on publishing speaks.
"""

import gzip
import os
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro
from common import RESULTS, load_average, open_browser, save, serve, today

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "book" / "ext"))

# Installed before the page begins, so that nothing is missed.
WATCH = """window.moved = 0; new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.moved += entry.value;
}).observe({ type: "layout-shift", buffered: true });"""
SEEN = """() => { const at = (name) =>
    performance.getEntriesByName(name)[0]?.startTime / 1000;
  return { first: at("first-paint"), content: at("first-contentful-paint"),
    moved: window.moved }; }"""
HEAD = (
    f"{'page':28}{'raw KB':>8}{'gzip KB':>9}{'requests':>10}{'paint s':>9}"
    f"{'content s':>11}{'moved':>8}"
)


@dataclass(frozen=True)
class Options:
    """What is measured."""

    site: Path = ROOT / "_build" / "html"
    """The folder of the built book."""
    rounds: int = 3
    """How often each page is opened; times are the median."""
    record: bool = False
    """Write notebooks/results/pages.json."""
    markdown: bool = False
    """Print a table for a summary in Markdown."""
    most: float = 0.0
    """Fail when a page first paints later, in seconds; 0: never."""


def visit(browser, address):
    """One page in a fresh context -> its times and what it loaded."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_init_script(WATCH)
    page = context.new_page()
    loaded = {}
    page.on("response", lambda r: loaded.setdefault(r.url, r))
    page.goto(address)
    page.wait_for_load_state("networkidle")
    times = page.evaluate(SEEN)
    page.locator("img[loading=lazy]").evaluate_all(
        "all => all.forEach((image) => { image.loading = 'eager'; })"
    )
    page.wait_for_load_state("networkidle")
    answers = [r for r in list(loaded.values()) if r.url[:4] == "http"]
    bodies = [answer.body() for answer in answers]
    times["requests"] = len(bodies)
    times["raw"] = sum(map(len, bodies)) / 1000
    times["gzip"] = sum(len(gzip.compress(body)) for body in bodies) / 1000
    context.close()
    return times


def measure(browser, address, rounds):
    """The median of some visits; sizes are those of the last."""
    visits = [visit(browser, address) for _ in range(rounds)]
    medians = {
        name: statistics.median(v[name] for v in visits)
        for name in ("first", "content", "moved")
    }
    return visits[-1] | medians


def row(name, found):
    return (
        f"{name:28}{found['raw']:8.0f}{found['gzip']:9.0f}"
        f"{found['requests']:10d}{found['first']:9.2f}"
        f"{found['content']:11.2f}{found['moved']:8.3f}"
    )


def said(pages):
    """What a record says about all pages together."""
    slowest = max(pages, key=lambda name: pages[name]["first"])
    heaviest = max(pages, key=lambda name: pages[name]["gzip"])
    firsts = [found["first"] for found in pages.values()]
    return {
        "date": today(),
        "cores": os.cpu_count(),
        "count": len(pages),
        "median": round(statistics.median(firsts), 3),
        "worst": round(max(firsts), 3),
        "slowest": slowest,
        "largest": round(pages[heaviest]["gzip"]),
        "heaviest": heaviest,
    }


def measure_all(options):
    """{page: what `measure` found}, each printed as soon as it is known."""
    from playwright.sync_api import sync_playwright

    files = sorted(options.site.rglob("*.html"))
    names = [f.relative_to(options.site).as_posix() for f in files]
    names = [n for n in names if n != "404.html"]  # shown at any address
    if not names:
        raise SystemExit("needs the book: jupyter-book build .")
    address, pages = serve(options.site), {}
    with sync_playwright() as api:
        browser = open_browser(api)
        visit(browser, f"{address}/{names[0]}")  # the browser's own start
        for name in names:
            pages[name] = measure(browser, f"{address}/{name}", options.rounds)
            print(row(name, pages[name]), flush=True)
        browser.close()
    return pages


def main(options):
    from minigpt_book.size import summary, totals

    print("```" if options.markdown else "", HEAD, sep="\n")
    pages = measure_all(options)
    print("```" if options.markdown else "")
    about = said(pages)
    print(
        "first paint {median:.2f} s in the median, {worst:.2f} s at worst"
        " ({slowest}); largest page {largest:.0f} KB gzipped"
        " ({heaviest})".format(**about)
    )
    print(f"site: {summary(options.site)}")
    # a busy machine says nothing about speed
    print(f"load of the machine in the last minute {load_average():.1f}")
    if options.record:
        record = {
            "command": "python benchmarks/pages.py --record",
            "said": about,
            "site": totals(options.site),
            "pages": pages,
        }
        save(RESULTS / "pages.json", record)
    if options.most and about["worst"] > options.most:
        raise SystemExit(f"a page first paints after {options.most:.1f} s")


if __name__ == "__main__":
    main(tyro.cli(Options))
