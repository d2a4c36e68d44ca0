"""What publishing needs: a policy, a way to report, sizes, the workflow."""

import json
import re
import subprocess
import sys
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from conftest import ROOT, build_book
from minigpt_book import foot, head, policy, size
from PIL import Image
from test_book import CHAPTERS, PAGES, soup

ADDRESS = "https://github.com/someone/build-a-gpt"
SITE = "https://someone.example/build-a-gpt"


# --- the policy -------------------------------------------------------------


def test_policy_names_no_host_and_no_inline_script():
    known = {"'self'", "'none'", "data:", "blob:", "'unsafe-inline'"}
    for sources in policy.RULES.values():
        assert set(sources.split()) <= known
    assert policy.RULES["default-src"] == "'none'"
    assert "unsafe" not in policy.RULES["script-src"]
    assert "data:" not in policy.RULES["script-src"]


@pytest.mark.parametrize("page", PAGES)
def test_page_carries_the_policy_and_no_script(page, book):
    html = soup(book, page)
    (meta,) = html.select("meta[http-equiv='Content-Security-Policy']")
    assert meta["content"] == policy.POLICY
    # nothing is loaded before it
    assert not meta.find_previous(["link", "script", "style"])
    for script in html.find_all("script"):
        data = script.get("type", "").startswith("application/")
        assert script.get("src") or data, script.text[:80]
    for element in html.find_all(True):
        assert not [name for name in element.attrs if name.startswith("on")]


def test_documented_policy_is_the_one_that_is_tested(book, site):
    from urllib.request import urlopen

    with urlopen(f"{site}/book/publish.html", timeout=10) as answer:
        sent = answer.headers["Content-Security-Policy"]
    assert sent == policy.HEADER
    blocks = [b.text for b in soup(book, "book/publish").select("pre")]
    nginx = next(b for b in blocks if "add_header Content-" in b)
    lines = re.findall(r'set \$csp "(?:\$csp; )?(.*)";\n', nginx)
    assert "; ".join(lines) == sent
    rules = next(b for b in blocks if b.startswith("default-src"))
    assert " ".join(rules.split()) == policy.POLICY
    headers = (book / "_headers").read_text(encoding="utf-8")
    assert f"  Content-Security-Policy: {sent}\n" in headers


def test_inline_scripts_become_files_in_their_order():
    page = (
        '<html data-content_root="../"><script>a</script><link><script>b'
        '</script><script src="s.js"></script><script>c</script>'
        '<script type="application/json">{}</script>'
        "<script>DOCUMENTATION_OPTIONS.pagename = 'x';</script>"
    )
    clean, files = policy.without_inline(page)
    assert list(files.values()) == ["a\nb", "c"]
    early, late = files
    tags = re.findall(r"<script.*?>", clean)
    assert tags == [
        f'<script src="../_static/{early}">',
        '<script defer src="s.js">',
        f'<script src="../_static/{late}">',
        '<script type="application/json">',
    ]
    assert policy.without_inline(clean) == (clean, {})


# --- the foot of a page -----------------------------------------------------


@pytest.mark.parametrize("page", CHAPTERS)
def test_chapter_offers_its_notebook_and_ways_to_open_it(page, book):
    box = soup(book, page).select_one(".mg-foot")
    links = {a.text: a["href"] for a in box.find_all("a")}
    file = (book / f"{page}.html").parent / links["Download it"]
    assert file.read_bytes() == (ROOT / f"{page}.ipynb").read_bytes()
    ways = ["JupyterLab", "VS Code", "Colab"]
    assert list(links) == ["Download it", *ways]
    for way in ways:
        known = soup(book, "book/how_to_use")
        assert known.find(id=links[way].partition("#")[2])


def test_without_an_address_nothing_dangles(book):
    for page in PAGES:
        html = (book / f"{page}.html").read_text(encoding="utf-8")
        assert "mg-report" not in html and "issues/new" not in html
    assert "git clone" not in soup(book, "book/how_to_use").text


@pytest.mark.parametrize(
    "address, path",
    [
        (ADDRESS, "/someone/build-a-gpt/issues/new"),
        ("https://gitlab.com/a/b", "/a/b/-/issues/new"),
        ("https://codeberg.org/a/b", "/a/b/issues/new"),
    ],
)
def test_report_is_filled_in(address, path):
    link = foot.report(
        address, "4. A & B", "notebooks/04_a", "notebooks/04_a.ipynb"
    )
    parts = urlsplit(link)
    assert parts.path == path
    title, body = (v[0] for v in parse_qs(parts.query).values())
    assert title == "Error on the page “4. A & B”"
    assert "Page: 4. A & B\nAddress: notebooks/04_a.html, made from" in body


@pytest.mark.parametrize(
    "given, used",
    [
        ("", ""),
        (f"{ADDRESS}/", ADDRESS),
        (f"{ADDRESS}.git", ADDRESS),
        ("javascript:alert(1)", ""),
        ("https://github.com", ""),
    ],
)
def test_only_an_address_counts_as_one(given, used, monkeypatch):
    class Config:
        html_theme_options = {"repository_url": given}

    monkeypatch.delenv("BOOK_REPOSITORY", raising=False)
    assert foot.repository(Config) == used
    monkeypatch.setenv("BOOK_REPOSITORY", "https://example.org/x/y")
    assert foot.repository(Config) == "https://example.org/x/y"


