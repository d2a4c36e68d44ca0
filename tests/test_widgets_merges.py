"""The merges, stepped through in a real browser and in JupyterLab."""

import pytest
from lab import notebook, stored

from minigpt.tokenizer import train_bpe
from minigpt.viz.merges import MergeSteps, as_text

WORDS = {"the": 5, "then": 3, "than": 2, "hat": 2, "that": 4}
MERGES = [("t", "h"), ("th", "e"), ("a", "t"), ("th", "at")]
LABEL = "Byte-pair merges"
HOSTILE = {'<img src=x onerror="document.title=1">': 2, "<b>b</b>\n\u202e": 1}
IN_LAB = """
from minigpt.viz.merges import MergeSteps
MergeSteps({"the": 5, "then": 3}, [("t", "h"), ("th", "e")])
"""


# --- what Python computes ---------------------------------------------------


def test_steps_hold_the_words_and_the_pairs():
    steps = MergeSteps(WORDS, MERGES).steps
    assert [s["total"] for s in steps] == [57, 43, 35, 29, 25]
    assert [s["merged"] for s in steps] == [
        None, ["t", "h", 14], ["th", "e", 8], ["a", "t", 6], ["th", "at", 4],
    ]  # fmt: skip
    assert steps[0]["words"][0] == ["t", "h", "e"]
    assert [w for s in steps for w in s["words"][4:]] == [
        ["t", "h", "a", "t"], ["th", "a", "t"], ["th", "a", "t"],
        ["th", "at"], ["that"],
    ]  # fmt: skip
    assert steps[0]["pairs"][:2] == [["t", "h", 14], ["h", "a", 8]]


def test_each_merge_of_a_training_is_the_next_pair():
    tokens = train_bpe("that hat, then the hat than that", 264, progress=False)
    merges = [(t[:i], t[i:]) for t in tokens[256:] for i in range(1, len(t))]
    view = MergeSteps({b" that": 2, b" hat": 2, b" then": 1}, merges)
    assert len(view.steps) > 3
    for step, following in zip(view.steps, view.steps[1:], strict=False):
        left, right, times = following["merged"]
        assert [left, right, times] in step["pairs"]
        assert step["total"] - following["total"] == times


def test_merges_that_no_word_holds_are_left_out():
    view = MergeSteps({"ab": 1}, [("x", "y"), ("a", "b"), ("a", "b")])
    assert len(view.steps) == 2


def test_bytes_are_shown_as_text_where_they_are_text():
    assert as_text(b" the") == " the"
    assert as_text("é".encode()) == "é"
    assert as_text(b"\xc3") == "\\xc3"
    assert MergeSteps({"é".encode(): 1}, []).steps[0]["words"] == [
        ["\\xc3", "\\xa9"]
    ]


def test_no_words_are_refused():
    with pytest.raises(ValueError, match="at least one word"):
        MergeSteps({}, [])


def test_the_stand_in_is_a_table():
    view = MergeSteps(WORDS, MERGES)
    assert view.describe() == "4 merges on 5 words: from 57 tokens to 25."
    table = view.fallback()
    assert table.count("<tr>") == 5
    cells = "".join(f"<td><bdi>{x}</bdi></td>" for x in ("t", "h", 14, 43))
    assert f'<th scope="row"><bdi>1</bdi></th>{cells}' in table
    assert (
        "<b>" not in MergeSteps(HOSTILE, [("<", "b"), ("<b", ">")]).fallback()
    )


# --- on a page --------------------------------------------------------------


def view():
    return MergeSteps(WORDS, MERGES)


def box(visit):
    return visit.page.locator(f'section.mg[aria-label="{LABEL}"]')


def readout(root):
    return root.locator(".mg-readout").inner_text()


def chips(root, word):
    return (
        root.locator(".mg-word")
        .nth(word)
        .locator(".mg-token")
        .all_inner_texts()
    )


FIRST = "Before the first merge: 57 tokens."
LAST = "Merge 4 of 4: th + at, 4 times, become that. Now 25 tokens."


