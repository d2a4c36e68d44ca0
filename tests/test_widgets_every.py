"""What holds for every widget, whatever texts its tokens and names are."""

import re

import pytest
from widgets import (
    EVIL,
    HOSTILE,
    PROBLEMS,
    VIEWS,
    drive_maps,
    drive_sliders,
    everything,
    problems,
    serious,
    stir,
)

from minigpt.course.check import Result
from minigpt.course.judge import Example

HIDDEN = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e]")


@pytest.fixture(scope="module")
def notebook():
    """All widgets, made of the worst of texts."""
    return everything()


def test_what_stands_in_is_text(notebook):
    assert len(notebook.cells) == len(VIEWS) == 16
    for name, cell in zip(VIEWS, notebook.cells, strict=True):
        for kind in ("text/html", "text/plain"):
            text = cell.outputs[0].data.get(kind, "")
            assert EVIL not in text or kind == "text/plain", name
            assert not HIDDEN.search(text), f"{name}: {kind}"
            assert max(map(len, text.split("<"))) < 900, f"{name}: {kind}"


def test_hostile_text_is_text_on_a_page(notebook, widget_page):
    visit = widget_page(notebook, reduced_motion="reduce")
    visit.scroll_through()
    for width in (1280, 360):
        visit.page.set_viewport_size({"width": width, "height": 800})
        assert problems(visit.page) == {}
    stir(visit.page)
    assert problems(visit.page, tallest=3000) == {}
    assert visit.errors == [] and visit.foreign == []


@pytest.mark.slow  # axe-core reads every cell of every table
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_widget_is_accessible(notebook, widget_page, scheme):
    visit = widget_page(notebook, color_scheme=scheme, reduced_motion="reduce")
    visit.scroll_through()
    stir(visit.page)
    assert problems(visit.page, tallest=3000) == {}
    assert serious(visit.page) == []
    assert visit.errors == [] and visit.foreign == []


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 360])
def test_pointer_and_keys_agree_on_a_page(notebook, widget_page, width):
    visit = widget_page(notebook, viewport={"width": width, "height": 800})
    visit.scroll_through()
    assert drive_maps(visit.page) == 8
    assert drive_sliders(visit.page) == 22
    assert problems(visit.page) == {} and visit.errors == []


@pytest.mark.slow
def test_the_same_in_jupyterlab(notebook, lab_page):
    lab = lab_page(notebook, trusted=True)
    for theme in ("light", "dark"):
        lab.theme(theme)
        for name in VIEWS:
            lab.widget(name).scroll_into_view_if_needed()
        assert problems(lab.page) == {}
        assert serious(lab.page) == []
    assert drive_maps(lab.page) == 8
    assert drive_sliders(lab.page) == 22
    stir(lab.page)
    assert problems(lab.page, tallest=3000) == {}
    assert lab.foreign == []


def test_hostile_text_is_text_in_the_panel_of_a_check(browser):
    page = browser.new_page(viewport={"width": 360, "height": 740})
    panels = [
        Result("a.b", "failed", [text], text, Example(text, text, text))
        for text in HOSTILE
    ]
    html = "".join(panel._repr_html_() for panel in panels)
    page.set_content(f"<main>{html}</main>")
    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 740})
        assert page.locator("main").evaluate(PROBLEMS, 50_000) == []
    assert page.locator(".mg-check").count() == len(HOSTILE)
    assert page.evaluate("window.mgHit") is None
    page.close()
