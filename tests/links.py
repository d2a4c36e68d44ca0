"""The addresses outside that the course links to, and whether they answer.

python tests/links.py            lists them, with where each stands
python tests/links.py --check    asks each, politely, and lists the dead
"""

import itertools
import re
import sys
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from prose import NOTEBOOKS, PAGES, ROOT, cells, name, paragraphs, read
from pybtex.database import parse_file

AGENT = "minigpt-link-check/1 (a course's test; asks each page once)"
NO_HEAD = {403, 404, 405, 429, 500, 501, 503}  # a GET may fare better
SHY = {401, 403, 429}  # someone is there, and does not speak with programs


def addresses() -> dict[str, list[str]]:
    """Each address outside, with the places where it is linked."""
    found = defaultdict(list)
    for path in PAGES:
        for url in outside(read(path)):
            found[url].append(name(path))
    for path in NOTEBOOKS:
        for place, source in cells(path, "markdown"):
            for url in outside(source):
                found[url].append(place)
    bib = parse_file(ROOT / "book" / "references.bib", bib_format="bibtex")
    for key, entry in bib.entries.items():
        if "url" in entry.fields:
            found[entry.fields["url"]].append(f"references.bib, {key}")
    cited = read(ROOT / "CITATION.cff")
    for url in re.findall(r"^\s*(?:url|doi): [\"']?(\S+?)[\"']?$", cited, re.M):
        found[url].append("CITATION.cff")
    return dict(sorted(found.items()))


def outside(text: str) -> list[str]:
    """Where the links of some Markdown lead, if it is outside."""
    links = [p.href for _, pieces in paragraphs(text) for p in pieces]
    return [link for link in links if urlsplit(link).netloc]


class Answer(NamedTuple):
    """What came back: `state` is alive, moved, shy or dead."""

    url: str
    state: str
    note: str = ""


def ask(url: str, timeout: float, method: str) -> Answer:
    """One request; redirects are followed."""
    request = Request(url, headers={"User-Agent": AGENT}, method=method)
    try:
        with urlopen(request, timeout=timeout) as answer:
            if answer.url != url:
                return Answer(url, "moved", f"to {answer.url}")
            return Answer(url, "alive")
    except HTTPError as error:
        if method == "HEAD" and error.code in NO_HEAD:
            return ask(url, timeout, "GET")
        state = "shy" if error.code in SHY else "dead"
        return Answer(url, state, f"{error.code} {error.reason}")
    except (URLError, OSError, ValueError) as error:
        return Answer(url, "dead", str(getattr(error, "reason", error)))


def check(urls, timeout=20.0, pause=1.0) -> list[Answer]:
    """Ask every address: each host one question at a time, the dead twice."""

    def ask_host(group):
        answers = []
        for url in group:
            answer = ask(url, timeout, "HEAD")
            if answer.state == "dead":
                time.sleep(2 * pause)
                answer = ask(url, timeout, "GET")
            answers.append(answer)
            time.sleep(pause)
        return answers

    def host(url):
        return urlsplit(url).netloc

    groups = [
        list(g) for _, g in itertools.groupby(sorted(urls, key=host), host)
    ]
    with ThreadPoolExecutor(max_workers=8) as pool:
        return sorted(itertools.chain(*pool.map(ask_host, groups)))


def report(answers, places) -> str:
    """A line for each answer that is not plainly alive."""
    return "\n".join(
        f"{a.state}: {a.url} ({a.note}), linked from {places[a.url][0]}"
        for a in answers
        if a.state != "alive"
    )


if __name__ == "__main__":
    listed = addresses()
    if "--check" in sys.argv:
        print(report(check(listed), listed) or "all alive")
    else:
        for url, places in listed.items():
            print(url, *places, sep="\n    ")
