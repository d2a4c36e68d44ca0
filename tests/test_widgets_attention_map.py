"""The attention map in a real browser: on a page and in JupyterLab."""

import math
import re

import numpy as np
import pytest
import torch
from lab import notebook, stored

from minigpt.viz.attention_map import AttentionMap, head_numbers

TOKENS = ["the", " cat", " sat", "\n", "<b>", " down"]
NAME = "Attention map"
IN_LAB = f"""
import torch
from minigpt.viz.attention_map import AttentionMap
torch.manual_seed(0)
scores = torch.randn(2, 3, 6, 6).mul(2)
scores.masked_fill_(torch.ones(6, 6).triu(1).bool(), float("-inf"))
AttentionMap({TOKENS!r}, scores.softmax(-1))
"""


def weights(L=2, H=3, T=6, causal=True):
    torch.manual_seed(0)
    scores = torch.randn(L, H, T, T).mul(2)
    if causal:
        scores.masked_fill_(torch.ones(T, T).triu(1).bool(), float("-inf"))
    return scores.softmax(-1)


def view(**shape):
    w = weights(**shape)
    return AttentionMap(TOKENS if w.size(-1) == 6 else _names(w.size(-1)), w)


def _names(n):
    return [f"t{i}" for i in range(n)]


# --- Python ---------------------------------------------------------------


def test_entropy_and_distance_by_hand():
    w = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.25, 0.25, 0.5]])
    entropy, distance = head_numbers(w)
    assert entropy == pytest.approx((0 + 1 + 1.5) / 3)
    assert distance == pytest.approx((0 + 0.5 + 0.75) / 3)


def test_rows_of_padding_do_not_count():
    w = torch.tensor([[0.0, 0.0], [0.5, 0.5]])
    assert [float(n) for n in head_numbers(w)] == [1.0, 0.5]
    assert [float(n) for n in head_numbers(torch.zeros(2, 2))] == [0.0, 0.0]


def test_the_numbers_travel_as_a_lower_triangle_of_float16():
    w = weights()
    packed = AttentionMap(TOKENS, w).weights
    assert (packed["dtype"], packed["lower"]) == ("float16", True)
    assert packed["shape"] == [2, 3, 6, 6]
    got = np.frombuffer(packed["data"], "<f2")
    assert got.size == 2 * 3 * 21
    expected = w.numpy().astype(np.float16)[..., *np.tril_indices(6)]
    assert (got == expected.ravel()).all()
    assert AttentionMap(TOKENS, weights(causal=False)).weights["lower"] is False


def test_a_record_and_one_layer_are_accepted():
    w = weights()
    for form in ([layer[None] for layer in w], w, list(w)):
        assert AttentionMap(TOKENS, form).weights["shape"] == [2, 3, 6, 6]
    assert AttentionMap(TOKENS, w[0]).weights["shape"] == [1, 3, 6, 6]
    one = AttentionMap(TOKENS, w[:1, :1])
    said = "Attention maps of 1 layer with 1 head over 6 tokens."
    assert one.describe() == said


@pytest.mark.parametrize(
    "tokens, w, said",
    [
        (TOKENS[:5], weights(), r"5 tokens .*got \(2, 3, 6, 6\)"),
        (TOKENS, [weights()], "batch of 1, got a batch of 2"),
        (TOKENS, [], "empty record"),
        (TOKENS, weights() - 0.5, "between 0 and 1"),
        (TOKENS, weights() * math.nan, "between 0 and 1"),
    ],
)
def test_what_does_not_fit_is_refused(tokens, w, said):
    with pytest.raises(ValueError, match=said):
        AttentionMap(tokens, w)


@pytest.mark.parametrize("focus", [(2, 0), (0, 3), (-1, 0)])
def test_the_head_in_focus_must_exist(focus):
    with pytest.raises(ValueError, match="2 layers and 3 heads"):
        AttentionMap(TOKENS, weights(), focus=focus)


# --- in the browser -------------------------------------------------------


def heading(root):
    return root.locator(".mg-attention-title").inner_text()


def readout(root):
    return root.locator(".mg-readout").inner_text()


def said_of_head(w, layer, head):
    half = w.half().float()  # the browser has the float16 numbers
    entropy, distance = head_numbers(half)
    e, d = entropy[layer, head].item(), distance[layer, head].item()
    return f"layer {layer}, head {head}", e, d