def test_buttons_and_slider(opened):
    root = box(opened)
    assert readout(root) == FIRST
    assert chips(root, 4) == ["t", "h", "a", "t"]
    assert root.locator(".mg-pair-next").inner_text().split() == [
        "t", "+", "h", "14", "←", "next",
    ]  # fmt: skip
    assert root.get_by_label("merges: one back").is_disabled()

    root.get_by_label("merges: one on").click()
    assert readout(root).startswith("Merge 1 of 4: t + h, 14 times, become th.")
    assert chips(root, 4) == ["th", "a", "t"]
    assert root.locator(".mg-chip-new").all_inner_texts() == ["th"] * 4

    slider = root.get_by_label("merges", exact=True)
    slider.focus()
    opened.page.keyboard.press("End")
    assert readout(root) == LAST and chips(root, 4) == ["that"]
    assert root.get_by_label("merges: one on").is_disabled()
    assert root.locator(".mg-pair-next").count() == 0
    assert slider.get_attribute("aria-valuetext") == "4 of 4"
    root.get_by_label("merges: one back").click()
    assert readout(root).startswith("Merge 3 of 4: a + t, 6 times")


def test_keyboard(opened):
    root, keys = box(opened), opened.page.keyboard
    root.locator(".mg-merges").focus()
    keys.press("ArrowRight")
    keys.press("ArrowRight")
    assert readout(root).startswith("Merge 2 of 4: th + e, 8 times")
    keys.press("ArrowLeft")
    assert readout(root).startswith("Merge 1 of 4")
    keys.press("End")
    keys.press("ArrowRight")
    assert readout(root) == LAST
    keys.press("Home")
    keys.press("ArrowLeft")
    assert readout(root) == FIRST


def test_play_runs_to_the_end_and_pauses(opened):
    root, page = box(opened), opened.page
    play = root.get_by_role("button", name="play", exact=True)
    play.click()
    pause = root.get_by_role("button", name="pause", exact=True)
    pause.wait_for()
    root.get_by_text("Merge 1 of 4").wait_for()
    pause.click()
    where = readout(root)
    page.wait_for_timeout(1500)
    assert readout(root) == where and play.is_visible()

    root.locator(".mg-merges").focus()
    page.keyboard.press(" ")
    root.get_by_text("Merge 4 of 4").wait_for()
    play.wait_for()
    assert readout(root) == LAST
    page.keyboard.press(" ")  # at the end it begins anew
    root.get_by_text(FIRST).wait_for()
    root.get_by_label("merges: one on").click()  # a step by hand ends it
    play.wait_for()
    page.wait_for_timeout(1500)
    assert readout(root).startswith("Merge 1 of 4")


def test_table_and_colours(opened):
    root = box(opened)
    root.get_by_role("button", name="show as table").click()
    rows = root.locator("tbody tr")
    assert rows.count() == 4
    assert rows.last.locator("td").all_inner_texts() == ["th", "at", "4", "25"]
    paper, ink = root.evaluate(
        "el => [getComputedStyle(el).backgroundColor,"
        " getComputedStyle(el).color]"
    )
    assert paper != ink


def test_words_stay_text(widget_page):
    visit = widget_page(stored(MergeSteps(HOSTILE, [("<", "b"), ("<b", ">")])))
    visit.scroll_through()
    root = box(visit)
    root.locator(".mg-merges").focus()
    visit.page.keyboard.press("End")
    root.get_by_role("button", name="show as table").click()
    assert root.locator("img, b").count() == 0
    assert chips(root, 1) == ["<b>", "b", "<", "/", "b", ">", "↵", "⟨202E⟩"]
    assert visit.page.title() != "1"
    assert visit.errors == [] and visit.foreign == []


# --- in JupyterLab ----------------------------------------------------------


@pytest.mark.slow  # bigram and attention map stand for all
def test_in_jupyterlab(lab_page):
    lab = lab_page(notebook(IN_LAB))
    lab.run()
    root = lab.widget(LABEL)
    assert readout(root) == "Before the first merge: 27 tokens."
    root.locator(".mg-merges").focus()
    lab.page.keyboard.press("End")
    assert readout(root).startswith("Merge 2 of 2: th + e, 8 times")
    assert chips(root, 1) == ["the", "n"]
