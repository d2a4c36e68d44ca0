"""A widget on a page of the book keeps its state in the page's address."""

import pytest
from lab import stored
from widgets import EVIL, VIEWS, everything, problems

from minigpt.viz.window import WindowView

LATER = 500  # milliseconds; an address follows after less
NAMES = [
    "ablation",
    "attention-map",
    "attention-steps",
    "bigram",
    "cache-timeline",
    "cross-attention",
    "expert-map",
    "head-history",
    "live-curve",
    "logit-lens",
    "merges",
    "pages",
    "sampling-dial",
    "scale-dial",
    "speculation",
    "window",
]

# What each widget shows: its controls, and what it says.
SHOWN = """() => [...document.querySelectorAll("section.mg")].map((root) => [
  root.ariaLabel, ...[...root.querySelectorAll(
    "select, input, [aria-pressed], .mg-readout, .mg-title")].map((el) => (
    el.matches("select, input") ? el.value
      : el.getAttribute("aria-pressed") ?? el.textContent))])"""

# Change everything that keeps a state, as a reader would.
CHANGE = """() => {
  const send = (el, event) => el.dispatchEvent(event);
  const key = (el, name) => send(el, new KeyboardEvent("keydown",
    { key: name, bubbles: true }));
  for (const root of document.querySelectorAll("section.mg")) {
    for (const el of root.querySelectorAll("select")) {
      el.value = [...el.options].filter((o) => !o.disabled).at(-1).value;
      send(el, new Event("change", { bubbles: true }));
    }
    for (const el of root.querySelectorAll("input")) {
      el.value = Math.round((Number(el.min) + 2 * Number(el.max)) / 3);
      send(el, new Event("input", { bubbles: true }));
    }
    const step = root.querySelectorAll("[aria-label=step] button")[3];
    step?.click();
    root.querySelector("[aria-label^='heads to switch'] button")?.click();
    const pins = root.querySelectorAll(".mg-head");
    [...pins].slice(-2).forEach((el) => el.click());
    for (const el of root.querySelectorAll("[role=group], [role=grid]")) {
      const at = el.querySelector("button[tabindex='0'], div[tabindex='0']");
      if (at && !at.matches(".mg-head")) key(at, "ArrowRight");
    }
    for (const el of root.querySelectorAll(".mg-map")) {
      key(el, "ArrowDown");
      key(el, "ArrowRight");
    }
  }
}"""


def fragment(page):
    """The address after its "#", once it has followed."""
    page.wait_for_timeout(LATER)
    return page.evaluate("location.hash").removeprefix("#")


def shown(page):
    return page.evaluate(SHOWN)


def turn(page, value, widget=0):
    """Move the first slider of a window."""
    slider = page.locator("section.mg").nth(widget).locator("input").first
    slider.fill(str(value))


@pytest.fixture
def windows(widget_page):
    """The page of two windows on different texts."""
    views = [
        WindowView(list(text), range(len(text)), block_size=4)
        for text in ("abcdefghijkl", EVIL)
    ]
    opened = widget_page(stored(*views), reduced_motion="reduce")
    opened.until_drawn()
    yield opened
    assert opened.errors == [] and opened.foreign == []


def followed(visit, opened, address):
    """Another page of the same widgets, at an address."""
    base = opened.page.url.split("/page.html")[0]
    other = visit(base, f"page.html#{address}", reduced_motion="reduce")
    other.until_drawn()
    other.page.wait_for_timeout(100)
    return other


def test_a_link_shows_every_widget_as_it_was(widget_page, visit):
    opened = widget_page(everything(), reduced_motion="reduce")
    opened.scroll_through()
    page = opened.page
    before = shown(page)
    assert [name for name, *_ in before] == list(VIEWS)
    assert fragment(page) == ""
    page.evaluate(CHANGE)
    address = fragment(page)
    assert sorted(x.split("=")[0] for x in address.split("&")) == NAMES
    after = shown(page)
    assert all(a != b for a, b in zip(before, after, strict=True))
    other = followed(visit, opened, address)
    assert shown(other.page) == after
    assert fragment(other.page) == address
    assert opened.errors == [] == other.errors
    page.go_back()
    while page.evaluate("location.hash"):
        page.go_back()
    assert shown(page) == before


