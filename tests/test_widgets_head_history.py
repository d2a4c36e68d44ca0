"""Heads along a run in a real browser: every score is the tensor's."""

import pytest
import torch
from lab import notebook

from minigpt.viz.head_history import HeadHistory

NAME = "Heads along the run"
STEPS = [0, 10, 40]
POINTS = [
    {"step": 0, "loss": None, "text": "<b>nothing</b>"},
    {"step": 10, "loss": 3.25, "text": "some"},
    {"step": 40, "loss": 2.5, "text": "more"},
]
CHANCE = {"induction": 0.0625, "first": 0.125}


def scores():
    g = torch.Generator().manual_seed(4)
    made = torch.randint(0, 64, (2, 3, 2, 3), generator=g) / 64  # exact
    return {"induction": made[1], "first": made[0]}


def view():
    return HeadHistory(POINTS, scores(), CHANCE)


def test_what_cannot_be_shown_is_refused():
    with pytest.raises(ValueError, match="must have a score and a point"):
        HeadHistory([], scores(), CHANCE)
    with pytest.raises(ValueError, match=r"must be \(2, layers, heads\)"):
        HeadHistory(POINTS[:2], scores(), CHANCE)
    with pytest.raises(ValueError, match="chance must name"):
        HeadHistory(POINTS, scores(), {"first": 0.1})
    with pytest.raises(ValueError, match="from 0 to 1, got 0 to 2"):
        HeadHistory(POINTS, {"x": 2 * torch.eye(3).view(3, 1, 3)}, {"x": 0})


def test_the_stand_in_names_the_best_heads():
    table = view().fallback()
    for name in CHANCE:
        for p in range(3):
            s = scores()[name][p]
            i = s.argmax().item()
            assert f"<bdi>{i // 3}.{i % 3}: {s.max():.2f}</bdi>" in table
    assert "2 layers with 3 heads at 3 points" in view().describe()


def readout(root):
    return root.locator(".mg-readout").first.inner_text()


def assert_shows(root, name, p, head):
    value = scores()[name][p][head].item()
    said = readout(root)
    loss = POINTS[p]["loss"]
    start = f"Step {STEPS[p]}"
    start += f", loss of the batch {loss:.2f}. " if loss else ". "
    assert said.startswith(
        f"{start}layer {head[0]}, head {head[1]}: {name} "
    ), said
    number = float(said.split(f"{name} ")[1].split(",")[0])
    assert number == pytest.approx(value, abs=0.0051)
    assert float(said.rsplit(" ", 1)[1].rstrip(".")) == pytest.approx(
        CHANCE[name], abs=0.0051
    )


def drive(root, keyboard):
    """Through points, heads and scores by keys; ends at step 10, 1.2."""
    i = scores()["induction"][2].argmax().item()
    assert_shows(root, "induction", 2, (i // 3, i % 3))
    slider = root.get_by_label("point of the run", exact=True)
    slider.focus()
    keyboard.press("Home")
    assert_shows(root, "induction", 0, (i // 3, i % 3))
    assert root.locator(".mg-history-text").inner_text() == "<b>nothing</b>"
    keyboard.press("ArrowRight")
    root.locator(".mg-map").focus()
    keyboard.press("Control+Home")
    assert_shows(root, "induction", 1, (0, 0))
    keyboard.press("ArrowDown")
    keyboard.press("End")
    assert_shows(root, "induction", 1, (1, 2))
    root.get_by_label("score", exact=True).select_option("1")
    assert_shows(root, "first", 1, (1, 2))


def test_points_heads_and_scores(opened):
    root = opened.page.locator(f'section.mg[aria-label="{NAME}"]')
    drive(root, opened.page.keyboard)
    root.get_by_label("point of the run: one on").click()
    assert_shows(root, "first", 2, (1, 2))
    largest = root.locator(".mg-history-high").inner_text()
    assert float(largest) == pytest.approx(
        scores()["first"].max().item(), abs=0.0051
    )
    assert root.locator("b").count() == 0
    marks = root.locator(".mg-history-chart canvas").evaluate(
        "c => new Set(c.getContext('2d').getImageData(0, 0, c.width, "
        "c.height).data).size"
    )
    assert marks > 5, "the curves are drawn"


def test_table(opened):
    root = opened.page.locator(f'section.mg[aria-label="{NAME}"]')
    root.get_by_label("score", exact=True).select_option("1")
    root.get_by_role("button", name="show as table").click()
    rows = root.locator(".mg-table-frame tbody tr")
    assert rows.count() == 6
    for i in range(6):
        assert rows.nth(i).locator("th").inner_text() == f"{i // 3}.{i % 3}"
        cells = rows.nth(i).locator("td").all_inner_texts()
        want = scores()["first"][:, i // 3, i % 3].tolist()
        assert [float(c) for c in cells] == pytest.approx(want, abs=0.0051)


IN_LAB = f"""
import torch
from minigpt.viz.head_history import HeadHistory
g = torch.Generator().manual_seed(4)
made = torch.randint(0, 64, (2, 3, 2, 3), generator=g) / 64
HeadHistory({POINTS!r}, {{"induction": made[1], "first": made[0]}}, {CHANCE!r})
"""


@pytest.mark.slow  # bigram and attention map stand for all
def test_in_jupyterlab(lab_page):
    lab = lab_page(notebook(IN_LAB))
    lab.run()
    root = lab.widget(NAME)
    drive(root, lab.page.keyboard)
    lab.theme("dark")
    lab.page.wait_for_selector('section.mg[data-mg-theme="dark"]')
    assert_shows(root, "first", 1, (1, 2))
    assert lab.foreign == []
