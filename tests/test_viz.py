"""Figures, and what all widgets share: Python and JavaScript agree."""

import base64
import io
import json
import math
import re
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import torch
import traitlets
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageStat

import minigpt.viz.bigram
import minigpt.viz.figures
import minigpt.viz.style
from minigpt.viz import ladder, palette, show
from minigpt.viz.base import (
    Widget,
    html_table,
    lean,
    pack,
    packed,
    visible,
)

ROOT = Path(__file__).parents[1]
COMMON = (ROOT / "minigpt" / "viz" / "common.js").read_text(encoding="utf-8")
STATE = "application/vnd.jupyter.widget-state+json"


# --- figures


def test_show_stores_one_picture_with_its_alternative(monkeypatch):
    shown = []
    monkeypatch.setattr(
        minigpt.viz.style, "display", lambda *a, **k: shown.append((a, k))
    )
    fig, ax = plt.subplots()
    ax.plot([1, 2])
    show(fig, "a rising line")
    (((data,), options),) = shown
    assert data["text/plain"] == "a rising line" and options["raw"]
    about = options["metadata"]["image/png"]
    assert about["alt"] == "a rising line"
    image = Image.open(io.BytesIO(data["image/png"]))
    assert image.size == (2 * about["width"], 2 * about["height"])
    assert not plt.fignum_exists(fig.number)


def test_words_name_the_columns_of_every_map_and_the_rows(monkeypatch):
    kept, words = [], ["a", "b", "c"]
    monkeypatch.setattr(
        minigpt.viz.figures, "show", lambda fig, alt: kept.append(fig)
    )
    minigpt.viz.maps(
        {k: (np.eye(3), words, words) for k in ("one", "two")}, alt="two maps"
    )
    one, two, _ = kept[0].axes  # the last one is the bar of colors
    for axis in (one.yaxis, one.xaxis, two.xaxis):
        assert [t.get_text() for t in axis.get_ticklabels()] == words
    plt.close(kept[0])


@pytest.mark.parametrize("inches, width", [(5, 400), (10, 684)])
def test_picture_is_twice_as_dense_as_shown_and_no_wider_than_text(
    inches, width
):
    fig, _ = plt.subplots(figsize=(inches, 2))
    png = minigpt.viz.style.picture(fig)
    assert minigpt.viz.style.shown_size(png)["width"] == width
    assert round(Image.open(io.BytesIO(png)).info["dpi"][0]) == 192


def test_picture_keeps_the_colours_that_it_needs():
    """Few for lines, all for a map of many: the look stays, to the eye."""
    drawn = {}
    for kind in ("line", "map"):
        fig, ax = plt.subplots(figsize=(4, 3))
        if kind == "line":
            ax.plot([1, 3, 2])
        else:
            ax.imshow(np.linspace(0, 1, 4096).reshape(64, 64))
        full = io.BytesIO()
        fig.savefig(full, format="png", dpi=minigpt.viz.style.SHARP)
        few = Image.open(io.BytesIO(minigpt.viz.style.picture(fig)))
        drawn[kind] = len(few.getcolors())
        pair = [im.convert("RGB") for im in (Image.open(full), few)]
        assert max(ImageStat.Stat(ImageChops.difference(*pair)).rms) < 4
    assert drawn["line"] <= 64 < drawn["map"]


def test_show_wants_an_alternative():
    with pytest.raises(ValueError, match="alt must tell what is seen"):
        show(plt.figure(), "  ")
    plt.close("all")