def test_back_undoes_what_was_done_with_a_widget(windows):
    page = windows.page
    before = shown(page)
    turn(page, 2)
    assert fragment(page) == "window=window-begins-at:2"
    turn(page, 3)
    assert fragment(page) == "window=window-begins-at:3"
    after = shown(page)
    page.go_back()
    assert shown(page) == before and fragment(page) == ""
    page.go_forward()
    assert shown(page) == after
    page.reload()
    windows.until_drawn()
    page.wait_for_timeout(100)
    assert shown(page) == after


def test_two_widgets_do_not_take_each_others_state(windows, visit):
    page = windows.page
    turn(page, 3)
    fragment(page)
    turn(page, 5, widget=1)
    address = fragment(page)
    assert address == "window=window-begins-at:3&window-2=window-begins-at:5"
    after = shown(page)
    assert shown(followed(visit, windows, address).page) == after
    page.go_back()
    first, second = shown(page)
    assert first == after[0] and second != after[1]


def test_a_heading_is_no_state(windows):
    page = windows.page
    turn(page, 2)
    fragment(page)
    after = shown(page)
    page.evaluate("location.hash = '#what-comes-next'")
    assert fragment(page) == "what-comes-next" and shown(page) == after


def test_a_copied_link_leads_to_its_widget(windows, visit):
    page = windows.page
    page.evaluate(
        """() => { navigator.clipboard.writeText = async (text) => {
             window.copied = text; }; }"""
    )
    turn(page, 3)
    turn(page, 5, widget=1)
    page.get_by_role("button", name="copy link").last.click()
    link = page.evaluate("window.copied")
    assert link.endswith("page.html#window-2=window-begins-at:5")
    other = followed(visit, windows, link.partition("#")[2]).page
    assert (
        shown(other)[1] == shown(page)[1] and shown(other)[0] != shown(page)[0]
    )
    top = other.locator("section.mg").nth(1)
    assert top.evaluate("el => el.getBoundingClientRect().top") < 450


@pytest.mark.parametrize(
    "address",
    [
        "window=window-begins-at:99999999999",
        "window=window-begins-at:-1,block_size:1e3",
        f"window=window-begins-at:{EVIL}",
        f"window={EVIL}&{EVIL}=1",
        "window=at:9.9,at:-1.0,at:0",
        "window=__proto__:1,constructor:2",
        "window=window-begins-at:%E0%A4%A&window=",
        "=&=1&window",
        "%&&&:,:,",
    ],
)
def test_what_makes_no_sense_in_an_address_does_nothing(
    address, windows, visit
):
    before = shown(windows.page)
    other = followed(visit, windows, address)
    assert shown(other.page) == before
    assert other.page.evaluate("window.mgHit") is None
    assert other.errors == []


def test_hostile_values_reach_no_widget(widget_page, visit):
    opened = widget_page(everything(), reduced_motion="reduce")
    opened.scroll_through()
    before = shown(opened.page)
    keys = {
        f"{name}={','.join(f'{key}:{EVIL}' for key in KEYS)}" for name in NAMES
    }
    other = followed(visit, opened, "&".join(sorted(keys)))
    other.scroll_through()
    assert shown(other.page) == before
    assert problems(other.page) == {} and other.errors == []


KEYS = ["at", "at2", "cell", "cell2", "heads", "off", "step", "show", "text"]


@pytest.mark.slow
def test_in_jupyterlab_the_address_stays(lab_page):
    lab = lab_page(
        stored(WindowView(list("abcdefgh"), range(8), 4)), trusted=True
    )
    page = lab.page
    before = page.url
    widget = lab.widget("Sliding window")
    widget.locator("input").first.fill("2")
    page.wait_for_timeout(LATER)
    assert page.url == before
    assert widget.get_by_role("button", name="copy link").count() == 0
