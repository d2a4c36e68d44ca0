"""Fixtures for tests in a real browser: one Chromium, no other host.

`book` builds the book once, `visit` opens a page of it and says what the page
asked for and complained about, `widget_page` is one page with the widgets of
a notebook, without building the book.
"""

import functools
import gzip
import http.server
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from lab import lab, lab_page, stored  # noqa: F401 (fixtures)

ROOT = Path(__file__).parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
# a picture inside a widget only stands in until the widget is alive
EVERY_PLACE = "img:not(.mg-widget img), .mg-widget"
WAITING = ".mg-widget:not([data-state=alive]):not([data-state=failed])"
# What the policy of a page refuses is an error like any other.
REFUSED = """addEventListener("securitypolicyviolation", (e) =>
  console.error("refused", e.effectiveDirective, e.blockedURI));"""
BUILD = "from jupyter_book.cli.main import main; main()"
sys.path.append(str(ROOT / "book" / "ext"))


@pytest.fixture(scope="module")
def one_thread():
    """Models this small lose time with a second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def build_book(out, address="", site=""):
    """Build the book into `out`; a warning of the build is an error.

    `address` is the repository's, `site` the book's own. Returns the folder
    and what was said.
    """
    flags = ["--path-output", str(out), "-W", "-n", "--keep-going"]
    done = subprocess.run(
        [sys.executable, "-c", BUILD, "build", str(ROOT), *flags],
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | {"BOOK_REPOSITORY": address, "BOOK_ADDRESS": site},
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-4000:]
    return out / "_build" / "html", said


@pytest.fixture(scope="session")
def book(tmp_path_factory, worker_id):
    """The folder of the built book; test processes share one build."""
    if worker_id == "master":
        return build_book(tmp_path_factory.mktemp("book"))[0]
    shared = tmp_path_factory.getbasetemp().parent
    built = shared / "_build" / "html"
    with FileLock(shared / "book.lock"):
        if not (built / "index.html").exists():
            build_book(shared)
    return built


@pytest.fixture(scope="session")
def site(book, serve):
    """The URL of the built book, served under its policy as a header."""
    from minigpt_book.policy import HEADER

    return serve(book, {"Content-Security-Policy": HEADER})


@pytest.fixture(scope="session")
def serve():
    """serve(folder, headers={}) -> the URL of a folder on this machine."""
    servers = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args, headers, **options):
            self.extra = headers
            super().__init__(*args, **options)

        def end_headers(self):
            for header in self.extra.items():
                self.send_header(*header)
            super().end_headers()

        def log_message(self, *args):
            """Say nothing."""

    def start(folder, headers=None):
        handler = functools.partial(
            Quiet, directory=str(folder), headers=headers or {}
        )
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    """A Chromium; ended with the module, so that no event loop stays."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        pytest.skip(
            "needs a Chromium: apt install chromium, or install Chrome from"
            " google.com/chrome"
        )
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=QUIET)
        yield chromium
        chromium.close()


class Visit:
    """One open page and what happened while it was open."""

    def __init__(self, context, base, address):
        self.foreign, self.errors, self.sizes = [], [], {}
        self.base = base
        context.route("**/*", self._route)
        context.add_init_script(REFUSED)
        self.page = context.new_page()
        self.page.set_default_timeout(30_000)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda e: self.errors.append(str(e)))
        self.page.on("response", self._response)
        self.page.goto(address)
        self.page.wait_for_load_state("load")

    def _route(self, route):
        url = route.request.url
        if url.startswith((self.base, "data:", "blob:")):
            route.continue_()
        else:
            self.foreign.append(url)
            route.abort()

    def _console(self, message):
        if message.type == "error":
            self.errors.append(message.text)

    def _response(self, response):
        if response.url.startswith("http") and response.ok:
            self.sizes[response.url] = len(gzip.compress(response.body()))

    def until_drawn(self):
        """Wait for all widgets, which come by themselves, in view or not."""
        from playwright.sync_api import expect

        # (the page's policy forbids eval, so no wait_for_function here)
        expect(self.page.locator(WAITING)).to_have_count(0, timeout=30_000)

    def scroll_through(self):
        """Bring every figure and widget into view, then wait for them."""
        for place in self.page.query_selector_all(EVERY_PLACE):
            if place.is_visible():
                place.scroll_into_view_if_needed()
        self.until_drawn()
        self.page.wait_for_load_state("networkidle")


@pytest.fixture
def visit(browser):
    """visit(base, path, **context) -> Visit; every other host is refused."""
    contexts = []

    def go(base, path, **options):
        options.setdefault("viewport", {"width": 1280, "height": 900})
        context = browser.new_context(**options)
        contexts.append(context)
        return Visit(context, base, f"{base}/{path}")

    yield go
    for context in contexts:
        context.close()


@pytest.fixture
def widget_page(tmp_path, visit):
    """widget_page(notebook, **context) -> Visit of a page with its widgets.

    `notebook` is a path or a parsed notebook with stored widget state. The
    page has the book's styles and host, as from file://.
    """
    import nbformat
    from minigpt_book.notebooks import widget_page_html

    def go(notebook, **options):
        if isinstance(notebook, (str, Path)):
            notebook = nbformat.read(notebook, as_version=4)
        for file in (ROOT / "book" / "theme" / "files").iterdir():
            shutil.copy(file, tmp_path)
        html = widget_page_html(notebook)
        (tmp_path / "page.html").write_text(html, encoding="utf-8")
        return visit(tmp_path.as_uri(), "page.html", **options)

    return go


@pytest.fixture(params=["light", pytest.param("dark", marks=pytest.mark.slow)])
def opened(request, widget_page):
    """The page of the widget that the test file's `view()` makes."""
    view = request.module.view()
    visit = widget_page(stored(view), color_scheme=request.param)
    visit.scroll_through()
    yield visit
    assert visit.errors == [] and visit.foreign == []
