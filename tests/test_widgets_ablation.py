"""Ablation toggles in a real browser: every number is a measured one."""

import pytest
import torch
from lab import notebook
from widgets import some_model

from minigpt.gpt import GPTConfig
from minigpt.lens import ablated, ablation_costs, token_losses
from minigpt.tokenizer import CharTokenizer
from minigpt.viz.ablation import AblationToggles, subsets

NAME = "Ablation"
HEADS = [(0, 1), (1, 0), (1, 1)]
TOKENIZER = CharTokenizer.train("<b>acdef ")
CONFIG = GPTConfig(vocab_size=9, block_size=8, n_layer=2, n_head=2, n_embd=8)
PROMPTS = ["<b>", "ace"]


def texts():
    ids = torch.randint(9, (4, 9), generator=torch.Generator().manual_seed(1))
    return ids[:, :-1], ids[:, 1:]


def view(**options):
    options = {"prompts": PROMPTS, "tokenizer": TOKENIZER} | options
    return AblationToggles(some_model(CONFIG), HEADS, *texts(), **options)


def test_subsets_are_numbered_by_their_bits():
    assert subsets(["a", "b"]) == [[], ["a"], ["b"], ["a", "b"]]


def test_what_cannot_be_shown_is_refused():
    model, (x, y) = some_model(CONFIG), texts()
    some = {"prompts": PROMPTS, "tokenizer": TOKENIZER}
    for heads in ([], [(0, 0), (0, 0)]):
        with pytest.raises(ValueError, match="1 to 6 different"):
            AblationToggles(model, heads, x, y, **some)


def test_states_are_measured_one_by_one():
    model, (x, y), shown = some_model(CONFIG), texts(), view()
    cost = torch.frombuffer(
        bytearray(shown.cost["data"]), dtype=torch.float32
    ).view(8, 2)
    torch.testing.assert_close(
        cost, ablation_costs(model, subsets(HEADS), x, y)
    )
    assert cost[0].tolist() == [0, 0]
    assert shown.baseline == pytest.approx(
        token_losses(model, x, y).mean().item()
    )
    table = shown.fallback()
    assert f"<bdi>{cost[2, 0]:+.3f}</bdi>" in table
    assert "all of these" in table and "0.1, 1.0, 1.1" in shown.describe()


def readout(root):
    return root.locator(".mg-readout").inner_text()


def signed(x):
    return f"+{x:.3f}" if x > 0 else f"{x:.3f}".replace("-", "−")


def sentence(state):
    x, y = texts()
    model = some_model(CONFIG)
    base = token_losses(model, x, y).mean().item()
    if not state:
        return f"Nothing is off: loss {base:.3f} nats a token."
    off = [h for k, h in enumerate(HEADS) if state >> k & 1]
    rows = ablation_costs(model, [off, *([h] for h in off)], x, y)
    names = ", ".join(f"layer {a}, head {b}" for a, b in off)
    cost, error = rows[0].tolist()
    said = (
        f"Off: {names}. Loss {base + cost:.3f} nats a token, {signed(cost)} "
        f"± {error:.3f}."
    )
    if len(off) > 1:
        sum_ = rows[1:, 0].sum().item()
        said += f" One by one they cost {signed(sum_)} in sum."
    return said


@torch.no_grad()
def says(state, prompt):
    """The likeliest tokens after a prompt, with their probabilities."""
    off = [h for k, h in enumerate(HEADS) if state >> k & 1]
    model = some_model(CONFIG)
    with ablated(model, off):
        ids = torch.tensor([TOKENIZER.encode(prompt)])
        top = model(ids)[0, -1].softmax(-1).topk(4)
    return [
        (TOKENIZER.decode([i]), f"{100 * p:.1f} %")
        for i, p in zip(top.indices.tolist(), top.values.tolist(), strict=True)
    ]


def assert_says(root, state):
    for m, prompt in enumerate(PROMPTS):
        lines = root.locator(".mg-ablation-prompt").nth(m)
        names = lines.locator(".mg-ablation-name").all_inner_texts()
        numbers = lines.locator(".mg-ablation-number").all_inner_texts()
        for (name, number), shown, p in zip(
            says(state, prompt), names, numbers, strict=True
        ):
            visible = name.replace(" ", "·")
            assert shown.removesuffix(" (new)") == visible and p == number


def drive(root, keyboard):
    """Switch heads off by keys, in every combination of two; end with all."""
    assert readout(root) == sentence(0)
    first = root.locator('[aria-label="layer 0, head 1: off"]')
    first.focus()
    keyboard.press("Enter")
    assert readout(root) == sentence(1)
    assert first.get_attribute("aria-pressed") == "true"
    keyboard.press("ArrowRight")
    keyboard.press("Space")
    assert readout(root) == sentence(3)
    assert_says(root, 3)
    keyboard.press("Home")
    keyboard.press("Enter")
    assert readout(root) == sentence(2)
    keyboard.press("Escape")
    assert readout(root) == sentence(0)
    root.get_by_role("button", name="all off").click()
    assert readout(root) == sentence(7)


def test_toggles_by_keyboard_and_mouse(opened):
    root = opened.page.locator(f'section.mg[aria-label="{NAME}"]')
    drive(root, opened.page.keyboard)
    assert_says(root, 7)
    root.locator('[aria-label="layer 1, head 0: off"]').click()
    assert readout(root) == sentence(5)
    root.get_by_role("button", name="all on").click()
    assert readout(root) == sentence(0)
    assert root.locator("b").count() == 0


def test_table_has_every_combination(opened):
    root = opened.page.locator(f'section.mg[aria-label="{NAME}"]')
    root.get_by_role("button", name="show as table").click()
    rows = root.locator(".mg-table-frame tbody tr")
    assert rows.count() == 8
    cost = ablation_costs(some_model(CONFIG), subsets(HEADS), *texts())
    for state in range(8):
        cells = rows.nth(state).locator("td").all_inner_texts()
        assert cells[0] == signed(cost[state, 0].item())
        name, number = says(state, PROMPTS[1])[0]
        assert cells[-1] == f"{name.replace(' ', '·')} {number}"
    assert rows.first.locator("th").inner_text() == "nothing"


IN_LAB = f"""
import torch
from minigpt.gpt import GPT, GPTConfig
from minigpt.tokenizer import CharTokenizer
from minigpt.viz.ablation import AblationToggles
torch.manual_seed(0)
model = GPT({CONFIG!r}).eval()
with torch.no_grad():
    for p in model.parameters():
        _ = p.normal_(std=0.4)
ids = torch.randint(9, (4, 9), generator=torch.Generator().manual_seed(1))
AblationToggles(model, {HEADS}, ids[:, :-1], ids[:, 1:], prompts={PROMPTS},
                tokenizer=CharTokenizer.train("<b>acdef "))
"""


@pytest.mark.slow  # bigram and attention map stand for all
def test_in_jupyterlab(lab_page):
    lab = lab_page(notebook(IN_LAB))
    lab.run()
    root = lab.widget(NAME)
    drive(root, lab.page.keyboard)
    lab.theme("dark")
    lab.page.wait_for_selector('section.mg[data-mg-theme="dark"]')
    assert readout(root) == sentence(7)
    assert lab.foreign == []
