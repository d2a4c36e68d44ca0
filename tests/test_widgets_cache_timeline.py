"""The cache timeline in a real browser: its counts are the code's own."""

import pytest
import torch
from lab import notebook, stored
from widgets import some_model

from minigpt.cache import multiplications
from minigpt.gpt import GPTConfig
from minigpt.viz.cache_timeline import CacheTimeline

NAME = "Cache timeline"
CONFIG = GPTConfig(vocab_size=20, block_size=6, n_layer=2, n_head=2, n_embd=8)
IDS = [3, 1, 4, 1, 5, 9, 2, 6]  # two more than the window


def decode(i):
    return f"<b>{i}"


def view():
    return CacheTimeline(some_model(CONFIG), IDS, decode, prompt=3)


def test_what_cannot_be_shown_is_refused():
    with pytest.raises(ValueError, match="1 to 32 tokens, got 0"):
        CacheTimeline(some_model(CONFIG), [], decode, prompt=1)
    with pytest.raises(ValueError, match="prompt must be 1 to 6.*got 7"):
        CacheTimeline(some_model(CONFIG), IDS, decode, prompt=7)


def test_the_logits_are_the_models_own():
    model, steps = some_model(CONFIG), view().steps
    assert len(steps) == 6
    for i, step in enumerate(steps):
        logits = model(torch.tensor([IDS[: 3 + i][-6:]]))[0, -1]
        best = logits.argmax().item()
        assert step["next"] == f"<b>{best}"
        assert step["naive"] == pytest.approx(logits[best].item(), abs=1e-5)
        assert step["cached"] == pytest.approx(step["naive"], abs=1e-5)
        assert step["difference"] < 1e-5


def test_the_stand_in_counts_multiplications():
    table = view().fallback()
    for T, S in ((3, 3), (4, 4), (1, 4), (1, 6), (6, 6)):
        assert f"<bdi>{multiplications(CONFIG, T, S):,}</bdi>" in table
    assert "<b>3" not in table and "&lt;b&gt;4" in table
    assert "8 tokens, the first 3 at once" in view().describe()


def part(page):
    return page.locator(f'section.mg[aria-label="{NAME}"]')


def readout(root):
    return root.locator(".mg-readout").first.inner_text()


def sums(root):
    """{what: [this step without, with, so far without, with]}."""
    frame = root.get_by_label("what it costs")
    return {
        row.locator("th").inner_text(): [
            int(text.replace(",", "")) if text else None
            for text in row.locator("td").all_inner_texts()
        ]
        for row in frame.locator("tbody tr").all()
    }


def passes(step):
    """(T, S) without and with a cache, by the rule of chapter 11."""
    S = min(3 + step, 6)
    alone = step > 0 and 3 + step <= 6
    return (S, S), (1 if alone else S, S)


def assert_counts(root, step):
    naive = [passes(i)[0] for i in range(step + 1)]
    cached = [passes(i)[1] for i in range(step + 1)]
    products = [multiplications(CONFIG, *x) for x in naive]
    fewer = [multiplications(CONFIG, *x) for x in cached]
    shown = sums(root)
    assert shown["tokens that pass"] == [
        naive[-1][0], cached[-1][0],
        sum(T for T, _ in naive), sum(T for T, _ in cached),
    ]  # fmt: skip
    expected = [products[-1], fewer[-1], sum(products), sum(fewer)]
    assert shown["multiplications"] == expected
    each = 2 * CONFIG.n_layer * CONFIG.n_embd * 4
    kept = shown["bytes of keys and values kept"]
    assert kept[:2] == [0, each * min(3 + step, 6)]
    computed = shown["bytes of keys and values computed"]
    assert computed[:2] == [each * naive[-1][0], each * cached[-1][0]]


