"""The blocks of the paged cache in a real browser: the pool's own state."""

import pytest
from lab import stored
from widgets import some_model

from minigpt.gpt import GPTConfig
from minigpt.sample import Sampling
from minigpt.serving import Pool, Request, Scheduler
from minigpt.viz.pages import Pages

NAME = "Blocks of the cache"
CONFIG = GPTConfig(vocab_size=20, block_size=24, n_layer=1, n_head=2, n_embd=8)
GREEDY = Sampling(temperature=0)


def scheduler():
    model = some_model(CONFIG)
    return Scheduler(model, Pool(CONFIG, 8, 4), max_batch=2)


def arrivals():
    common = [1, 2, 3, 4, 5]
    return {
        0: [Request([*common, 6], 4, GREEDY), Request([*common, 7], 9, GREEDY)],
        1: [Request([9], 2, GREEDY)],
    }


def view():
    return Pages(scheduler(), arrivals(), "<b>{}".format)


def test_what_cannot_be_shown_is_refused():
    with pytest.raises(ValueError, match="1 to 26 requests, got 0"):
        Pages(scheduler(), {}, str)
    with pytest.raises(ValueError, match="got 27"):
        Pages(scheduler(), {0: [Request([1], 1) for _ in range(27)]}, str)


def test_the_steps_are_the_schedulers():
    s, asked, steps = scheduler(), arrivals(), view().steps
    for i, step in enumerate(steps):
        for request in asked.get(i, ()):
            s.add(request)
        served = s.step()
        assert len(step["served"]) == len(served)
        assert len(step["waiting"]) == len(s.waiting)
        users = [len(block["users"]) for block in step["blocks"]]
        assert users == s.pool.users
        assert [t["table"] for t in step["texts"]] == [
            r.text.table for r in s.running
        ]
    assert not s.is_busy()
    assert steps[1]["blocks"][0]["users"] == ["A", "B"]  # the beginning
    assert steps[1]["waiting"] == ["C"]
    assert steps[-1]["blocks"][0]["text"]  # free, and still known


def test_the_stand_in_has_every_step():
    table = view().fallback()
    assert table.count("<tr>") == 1 + len(view().steps)
    assert "3 requests and 8 blocks of 4 tokens" in view().describe()


def part(page):
    return page.locator(f'section.mg[aria-label="{NAME}"]')


def test_every_step_on_a_page(opened):
    root, keyboard = part(opened.page), opened.page.keyboard
    root.get_by_label("step", exact=True).focus()
    for i, step in enumerate(view().steps):
        said = root.locator(".mg-readout").first.inner_text()
        assert said.startswith(f"Step {i + 1}: a call for ")
        shown = root.locator(".mg-page-who").all_inner_texts()
        assert [x.strip("·") for x in shown] == [
            "".join(block["users"]) for block in step["blocks"]
        ]
        in_use = sum(bool(block["users"]) for block in step["blocks"])
        assert f"{in_use} of 8 blocks in use" in root.inner_text()
        keyboard.press("ArrowRight")


def test_blocks_by_keys_and_table(opened):
    root, keyboard = part(opened.page), opened.page.keyboard
    slider = root.get_by_label("step", exact=True)
    slider.focus()
    keyboard.press("Home")
    keyboard.press("ArrowRight")
    root.locator(".mg-page").first.focus()
    told = root.locator(".mg-readout").nth(1)
    keyboard.press("ArrowRight")
    assert told.inner_text().startswith("Block 1: used by A; 2 of 4 tokens")
    keyboard.press("ArrowLeft")
    assert told.inner_text() == (
        "Block 0: shared by A, B; 4 of 4 tokens: <b>1 <b>2 <b>3 <b>4."
    )
    root.get_by_role("button", name="show as table").click()
    rows = root.locator(".mg-table-frame tbody tr")
    assert rows.count() == 8
    assert rows.first.locator("td").first.inner_text() == "A B"
    slider.focus()
    keyboard.press("End")
    assert rows.first.locator("td").first.inner_text() == "–"
    assert root.locator("b").count() == 0


def test_play_and_stop(opened):
    root = part(opened.page)
    root.get_by_role("button", name="play").click()
    root.get_by_role("button", name="pause").click()
    root.get_by_role("button", name="play").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_without_motion_play_shows_the_end(widget_page, scheme):
    visit = widget_page(
        stored(view()), reduced_motion="reduce", color_scheme=scheme
    )
    visit.scroll_through()
    root = part(visit.page)
    root.get_by_role("button", name="play").click()
    last = f"Step {len(view().steps)}:"
    assert root.locator(".mg-readout").first.inner_text().startswith(last)
    assert visit.errors == [] and visit.foreign == []
