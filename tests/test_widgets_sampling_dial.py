"""The sampling dial in a real browser: its sums are those of PyTorch."""

import pytest
import torch
from lab import notebook

from minigpt.sample import Sampling, probabilities
from minigpt.viz.sampling_dial import SamplingDial

NAME = "Sampling dial"
PLACES = ["first <b>text</b>", "second"]
V = 60


def some_logits():
    g = torch.Generator().manual_seed(3)
    logits = 2.5 * torch.randn(2, V, generator=g)
    logits[1, [7, 9]] = logits[1].max() + 1  # the two likeliest are equal
    return logits


LOGITS = some_logits()
SEEN = [[4, int(LOGITS[0].argmax()), int(LOGITS[0].argmin())], [7]]
WORDS = [f"w{i}" for i in range(V - 1)] + ["<i>x</i>"]


def view():
    return SamplingDial(PLACES, LOGITS, WORDS, SEEN)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"\(P, V\) = \(2, 3\), got \(2, 60\)"):
        SamplingDial(PLACES, LOGITS, "abc", SEEN)
    with pytest.raises(ValueError, match="contexts must be 2.*got 1"):
        SamplingDial(PLACES, LOGITS, WORDS, SEEN[:1])
    with pytest.raises(ValueError, match="0 to 59, got 60"):
        SamplingDial(PLACES, LOGITS, WORDS, [[60], []])
    with pytest.raises(ValueError, match="got NaN"):
        SamplingDial(PLACES, LOGITS * torch.nan, WORDS, SEEN)


def test_the_stand_in_is_the_distribution():
    table = view().fallback()
    best = LOGITS[0].argmax().item()
    p = LOGITS[0].softmax(-1).max().item()
    assert f"<bdi>w{best}</bdi></th><td><bdi>{best}</bdi></td>" in table
    assert f"<td><bdi>{p:.3f}</bdi></td>" in table
    assert "first·&lt;b&gt;text" in table and table.count("<tr>") == 21
    assert "60 tokens" in view().describe()


def widget(opened):
    root = opened.page.locator(f'section.mg[aria-label="{NAME}"]')
    root.get_by_role("button", name="show as table").click()
    return root


def readout(root):
    return root.locator(".mg-readout").last.inner_text()


def summary(root):
    return root.locator(".mg-readout").first.inner_text()


def turn(root, **steps):
    """Set sliders to positions by the keyboard's own event."""
    for label, value in steps.items():
        slider = root.get_by_label(label.replace("_", "-"), exact=True)
        slider.evaluate(
            "(el, v) => { el.value = v;"
            " el.dispatchEvent(new Event('input')); }",
            value,
        )


def table(root):
    """{token: cells} of the table, the sum of probabilities after."""
    rows = root.locator("tbody tr").all()
    return {
        row.locator("th").inner_text(): row.locator("td").all_inner_texts()
        for row in rows
    }


def assert_equal_to_torch(root, place, sampling):
    """Every number of the table against `probabilities`."""
    seen = torch.tensor([SEEN[place]])
    row = LOGITS[place : place + 1].double()
    after = probabilities(row, sampling, seen)[0]
    before = row.softmax(-1)[0]
    shown = table(root)
    assert len(shown) == 21
    order = LOGITS[place].sort(descending=True, stable=True).indices
    for i in order[:20].tolist():
        cells = shown[WORDS[i]]
        assert cells[0] == str(i)
        assert float(cells[1]) == pytest.approx(before[i].item(), abs=1e-6)
        assert float(cells[2]) == pytest.approx(after[i].item(), abs=1e-6)
        assert bool(cells[3]) == (after[i].item() == 0)
    rest = shown["the other 40 tokens"]
    assert float(rest[2]) == pytest.approx(
        after[order[20:]].sum().item(), abs=1e-6
    )
    kept = (after > 0).sum().item()
    assert summary(root).startswith(f"{kept} of 60 tokens kept")


