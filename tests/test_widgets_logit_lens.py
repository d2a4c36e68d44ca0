"""The logit lens in a real browser: its numbers are those of the tensor."""

import pytest
import torch
from lab import notebook

from minigpt.viz.logit_lens import LogitLens

NAME = "Logit lens"
IDS = [3, 7, 3, 9, 1]


def decode(i):
    return f"<b>{i}"


def logits():
    g = torch.Generator().manual_seed(2)
    return 2 * torch.randn(3, 5, 12, generator=g)  # 2 blocks, 12 tokens


def view():
    return LogitLens(IDS, logits(), decode)


def test_what_cannot_be_shown_is_refused():
    with pytest.raises(ValueError, match="1 to 32 tokens, got 0"):
        LogitLens([], logits()[:, :0], decode)
    with pytest.raises(ValueError, match=r"layers \+ 1, 4.*\(3, 5, 12\)"):
        LogitLens(IDS[:4], logits(), decode)
    with pytest.raises(ValueError, match="at least 5"):
        LogitLens(IDS, logits()[..., :4], decode)


def test_the_stand_in_names_the_favourites():
    table = view().fallback()
    p = logits()[2, 4].softmax(-1)
    assert f"<bdi>&lt;b&gt;{p.argmax()} {p.max():.0%}</bdi>" in table
    assert "after block 1" in table and "<b>" not in table
    assert "after each of 5 tokens" in view().describe()


def readout(root):
    return root.locator(".mg-readout").inner_text()


def percent(p):
    return f"{100 * p:.1f} %" if p >= 0.001 else "< 0.1 %"


def sentence(layer, t):
    """What the readout must say, from the logits."""
    p = logits()[layer, t].double().softmax(-1)
    top = p.topk(5)
    list_ = ", ".join(
        f"<b>{i} {percent(q)}"
        for i, q in zip(top.indices.tolist(), top.values.tolist(), strict=True)
    )
    name = f"after block {layer - 1}" if layer else "before block 0"
    end = ". The text ends here."
    if t < 4:
        q = p[IDS[t + 1]]
        rank = (p > q).sum().item() + 1
        end = (
            f". What came, <b>{IDS[t + 1]}, has {percent(q.item())}, "
            f"rank {rank}."
        )
    return f"{name}, after <b>{IDS[t]} ({t}): {list_}{end}"


def drive(root, keyboard):
    """From the top left through the grid by keys, a pin, and back."""
    assert readout(root) == sentence(2, 0)
    root.locator(".mg-lens-cell").first.focus()
    keyboard.press("ArrowRight")
    assert readout(root) == sentence(2, 1)
    keyboard.press("ArrowDown")
    keyboard.press("ArrowDown")
    assert readout(root) == sentence(0, 1)
    keyboard.press("End")
    assert readout(root) == sentence(0, 4)
    keyboard.press("Enter")
    assert readout(root) == sentence(0, 4) + " (pinned)"
    root.locator(".mg-lens-cell").nth(1).hover()
    assert readout(root).endswith("(pinned)")
    root.page.mouse.move(0, 0)  # so that no cell comes under the pointer
    keyboard.press("Escape")
    keyboard.press("Home")
    keyboard.press("ArrowUp")
    assert readout(root) == sentence(1, 0)


def test_every_cell_is_the_favourite(opened):
    root = opened.page.locator(f'section.mg[aria-label="{NAME}"]')
    cells = root.locator(".mg-lens-cell").all_inner_texts()
    best = logits().argmax(-1).flip(0).flatten().tolist()  # last layer on top
    assert cells == [f"<b>{i}" for i in best]
    drive(root, opened.page.keyboard)
    root.locator(".mg-lens-cell").nth(7).click()
    assert readout(root) == sentence(1, 2) + " (pinned)"
    assert root.locator("b").count() == 0


def test_views_and_table(opened):
    root = opened.page.locator(f'section.mg[aria-label="{NAME}"]')
    root.get_by_label("cells show").select_option("rank")
    p = logits().double().softmax(-1)
    cells = root.locator(".mg-lens-cell").all_inner_texts()
    for row, layer in enumerate((2, 1, 0)):
        for t in range(4):
            rank = (p[layer, t] > p[layer, t, IDS[t + 1]]).sum().item() + 1
            assert cells[5 * row + t] == str(rank)
        assert cells[5 * row + 4] == ""
    root.get_by_label("cells show").select_option("came")
    first = root.locator(".mg-lens-cell").first.inner_text()
    assert first == percent(p[2, 0, 7].item())
    root.get_by_role("button", name="show as table").click()
    rows = root.locator(".mg-table-frame tbody tr")
    assert rows.count() == 5
    assert rows.nth(1).locator("td").all_inner_texts() == [
        percent(p[layer, 1, 3].item()) for layer in range(3)
    ]
    root.get_by_label("cells show").select_option("best")
    q = p[0, 1].max().item()
    favourite = f"<b>{p[0, 1].argmax()} {percent(q)}"
    assert rows.nth(1).locator("td").first.inner_text() == favourite


IN_LAB = """
import torch
from minigpt.viz.logit_lens import LogitLens
g = torch.Generator().manual_seed(2)
logits = 2 * torch.randn(3, 5, 12, generator=g)
LogitLens([3, 7, 3, 9, 1], logits, "<b>{}".format)
"""


@pytest.mark.slow  # bigram and attention map stand for all
def test_in_jupyterlab(lab_page):
    lab = lab_page(notebook(IN_LAB))
    lab.run()
    root = lab.widget(NAME)
    drive(root, lab.page.keyboard)
    lab.theme("dark")
    lab.page.wait_for_selector('section.mg[data-mg-theme="dark"]')
    assert readout(root) == sentence(1, 0)
    assert lab.foreign == []
