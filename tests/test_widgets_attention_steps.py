"""Attention in five steps, in a real browser: on a page and in JupyterLab."""

import numpy as np
import pytest
import torch
from lab import notebook, stored

from minigpt.attention import attention_weights, causal_mask
from minigpt.viz.attention_steps import AttentionSteps

NAME = "Attention in five steps"
TOKENS = ["<b>", "o", "r", "d"]
X = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 0.0]])
STEPS = ["1 QKᵀ", "2 scale", "3 mask", "4 softmax", "5 ·V"]
IN_LAB = f"""
import torch
from minigpt.viz.attention_steps import AttentionSteps
x = torch.tensor({X.tolist()})
AttentionSteps({TOKENS!r}, x, x.flip(1), 10 * x)
"""
SCRIPT = AttentionSteps._esm.replace("export default", "window.mgWidget =")
MASKS = {
    "causal": lambda T: causal_mask(T),
    "none": lambda T: torch.ones(T, T, dtype=torch.bool),
    "window": lambda T: causal_mask(T) & ~torch.ones(T, T).bool().tril(-3),
    "padding": lambda T: causal_mask(T) & (torch.arange(T) >= 2),
}


def view():
    return AttentionSteps(TOKENS, X, X.flip(1), 10 * X)


def golden(q, k, v, allowed):
    """The five steps by PyTorch, in double precision."""
    q, k, v = q.double(), k.double(), v.double()
    raw = q @ k.T
    scaled = raw / q.size(1) ** 0.5
    masked = scaled.masked_fill(~allowed, -torch.inf)
    weights = masked.softmax(-1).nan_to_num()  # a row that sees nothing: 0
    return [raw, scaled, masked, weights, weights @ v]


def written(x):
    """A number as the widget writes it."""
    return "−∞" if x == -torch.inf else f"{x + 0.0:.3f}".replace("-", "−")


# --- Python --------------------------------------------------------------


@pytest.mark.parametrize(
    "tokens, shapes, said",
    [
        ("abc", [(4, 2)] * 3, r"query must be \(T, D\) with T = 3, got \(4, 2"),
        ("abcd", [(4, 2), (4, 3), (4, 2)], r"key must be \(4, 2\).*\(4, 3\)"),
        ("abcd", [(4, 2), (4, 2), (4,)], r"value must be \(T, D\).*\(4,\)"),
        ("", [(0, 2)] * 3, "tokens must be 1 to 16, got 0"),
        ("a" * 17, [(17, 2)] * 3, "tokens must be 1 to 16, got 17"),
    ],
)
def test_what_does_not_fit_is_refused(tokens, shapes, said):
    with pytest.raises(ValueError, match=said):
        AttentionSteps(list(tokens), *(np.zeros(s) for s in shapes))


def test_not_a_number_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        AttentionSteps(["a"], [[float("nan")]], [[1.0]], [[1.0]])


def test_the_stand_in_shows_the_causal_weights():
    html = view().fallback()
    weights = attention_weights(X, X.flip(1), causal_mask(4))
    last = "".join(f"<td><bdi>{w:.2f}</bdi></td>" for w in weights[3])
    assert last in html and "<b>" not in html
    assert view().describe().startswith("Attention in five steps over 4 tokens")


# --- the computation, against PyTorch ------------------------------------


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("T, D, spread", [(1, 1, 1), (4, 2, 1), (12, 32, 30)])
def test_steps_equal_pytorch(browser, mask, T, D, spread):
    g = torch.Generator().manual_seed(T)
    q, k, v = (spread * torch.randn(T, D, generator=g) for _ in range(3))
    page = browser.new_page()
    page.add_script_tag(content=SCRIPT)
    got = page.evaluate(
        """([q, k, v, kind]) => Object.values(attentionSteps(q, k, v,
        maskRule(kind, { width: 3, pads: 2 })))""",
        [q.tolist(), k.tolist(), v.tolist(), mask],
    )
    page.close()
    for ours, theirs in zip(got, golden(q, k, v, MASKS[mask](T)), strict=True):
        torch.testing.assert_close(
            torch.tensor(ours, dtype=torch.float64),
            theirs,
            atol=1e-9,
            rtol=1e-9,
        )


# --- in the page ---------------------------------------------------------


def readout(root):
    return root.locator(".mg-readout").inner_text()


def table(root):
    """The numbers of the table, as they are written."""
    rows = root.locator(".mg-table-frame").last.locator("tbody tr")
    return [r.locator("td").all_inner_texts() for r in rows.all()]


def shows(root, mask, steps=STEPS):
    """Each step's table is what PyTorch computes."""
    wanted = golden(X, X.flip(1), 10 * X, mask)
    for name, numbers in zip(STEPS, wanted, strict=True):
        if name in steps:
            root.get_by_role("button", name=name, exact=True).click()
            rows = [[written(x) for x in row] for row in numbers.tolist()]
            assert table(root) == rows, name