SETTINGS = [
    ({}, Sampling()),
    ({"temperature": 5}, Sampling(temperature=0.5)),
    ({"temperature": 0}, Sampling(temperature=0)),
    ({"top_k": 3}, Sampling(top_k=5)),
    ({"top_p": 14}, Sampling(top_p=0.7)),
    ({"min_p": 2}, Sampling(min_p=0.1)),
    ({"penalty": 15}, Sampling(penalty=1.5)),
    (
        {"temperature": 18, "top_k": 5, "top_p": 16, "min_p": 1, "penalty": 12},
        Sampling(1.8, 20, 0.8, 0.05, 1.2),
    ),
]


def test_every_knob_computes_what_pytorch_computes(opened):
    root = widget(opened)
    assert_equal_to_torch(root, 0, Sampling())
    for place in (0, 1):
        root.locator("select").select_option(str(place))
        for steps, sampling in SETTINGS:
            root.get_by_role("button", name="knobs off").click()
            turn(root, **steps)
            assert_equal_to_torch(root, place, sampling)


def test_draws_follow_the_distribution(opened):
    root = widget(opened)
    turn(root, temperature=15, top_p=18)
    root.get_by_role("button", name="draw 10000").click()
    n, total = 10_000, 0
    for cells in table(root).values():
        p, drawn = float(cells[2]), int(cells[4])
        total += drawn
        assert abs(drawn / n - p) <= 5 * (p * (1 - p) / n) ** 0.5 + 1e-4
        assert drawn == 0 or not cells[3]
    assert total == n and summary(root).endswith("10000 drawn")
    turn(root, temperature=10)
    assert summary(root).endswith("; 0 drawn")
    root.get_by_role("button", name="draw one").click()
    assert summary(root).endswith("; 1 drawn") and "1 of 1" in readout(root)
    root.get_by_role("button", name="draw 100", exact=True).click()
    assert summary(root).endswith("101 drawn")


def drive(root, keyboard):
    """Keys and mouse over the rows; end pinned on the second token."""
    order = LOGITS[0].sort(descending=True).indices.tolist()
    rows = root.locator(".mg-dial-cell")
    assert rows.count() == 21
    rows.nth(0).focus()
    keyboard.press("ArrowDown")
    assert readout(root).startswith(f"w{order[1]}: model ")
    keyboard.press("PageDown")
    keyboard.press("PageDown")
    assert readout(root).startswith("the other 40 tokens: model ")
    keyboard.press("Control+Home")
    assert readout(root).startswith(f"w{order[0]}: model ")
    keyboard.press("Enter")
    rows.nth(5).hover()
    assert readout(root).endswith("(pinned)")
    keyboard.press("Escape")
    assert not readout(root).endswith("(pinned)")
    rows.nth(1).click()
    assert readout(root).startswith(f"w{order[1]}: model ")
    assert readout(root).endswith("(pinned)")


def test_rows_by_keyboard_and_mouse(opened):
    root = opened.page.locator(f'section.mg[aria-label="{NAME}"]')
    drive(root, opened.page.keyboard)
    root.get_by_label("top-k: one back").click()
    root.get_by_label("top-k: one back").click()
    assert root.locator("output").nth(1).inner_text() == "20"
    assert root.locator(".mg-dial-cut").count() == 1  # the 40 others
    root.get_by_label("top-k", exact=True).focus()
    opened.page.keyboard.press("Home")
    assert summary(root).startswith("1 of 60 tokens kept")
    assert root.locator(".mg-dial-cut").count() == 20


IN_LAB = """
import torch
from minigpt.viz.sampling_dial import SamplingDial
g = torch.Generator().manual_seed(3)
logits = 2.5 * torch.randn(2, 60, generator=g)
SamplingDial(["one", "two"], logits, [f"w{i}" for i in range(60)], [[], []])
"""


@pytest.mark.slow  # bigram and attention map stand for all
def test_in_jupyterlab(lab_page):
    lab = lab_page(notebook(IN_LAB))
    lab.run()
    root = lab.widget(NAME)
    drive(root, lab.page.keyboard)
    root.get_by_label("top-k", exact=True).focus()
    lab.page.keyboard.press("Home")
    lab.theme("dark")
    lab.page.wait_for_selector('section.mg[data-mg-theme="dark"]')
    assert summary(root).startswith("1 of 60 tokens kept")
    assert lab.foreign == []