def test_the_hands_of_clocks_turn_clockwise_from_the_top(monkeypatch):
    """Its numbers are the tip's: sine to the right, cosine up."""
    shown = []
    monkeypatch.setattr(
        minigpt.viz.figures, "show", lambda fig, alt: shown.append(fig)
    )
    quarter = math.pi / 2
    minigpt.viz.clocks(
        torch.tensor([[0, quarter], [2 * quarter, 3 * quarter]]),
        [0, 7],
        alt="four clocks",
    )
    shown[0].canvas.draw()  # only then is the scale of the axes known
    [ax] = shown[0].axes
    ways = []
    for hand in ax.lines:
        middle, tip = ax.transData.transform(hand.get_xydata())
        ways.append((tip - middle) / np.linalg.norm(tip - middle))
    plt.close(shown[0])
    assert np.allclose(ways, [(0, 1), (1, 0), (0, -1), (-1, 0)], atol=1e-6)
    assert [x.get_text() for x in ax.get_xticklabels()] == ["0", "7"]


@pytest.fixture
def drawn(monkeypatch):
    """The axes of what the figures of the chapters show."""
    found = []
    monkeypatch.setattr(
        minigpt.viz.figures, "show", lambda fig, alt: found.extend(fig.axes)
    )
    yield found
    plt.close("all")


def test_maps_name_rows_and_columns(drawn):
    matrix = torch.tensor([[1, 0, 0], [0, 1, 1]])
    panels = {"a": (matrix, ["x", "y"], ["p", "q", "r"])}
    minigpt.viz.maps(panels, alt="a map", xlabel="seen")
    ax = drawn[0]
    assert ax.get_title() == "a" and ax.get_xlabel() == "seen"
    assert [x.get_text() for x in ax.get_xticklabels()] == ["p", "q", "r"]
    assert [x.get_text() for x in ax.get_yticklabels()] == ["x", "y"]
    assert (ax.images[0].get_array() == matrix.numpy()).all()


def test_lines_and_bars_show_their_numbers(drawn):
    minigpt.viz.lines(
        {"a": [1, 2], "b": ([3, 5], [4, 6])}, levels={"c": 7}, alt="lines"
    )
    a, b, level = (line.get_xydata().tolist() for line in drawn[0].lines)
    assert a == [[0, 1], [1, 2]] and b == [[3, 4], [5, 6]]
    assert level[0][1] == level[1][1] == 7
    minigpt.viz.bars({"a": [1, 2], "b": [3, 4]}, ["x", "y"], alt="bars")
    assert [p.get_width() for p in drawn[1].patches] == [1, 2, 3, 4]


def test_spreads_show_means_and_ranges(drawn):
    series = {"a": [[1, 3], [2, 8]], "b": [[4, 4], [5, 6]]}
    minigpt.viz.spreads(series, ["x", "y"], alt="spreads")
    points = [line.get_xdata().tolist() for line in drawn[0].lines]
    assert points == [[2, 5], [4, 5.5]]
    ranges = [
        [path.vertices[:, 0].tolist() for path in lines.get_paths()]
        for lines in drawn[0].collections
    ]
    assert ranges == list(series.values())


def test_sweeps_show_the_mean_over_seeds_and_every_seed(drawn):
    seeds = {3: [1.0, 2.0, 6.0], 1: [5.0, 5.0, 8.0]}
    minigpt.viz.sweeps({"a": seeds, "b": {1: [4.0]}}, alt="sweeps")
    means, low, high, other, _ = drawn[0].lines
    assert means.get_xydata().tolist() == [[1, 6], [3, 3]]
    assert low.get_xydata().tolist() == [[1, 5], [1, 5], [1, 8]]
    assert list(high.get_ydata()) == seeds[3]
    assert means.get_color() == high.get_color() != other.get_color()
    assert [x.get_text() for x in drawn[0].get_xticklabels()] == ["1", "3"]


def test_scaling_law_shows_points_and_laws(drawn):
    laws = {"half": lambda n: 8 / n, "quarter": lambda n: 4 / n}
    N, losses = [1, 2, 4], [8.0, 4.0, 1.9]
    minigpt.viz.figures.scaling_law(N, losses, laws, alt="a law")
    fitted, left_out, *found = drawn[0].lines
    assert list(fitted.get_ydata()) == [8.0, 4.0]
    assert list(left_out.get_ydata()) == [1.9]
    for curve, law in zip(found, laws.values(), strict=True):
        assert list(curve.get_ydata()) == list(map(law, curve.get_xdata()))


