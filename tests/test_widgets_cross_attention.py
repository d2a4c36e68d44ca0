"""The cross-attention map in a real browser: on a page and in JupyterLab."""

import math

import numpy as np
import pytest
import torch
from lab import notebook, stored

from minigpt.viz.cross_attention import CrossAttentionMap

SOURCES = [["1", ".", "<b>", "\n", "9"], ["M", "a", "y"]]
TARGETS = [["a", " b", "<eos>"], ["x", "y", "z", "<eos>"]]
NAME = "Cross-attention map"
IN_LAB = f"""
import torch
from minigpt.viz.cross_attention import CrossAttentionMap
torch.manual_seed(0)
examples = [
    (s, t, torch.randn(2, 3, len(t), len(s)).mul(2).softmax(-1))
    for s, t in zip({SOURCES!r}, {TARGETS!r})
]
CrossAttentionMap(examples)
"""


def weights():
    torch.manual_seed(0)
    return [
        torch.randn(2, 3, len(t), len(s)).mul(2).softmax(-1)
        for s, t in zip(SOURCES, TARGETS, strict=True)
    ]


def examples():
    return list(zip(SOURCES, TARGETS, weights(), strict=True))


def view():
    return CrossAttentionMap(examples())


# --- Python ---------------------------------------------------------------


def test_the_numbers_travel_one_map_after_the_other():
    made = view()
    assert made.heads == [2, 3] and made.sources == SOURCES
    assert made.weights["dtype"] == "float16"
    got = np.frombuffer(made.weights["data"], "<f2")
    expected = [w.numpy().astype(np.float16).ravel() for w in weights()]
    assert (got == np.concatenate(expected)).all()
    said = "Cross-attention of 2 layers with 3 heads in 2 texts."
    assert made.describe() == said


def test_one_layer_may_come_without_its_dimension():
    one = CrossAttentionMap([(s, t, w[0]) for s, t, w in examples()[:1]])
    assert one.heads == [1, 3]
    said = "Cross-attention of 1 layer with 3 heads in 1 text."
    assert one.describe() == said


def test_the_picture_shows_the_mean_of_all_heads():
    axes = view().fallback().axes
    for ax, w, s, t in zip(axes, weights(), SOURCES, TARGETS, strict=True):
        shown = np.asarray(ax.images[0].get_array())
        np.testing.assert_allclose(shown, w.mean((0, 1)).sqrt(), rtol=1e-5)
        assert len(ax.get_xticklabels()) == len(s)
        assert [x.get_text() for x in ax.get_yticklabels()] == t


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda e: [], "at least one text"),
        (
            lambda e: [(e[0][0][:4], *e[0][1:])],
            r"\(2, 3, 3, 4\), got \(2, 3, 3, 5\)",
        ),
        (lambda e: [e[0], (*e[1][:2], e[1][2][:1])], "weights of text 1 must"),
        (lambda e: [(*e[0][:2], e[0][2] / 2)], "a sum that is 0.5 off"),
        (lambda e: [(*e[0][:2], 1 - e[0][2])], "sum to 1"),
        (lambda e: [(*e[0][:2], e[0][2] * math.nan)], "at least 0"),
    ],
)
def test_what_does_not_fit_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        CrossAttentionMap(change(examples()))


# --- in the browser -------------------------------------------------------


def readout(root):
    return root.locator(".mg-readout").inner_text()


def number(root):
    return float(readout(root).split(": ")[-1].replace(" (pinned)", ""))


def close(got, expected):
    return abs(got - float(expected)) < 6e-4


def share(token):
    said = token.evaluate("el => el.style.getPropertyValue('--share')")
    return float(said[:-1])