def check_heading(root, w, layer, head):
    name, entropy, distance = said_of_head(w, layer, head)
    text = heading(root)
    assert text.startswith(f"{name}: entropy ")
    e, d = (float(n) for n in re.findall(r"\d+\.\d+", text))
    assert abs(e - entropy) < 0.006 and abs(d - distance) < 0.06


def drive_heads(root, page):
    """Arrow keys over the thumbnails, two pins, the difference, unpin."""
    w = weights()
    thumbs = root.locator("button.mg-head")
    assert thumbs.count() == 6
    thumbs.first.focus()
    check_heading(root, w, 0, 0)
    page.keyboard.press("ArrowRight")
    check_heading(root, w, 0, 1)
    page.keyboard.press("Enter")  # pins A
    assert thumbs.nth(1).get_attribute("aria-pressed") == "true"
    page.keyboard.press("ArrowDown")
    check_heading(root, w, 1, 1)
    page.keyboard.press("End")
    check_heading(root, w, 1, 2)
    page.keyboard.press("Enter")  # pins B: the difference appears
    assert [thumbs.nth(i).inner_text() for i in (1, 5)] == ["A", "B"]
    said = "difference: layer 0, head 1 (A) minus layer 1, head 2 (B)"
    assert heading(root) == said
    show = root.get_by_label("what the large map shows")
    assert show.input_value() == "difference"
    assert root.get_by_text("B −1").is_visible()
    check_difference(root, w)
    show.select_option("a")
    check_heading(root, w, 0, 1)
    show.select_option("b")
    check_heading(root, w, 1, 2)
    root.get_by_role("button", name="unpin").click()
    assert root.locator('.mg-head[aria-pressed="true"]').count() == 0
    assert show.locator("option:disabled").count() == 3
    thumbs.first.hover()
    check_heading(root, w, 0, 0)


def check_difference(root, w):
    half = w.half().double()
    expected = half[0, 1] - half[1, 2]
    grid = root.locator(".mg-map")
    grid.press("Control+End")
    for key, row, col in [("", 5, 5), ("Home", 5, 0), ("ArrowUp", 4, 0)]:
        if key:
            grid.press(key)
        text = readout(root).split(": ")[-1].replace("−", "-")
        assert abs(float(text) - expected[row, col]) < 6e-4
        assert text[0] in "+-" or float(text) == 0


def drive_tokens(root, page):
    """The strip and the large map light the same token."""
    w = weights().half()
    tokens = root.locator(".mg-strip-token")
    assert tokens.all_inner_texts() == [
        "the", "·cat", "·sat", "↵", "<b>", "·down",
    ]  # fmt: skip
    assert root.locator("section b, .mg-strip b").count() == 0
    root.locator("button.mg-head").first.press("Control+Home")
    tokens.first.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    lit = root.locator(".mg-strip-on")
    assert lit.all_inner_texts() == ["<b>"]
    assert readout(root).startswith("“<b>” (4) → “<b>” (4): ")
    looks = tokens.nth(1).evaluate("el => el.style.getPropertyValue('--looks')")
    share = 100 * math.sqrt(w[0, 0, 4, 1])
    assert abs(float(looks[:-1]) - share) <= 0.51
    seen = tokens.nth(5).evaluate("el => el.style.getPropertyValue('--seen')")
    assert abs(float(seen[:-1]) - 100 * math.sqrt(w[0, 0, 5, 4])) <= 0.51
    check_bands(root, 4)
    page.keyboard.press("Enter")  # held: the pointer does not move it
    tokens.nth(1).hover()
    assert lit.all_inner_texts() == ["<b>"]
    page.keyboard.press("Escape")
    tokens.nth(3).hover()
    assert lit.all_inner_texts() == ["↵"]
    grid = root.locator(".mg-map")
    grid.press("Control+Home")
    grid.press("ArrowDown")
    grid.press("ArrowDown")
    assert lit.all_inner_texts() == ["·sat"]
    assert readout(root) == f"“·sat” (2) → “the” (0): {w[0, 0, 2, 0]:.3f}"
    grid.press("End")
    assert readout(root).endswith("masked, this token comes later")