def contrast(a, b):
    """The contrast ratio of WCAG between two colours."""
    light = []
    for color in (a, b):
        rgb = np.array(matplotlib.colors.to_rgb(color))
        linear = np.where(
            rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4
        )
        light.append(linear @ [0.2126, 0.7152, 0.0722])
    return (max(light) + 0.05) / (min(light) + 0.05)


def test_the_page_knows_the_same_colours():
    css = (ROOT / "book" / "theme" / "files" / "minigpt.css").read_text()
    for name, value in palette.items():
        found = re.search(rf"--mg-{name}: (#\w+);", css)
        assert found[1].lower() == value.lower()


def test_the_text_of_a_widget_is_readable():
    css = (ROOT / "minigpt" / "viz" / "common.css").read_text()
    for theme in css.split(".mg[data-mg-theme")[:2]:
        colors = dict(re.findall(r"--mg-(\w+): .*?(#\w{6})", theme))
        for name in ("ink", "soft"):
            assert contrast(colors[name], colors["paper"]) >= 4.5
        assert contrast(colors["accent"], colors["paper"]) >= 3


RECORD = {
    "baselines": {"uniform": 6.7, "counted": 3.4},
    "stages": [
        {"stage": "bigram", "bits_per_char": 3.5},
        {"stage": "one head", "bits_per_char": 3.1},
        {"stage": "GPT", "bits_per_char": 2.2},
    ],
}


@pytest.fixture
def record(tmp_path):
    file = tmp_path / "ladder_x.json"
    file.write_text(json.dumps(RECORD))
    return file


def test_the_ladder_hides_later_rungs(record):
    fig = ladder("one head", file=record)
    (ax,) = fig.axes
    names = [t.get_text() for t in ax.get_yticklabels()]
    assert names == ["uniform", "counted", "bigram", "one head"]
    assert [bar.get_width() for bar in ax.patches] == [6.7, 3.4, 3.5, 3.1]
    last = matplotlib.colors.to_hex(ax.patches[-1].get_facecolor())
    assert last.lower() == palette["orange"].lower()
    plt.close(fig)


def test_the_ladder_says_what_is_missing(record, tmp_path):
    with pytest.raises(ValueError, match=r"\['bigram', .*got 'trained well'"):
        ladder("trained well", file=record)
    with pytest.raises(FileNotFoundError, match=r"none.json is missing"):
        ladder("bigram", file=tmp_path / "none.json")


# --- numbers on their way to the page


@pytest.mark.parametrize(
    "values, dtype, lower, said",
    [
        ([1.5], "uint8", False, "uint8 cannot hold the value 1.5"),
        ([256], "uint8", False, "uint8 cannot hold the value 256"),
        ([1e6], "float16", False, "float16 cannot hold the value"),
        ([float("nan")], "float16", False, "must be numbers, got NaN"),
        ([1.0], "float64", False, "dtype must be one of"),
        (np.ones((2, 3)), "float16", True, r"\(..., T, T\), got \(2, 3\)"),
    ],
)
def test_what_cannot_be_packed_is_refused(values, dtype, lower, said):
    with pytest.raises(ValueError, match=said):
        pack(np.array(values), dtype, lower=lower)


def test_a_causal_map_travels_as_its_lower_triangle():
    small = pack(torch.ones(2, 3, 4, 4), lower=True)
    assert small["shape"] == [2, 3, 4, 4]
    assert len(small["data"]) == 2 * 3 * 10 * 2  # float16


@pytest.fixture(scope="module")
def js(browser):
    """js(expression, argument): run it where common.js is at hand."""
    page = browser.new_page()
    page.add_script_tag(content=COMMON)
    yield lambda code, *args: page.evaluate(code, *args)
    page.close()