def drive_map(root):
    """Keys in the large map, for the mean and for one head."""
    w = weights()[0].half().double()
    grid = root.locator(".mg-map")
    grid.press("Control+Home")
    assert readout(root).startswith("writing “a” (0) ← “1” (0): ")
    assert close(number(root), w.mean((0, 1))[0, 0])
    grid.press("Control+End")
    assert readout(root).startswith("writing “<eos>” (2) ← “9” (4): ")
    assert close(number(root), w.mean((0, 1))[2, 4])
    root.locator("select").nth(1).select_option("5")
    title = root.locator(".mg-cross-title")
    assert title.inner_text().startswith("layer 1, head 2: a b<eos> from 1.")
    grid.press("ArrowUp")
    grid.press("ArrowLeft")
    assert readout(root).startswith("writing “·b” (1) ← “↵” (3): ")
    assert close(number(root), w[1, 2, 1, 3])
    grid.press("Enter")
    assert readout(root).endswith("(pinned)")
    grid.press("Escape")


def strips(root):
    texts = root.locator(".mg-cross-text")
    return [texts.nth(i).locator(".mg-cross-token") for i in range(2)]


def drive_texts(root, page):
    """A written token lights the source, a source token the written."""
    w = weights()[0].half()[1, 2]
    source, target = strips(root)
    assert source.all_inner_texts() == ["1", ".", "<b>", "↵", "9"]
    assert root.locator("section b, .mg-cross-text b").count() == 0
    target.first.focus()
    page.keyboard.press("ArrowRight")
    assert root.locator(".mg-cross-on").all_inner_texts() == ["·b"]
    for s in range(5):
        assert abs(share(source.nth(s)) - 100 * math.sqrt(w[1, s])) <= 0.51
    assert share(target.nth(1)) == 0
    page.keyboard.press("Enter")  # held: the pointer does not move it
    target.nth(2).hover()
    assert root.locator(".mg-cross-on").all_inner_texts() == ["·b"]
    page.keyboard.press("Escape")
    source.nth(2).hover()
    assert root.locator(".mg-cross-on").all_inner_texts() == ["<b>"]
    for t in range(3):
        assert abs(share(target.nth(t)) - 100 * math.sqrt(w[t, 2])) <= 0.51
    assert share(source.nth(2)) == 0


def drive_choice(root):
    """Another text: other labels, other numbers, a table that follows."""
    root.get_by_role("button", name="show as table").click()
    table = root.locator(".mg-table-frame")
    assert table.locator("tbody tr").count() == 3
    root.locator("select").nth(0).select_option("1")
    source, target = strips(root)
    assert source.all_inner_texts() == ["M", "a", "y"]
    assert target.all_inner_texts() == ["x", "y", "z", "<eos>"]
    rows = table.locator("tbody tr")
    assert rows.count() == 4
    w = weights()[1].half()[1, 2]
    cells = rows.locator("td").all_inner_texts()
    assert all(
        close(float(c), x) for c, x in zip(cells, w.flatten(), strict=True)
    )
    root.locator(".mg-map").press("Control+End")
    assert readout(root).startswith("writing “<eos>” (3) ← “y” (2): ")
    assert close(number(root), w[3, 2])
    root.get_by_role("button", name="hide table").click()
    assert not table.is_visible()


def widget(visit):
    visit.scroll_through()
    return visit.page.locator(f'section.mg[aria-label="{NAME}"]')


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_page(widget_page, scheme):
    visit = widget_page(stored(view()), color_scheme=scheme)
    root = widget(visit)
    assert root.get_attribute("data-mg-theme") == scheme
    drive_map(root)
    drive_texts(root, visit.page)
    drive_choice(root)
    assert visit.errors == [] and visit.foreign == []


@pytest.mark.slow  # bigram and attention map stand for all
def test_in_jupyterlab(lab_page):
    lab = lab_page(notebook(IN_LAB))
    lab.run()
    root = lab.widget(NAME)
    drive_map(root)
    drive_texts(root, lab.page)
    drive_choice(root)
    lab.theme("dark")
    lab.page.wait_for_selector('section.mg[data-mg-theme="dark"]')
    assert lab.foreign == []
