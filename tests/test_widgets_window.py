"""The sliding window in a real browser, as on a page of the book."""

import pytest
from lab import notebook

from minigpt.viz.window import WindowView

NAME = "Sliding window"
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


def view():
    return WindowView(TEXT, range(len(TEXT)), block_size=4)


def readout(root):
    return root.locator(".mg-readout").inner_text()


def drive_cells(root, keyboard):
    """Walk over the cells by keys and mouse; end pinned at t = 1."""
    assert readout(root) == "t = 0: after W predict e"
    cells = root.locator(".mg-win-cell")
    texts = cells.locator(".mg-token").all_inner_texts()
    assert texts == list("We·t") + list("e·th")
    cells.nth(0).focus()
    keyboard.press("ArrowRight")
    keyboard.press("ArrowRight")
    assert readout(root) == "t = 2: after We· predict t"
    assert root.locator(".mg-win-cell.mg-win-seen").count() == 3
    keyboard.press("End")
    keyboard.press("ArrowDown")
    assert readout(root) == "t = 3: after We·t predict h"
    keyboard.press("Enter")
    assert readout(root).endswith("(pinned)")
    cells.nth(0).hover()
    assert readout(root).startswith("t = 3")
    keyboard.press("Escape")
    assert readout(root) == "t = 3: after We·t predict h"
    cells.nth(1).click()
    assert readout(root) == "t = 1: after We predict · (pinned)"


def test_cells(opened):
    root = opened.page.locator(f'section.mg[aria-label="{NAME}"]')
    drive_cells(root, opened.page.keyboard)


def test_sliders_and_table(opened):
    root = opened.page.locator(f'section.mg[aria-label="{NAME}"]')
    cells = root.locator(".mg-win-cell")
    root.get_by_label("window begins at: one on").click()
    assert readout(root) == "t = 0: after e predict ·"
    root.get_by_label("block_size: one on").click()
    assert cells.count() == 10
    slider = root.get_by_label("window begins at", exact=True)
    slider.focus()
    opened.page.keyboard.press("End")
    assert cells.locator(".mg-token").last.inner_text() == "s"
    assert slider.input_value() == str(len(TEXT) - 5 - 1)

    root.get_by_label("block_size", exact=True).focus()
    opened.page.keyboard.press("End")
    assert cells.count() == 32
    assert slider.input_value() == str(len(TEXT) - 16 - 1)
    root.get_by_label("window begins at: one back").click()
    assert slider.input_value() == str(len(TEXT) - 16 - 2)
    root.get_by_label("window begins at: one on").click()

    root.get_by_role("button", name="show as table").click()
    rows = root.locator("tbody tr")
    assert rows.count() == 16
    assert rows.last.locator("td").all_inner_texts()[1] == "s"
    root.get_by_label("block_size: one back").click()
    assert rows.count() == 15


IN_LAB = f"""
from minigpt.viz.window import WindowView
WindowView({TEXT!r}, range({len(TEXT)}), block_size=4)
"""


@pytest.mark.slow  # bigram and attention map stand for all
def test_in_jupyterlab(lab_page):
    lab = lab_page(notebook(IN_LAB))
    lab.run()
    root = lab.widget(NAME)
    drive_cells(root, lab.page.keyboard)
    lab.theme("dark")
    lab.page.wait_for_selector('section.mg[data-mg-theme="dark"]')
    assert readout(root) == "t = 1: after We predict · (pinned)"
    assert lab.foreign == []