UNPACK = """([p, text]) => {
  const raw = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const got = mgUnpack({ ...p, data: new DataView(raw.buffer) });
  const n = got.shape.reduce((a, b) => a * b, 1);
  const all = [];
  for (let i = 0; i < n; i += 1) {
    let rest = i;
    const index = [...got.shape].reverse().map((size) => {
      const k = rest % size;
      rest = (rest - k) / size;
      return k;
    }).reverse();
    all.push(String(got.at(...index)));
  }
  return all;
}"""


def unpack(js, packed_values):
    text = base64.b64encode(packed_values["data"]).decode()
    rest = {k: v for k, v in packed_values.items() if k != "data"}
    numbers = [
        float(x.replace("Infinity", "inf")) for x in js(UNPACK, [rest, text])
    ]
    return np.array(numbers).reshape(packed_values["shape"])


@pytest.mark.parametrize(
    "dtype, values",
    [
        ("float32", [0.1, -3e38, 1e-40, float("inf")]),
        ("uint8", [0, 1, 255]),
        ("uint16", [0, 50256, 65535]),
        ("int32", [-(2**31), 2**31 - 1]),
    ],
)
def test_numbers_arrive_unchanged(js, dtype, values):
    got = unpack(js, pack(np.array(values), dtype))
    assert np.array_equal(got, np.array(values, dtype=dtype).astype(float))


EVERY_FLOAT16 = """() => {
  const all = new Float64Array(65536).map((_, bits) => mgFloat16(bits));
  const bytes = Array.from(new Uint8Array(all.buffer));
  return btoa(bytes.map((b) => String.fromCharCode(b)).join(""));
}"""


def test_every_float16_is_that_of_numpy(js):
    """All 65,536: subnormal, infinite, not a number, and both zeros."""
    got = np.frombuffer(base64.b64decode(js(EVERY_FLOAT16)), "<f8")
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    assert np.array_equal(got, every.astype(float), equal_nan=True)
    number = ~np.isnan(every)
    assert number.sum() == 2**16 - 2 * 1023
    assert np.array_equal(np.signbit(got[number]), np.signbit(every[number]))
    values = every[[1, 0x3FF, 0x8001, 0x7BFF, 0x7C00]]  # and on the way there
    assert np.array_equal(unpack(js, pack(values)), values.astype(float))


def test_a_lower_triangle_arrives_with_nothing_above(js):
    weights = torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    got = unpack(js, pack(weights, lower=True))
    wanted = weights.half().double().numpy()
    above = np.triu(np.ones((5, 5), bool), 1)
    assert np.isnan(got[..., above]).all()
    assert np.array_equal(got[..., ~above], wanted[..., ~above])


# --- token text

STRANGE = [
    (" the", "·the"),
    ("a\n\tb\r", "a↵→b␍"),
    ("\x00\x1f\x7f\x85", "␀␟␡⟨0085⟩"),
    ("\u200f\u202e\ufeff\u00ad", "⟨200F⟩⟨202E⟩⟨FEFF⟩⟨00AD⟩"),
    ("\u0301", "◌\u0301"),
    ("e\u0301", "e\u0301"),
    (" \u0301", "·◌\u0301"),
    ("\u00a0\u3000", "⍽⟨3000⟩"),
    ("\U0001f600" * 3, "\U0001f600" * 3),
    ("<b>&", "<b>&"),
    ("abcdefghijklm", "abcdefghijk…"),
    ("", "∅"),
    ("e" + "\u0301" * 6, "e" + "\u0301" * 4 + "◌" + "\u0301" * 2),
]


@pytest.mark.parametrize("text, wanted", STRANGE)
def test_tokens_can_be_seen(text, wanted):
    assert visible(text) == wanted


# characters whose class does not change between versions of Unicode
SETTLED = st.characters(max_codepoint=0x2FFF, exclude_categories=["Cn", "Cs"])