@pytest.mark.parametrize(
    ("given", "used", "prefix"),
    [
        ("", "", "/"),
        (SITE, f"{SITE}/", "/build-a-gpt/"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/", "/"),
        ("javascript:alert(1)", "", "/"),
        ("someone.example", "", "/"),
    ],
)
def test_only_an_address_counts_as_the_sites(given, used, prefix, monkeypatch):
    class Config:
        html_baseurl = given

    monkeypatch.delenv("BOOK_ADDRESS", raising=False)
    head.on_config(None, Config)
    assert Config.html_baseurl == used
    assert Config.notfound_urls_prefix == prefix


def meta(html):
    """{name: content} of the elements for search engines and messengers."""
    return {
        m.get("property") or m["name"]: m["content"]
        for m in html.select("meta[property], meta[name]")
    }


def test_each_page_describes_itself_once(book):
    said = set()
    for page in set(PAGES) - {"search"}:
        html = soup(book, page)
        assert len(html.select("meta[name=viewport]")) == 1
        said.add(meta(html)["description"])
        assert 20 < len(meta(html)["description"]) <= 200
    assert len(said) == len(PAGES) - 1
    titles = [soup(book, page).title.text for page in PAGES]
    assert titles[0] == "Build a GPT from scratch"
    assert len(set(titles)) == len(titles)


def assert_others_learn_about_each_page(book):
    places = re.findall("<loc>(.*?)</loc>", (book / "sitemap.xml").read_text())
    assert set(places) == {f"{SITE}/{p}.html" for p in PAGES if p != "search"}
    for place in places:
        page = place.removeprefix(f"{SITE}/").removesuffix(".html")
        html = soup(book, page)
        assert html.select_one("link[rel=canonical]")["href"] == place
        told = meta(html)
        assert told["og:url"] == place
        assert told["og:description"] == told["description"]
        assert told["twitter:card"] == "summary_large_image"
        image = book / told["og:image"].removeprefix(f"{SITE}/")
        assert Image.open(image).size == head.SIZE
        assert image.stat().st_size < 300_000
    lost = soup(book, "404")
    assert "build-a-gpt/index.html" in str(lost)
    for element in lost.select("link[href], script[src]"):
        link = element.get("href") or element["src"]
        assert link.startswith(("/build-a-gpt/", "data:", SITE))


@pytest.mark.slow
def test_with_an_address_each_page_has_a_way_to_report(tmp_path):
    book, said = build_book(tmp_path, ADDRESS, SITE)
    assert re.search(r"size of the site: \d+ files, [\d.]+ MB", said)
    for page in PAGES:
        if page == "search":
            continue
        html = soup(book, page)
        (link,) = html.select("a.mg-report")
        assert link["href"].startswith(f"{ADDRESS}/issues/new?")
        asked = parse_qs(urlsplit(link["href"]).query)
        assert html.h1.find(string=True).strip() in asked["title"][0]
        assert f"Address: {page}.html" in asked["body"][0]
        (button,) = html.select("a.btn-repository-button")
        assert button["href"] == ADDRESS
    assert_others_learn_about_each_page(book)
    how = soup(book, "book/how_to_use").text
    assert how.count(f"git clone {ADDRESS} build-a-gpt") == 2


# --- sizes ------------------------------------------------------------------


def test_size_of_a_site_is_the_sum_of_its_files(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "page.html").write_bytes(b"x" * 500_000)
    (tmp_path / "model.safetensors").write_bytes(bytes(250_000))
    found = size.totals(tmp_path)
    assert found["files"] == 2 and found["raw"] == 0.75
    assert found["gzipped"] < 0.01
    assert size.summary(tmp_path).startswith("2 files, 0.8 MB;")


def test_recorded_pages_are_those_of_the_book_and_quick(book):
    record = json.loads(size.RECORD.read_text(encoding="utf-8"))
    pages = record["pages"]
    assert set(pages) == {f"{page}.html" for page in PAGES}
    assert max(page["first"] for page in pages.values()) < 1
    assert max(page["gzip"] for page in pages.values()) < 500
    said = soup(book, "book/publish").text
    worst = max(page["first"] for page in pages.values())
    assert f"{worst:.2f} s at worst" in said


@pytest.mark.slow
def test_every_page_paints_soon(book):
    """A generous limit: what blocks a page fails, a busy machine does not."""
    script = ROOT / "benchmarks" / "pages.py"
    options = ["--site", str(book), "--rounds", "1", "--most", "3"]
    done = subprocess.run(
        [sys.executable, str(script), *options],
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
    )
    if "needs a Chromium" in done.stderr:
        pytest.skip("needs a Chromium")
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(f"{page}.html" in done.stdout for page in PAGES)


# --- the workflow -----------------------------------------------------------


def test_workflow_publishes_what_it_built_with_the_least_rights():
    file = ROOT / ".github" / "workflows" / "publish.yml"
    flow = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert flow["permissions"] == {"contents": "read"}
    build, deploy = flow["jobs"]["build"], flow["jobs"]["deploy"]
    assert deploy["needs"] == "build"
    assert deploy["permissions"] == {"pages": "write", "id-token": "write"}
    steps = build["steps"]
    (upload,) = [s for s in steps if "upload-pages" in s.get("uses", "")]
    assert upload["with"]["path"] == "_build/html"
    (make,) = [s for s in steps if "jupyter-book" in s.get("run", "")]
    assert "-W" in make["run"]
    assert make["env"]["BOOK_REPOSITORY"].endswith("github.repository }}")


def test_workflow_has_no_address_of_its_own(book):
    text = (ROOT / "_config.yml").read_text(encoding="utf-8")
    assert yaml.safe_load(text)["repository"]["url"] == ""
    html = soup(book, PAGES[0])
    assert not html.select("link[rel=canonical], meta[property^='og:']")
    assert not (book / "sitemap.xml").exists()
