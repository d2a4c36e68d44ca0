"""The sliding window in a real browser, as on a page of the book."""

import json

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from minigpt.viz.window import WindowView

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
TEXT = "We the <b>People</b> of\nthe United States"


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="2 ids and 3 tokens"):
        WindowView("abc", [1, 2])
    with pytest.raises(ValueError, match="from 1 to 2 on 3 tokens, got 3"):
        WindowView("abc", [1, 2, 3], block_size=3)


def test_the_stand_in_shows_inputs_and_shifted_targets():
    view = WindowView("a <b", [5, 6, 7, 8], block_size=2)
    table = view.fallback()
    row = '<th scope="row"><bdi>{}</bdi></th><td><bdi>{}</bdi></td>'
    assert row.format(0, "a") + "<td><bdi>·</bdi></td>" in table
    assert row.format(1, "a·") + "<td><bdi>&lt;</bdi></td>" in table
    assert view.describe() == "A window of 2 tokens on a text of 4: 2 examples."


def notebook(view):
    """A notebook that shows `view`, with its state stored."""
    from ipywidgets import embed

    state = embed.dependency_state([view], drop_defaults=False)
    data = {
        VIEW: {
            "model_id": view.model_id,
            "version_major": 2,
            "version_minor": 0,
        },
        "text/plain": view.describe(),
        "text/html": view.fallback(),
    }
    cell = new_code_cell(
        "view",
        execution_count=1,
        outputs=[new_output("display_data", data=data)],
    )
    nb = new_notebook(cells=[cell])
    nb.metadata["widgets"] = {
        STATE: {
            "state": json.loads(json.dumps(state)),
            "version_major": 2,
            "version_minor": 0,
        }
    }
    return nb


@pytest.fixture(params=["light", "dark"])
def opened(request, widget_page):
    view = WindowView(TEXT, range(len(TEXT)), block_size=4)
    visit = widget_page(notebook(view), color_scheme=request.param)
    visit.scroll_through()
    yield visit
    assert visit.errors == [] and visit.foreign == []


def readout(root):
    return root.locator(".mg-readout").inner_text()


def test_every_control(opened):
    root = opened.page.locator('section.mg[aria-label="Sliding window"]')
    assert readout(root) == "t = 0: after W predict e"
    cells = root.locator(".mg-win-cell")
    assert cells.count() == 8
    texts = root.locator(".mg-win-cell .mg-token").all_inner_texts()
    assert texts == list("We·t") + list("e·th")

    cells.nth(0).focus()
    opened.page.keyboard.press("ArrowRight")
    opened.page.keyboard.press("ArrowRight")
    assert readout(root) == "t = 2: after We· predict t"
    assert root.locator(".mg-win-cell.mg-win-seen").count() == 3
    opened.page.keyboard.press("End")
    opened.page.keyboard.press("ArrowDown")
    assert readout(root) == "t = 3: after We·t predict h"
    opened.page.keyboard.press("Enter")
    assert readout(root).endswith("(pinned)")
    cells.nth(0).hover()
    assert readout(root).startswith("t = 3")
    opened.page.keyboard.press("Escape")
    assert readout(root) == "t = 3: after We·t predict h"
    cells.nth(1).click()
    assert readout(root) == "t = 1: after We predict · (pinned)"

    root.get_by_label("window begins at: one on").click()
    assert readout(root) == "t = 1: after e· predict t"
    root.get_by_label("block_size: one on").click()
    assert cells.count() == 10
    slider = root.get_by_label("window begins at", exact=True)
    slider.focus()
    opened.page.keyboard.press("End")
    assert root.locator(".mg-win-cell .mg-token").last.inner_text() == "s"
    last = len(TEXT) - 5 - 1
    assert slider.input_value() == str(last)

    size = root.get_by_label("block_size", exact=True)
    size.focus()
    opened.page.keyboard.press("End")
    assert cells.count() == 32
    assert int(slider.input_value()) == len(TEXT) - 16 - 1

    root.get_by_role("button", name="show as table").click()
    rows = root.locator("tbody tr")
    assert rows.count() == 16
    assert rows.last.locator("td").all_inner_texts()[1] == "s"


def test_tokens_stay_text_in_both_themes(opened):
    root = opened.page.locator('section.mg[aria-label="Sliding window"]')
    strip = root.locator(".mg-win-text")
    assert "<b>People</b>·of↵the" in strip.inner_text()
    assert strip.locator("b").count() == 0
    paper, ink = root.evaluate(
        "el => [getComputedStyle(el).backgroundColor,"
        " getComputedStyle(el).color]"
    )
    assert paper != ink