def drive_masks(root):
    """Every mask and every control of it; the numbers of all five steps."""
    root.get_by_role("button", name="show as table").click()
    choose = root.locator("select")
    causal = causal_mask(4)
    shows(root, causal)
    choose.select_option("none")
    shows(root, torch.ones(4, 4, dtype=torch.bool))
    window = root.get_by_label("window", exact=True)
    assert window.is_hidden()
    choose.select_option("window")
    assert window.input_value() == "2"
    shows(root, causal & ~torch.ones(4, 4).bool().tril(-2))
    root.get_by_label("window: one back").click()
    shows(root, torch.eye(4, dtype=torch.bool))
    choose.select_option("padding")
    assert window.is_hidden()
    shows(root, causal & (torch.arange(4) >= 2))
    pads = root.get_by_label("padded tokens", exact=True)
    pads.press("End")
    shows(root, torch.zeros(4, 4, dtype=torch.bool), STEPS[3:])
    pads.press("Home")
    shows(root, causal)
    choose.select_option("causal")
    root.get_by_role("button", name="hide table").click()


def drive_keyboard(root, page):
    """Arrows, digits, pin; the sentence and the sum below it."""
    root.get_by_role("button", name="1 QKᵀ").click()
    grid, work = root.locator(".mg-map"), root.locator(".mg-table-frame").first
    grid.focus()
    page.keyboard.press("Control+End")
    page.keyboard.press("ArrowLeft")
    assert readout(root) == "query of d (3) · key of r (2) = 2.000"
    cells = work.locator("tbody tr")
    assert cells.nth(0).locator("td").all_inner_texts() == [
        "2.000",
        "0.000",
        "",
    ]
    assert cells.nth(2).locator("td").all_inner_texts() == [
        "2.000", "0.000", "2.000",
    ]  # fmt: skip
    page.keyboard.press("2")
    assert readout(root) == "d (3) to r (2): 2.000 / √2 = 1.414"
    page.keyboard.press("3")
    assert readout(root) == "d (3) to r (2): 1.414, allowed"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert readout(root) == (
        "o (1) to r (2): −∞, forbidden: it lies in the future"
    )
    assert work.inner_text().endswith("so it is −∞")
    page.keyboard.press("4")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert readout(root) == "d (3) reads r (2) with weight 0.402 (pinned)"
    assert cells.nth(1).locator("td").last.inner_text() == "2.486"
    root.get_by_role("button", name="5 ·V").click()
    page.keyboard.press("Escape")
    grid.focus()
    page.keyboard.press("Escape")
    page.keyboard.press("Home")
    assert readout(root) == "output of d (3), channel 0 = 6.956"
    assert cells.nth(2).locator("td").last.inner_text() == "6.956"


def look(root):
    return root.evaluate(
        "el => [getComputedStyle(el).backgroundColor,"
        " getComputedStyle(el).color]"
    )


def painted(root):
    """How many different colours the canvas holds."""
    return root.locator(".mg-map canvas").evaluate(
        """canvas => new Set(new Uint32Array(canvas.getContext('2d')
        .getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size"""
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_page(widget_page, scheme):
    visit = widget_page(stored(view()), color_scheme=scheme)
    visit.scroll_through()
    root = visit.page.locator(f'section.mg[aria-label="{NAME}"]')
    assert readout(root) == "query of d (3) · key of <b> (0) = 0.000"
    assert painted(root) > 3
    drive_masks(root)
    drive_keyboard(root, visit.page)
    assert root.locator("b").count() == 0
    assert visit.errors == [] and visit.foreign == []


def test_a_telephone_scrolls_the_map_and_not_the_page(widget_page):
    wide = torch.randn(8, 32, generator=torch.Generator().manual_seed(0))
    view = AttentionSteps(list("Congress"), wide, wide, wide)
    visit = widget_page(stored(view), viewport={"width": 360, "height": 700})
    visit.scroll_through()
    root = visit.page.locator(f'section.mg[aria-label="{NAME}"]')
    root.get_by_role("button", name="5 ·V").click()
    overflow = visit.page.evaluate(
        "document.documentElement.scrollWidth - innerWidth"
    )
    assert overflow <= 0
    grid = root.locator(".mg-map")
    grid.press("End")
    assert "channel 31" in readout(root)
    assert grid.evaluate("el => el.scrollLeft") > 0


def test_a_reason_for_every_forbidden_cell(widget_page):
    visit = widget_page(stored(view()))
    visit.scroll_through()
    root = visit.page.locator(f'section.mg[aria-label="{NAME}"]')
    choose = root.locator("select")
    grid = root.locator(".mg-map")
    root.get_by_role("button", name="3 mask").click()
    for mask, key, said in [
        ("window", "Home", "forbidden: more than 1 back"),
        ("padding", "Home", "forbidden: the key is padding"),
        ("none", "End", "allowed"),
    ]:
        choose.select_option(mask)
        grid.press("Control+End")
        grid.press(key)
        assert readout(root).endswith(said)


@pytest.mark.slow  # bigram and attention map stand for all
def test_in_jupyterlab(lab_page):
    opened = lab_page(notebook(IN_LAB))
    opened.run()
    root = opened.widget(NAME)
    drive_masks(root)
    drive_keyboard(root, opened.page)
    opened.theme("light")
    light = look(root)
    opened.theme("dark")
    opened.page.wait_for_function(
        "document.body.dataset.jpThemeLight === 'false'"
    )
    assert look(root) != light
    assert opened.foreign == []