def check_bands(root, token):
    """The two frames lie over the token's row and column."""
    canvas = root.locator(".mg-map canvas").bounding_box()
    cell = canvas["width"] / 6
    row = root.locator(".mg-band-row").bounding_box()
    col = root.locator(".mg-band-col").bounding_box()
    assert abs(row["y"] - canvas["y"] - token * cell) < 1
    assert abs(col["x"] - canvas["x"] - token * cell) < 1
    assert abs(row["width"] - canvas["width"]) < 1


def drive_tables(root):
    root.get_by_role("button", name="heads as table").click()
    rows = root.locator(".mg-table-frame").first.locator("tbody tr")
    assert rows.count() == 6
    name, entropy, distance = said_of_head(weights(), 1, 2)
    cells = rows.last.locator("th, td").all_inner_texts()
    assert cells[0] == name
    assert abs(float(cells[1]) - entropy) < 0.006
    assert abs(float(cells[2]) - distance) < 0.06
    root.get_by_role("button", name="weights as table").click()
    table = root.locator(".mg-table-frame").last
    assert table.locator("tbody tr").count() == 6
    assert table.locator("td").all_inner_texts().count("") == 15
    assert table.locator("b").count() == 0
    for _ in range(2):
        root.get_by_role("button", name="hide table").first.click()
    assert not table.is_visible()


def widget(visit):
    visit.scroll_through()
    return visit.page.locator(f'section.mg[aria-label="{NAME}"]')


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_page(widget_page, scheme):
    visit = widget_page(stored(view()), color_scheme=scheme)
    root = widget(visit)
    assert root.get_attribute("data-mg-theme") == scheme
    drive_heads(root, visit.page)
    drive_tokens(root, visit.page)
    drive_tables(root)
    assert visit.errors == [] and visit.foreign == []


def test_the_thumbnails_have_the_colours_of_the_numbers(widget_page):
    w = torch.zeros(1, 2, 3, 3)
    w[0, 0] = torch.eye(3)
    w[0, 1, :, 0] = 1
    visit = widget_page(stored(AttentionMap(["a", "b", "c"], w)))
    pixels = (
        widget(visit)
        .locator(".mg-heads-canvas")
        .evaluate(
            """canvas => [...canvas.getContext("2d").getImageData(
             0, 0, canvas.width, canvas.height).data]"""
        )
    )
    image = np.array(pixels).reshape(3, 7, 4)
    yellow, dark = [253, 231, 37, 255], [68, 1, 84, 255]  # viridis, 1 and 0
    assert image[2, 2].tolist() == yellow and image[2, 0].tolist() == dark
    assert image[2, 4].tolist() == yellow and image[2, 6].tolist() == dark
    assert image[0, 2, 3] == 0 and image[1, 3, 3] == 0  # masked; the gap


def test_another_head_may_be_shown_first(widget_page):
    visit = widget_page(stored(AttentionMap(TOKENS, weights(), focus=(1, 2))))
    check_heading(widget(visit), weights(), 1, 2)


def test_a_map_that_is_not_causal(widget_page):
    visit = widget_page(stored(view(causal=False)))
    root = widget(visit)
    grid = root.locator(".mg-map")
    grid.press("Control+Home")
    grid.press("End")
    w = weights(causal=False).half()[0, 0, 0, 5]
    assert readout(root) == f"“the” (0) → “·down” (5): {w:.3f}"
    assert visit.errors == []


DRAWN = """() => performance.getEntriesByName(
    "mg-attention-map-draw").map(entry => entry.duration)"""


@pytest.mark.slow
def test_144_heads_of_64_tokens_draw_fast(widget_page, record_property):
    """The aim is 100 ms on a quiet machine; 250 is asserted on any."""
    page = stored(view(L=12, H=12, T=64))
    times = []
    for _ in range(3):
        visit = widget_page(page)
        root = widget(visit)
        times += visit.page.evaluate(DRAWN)
        assert root.locator("button.mg-head").count() == 144
    record_property("draw_ms", times)
    print("12 x 12 heads, 64 tokens, drawn in ms:", [round(t) for t in times])
    assert len(times) == 3 and min(times) <= 250


def test_in_jupyterlab(lab_page):
    lab = lab_page(notebook(IN_LAB))
    lab.run()
    root = lab.widget(NAME)
    drive_heads(root, lab.page)
    drive_tokens(root, lab.page)
    drive_tables(root)
    lab.theme("dark")
    lab.page.wait_for_selector('section.mg[data-mg-theme="dark"]')
    assert lab.foreign == []