def test_tokens_look_alike_in_python_and_javascript(js):
    texts = [text for text, _ in STRANGE]

    @given(st.text(SETTLED, max_size=14))
    def collect(text):
        texts.append(text)

    collect()
    got = js("(texts) => texts.map((text) => mgVisible(text))", texts)
    wrong = [
        (text, mine, visible(text))
        for text, mine in zip(texts, got, strict=True)
        if mine != visible(text)
    ]
    assert len(texts) > 50 and wrong == []


def test_a_token_never_becomes_markup(js):
    token = "<img src=x onerror=alert(1)>"
    assert token.replace(" ", "·") in js(
        "(t) => mgToken(t, 99).textContent", token
    )
    assert js("(t) => mgToken(t, 99).children.length", token) == 0
    assert "<img" not in html_table(token, [token], [[token]])
    for file in (ROOT / "minigpt" / "viz").glob("*.js"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML", text)


# --- colours, keys


@pytest.mark.parametrize("name", ["viridis", "cividis"])
def test_ramps_are_those_of_matplotlib(js, name):
    places = [0, 0.1, 0.33, 0.5, 0.77, 1]
    got = js(f"(t) => t.map(mgRamp('{name}'))", places)
    for place, text in zip(places, got, strict=True):
        wanted = np.array(matplotlib.colormaps[name](float(place))[:3]) * 255
        rgb = [int(x) for x in re.findall(r"\d+", text)]
        assert np.abs(rgb - wanted).max() < 9


def test_differences_go_from_blue_to_orange(js):
    blue, orange = js("() => [mgRamp('diverging')(0), mgRamp('diverging')(1)]")
    assert (blue, orange) == ("rgb(0,114,178)", "rgb(213,94,0)")


@pytest.mark.parametrize(
    "key, wanted",
    [
        ({"key": "ArrowUp"}, [0, 2]),
        ({"key": "ArrowDown"}, [2, 2]),
        ({"key": "ArrowLeft"}, [1, 1]),
        ({"key": "ArrowRight"}, [1, 3]),
        ({"key": "Home"}, [1, 0]),
        ({"key": "End"}, [1, 3]),
        ({"key": "Home", "ctrlKey": True}, [0, 0]),
        ({"key": "End", "ctrlKey": True}, [2, 3]),
        ({"key": "PageDown"}, [2, 2]),
        ({"key": "x"}, None),
        ({"key": "ArrowUp", "altKey": True}, None),
    ],
)
def test_keys_lead_through_a_grid(js, key, wanted):
    assert js("(key) => mgGridKey(key, 1, 2, 3, 4)", key) == wanted


def test_the_edge_of_a_grid_holds(js):
    keys = ["ArrowUp", "ArrowLeft"]
    code = "(keys) => keys.map((key) => mgGridKey({ key }, 0, 0, 3, 4))"
    assert js(code, keys) == [[0, 0], [0, 0]]


ROVING = """() => {
  const frame = mgEl("div", { id: "roving" });
  window.moves = [];
  const cells = [0, 1].map((r) => [0, 1].map((c) =>
    mgEl("button", { id: `cell${r}${c}` }, "x")));
  cells.flat().forEach((cell) => frame.append(cell));
  document.body.append(frame);
  mgRovingGrid(frame, cells, {
    onPin: (r, c) => window.moves.push(`pin ${r}${c}`),
    onUnpin: () => window.moves.push("unpin"),
  });
}"""


def test_a_grid_of_elements_has_one_tab_stop(browser):
    page = browser.new_page()
    page.add_script_tag(content=COMMON)
    page.evaluate(ROVING)
    page.keyboard.press("Tab")
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "Enter", "Escape"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.id") == "cell11"
    stops = page.locator("#roving [tabindex='0']")
    assert stops.count() == 1 and stops.get_attribute("id") == "cell11"
    assert page.evaluate("window.moves") == ["pin 11", "unpin"]
    page.close()


STEPPER = """() => {
  window.steps = [];
  const s = mgStepper({ label: "step", min: 0, max: 2, value: 0,
    onInput: (v) => window.steps.push(v), format: (v) => `step ${v}` });
  document.body.append(s.el);
}"""


def test_a_stepper_goes_on_and_back_and_stops(browser):
    page = browser.new_page()
    page.add_script_tag(content=COMMON)
    page.evaluate(STEPPER)
    back = page.get_by_role("button", name="step: one back")
    on = page.get_by_role("button", name="step: one on")
    assert back.is_disabled()
    on.click()
    on.click()
    assert on.is_disabled()
    back.click()
    page.get_by_role("slider").press("Home")
    assert page.evaluate("window.steps") == [1, 2, 1, 0]
    assert page.locator("output").inner_text() == "step 0"
    page.close()


# --- the base class


class Plain(Widget):
    """A widget with its script in the class."""

    numbers = packed()
    name = traitlets.Unicode().tag(sync=True)
    _esm = "export default { render() {} };"

    def describe(self):
        return f"Numbers of {self.name}."

    def fallback(self):
        return html_table("numbers", ["name"], [[self.name]])


class Drawn(Plain):
    """A widget whose stand-in is a figure."""

    _esm = "export default { render() {} };"

    def fallback(self):
        return plt.figure()


def test_the_bundle_has_a_stand_in():
    data, _ = Plain(name="<b>")._repr_mimebundle_()
    assert data["text/plain"] == "Numbers of <b>."
    assert "<bdi>&lt;b&gt;</bdi>" in data["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in data
    data, metadata = Drawn(name="x")._repr_mimebundle_()
    assert data["image/png"][:4] == b"\x89PNG" and "text/html" not in data
    assert metadata["image/png"]["alt"] == "Numbers of x."


def test_common_comes_before_the_own_script():
    widget = Plain(name="x", numbers=pack(np.ones(3)))
    script = COMMON + "\nexport default { render() {} };"
    assert widget._esm == lean(script)
    assert widget._css.startswith("/* Shared by every widget.")
    own = Path(minigpt.viz.bigram.__file__).with_suffix(".js")
    script = minigpt.viz.bigram.BigramTable._esm
    assert script == lean(COMMON + "\n" + own.read_text(encoding="utf-8"))


def test_numbers_travel_as_bytes():
    from ipywidgets import embed

    widget = Plain(name="x", numbers=pack(np.ones(3)))
    state = embed.dependency_state([widget], drop_defaults=False)
    buffers = state[widget.model_id]["buffers"]
    assert [b["path"] for b in buffers] == [["numbers", "data"]]


def test_a_widget_without_words_is_refused():
    class Silent(Widget):
        _esm = ""

    with pytest.raises(NotImplementedError, match="Silent needs describe"):
        Silent()._repr_mimebundle_()


def stored_widgets():
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        nb = nbformat.read(path, as_version=4)
        state = nb.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
        for model in state.values():
            if "_esm" in model["state"]:
                yield path.name, model["state"]


def test_scripts_are_stored_without_comments_and_indentation():
    script = "  // why\n\nif (a) {\n  b(`${\n    c}`); // kept\n}\n/* x */\n"
    assert lean(script) == "if (a) {\nb(`${\nc}`); // kept\n}"
    for file in (ROOT / "minigpt" / "viz").glob("*.js"):
        text = file.read_text(encoding="utf-8")
        for line in text.splitlines():
            if line.count("`") % 2:  # a text that goes on: inside ${…}
                assert "${" in line.rpartition("`")[2] or "}" in line, line


def test_notebooks_hold_the_scripts_of_today():
    stored = list(stored_widgets())
    assert stored
    for name, state in stored:
        module = state["_anywidget_id"].rsplit(".", 1)[0].split(".")
        own = ROOT.joinpath(*module).with_suffix(".js")
        script = COMMON + "\n" + own.read_text(encoding="utf-8")
        again = f"{name}: run it again for {own.name}"
        assert state["_esm"] == lean(script), again
