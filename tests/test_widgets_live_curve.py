"""The training run's curves: recorded on a page, live in JupyterLab."""

import math
from dataclasses import replace

import numpy as np
import pytest
from lab import IDLE, notebook, stored
from test_run import TINY, some_text

from minigpt.run.models import export_model
from minigpt.run.options import ExportModel, Train
from minigpt.run.training import train_gpt
from minigpt.viz.base import visible
from minigpt.viz.live_curve import LiveCurve

LABEL = "Training run"
TOKENS = ["the", "·cat", "·sat"]
IN_LAB = """
import time
from IPython.display import display
from minigpt.viz.live_curve import LiveCurve
view = LiveCurve(40)
display(view)
for step in range(40):
    view.update(step, 4 / (step + 1), 0.001, 1.0)
    if step % 10 == 9:
        view.point(step + 1, 5 / (step + 1), f"text {step + 1}")
    if step == 20:
        time.sleep(8)
view.finish()
"""


def view():
    """Thirty steps of made-up losses, three points with attention."""
    made = LiveCurve(30, tokens=TOKENS, head="layer 0, head 1")
    for step in range(30):
        made.update(step, 3 - step / 20, 0.01 * step, 1 + step)
    for i, step in enumerate((0, 10, 30)):
        maps = np.tril(np.full((3, 3), 0.25 * (i + 1)))
        made.point(step, 3.5 - i, f"After {step} steps it writes this.", maps)
    made.finish()
    return made


# --- what Python keeps -------------------------------------------------------


def curve(view):
    packed = view.curve
    return np.frombuffer(packed["data"], "<f4").reshape(packed["shape"])


def test_every_update_is_kept_and_numbered_from_one():
    rows = curve(view())
    assert rows.shape == (4, 30)
    assert rows[0].tolist() == list(range(1, 31))
    assert rows[1, 10] == pytest.approx(2.5)


def test_a_long_run_is_thinned_but_ends_at_its_end():
    view = LiveCurve(5000)
    for step in range(5000):
        view.update(step, 1.0, 1.0, 1.0)
    view.finish()
    rows = curve(view)
    assert rows.shape[1] <= 1200 and rows[0, -1] == 5000


def test_a_point_brings_attention_exactly_when_there_are_tokens():
    with pytest.raises(ValueError, match="attention over its 0 tokens"):
        LiveCurve(3).point(1, 2.0, attention=np.eye(2))
    with pytest.raises(ValueError, match="attention over its 1 tokens"):
        LiveCurve(3, tokens=["a"]).point(1, 2.0)
    with pytest.raises(ValueError, match="at least 1"):
        LiveCurve(0)


def test_a_loss_that_is_no_number_travels_as_nothing():
    view = LiveCurve(3)
    view.point(1, math.nan)
    assert view.points == [{"step": 1, "loss": None, "text": ""}]


def test_the_stand_in_says_and_draws_what_there_is():
    made = view()
    assert made.describe() == (
        "Training curves over 30 steps: loss, learning rate and gradient "
        "norm, with 3 points that show held-out loss and text, and the "
        "attention of layer 0, head 1."
    )
    lines = made.fallback().axes[0].lines
    assert lines[1].get_ydata().tolist() == [3.5, 2.5, 1.5]


