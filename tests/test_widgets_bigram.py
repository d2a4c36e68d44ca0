"""A bigram table in a real browser: on a page and in JupyterLab."""

import re
from itertools import pairwise

import numpy as np
import pytest
from lab import notebook, stored

from minigpt.viz.bigram import BigramTable

TEXT = "the quick queen quit the theatre.\nthen she quoted <b> x"
NAME = "Which character follows which"
IN_LAB = f"""
import numpy as np
from minigpt.viz.bigram import BigramTable
text = {TEXT!r}
chars = sorted(set(text))
counts = np.zeros((len(chars), len(chars)), dtype=int)
for a, b in zip(text, text[1:]):
    counts[chars.index(a), chars.index(b)] += 1
BigramTable(counts, chars, top=8)
"""


def table(text=TEXT, top=8):
    chars = sorted(set(text))
    counts = np.zeros((len(chars), len(chars)), dtype=int)
    for a, b in pairwise(text):
        counts[chars.index(a), chars.index(b)] += 1
    return BigramTable(counts, chars, top=top)


@pytest.mark.parametrize(
    "counts, tokens, top, said",
    [
        (np.ones((2, 3), int), "ab", 1, r"must be \(2, 2\) for 2 .*\(2, 3\)"),
        (np.zeros((2, 2), int), "ab", 1, "at least one pair"),
        (np.ones((2, 2), int), "ab", 3, "top must be 1 to 2, got 3"),
        (np.ones((2, 2)) / 2, "ab", 1, "cannot hold the value 0.5"),
    ],
)
def test_what_does_not_fit_is_refused(counts, tokens, top, said):
    with pytest.raises(ValueError, match=said):
        BigramTable(counts, list(tokens), top=top)


def test_the_stand_in_shows_probabilities():
    html = table("abracadabra", top=3).fallback()
    assert "<td><bdi>0.500</bdi></td>" in html
    assert html.count("<tr>") == 6
    assert "<b>" not in table().fallback()


def readout(root):
    return root.locator(".mg-readout").inner_text()


def drive_map(root, page):
    """Arrow keys, letters, pinning; the numbers are those of TEXT."""
    grid = root.locator(".mg-map")
    grid.focus()
    page.keyboard.press("q")
    assert readout(root) == "after q comes u: 1.0000 (4 of 4 times)"
    page.keyboard.press("t")
    assert readout(root) == "after t comes h: 0.5714 (4 of 7 times)"
    page.keyboard.press("Enter")
    assert readout(root).endswith("(pinned)")
    grid.hover(position={"x": 60, "y": 60})
    assert readout(root).startswith("after t comes h:")
    page.keyboard.press("Escape")
    assert not readout(root).endswith("(pinned)")
    page.keyboard.press("Control+Home")
    first = readout(root)
    page.keyboard.press("End")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowUp")
    assert readout(root) == first
    page.keyboard.press("Z")
    assert readout(root) == "Z is not in the vocabulary"


def drive_rest(root):
    """All characters, the table, the walk; the final state of each."""
    n = len(set(TEXT))
    root.get_by_label("show", exact=False).first.select_option("all")
    assert root.locator(".mg-label-row").count() == n
    root.get_by_role("button", name="show as table").click()
    rows = root.locator(".mg-table-frame tbody tr")
    assert rows.count() == n
    assert root.locator(".mg-table-frame b").count() == 0
    root.get_by_role("button", name="hide table").click()
    assert root.locator(".mg-table-frame").is_hidden()
    root.locator(".mg-map").press("q")
    root.get_by_role("button", name="start from this row").click()
    walk = root.locator(".mg-walk")
    assert walk.inner_text() == "q"
    root.get_by_role("button", name="next character").click()
    assert walk.inner_text() == "qu"
    root.get_by_role("button", name="60 more").click()
    text = walk.evaluate("el => el.textContent")
    pairs = {a + b for a, b in pairwise(TEXT)}
    assert len(text) <= 62 and text.startswith("qu")
    assert {a + b for a, b in pairwise(text)} <= pairs
    assert len(text) == 62 or text[-1] == TEXT[-1]


