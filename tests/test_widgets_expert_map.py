"""Who goes where, in a real browser: its numbers are those of the tensor."""

import pytest
import torch

from minigpt.viz.expert_map import ExpertMap

NAME = "Who goes where"
TOKENS = ["<b>", " the", "cat", "\n"]
EXPERTS = torch.tensor([[[2, 0], [0, 1], [2, 1], [3, 2]],
                        [[1, 0], [1, 2], [3, 0], [1, 3]]])  # fmt: skip


def view():
    return ExpertMap(TOKENS, EXPERTS, n_expert=4)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"\(layers, 3, top\).*\(2, 4, 2\)"):
        ExpertMap(TOKENS[:3], EXPERTS, n_expert=4)
    with pytest.raises(ValueError, match="0 to 2, got 0 to 3"):
        ExpertMap(TOKENS, EXPERTS, n_expert=3)


def test_the_stand_in_lists_the_tokens_of_each_expert():
    table = view().fallback()
    row = '<th scope="row"><bdi>{}</bdi></th><td><bdi>{}</bdi></td>'
    assert row.format(2, "&lt;b&gt;cat") + "<td><bdi>∅</bdi></td>" in table
    assert row.format(0, "·the") in table
    said = "The experts of 4 tokens in 2 layers: 2 of 4 for each."
    assert view().describe() == said


def readout(root):
    return root.locator(".mg-readout").inner_text()


def test_tokens_layers_and_tables(opened):
    root = opened.page.locator(f'section.mg[aria-label="{NAME}"]')
    keyboard = opened.page.keyboard
    cells = root.locator(".mg-expert")
    assert cells.locator(".mg-token").all_inner_texts() == [
        "<b>", "·the", "cat", "↵"
    ]  # fmt: skip
    who = root.locator(".mg-expert-who")
    assert who.all_inner_texts() == ["2·0", "0·1", "2·1", "3·2"]
    said = "layer 0: “{}” ({}) goes to experts {} and {}; expert {} has {} of 4"
    assert readout(root).startswith(said.format("<b>", 0, 2, 0, 2, 3))
    cells.first.focus()
    keyboard.press("ArrowRight")
    assert readout(root).startswith(said.format("·the", 1, 0, 1, 0, 2))
    keyboard.press("End")
    keyboard.press("Enter")
    cells.nth(1).hover()
    assert readout(root).endswith("of 4 tokens (pinned)")
    keyboard.press("Escape")
    cells.nth(2).hover()
    assert root.locator(".mg-expert-same").all_inner_texts() == [
        "<b>\n2·0", "cat\n2·1", "↵\n3·2"
    ]  # fmt: skip
    root.get_by_label("layer").select_option("1")
    assert who.all_inner_texts() == ["1·0", "1·2", "3·0", "1·3"]
    assert readout(root).startswith("layer 1: “cat” (2) goes to experts 3 and")

    root.get_by_role("button", name="show as table").click()
    rows = root.locator("tbody tr")
    assert rows.nth(1).locator("td").all_inner_texts() == ["0, 1", "1, 2"]
    root.get_by_role("button", name="loads as table").click()
    loads = root.locator(".mg-table-frame").last.locator("tbody tr")
    found = [row.locator("td").all_inner_texts() for row in loads.all()]
    assert found == [
        [str((EXPERTS[n] == e).sum().item()) for n in range(2)]
        for e in range(4)
    ]