def test_of_run_shows_what_a_run_recorded(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text(some_text())
    options = Train(out=tmp_path / "run", corpus=str(text), **TINY)
    train_gpt(replace(options, probes=3, eval_every=1))
    export_model(ExportModel(options.out, tmp_path / "out"))
    view = LiveCurve.of_run(tmp_path / "out", probe=2, layer=0, head=1)
    assert curve(view).shape == (4, 12) and len(view.points) == 3
    assert view.points[-1]["step"] == 12 and view.points[-1]["text"]
    assert view.attention["shape"] == [3, 8, 8] and len(view.tokens) == 8
    assert view.held_out["shape"] == [2, 13], "between the points as well"
    plain = LiveCurve.of_run(options.out)
    assert len(plain.points) == 13 and not plain.tokens


# --- on a page ---------------------------------------------------------------


def box(visit):
    return visit.page.locator(f'section.mg[aria-label="{LABEL}"]')


def readout(root):
    return root.locator(".mg-readout").first.inner_text()


FIRST = "After 0 of 30 steps: held-out loss 3.5."
LAST = (
    "After 30 of 30 steps: held-out loss 1.5, loss of the batch 1.55, "
    "learning rate 0.29, gradient norm 30."
)


def test_it_opens_at_the_end_and_scrubs(opened):
    root, keys = box(opened), opened.page.keyboard
    assert readout(root) == LAST
    assert root.locator(".mg-curve-text").inner_text() == (
        "After 30 steps it writes this."
    )
    root.get_by_label("recorded point: one back").click()
    assert readout(root).startswith("After 10 of 30 steps: held-out loss 2.5")
    assert "After 10 steps" in root.locator(".mg-curve-text").inner_text()
    root.locator(".mg-curve").focus()
    keys.press("Home")
    assert readout(root) == FIRST
    keys.press("ArrowLeft")
    assert readout(root) == FIRST
    keys.press("ArrowRight")
    keys.press("End")
    assert readout(root) == LAST


def test_a_click_takes_the_nearest_point(opened):
    root = box(opened)
    area = root.locator(".mg-curve canvas").first
    size = area.bounding_box()
    area.click(position={"x": size["width"] / 3, "y": 40})
    assert readout(root).startswith("After 10 of 30 steps")


def test_the_attention_is_that_of_the_point(opened):
    root, keys = box(opened), opened.page.keyboard
    cell = root.locator(".mg-readout").nth(1)
    root.locator(".mg-map").focus()
    keys.press("ArrowDown")
    assert cell.inner_text() == "·cat looks at the: 0.750"
    root.get_by_label("recorded point: one back").click()
    assert cell.inner_text() == "·cat looks at the: 0.500"
    root.locator(".mg-map").focus()
    keys.press("Home")
    keys.press("End")
    assert "cannot see" in cell.inner_text()


def test_the_curves_are_drawn(opened):
    painted = """canvas => new Set(new Uint32Array(canvas.getContext('2d')
        .getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size"""
    for canvas in box(opened).locator(".mg-curve canvas").all():
        assert canvas.evaluate(painted) > 3
    high = box(opened).locator(".mg-curve-high").all_inner_texts()
    assert high == ["3.5", "0.29", "30"]


def test_an_axis_says_only_what_was_measured(widget_page):
    flat = LiveCurve(3)
    for step in range(3):
        flat.update(step, math.nan, 0.01, 1 + step)
    flat.finish()
    visit = widget_page(stored(flat))
    visit.scroll_through()
    ends = [box(visit).locator(f".mg-curve-{x}") for x in ("high", "low")]
    assert ends[0].all_inner_texts() == ["", "0.01", "3"]
    assert ends[1].all_inner_texts() == ["", "", "1"]
    assert visit.errors == []


def test_the_table_holds_the_points(opened):
    root = box(opened)
    root.get_by_role("button", name="show as table").click()
    cells = root.locator("tbody tr").last.locator("td").all_inner_texts()
    assert cells == ["1.5", visible("After 30 steps it writes this.", 99)]


# --- in JupyterLab -----------------------------------------------------------


@pytest.mark.slow  # bigram and attention map stand for all
def test_it_follows_while_the_kernel_trains(lab_page):
    lab = lab_page(notebook(IN_LAB))
    lab.page.wait_for_function(IDLE, timeout=90_000)
    lab.page.evaluate(  # and does not wait for the end
        "() => void window.jupyterapp.commands.execute("
        "'notebook:run-all-cells')"
    )
    root = lab.widget(LABEL)
    root.get_by_text("After 20 of 40 steps").wait_for(timeout=30_000)
    assert root.locator(".mg-curve-text").inner_text() == "text 20"
    root.get_by_text("After 40 of 40 steps").wait_for(timeout=30_000)
    assert root.locator(".mg-curve-text").inner_text() == "text 40"