def look(root):
    """What the theme gives: background, ink."""
    return root.evaluate(
        "el => [getComputedStyle(el).backgroundColor,"
        " getComputedStyle(el).color]"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_page(widget_page, scheme):
    visit = widget_page(stored(table()), color_scheme=scheme)
    visit.scroll_through()
    root = visit.page.locator(f'section.mg[aria-label="{NAME}"]')
    dark = scheme == "dark"
    assert look(root)[0] == (
        "rgb(20, 24, 29)" if dark else "rgb(255, 255, 255)"
    )
    drive_map(root, visit.page)
    drive_rest(root)
    assert visit.errors == [] and visit.foreign == []


def test_hover_reads_the_cell_under_the_pointer(widget_page):
    visit = widget_page(stored(table()))
    visit.scroll_through()
    root = visit.page.locator(f'section.mg[aria-label="{NAME}"]')
    grid = root.locator(".mg-map canvas")
    size = grid.bounding_box()["width"] / 8
    grid.hover(position={"x": 1.5 * size, "y": 2.5 * size})
    names = root.locator(".mg-label-row").all_inner_texts()
    said = re.match(r"after (.+) comes (.+): ", readout(root))
    assert said.groups() == (names[2], names[1])
    visit.page.locator("section.mg .mg-map").press("ArrowRight")
    said = re.match(r"after (.+) comes (.+): ", readout(root))
    assert said.groups() == (names[2], names[2])


def test_the_cells_have_the_colours_of_their_numbers(widget_page):
    visit = widget_page(stored(table("abababababac", top=3)))
    visit.scroll_through()
    got = visit.page.locator(".mg-map canvas").evaluate(
        """canvas => {
          const pen = canvas.getContext("2d"), n = 3;
          const cell = canvas.width / n;
          return [[1, 0], [0, 0]].map(([row, col]) => [...pen.getImageData(
            (col + 0.4) * cell, (row + 0.4) * cell, 1, 1).data].slice(0, 3));
        }"""
    )
    assert got == [[253, 231, 37], [68, 1, 84]]  # viridis at 1 and at 0


def mulberry32(seed):
    """The generator of the script, in Python."""

    def imul(a, b):
        return (a * b) & 0xFFFFFFFF

    while True:
        seed = (seed + 0x6D2B79F5) & 0xFFFFFFFF
        t = imul(seed ^ (seed >> 15), 1 | seed)
        t = ((t + imul(t ^ (t >> 7), 61 | t)) & 0xFFFFFFFF) ^ t
        yield (t ^ (t >> 14)) / 2**32


def walk_in_python(view, n):
    """n characters drawn from the counts, from the first row on."""
    counts, random = view._table, mulberry32(1)
    last, text = 0, view.tokens[0]
    for _ in range(n):
        ends = counts[last].cumsum()
        last = int(np.searchsorted(ends, next(random) * ends[-1], "right"))
        text += view.tokens[last]
    return text


def test_the_walk_is_drawn_from_the_counts(widget_page):
    view = table(TEXT + " the")
    visit = widget_page(stored(view))
    visit.scroll_through()
    visit.page.get_by_role("button", name="60 more").click()
    walk = visit.page.locator(".mg-walk").evaluate("el => el.textContent")
    assert walk == walk_in_python(view, 60)


def test_in_jupyterlab(lab_page):
    lab = lab_page(notebook(IN_LAB))
    lab.run()
    root = lab.widget(NAME)
    assert look(root)[0] == "rgb(255, 255, 255)"
    drive_map(root, lab.page)
    drive_rest(root)
    lab.theme("dark")
    lab.page.wait_for_selector('section.mg[data-mg-theme="dark"]')
    assert look(root)[0] == "rgb(20, 24, 29)"
    assert lab.foreign == []


def test_in_jupyterlab_from_stored_state(lab_page):
    lab = lab_page(stored(table()), trusted=True)
    drive_map(lab.widget(NAME), lab.page)
    assert lab.foreign == []


def test_in_jupyterlab_untrusted_shows_the_stand_in(lab_page):
    lab = lab_page(stored(table()))
    stand_in = lab.page.locator(".jp-OutputArea table.mg-fallback")
    stand_in.wait_for()
    assert "1.000" in stand_in.inner_text()
    assert lab.page.locator("section.mg").count() == 0
