"""The built book, page by page, in a real browser and as files."""

import copy
import functools
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from PIL import Image

ROOT = Path(__file__).parents[1]
LIMIT = 500 * 1024  # bytes of a page with all it loads, gzipped


def table_of_contents():
    """The pages that _toc.yml names, in order, and those that Sphinx adds."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    parts = toc.get("parts", [toc])
    files = [c["file"] for p in parts for c in p.get("chapters", [])]
    return [toc["root"], *files, "search"]


PAGES = table_of_contents()
ROOT_PAGE = PAGES[0]
CHAPTERS = [page for page in PAGES if page.startswith("notebooks/")]


@functools.cache
def soup(book, page):
    """A built page, read once for all tests: they must not change it."""
    return BeautifulSoup((book / f"{page}.html").read_bytes(), "html.parser")


@functools.cache
def anchors(path):
    """The ids of a built page."""
    html = BeautifulSoup(path.read_bytes(), "html.parser")
    return {element["id"] for element in html.find_all(id=True)}


# --- in a browser ----------------------------------------------------------


def assert_clean(seen):
    """Nothing asked of another host, nothing complained, widgets alive."""
    seen.scroll_through()
    boxes = seen.page.query_selector_all(".mg-widget")
    states = [box.get_attribute("data-state") for box in boxes]
    assert not seen.foreign
    assert not seen.errors
    assert states == ["alive"] * len(states)


PHONE = {"width": 360, "height": 740}


@pytest.mark.parametrize("page", PAGES)
def test_page_over_http_is_clean_and_small_and_fits_a_phone(page, site, visit):
    seen = visit(site, f"{page}.html", viewport=PHONE)
    assert_clean(seen)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert len(seen.sizes) > 5  # styles and scripts were counted too
    assert sum(seen.sizes.values()) <= LIMIT


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(p, marks=[] if p == PAGES[0] else pytest.mark.slow)
        for p in PAGES
    ],
)
def test_page_from_disk_is_clean(page, book, visit):
    assert_clean(visit(book.as_uri(), f"{page}.html", color_scheme="dark"))


def test_another_host_is_noticed(site, visit):
    """The checks above can fail: a request and an error are both seen."""
    seen = visit(site, f"{PAGES[0]}.html")
    seen.page.evaluate(
        "() => { const i = new Image(); i.src = 'http://example.org/a.png';"
        " console.error('a complaint'); }"
    )
    seen.page.wait_for_timeout(200)
    assert "a complaint" in seen.errors
    # the page's own policy refuses the picture before it is asked for
    assert "refused img-src http://example.org/a.png" in seen.errors


BREAKS = {
    "another host": "<img src='https://example.org/a.png' alt='elsewhere'>",
    "inline script": "<script>window.x = 1</script>",
    "handler": "<b id='b' onclick='1'>b</b>",
    "error": "<script src='../_static/no.js'></script>",
    "widget": "<div class='mg-widget'>no state</div>"
    "<script src='../_static/host.js'></script>",
}


@pytest.mark.parametrize("way", ["http", "file"])
@pytest.mark.parametrize("kind", BREAKS)
def test_broken_page_is_noticed(way, kind, book, serve, tmp_path, visit):
    """A page that does what no page may fails the check of all pages."""
    copy = tmp_path / "site"
    (copy / "book").mkdir(parents=True)
    (copy / "_static").symlink_to(book / "_static")
    html = (book / "book" / "notation.html").read_text(encoding="utf-8")
    broken = html.replace("</article>", f"{BREAKS[kind]}</article>", 1)
    assert broken != html
    (copy / "book" / "page.html").write_text(broken, encoding="utf-8")
    seen = visit(
        serve(copy) if way == "http" else copy.as_uri(), "book/page.html"
    )
    with pytest.raises(AssertionError):
        assert_clean(seen)


MOVED = """() => new Promise((done) => {
  const seen = [];
  new PerformanceObserver((list) => seen.push(...list.getEntries()))
    .observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(seen.filter((e) => !e.hadRecentInput)
    .reduce((sum, e) => sum + e.value, 0)), 300);
})"""
CUT = """() => {
  document.querySelectorAll("details").forEach((e) => { e.open = true; });
  return [...document.querySelectorAll(".bd-article div.cell pre")]
    .filter((e) => e.scrollWidth > e.clientWidth + 1)
    .map((e) => e.textContent.slice(0, 60));
}"""


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("page", PAGES)
def test_page_holds_still_and_shows_whole_lines(page, width, site, visit):
    size = {"width": width, "height": 900}
    seen = visit(site, f"{page}.html", viewport=size)
    seen.until_drawn()  # by themselves, before anybody can scroll to them
    assert_clean(seen)
    assert seen.page.evaluate(MOVED) < 0.05
    if width == 1280:
        assert not seen.page.evaluate(CUT)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(p, marks=[] if p in PAGES[:2] else pytest.mark.slow)
        for p in PAGES
    ],
)
def test_page_is_accessible(page, scheme, site, visit):
    from axe_playwright_python.sync_playwright import Axe

    seen = visit(
        site, f"{page}.html", color_scheme=scheme, reduced_motion="reduce"
    )
    seen.scroll_through()
    found = Axe().run(seen.page).response["violations"]
    serious = [
        (v["id"], [node["html"][:120] for node in v["nodes"]][:3])
        for v in found
        if v["impact"] in ("serious", "critical")
    ]
    assert not serious


@pytest.mark.parametrize("way", ["http", "file"])
def test_search_finds_a_page(way, book, site, visit):
    base = site if way == "http" else book.as_uri()
    seen = visit(base, f"{PAGES[0]}.html")
    seen.page.locator(".search-button__button").first.click()
    field = seen.page.locator("#pst-search-dialog input")
    field.fill("perplexity")
    field.press("Enter")
    seen.page.wait_for_url("**/search.html?q=perplexity")
    hit = seen.page.locator("#search-results a[href*='glossary']").first
    quoted = seen.page.locator("#search-results .context")
    quoted.first.wait_for()
    assert any("perplexity" in q.lower() for q in quoted.all_inner_texts())
    assert not any(".pdf" in q for q in quoted.all_inner_texts())
    hit.click()
    seen.page.wait_for_url("**/glossary.html**")
    assert not seen.errors
    assert not seen.foreign


def test_formulas_are_laid_out(site, visit):
    """Lines align at their sign, brackets grow, the root is drawn."""
    seen = visit(site, "book/notation.html")
    rights = seen.page.eval_on_selector_all(
        "mtd.mg-right > *",
        "all => all.map(e => e.getBoundingClientRect().right)",
    )
    assert len(rights) == 2
    assert max(rights) - min(rights) < 1
    heights = seen.page.eval_on_selector_all(
        ".mg-display mo",
        "all => all.filter(e => '()'.includes(e.textContent))"
        ".map(e => e.getBoundingClientRect().height)",
    )
    assert max(heights) > 1.8 * min(heights)
    gaps = seen.page.eval_on_selector_all(
        "msqrt",
        "all => all.map(e => e.getBoundingClientRect().right"
        " - e.firstElementChild.getBoundingClientRect().right)",
    )
    assert max(gaps) < 1  # the line over what is rooted ends with it
    loaded = "document.fonts.check('16px \"STIX Two Math subset\"', '√')"
    assert seen.page.evaluate(loaded)


def test_colours_can_be_switched_and_stay(site, visit):
    seen = visit(site, f"{PAGES[0]}.html", color_scheme="dark")
    read = "getComputedStyle(document.body).backgroundColor"
    assert seen.page.evaluate(read) == "rgb(20, 24, 29)"
    while (
        seen.page.evaluate("document.documentElement.dataset.mode") != "light"
    ):
        seen.page.locator(".theme-switch-button").first.click()
    assert seen.page.evaluate(read) == "rgb(255, 255, 255)"
    seen.page.reload()
    assert seen.page.evaluate(read) == "rgb(255, 255, 255)"


def test_page_prints_in_light_and_returns(site, visit):
    from playwright.sync_api import expect

    seen = visit(site, f"{ROOT_PAGE}.html", color_scheme="dark")
    page, top = seen.page, seen.page.locator("html")
    page.emulate_media(media="print")
    expect(top).to_have_attribute("data-theme", "light")
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert colour == "rgb(255, 255, 255)"
    assert not page.locator(".bd-sidebar-primary").is_visible()
    page.emulate_media(media="screen")
    expect(top).to_have_attribute("data-theme", "dark")


def test_page_without_scripts_is_readable(site, visit):
    """All of it light, whatever the system says, and the menu is there."""
    options = {"java_script_enabled": False, "color_scheme": "dark"}
    seen = visit(site, f"{ROOT_PAGE}.html", **options)
    colours = "e => [getComputedStyle(e).color, getComputedStyle(e).background]"
    text, ground = seen.page.locator("body").evaluate(colours)
    assert text == "rgb(31, 35, 40)"
    assert ground.startswith("rgb(255, 255, 255)")
    assert seen.page.locator(".bd-sidebar-primary a").first.is_visible()


# --- the widget host -------------------------------------------------------


VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
SCRIPT = """
export default {
  initialize({ model }) { model.set("seen", 1); },
  render({ model, el }) {
    const data = model.get("weights").data;
    const button = document.createElement("button");
    const say = () => { button.textContent = [data instanceof DataView,
      data.getUint8(1), model.get("n"), model.get("seen")].join(" "); };
    button.onclick = () => {
      model.set("n", model.get("n") + 1); model.save_changes(); };
    model.on("change:n", say);
    el.append(button); say();
  } };"""


@pytest.fixture
def widget_notebook():
    """Two views of one model with a buffer, and one that fails."""
    buffer = {"path": ["weights", "data"], "encoding": "base64"}
    alive = {"_esm": SCRIPT, "_css": "button { color: rgb(1, 2, 3); }"}
    state = {
        "m1": {
            "state": {**alive, "n": 1, "weights": {"shape": [2]}},
            "buffers": [{**buffer, "data": "AQI="}],
        },
        "m2": {"state": {"_esm": "export default { render() { throw 1 } }"}},
    }
    cells = [
        {
            "cell_type": "code",
            "source": "w",
            "metadata": {},
            "execution_count": 1,
            "outputs": [
                {
                    "output_type": "display_data",
                    "metadata": {},
                    "data": {VIEW: {"model_id": name}, "text/plain": name},
                }
            ],
        }
        for name in ("m1", "m1", "m2")
    ]
    return {"cells": cells, "metadata": {"widgets": {STATE: {"state": state}}}}


def test_host_shows_widgets_and_shares_their_model(
    widget_notebook, widget_page
):
    seen = widget_page(widget_notebook)
    seen.scroll_through()
    boxes = seen.page.locator(".mg-widget")
    states = boxes.evaluate_all("all => all.map(e => e.dataset.state)")
    assert states == ["alive", "alive", "failed"]
    assert boxes.nth(1).inner_text() == "true 2 1 1"
    boxes.nth(0).locator("button").click()
    assert boxes.nth(1).inner_text() == "true 2 2 1"
    colour = (
        boxes.nth(0)
        .locator("button")
        .evaluate("e => getComputedStyle(e).color")
    )
    assert colour == "rgb(1, 2, 3)"
    assert not seen.errors


def test_tab_key_wakes_widgets_that_are_out_of_view(
    widget_notebook, widget_page
):
    seen = widget_page(widget_notebook, viewport={"width": 300, "height": 100})
    seen.page.evaluate("document.body.style.paddingTop = '9000px'")
    seen.page.keyboard.press("Tab")
    awake = seen.page.locator(".mg-widget[data-state=alive] button").first
    awake.wait_for()
    assert awake.is_visible()


# --- as files --------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page, book):
    here = book / f"{page}.html"
    broken = []
    for link in soup(book, page).select("a[href], link[href], img[src]"):
        address = link.get("href") or link.get("src")
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            continue
        target = (here.parent / unquote(parts.path)) if parts.path else here
        if not target.is_file():
            broken.append(address)
        elif "=" in parts.fragment:
            continue  # a state of the page, not a place in its text
        elif parts.fragment and target.suffix == ".html":
            known = anchors(target.resolve())
            broken += [address] * (unquote(parts.fragment) not in known)
    assert not broken


@pytest.mark.parametrize("page", PAGES)
def test_page_loads_nothing_from_elsewhere(page, book):
    html = soup(book, page)
    loads = html.select("script[src], link[rel=stylesheet], img, iframe")
    for element in loads:
        address = element.get("src") or element.get("href")
        assert not urlsplit(address).netloc, address
    text = "".join(map(str, html.find_all(["script", "style"])))
    assert not re.search(r"mathjax|require\.js|https?://", text, re.IGNORECASE)


@pytest.mark.parametrize("page", PAGES)
def test_images_say_what_they_show(page, book):
    for image in soup(book, page).find_all("img"):
        assert len(image.get("alt", "").strip()) > 5, image


@pytest.mark.parametrize("page", CHAPTERS)
def test_marks_are_hidden(page, book):
    html = soup(book, page)
    code = "\n".join(cell.text for cell in html.select("div.cell_input"))
    assert code
    assert not re.search(r"#\||### (BEGIN|END) SOLUTION", code)


@pytest.mark.parametrize("page", CHAPTERS)
def test_formulas_are_static(page, book):
    """Each formula of the source is MathML; no LaTeX is left in the text."""
    cells = nbformat.read(ROOT / f"{page}.ipynb", as_version=4).cells
    prose = "\n".join(c.source for c in cells if c.cell_type == "markdown")
    prose = re.sub(r"```.*?```|`[^`]*`", "", prose, flags=re.DOTALL)
    written = re.findall(r"\$\$.+?\$\$|\$[^$]+\$", prose, flags=re.DOTALL)
    html = copy.copy(soup(book, page))
    formulas = html.select(".bd-article math")
    assert len(formulas) == len(written)
    assert all(formula["alttext"] for formula in formulas)
    for code in html.select("code, pre, script, math"):
        code.decompose()
    text = html.select_one(".bd-article").text
    assert not re.search(r"\\[a-z]+\{|\$\$", text)


def test_no_icon_is_missing(book):
    """Icons are drawn in minigpt.css: each that a page names is there."""
    css = (ROOT / "book/theme/files/minigpt.css").read_text(encoding="utf-8")
    named = set()
    for page in PAGES:
        for icon in soup(book, page).select(".fa-solid, .fas"):
            named |= {c for c in icon["class"] if c.startswith("fa-")}
    named -= {"fa-solid", "fa-lg"}
    assert named
    assert not {name for name in named if f".{name} {{" not in css}


def test_every_page_of_the_site_is_tested(book):
    found = {p.relative_to(book).as_posix() for p in book.rglob("*.html")}
    assert found == {"404.html", *(f"{page}.html" for page in PAGES)}


def pixels(book, page):
    """[(name, pixels, pixels on the page)] of a page's plots, in width.

    Not of those that only stand in until a widget is alive.
    """
    found = []
    plots = "img.mg-figure[src$='.png']:not(.mg-widget img)"
    for image in soup(book, page).select(plots):
        path = (book / f"{page}.html").parent / image["src"]
        found.append((path.name, Image.open(path).width, int(image["width"])))
    return found


@pytest.mark.parametrize("page", CHAPTERS)
def test_plots_are_sharp_on_a_dense_screen(page, book):
    """Two pixels of a plot for each of the page; drawings are SVG."""
    assert not [p for p in pixels(book, page) if p[1] < 2 * p[2] - 1]
    others = soup(book, page).select("img:not(.mg-figure)")
    assert all(image["src"].endswith(".svg") for image in others)


def test_site_has_no_files_that_no_page_uses(book):
    sizes = {
        path.relative_to(book).as_posix(): path.stat().st_size
        for path in book.rglob("*")
        if path.is_file()
    }
    assert not [name for name in sizes if name.endswith((".map", ".ttf"))]
    assert not [name for name in sizes if "fontawesome" in name]
    scripts = [n for n in sizes if n.startswith("_static") and n[-3:] == ".js"]
    scripts.remove("_static/mg-texts.js")  # for the search page alone
    disk = (".json.js", ".safetensors.js", ".js.js")  # what only it asks for
    served = [name for name in scripts if not name.endswith(disk)]
    assert sum(sizes[name] for name in served) < 550_000


def test_no_page_names_the_folder_that_it_was_built_in(book):
    """A default value in a signature, a stored output: nothing of here."""
    here = str(ROOT)
    pages = [*book.rglob("*.html"), book / "searchindex.js"]
    assert not [p for p in pages if here in p.read_text(encoding="utf-8")]
