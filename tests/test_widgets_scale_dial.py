"""The scale dial in a real browser: its numbers are those of Python."""

import math
from dataclasses import replace

import pytest
from lab import notebook

from minigpt.gpt import GPTConfig
from minigpt.scale import estimate
from minigpt.viz.scale_dial import ScaleDial

NAME = "Scale dial"
SMALL = GPTConfig(2048, 256, n_layer=6, n_head=4, n_embd=192, bias=False)
GPT3 = GPTConfig(block_size=2048, n_layer=96, n_head=96, n_embd=12288)
MODELS = {
    "<b>small</b>": (SMALL, 30_000_000),
    "GPT-2 small": (GPTConfig(), 10**10),
    "GPT-3": (GPT3, 3 * 10**11),
}
MACHINES = {"slow": 5e10, "V100": 1.25e14}


def view():
    return ScaleDial(MODELS, MACHINES)


def expected(config, tokens, batch_size=1, devices=1, peak=5e10, used=0.4):
    return estimate(
        config, tokens=tokens, batch_size=batch_size, devices=devices,
        peak=peak, utilization=used,
    )  # fmt: skip


def test_variants_that_the_page_cannot_count_are_refused():
    for change in (
        {"order": "post"},
        {"tied": False},
        {"position": "none"},
        {"dropout": 0.1},
        {"mlp": "relu"},
    ):
        odd = replace(SMALL, **change)
        with pytest.raises(ValueError, match="odd must be pre-norm"):
            ScaleDial({"odd": (odd, 10)}, MACHINES)
    with pytest.raises(ValueError, match="at least one"):
        ScaleDial({}, MACHINES)


def test_the_stand_in_has_the_numbers_of_estimate():
    table = view().fallback()
    assert "<bdi>124,439,808</bdi>" in table and "&lt;b&gt;small" in table
    days = expected(GPT3, 3 * 10**11)["pf_days"]
    assert f"<bdi>{days:.3g}</bdi>" in table
    assert "GPT-3" in view().describe()


def widget(opened):
    root = opened.page.locator(f'section.mg[aria-label="{NAME}"]')
    root.get_by_role("button", name="show as table").click()
    return root


def readout(root):
    return root.locator(".mg-readout").inner_text()


def turn(root, label, field, value):
    """Put a slider on the stop that has this value."""
    root.get_by_label(label, exact=True).evaluate(
        "(el, i) => { el.value = i; el.dispatchEvent(new Event('input')); }",
        view().stops[field].index(value),
    )


def shown(root):
    """{name in estimate(): the exact number of the table}."""
    rows = root.locator("tbody tr").all()
    cells = [row.locator("td").all_inner_texts() for row in rows]
    return {key: float(exactly) for _, exactly, key in cells}


def assert_equal(found, wanted):
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        assert math.isclose(found[key], value, rel_tol=1e-12), key


def test_every_number_is_that_of_python(opened):
    root = widget(opened)
    assert_equal(shown(root), expected(SMALL, 30_000_000))
    model, device = (root.locator("select").nth(i) for i in (0, 1))
    model.select_option("1")
    assert_equal(shown(root), expected(GPTConfig(), 10**10))
    device.select_option("1")
    model.select_option("2")
    assert_equal(shown(root), expected(GPT3, 3 * 10**11, peak=1.25e14))
    assert readout(root).startswith("175 billion parameters; training takes")


KNOBS = [
    ("blocks", "n_layer", 3),
    ("channels", "n_embd", 1024),
    ("heads", "n_head", 8),
    ("context", "block_size", 4096),
    ("vocabulary", "vocab_size", 106),
]


def test_every_knob_counts(opened):
    root = widget(opened)
    config = SMALL
    for label, field, value in KNOBS:
        turn(root, label, field, value)
        config = replace(config, **{field: value})
        assert_equal(shown(root), expected(config, 30_000_000))
    root.get_by_label("biases").select_option("1")
    config = replace(config, bias=True)
    turn(root, "training tokens", "tokens", 5 * 10**12)
    turn(root, "windows at once", "batch_size", 64)
    turn(root, "devices", "devices", 2000)
    turn(root, "utilization (%)", "utilization", 20)
    wanted = expected(config, 5 * 10**12, 64, 2000, used=0.2)
    assert_equal(shown(root), wanted)


def test_an_impossible_model_is_refused_in_the_words_of_the_course(opened):
    root = widget(opened)
    turn(root, "heads", "n_head", 128)
    with pytest.raises(ValueError) as refused:
        replace(SMALL, n_head=128)
    assert readout(root) == str(refused.value)
    assert shown(root) == {} and root.locator("li").count() == 0
    turn(root, "heads", "n_head", 2)
    assert root.locator("li").count() == 12


def drive(root, keyboard):
    """The keyboard alone: from four blocks more to the first stop."""
    slider = root.get_by_label("blocks", exact=True)
    slider.focus()
    before = readout(root)
    keyboard.press("ArrowRight")
    assert readout(root) != before
    keyboard.press("Home")
    assert slider.get_attribute("aria-valuetext") == "1"
    root.get_by_label("blocks: one on").click()
    assert slider.get_attribute("aria-valuetext") == "2"


def test_keyboard_and_colours(opened):
    root = opened.page.locator(f'section.mg[aria-label="{NAME}"]')
    drive(root, opened.page.keyboard)
    assert root.locator("b").count() == 0  # names stay text
    paper, ink = root.evaluate(
        "el => [getComputedStyle(el).backgroundColor,"
        " getComputedStyle(el).color]"
    )
    assert paper != ink
    bars = root.locator(".mg-scale-track > div").all()
    assert len(bars) == 6
    widths = [bar.bounding_box()["width"] for bar in bars]
    assert max(widths) > 20 and min(widths) >= 0


IN_LAB = """
from minigpt.gpt import GPTConfig
from minigpt.viz.scale_dial import ScaleDial
ScaleDial({"one": (GPTConfig(), 10**10)}, {"slow": 5e10})
"""


@pytest.mark.slow  # bigram and attention map stand for all
def test_in_jupyterlab(lab_page):
    lab = lab_page(notebook(IN_LAB))
    lab.run()
    root = lab.widget(NAME)
    drive(root, lab.page.keyboard)
    lab.theme("dark")
    lab.page.wait_for_selector('section.mg[data-mg-theme="dark"]')
    assert "PF-days" in readout(root)
    assert lab.foreign == []