def drive(root, keyboard):
    """Step through all tokens by keys; end at the last step."""
    assert readout(root).startswith("Step 0: 3 tokens at once.")
    slider = root.get_by_label("step", exact=True)
    slider.focus()
    for step in range(6):
        assert_counts(root, step)
        keyboard.press("ArrowRight")
    assert readout(root) == (
        "Step 5: <b>6 arrives. Without a cache 6 of 8 pass, with a cache 6."
    )
    root.get_by_label("step: one back").click()
    root.get_by_label("step: one back").click()
    assert readout(root) == (
        "Step 3: <b>9 arrives. Without a cache 6 of 6 pass, with a cache 1."
    )
    slider.focus()
    keyboard.press("End")


def test_steps_and_counts(opened):
    root = part(opened.page)
    drive(root, opened.page.keyboard)
    assert root.locator("b").count() == 0


def test_maps(opened):
    root, keyboard = part(opened.page), opened.page.keyboard
    root.get_by_label("step", exact=True).focus()
    keyboard.press("End")
    told = root.locator(".mg-time-map .mg-readout")
    with_cache = root.get_by_label("with a cache", exact=True)
    with_cache.focus()
    keyboard.press("ArrowDown")
    assert told.nth(1).inner_text() == (
        "step 1, <b>3 (place 0): read from the cache"
    )
    for _ in range(3):
        keyboard.press("ArrowRight")
    assert told.nth(1).inner_text() == "step 1, <b>1 (place 3): computed"
    keyboard.press("ArrowRight")
    assert told.nth(1).inner_text().endswith("not there yet")
    keyboard.press("Control+End")
    keyboard.press("Home")
    assert told.nth(1).inner_text().endswith("the window has moved on")
    keyboard.press("Enter")
    assert told.nth(1).inner_text().endswith("(pinned)")
    root.get_by_label("without a cache", exact=True).focus()
    keyboard.press("ArrowDown")
    assert told.nth(0).inner_text() == "step 1, <b>3 (place 0): computed"


def test_play_and_table(opened):
    root = part(opened.page)
    root.get_by_role("button", name="play").click()
    root.get_by_role("button", name="pause").wait_for()
    root.get_by_text("Step 5:").wait_for()
    root.get_by_role("button", name="play").wait_for()
    root.get_by_role("button", name="show as table").click()
    rows = root.locator(".mg-table-frame").last.locator("tbody tr")
    assert rows.count() == 6
    for i, step in enumerate(view().steps):
        cells = rows.nth(i).locator("td").all_inner_texts()
        (T, S), (t, s) = passes(i)
        assert cells[1:5] == [
            str(x)
            for x in (T, t, multiplications(CONFIG, T, S),
                      multiplications(CONFIG, t, s))
        ]  # fmt: skip
        assert cells[5] == step["next"]
        assert cells[6] == f"{step['naive']:.4f}"
        assert cells[7] == f"{step['cached']:.4f}"
        assert float(cells[8]) < 1e-5


def test_without_motion_play_shows_the_end(widget_page):
    visit = widget_page(stored(view()), reduced_motion="reduce")
    visit.scroll_through()
    root = part(visit.page)
    root.get_by_role("button", name="play").click()
    assert readout(root).startswith("Step 5:")
    paper, ink = root.evaluate(
        "el => [getComputedStyle(el).backgroundColor,"
        " getComputedStyle(el).color]"
    )
    assert paper != ink


IN_LAB = f"""
import torch
from minigpt.gpt import GPT, GPTConfig
from minigpt.viz.cache_timeline import CacheTimeline
torch.manual_seed(0)
model = GPT({CONFIG!r}).eval()
CacheTimeline(model, {IDS}, "<b>{{}}".format, prompt=3)
"""


@pytest.mark.slow  # bigram and attention map stand for all
def test_in_jupyterlab(lab_page):
    lab = lab_page(notebook(IN_LAB))
    lab.run()
    root = lab.widget(NAME)
    drive(root, lab.page.keyboard)
    lab.theme("dark")
    lab.page.wait_for_selector('section.mg[data-mg-theme="dark"]')
    assert readout(root).startswith("Step 5:")
    assert lab.foreign == []
