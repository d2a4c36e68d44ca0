"""The draft widget in a real browser: its counts are the code's own."""

import numpy as np
import pytest
import torch
from lab import stored
from widgets import some_model

from minigpt.bigram import WittenBell
from minigpt.gpt import GPTConfig
from minigpt.sample import Sampling, generate
from minigpt.viz.speculation import Speculation

NAME = "Two models, one text"
CONFIG = GPTConfig(vocab_size=8, block_size=32, n_layer=1, n_head=2, n_embd=8)
PROMPT = [1, 2, 3]


def written(n=12):
    model, idx = some_model(CONFIG), torch.tensor([PROMPT])
    steps = generate(model, idx, n=n, sampling=Sampling(temperature=0))
    return [new.item() for new, _ in steps]


def view():
    """A table that has counted most of what the model writes."""
    ids = np.array([*PROMPT, *written(9), 7, 7, 0])
    return Speculation(
        some_model(CONFIG), WittenBell(ids, 3, 8), PROMPT, "<b>{}".format,
        n=12, k=2,
    )  # fmt: skip


def test_the_calls_write_what_the_model_writes():
    found = []
    for call in view().calls:
        assert 0 <= call["right"] <= len(call["guessed"]) <= 2
        found += [*call["guessed"][: call["right"]], call["added"]]
    assert found == [f"<b>{i}" for i in written()]
    assert any(call["right"] for call in view().calls)


def test_the_stand_in_has_every_call():
    table, calls = view().fallback(), view().calls
    assert table.count("<tr>") == 1 + len(calls)
    assert "<b>" not in table and "&lt;b&gt;" in table
    assert f"12 tokens, written in {len(calls)} calls" in view().describe()


def part(page):
    return page.locator(f'section.mg[aria-label="{NAME}"]')


def test_steps_by_keys_and_totals(opened):
    root, keyboard = part(opened.page), opened.page.keyboard
    calls = view().calls
    text = root.get_by_label("the text so far: arrow keys step")
    text.focus()
    right = guessed = 0
    for i, call in enumerate(calls, 1):
        keyboard.press("ArrowRight")
        right += call["right"]
        guessed += len(call["guessed"])
        said = root.locator(".mg-readout").inner_text()
        assert said.startswith(f"Call {i}: ")
        assert said.endswith(f"The model adds {call['added']}.")
        assert f"{right + i} tokens in {i} calls" in root.inner_text()
        assert f"{right} of {guessed} guesses were right" in root.inner_text()
    assert text.locator(".mg-draft-right").count() == right
    assert text.locator(".mg-draft-model").count() == len(calls)
    assert text.inner_text().replace("\n", "") == "".join(
        f"<b>{i}" for i in PROMPT + written()
    )
    keyboard.press("Home")
    assert text.locator(".mg-draft-right").count() == 0
    assert root.locator("b").count() == 0


def test_play_and_table(opened):
    root = part(opened.page)
    root.get_by_role("button", name="play").click()
    root.get_by_role("button", name="pause").wait_for()
    root.get_by_text("Call 1:").wait_for()
    root.get_by_role("button", name="pause").click()
    root.get_by_role("button", name="show as table").click()
    rows = root.locator(".mg-table-frame tbody tr")
    assert rows.count() == len(view().calls)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_without_motion_play_shows_the_end(widget_page, scheme):
    visit = widget_page(
        stored(view()), reduced_motion="reduce", color_scheme=scheme
    )
    visit.scroll_through()
    root = part(visit.page)
    root.get_by_role("button", name="play").click()
    last = f"Call {len(view().calls)}:"
    assert root.locator(".mg-readout").inner_text().startswith(last)
    assert visit.errors == [] and visit.foreign == []
