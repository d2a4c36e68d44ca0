"""Links that lead outside: a sane list, and (with a network) no dead ones.

Links inside the course are tests/test_book.py's.
"""

import http.server
import re
import socket
import threading
from collections import Counter
from urllib.parse import urlsplit

import links
import pytest
from bs4 import BeautifulSoup
from links import Answer, addresses, check, outside, report
from prose import PAGES, name, paragraphs, read

ARXIV = re.compile(r"https://arxiv\.org/abs/\d{4}\.\d{4,5}")
DOI = re.compile(r"https://doi\.org/10\.\d{4,9}/\S+")
TRACKING = re.compile(r"[?&](utm_\w+|fbclid|gclid|ref|source|trk)=", re.I)
REGISTRIES = re.compile(
    r"(pypi|pythonhosted|npmjs|npmmirror|anaconda|conda|crates|debian)\."
)


@pytest.fixture(scope="module")
def listed():
    return addresses()


def one_form(url: str) -> str:
    """The same for addresses that lead to the same page."""
    parts = urlsplit(url)
    host = parts.netloc.lower().removeprefix("www.")
    path = re.sub(r"(/index\.html?|/|\.git)$", "", parts.path)
    return f"{host}{path}?{parts.query}".rstrip("?")


def faults(urls) -> list[str]:
    """What is wrong with addresses, without asking them."""
    wrong = []
    forms = Counter(map(one_form, urls))
    for url in urls:
        host = urlsplit(url).netloc
        rules = {
            "not https": not url.startswith("https://"),
            "written in two ways": forms[one_form(url)] > 1,
            "follows the reader": bool(TRACKING.search(url)),
            "a package registry": bool(REGISTRIES.search(f"{host}.")),
            "no proper arXiv link": "arxiv" in host
            and not ARXIV.fullmatch(url),
            "no proper DOI": "doi.org" in host and not DOI.fullmatch(url),
            "not a whole address": "." not in host or url[-1] in ".,;:",
        }
        wrong += [f"{url}: {fault}" for fault, hit in rules.items() if hit]
    return wrong


def test_the_list_is_sane(listed):
    assert len(listed) > 40
    assert faults(listed) == []


@pytest.mark.parametrize(
    "urls, fault",
    [
        (["http://a.org"], "not https"),
        (["https://a.org/b", "https://www.A.org/b/"], "written in two ways"),
        (["https://a.org/b?utm_source=c"], "follows the reader"),
        (["https://pypi.org/project/a"], "a package registry"),
        (["https://arxiv.org/pdf/1706.03762"], "no proper arXiv link"),
        (["https://arxiv.org/abs/1706.03762v5"], "no proper arXiv link"),
        (["https://doi.org/11.1/x"], "no proper DOI"),
        (["https://a.org/b."], "not a whole address"),
    ],
)
def test_a_fault_is_found(urls, fault):
    assert any(fault in line for line in faults(urls))


def test_good_addresses_have_no_fault():
    assert not faults(
        [
            "https://arxiv.org/abs/1412.6980",
            "https://doi.org/10.1016/S0079-7421(08)60536-8",
            "https://github.com/openai/tiktoken",
        ]
    )


def test_links_of_a_text_are_found():
    text = (
        "[a](https://a.org/x) [b](b.md#c) ![d](https://d.org/e.png)\n\n"
        "| <https://f.org> |\n|---|\n| `https://no.org` |\n\n## [g](//h.org)"
    )
    assert outside(text) == [
        "https://a.org/x",
        "https://d.org/e.png",
        "https://f.org",
        "//h.org",
    ]


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_links_between_files_lead_somewhere(path):
    """Those of the README and its like, which are no pages of the book, too."""
    pieces = [p for _, found in paragraphs(read(path)) for p in found]
    for link in {p.href.split("#")[0] for p in pieces if p.href}:
        here = not urlsplit(link).netloc and not link.startswith("`")
        assert not here or (path.parent / link).exists(), link


def test_every_link_of_the_site_that_leads_outside_is_listed(book, listed):
    """What a reader can click is what is asked."""
    found = set()
    for page in book.rglob("*.html"):
        html = BeautifulSoup(page.read_bytes(), "html.parser")
        found |= {a["href"] for a in html.select("a[href*='://']")}
    made_by = {"sphinx-doc", "pydata", "jupyterbook", "executablebooks"}
    found = {u for u in found if not any(m in u for m in made_by)}
    assert len(found) > 40
    assert found <= set(listed)


# --- the checker itself, against a server on this machine -------------------


class Moody(http.server.BaseHTTPRequestHandler):
    """Answers by the path; /flaky only the second time it is asked by GET."""

    asked, done = Counter(), threading.Event()

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        key = (self.command, self.path)
        self.asked[key] += 1
        if self.path == "/hang":
            self.done.wait(30)
        code = {"/gone": 404, "/broken": 500, "/shy": 403, "/moved": 301}
        code = code.get(self.path, 200)
        if self.path == "/no-head" and self.command == "HEAD":
            code = 405
        if self.path == "/flaky" and self.asked["GET", "/flaky"] < 2:
            code = 503
        if self.path == "/round":
            code = 302
        self.send_response(code)
        if code in (301, 302):
            self.send_header("Location", "/ok" if code == 301 else "/round")
        self.end_headers()

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def moody():
    Moody.asked.clear()
    Moody.done.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Moody)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    Moody.done.set()
    server.shutdown()


def free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]


def test_checker_tells_the_living_from_the_dead(moody):
    paths = "ok moved gone broken shy no-head flaky round hang".split()
    nobody = f"http://127.0.0.1:{free_port()}/"
    urls = [f"{moody}/{path}" for path in paths] + [nobody]
    got = {a.url: a for a in check(urls, timeout=0.5, pause=0)}
    states = {path: got[f"{moody}/{path}"].state for path in paths}
    assert states == {
        "ok": "alive",
        "moved": "moved",
        "gone": "dead",
        "broken": "dead",
        "shy": "shy",
        "no-head": "alive",
        "flaky": "alive",
        "round": "dead",
        "hang": "dead",
    }
    assert got[nobody].state == "dead"
    assert got[f"{moody}/gone"].note.startswith("404")
    assert Moody.asked["HEAD", "/ok"] == 1  # the living are asked once
    assert Moody.asked["GET", "/gone"] == 2  # the dead once more


def test_report_names_address_reason_and_place():
    answers = [Answer("a", "alive"), Answer("b", "dead", "404 Not Found")]
    said = report(answers, {"a": ["x.md"], "b": ["y.md", "z.md"]})
    assert said == "dead: b (404 Not Found), linked from y.md"


@pytest.mark.network
def test_every_address_outside_answers(listed):
    """All dead ones at once; who moved or is shy is printed (pytest -s)."""
    answers = links.check(listed)
    print("\n" + report(answers, listed))
    dead = [a for a in answers if a.state == "dead"]
    if dead:
        pytest.fail(report(dead, listed), pytrace=False)
