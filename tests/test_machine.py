"""The machine: each of its numbers is PyTorch's, each place has an address."""

import base64
import gzip
import hashlib
import re
import shutil
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
import torch
from test_playground import (
    EVIL,
    OPEN,
    engine,  # noqa: F401 (a fixture)
    random_assets,
    random_model,
    small_tokenizer,
)

from minigpt.attention import attention_weights, causal_mask
from minigpt.run.checkpoint import open_model
from minigpt.tokenizer import BPETokenizer

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "book" / "ext"), str(ROOT / "benchmarks")]

import machine as recording  # noqa: E402
from minigpt_book import machine, playground  # noqa: E402

# --- numbers ----------------------------------------------------------------

SIZES = dict(n_layer=2, n_head=4, n_embd=24, vocab_size=64, block_size=40)
MODERN = dict(position="rope", norm="rms", mlp="relu2", qk_norm=True)
MODELS = {
    "as in chapter 8": {},
    "without biases": dict(bias=False),
    "modern": MODERN | dict(bias=False),
    "modern, int8": MODERN | dict(bits=8, bias=False, n_embd=40),
    "grouped": dict(position="alibi", n_kv_head=2, mlp="swiglu"),
    "post": dict(order="post", position="sinusoidal"),
}
READ = """(ids) => {
  all.model = { config: golden.config };
  all.weights = golden.weights;
  all.ids = ids;
  return machineTasks.machine({}).fresh;
}"""
CELLS = """([layer, names, rows]) => {
  const run = machineRun();
  const { config } = run;
  const n = run.length;
  const strips = run.strips(layer);
  const values = ({ total, steps }) => [total, ...steps.map((s) => s.value)];
  const pairs = [];
  for (let h = 0; h < config.n_head; h += 1) {
    for (let q = 0; q < n; q += 1) {
      for (let k = 0; k < n; k += 1) {
        pairs.push(values(mcAttentionCell(config, strips, { h, q, k }, n)).map(
          (x) => (x === -Infinity ? null : x)));
      }
    }
  }
  const matrices = Object.fromEntries(names.map((name) => [name,
    machineTasks.machine_matrix({ layer, name })]));
  const linear = names.map((m) => rows.map((r) => values(mcLinearCell(config,
    strips, matrices[m], { m, r, q: n - 1 }))));
  const mixed = rows.map((r) => mcMixedCell(config, strips, { r, q: n - 1 }, n,
    String).total);
  return { pairs, linear, mixed };
}"""
LOGITS = """() => {
  const state = machineTasks.machine({});
  const ids = state.lines.map((line) => line.id);
  const matrix = machineTasks.machine_matrix({ name: "head", ids });
  return ids.map((id, r) => {
    const { total, steps } = mcLogitCell(state, matrix, r);
    return [id, total, steps[1].value];
  });
}"""
NAMES = ["q", "k", "v", "attention", "hidden", "mlp"]


@pytest.fixture(params=[*MODELS, "shipped"])
def opened(request, engine, tmp_path):  # noqa: F811
    """A model, open in PyTorch and in the browser, and a text for it."""
    if request.param == "shipped":
        path = playground.shipped()[0] / "model.safetensors"
        model = open_model(path)[0]
    else:
        path = tmp_path / "model.safetensors"
        model = random_model(path, **SIZES | MODELS[request.param])
    engine(OPEN, base64.b64encode(path.read_bytes()).decode())
    g = torch.Generator().manual_seed(1)
    idx = torch.randint(model.config.vocab_size, (1, 9), generator=g)
    engine(READ, idx[0].tolist())
    return model, idx


@torch.no_grad()
def test_the_cell_of_a_head_is_that_of_pytorch(opened, engine):  # noqa: F811
    """query · key, divided, masked, softmax: for every pair of tokens."""
    model, idx = opened
    c, T = model.config, idx.size(1)
    D = c.n_embd // c.n_head
    for layer in range(c.n_layer):
        got = engine(CELLS, [layer, [], []])["pairs"]
        record = []
        model(idx, record=record)
        found = recording.inside(model, idx)[layer]
        q, k = (
            found[name].view(T, -1, D).transpose(0, 1) for name in ("q", "k")
        )
        k = k.repeat_interleave(c.n_head // k.size(0), 0)
        dots = (q @ k.mT).flatten()
        mask = causal_mask(T).expand(c.n_head, T, T).flatten()
        for i, cell in enumerate(got):
            assert cell[0] == pytest.approx(dots[i].item(), abs=1e-3)
            assert cell[2] == pytest.approx(dots[i].item() / D**0.5, abs=1e-3)
            assert (cell[-2] is not None) == mask[i].item()
        weights = torch.tensor([cell[-1] for cell in got])
        assert (weights - record[layer].flatten()).abs().max() < 1e-3
        if c.position != "alibi":
            plain = attention_weights(q, k, causal_mask(T))
            assert (weights - plain.flatten()).abs().max() < 1e-3


@torch.no_grad()
def test_other_cells_are_those_of_pytorch(opened, engine):  # noqa: F811
    """Sums of products, and what becomes of them, in every strip."""
    model, idx = opened
    rows = [0, 5, 11]
    for layer, block in enumerate(model.blocks):
        got = engine(CELLS, [layer, NAMES, rows])
        found = recording.inside(model, idx)[layer]
        last = {name: x[-1] for name, x in found.items()}
        attention = block.attention
        C = model.config.n_embd
        qkv = attention.qkv(last["read1"])
        KD = (qkv.numel() - C) // 2
        sums = dict(
            q=qkv[:C],
            k=qkv[C : C + KD],
            v=qkv[C + KD :],
            attention=last["attention"],
            hidden=block.mlp.fc(last["read2"]),
            mlp=last["mlp"],
        )
        for name, cells in zip(NAMES, got["linear"], strict=True):
            for r, (total, *steps) in zip(rows, cells, strict=True):
                biased = steps[1] if model.config.bias else total
                assert biased == pytest.approx(sums[name][r].item(), abs=1e-3)
                assert steps[-1] == pytest.approx(
                    last[name][r].item(), abs=1e-3
                )
        for r, total in zip(rows, got["mixed"], strict=True):
            assert total == pytest.approx(last["mixed"][r].item(), abs=1e-3)


@torch.no_grad()
def test_logits_of_the_candidates_are_those_of_pytorch(
    opened,
    engine,  # noqa: F811
):
    model, idx = opened
    logits = model(idx)[0, -1]
    order = logits.sort(descending=True, stable=True).indices[:12]
    got = engine(LOGITS)
    assert [id for id, *_ in got] == order.tolist()
    for id, logit, p in got:
        assert logit == pytest.approx(logits[id].item(), abs=1e-3)
        assert p == pytest.approx(logits.softmax(-1)[id].item(), abs=1e-4)


def test_with_the_cache_only_the_new_lane_is_computed(opened, engine):  # noqa: F811
    model, idx = opened
    ids = idx[0].tolist()
    assert engine(READ, [*ids, 3]) == len(ids)
    assert engine(READ, [*ids[:4], 5]) == 4
    assert engine("() => machineTasks.machine({ anew: true }).fresh") == 0
    longer = ids * 5
    assert engine(READ, longer) == 0
    state = engine("() => { const s = machineTasks.machine({}); return [s.ids,"
                   " s.cut]; }")  # fmt: skip
    assert state == [longer[-32:], len(longer) - 32]


# --- the record, the code, the sizes ----------------------------------------


def test_the_record_is_of_the_first_model():
    path = playground.shipped()[0] / "model.safetensors"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert machine.record()["sha256"] == digest


@pytest.mark.parametrize("name", ["first", "world"])
@torch.no_grad()
def test_a_record_is_close_to_pytorch(name, browser):
    """What the page shows before a model is loaded is rounded, not wrong."""
    folder = playground.shipped()[0]
    record = machine.record()
    if name == "world":  # whose parts are those of chapter 15
        folder = playground.ASSETS / "world"
        record = recording.record(folder, "Mia was in the")
    model = open_model(folder / "model.safetensors")[0]
    page = browser.new_page()
    parts = "\n".join(map(machine.plain, machine.PARTS[:-1]))
    page.add_script_tag(content=parts)
    got = page.evaluate(
        """async (record) => { const r = mcRecorded(record);
        const { maps, stream } = await r.state();
        const blocks = await Promise.all(record.blocks.map((_, l) =>
          r.block(l)));
        return { maps: [...maps], stream: [...stream],
          hidden: blocks.map((b) => [...b.hidden]) }; }""",
        record,
    )
    page.close()
    weights, idx = [], torch.tensor([record["ids"]])
    model(idx, record=weights)
    T = idx.size(1)
    lower = causal_mask(T).expand(model.config.n_head, T, T)
    expected = torch.cat([w[0][lower] for w in weights])
    assert (torch.tensor(got["maps"]) - expected).abs().max() < 0.04
    blocks = recording.inside(model, idx)
    for found, block in zip(got["hidden"], blocks, strict=True):
        right = block["hidden"]
        error = torch.tensor(found).view_as(right) - right
        assert (error.abs() <= right.abs().amax(1, True) / 9).all()


def test_lines_of_code_are_those_of_the_package(monkeypatch):
    for name, (_, module, _, starts) in machine.CODE.items():
        text = (ROOT / f"minigpt/{module}.py").read_text(encoding="utf-8")
        lines = machine.code(name)["lines"]
        assert 2 <= len(lines) == len(starts) <= 3
        assert all(f" {line}\n" in text for line in lines)
    stale = ("04_attention", "attention", "attention_weights", ["nothing"])
    monkeypatch.setitem(machine.CODE, "scores", stale)
    with pytest.raises(LookupError):
        machine.code("scores")


def test_all_of_it_is_small():
    page = machine.page_html(playground.shipped())
    parts = [machine.script(), machine.style(), page]
    assert sum(len(gzip.compress(x.encode())) for x in parts) <= 60 * 1024


def test_the_tour_has_nine_short_stops():
    text = (ROOT / "book/machine/tour.js").read_text(encoding="utf-8")
    stops = re.findall(r"words: (.*?)\}", text, re.DOTALL)
    words = ["".join(re.findall(r'"(.*?)"', stop)).split() for stop in stops]
    assert len(words) == 9
    assert max(map(len, words)) <= 25
    for chapter in machine.chapters():
        assert (machine.NOTEBOOKS / f"{chapter}.ipynb").exists()


# --- the page ---------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A site with the machine and a small model with chapter 15's parts."""
    model = random_assets(
        tmp_path_factory.mktemp("assets") / "small",
        small_tokenizer(),
        **MODERN,
        n_layer=2,
        n_head=3,
        n_embd=24,
        block_size=40,
    )
    site = tmp_path_factory.mktemp("site")
    playground.write(site, [model])
    machine.write(site)
    (site / "page.html").write_text(machine.page_html([model]))
    for file in (ROOT / "book/theme/files").iterdir():
        shutil.copy(file, site)
    (site / "favicon.ico").write_bytes(b"")
    return site


@pytest.fixture(scope="module")
def base(folder, serve):
    return serve(folder)


@pytest.fixture
def show(base, visit):
    """show(hash) -> the page at that place, with no complaint at the end."""
    seen = []

    def go(hash="", base=base, **options):
        options.setdefault("reduced_motion", "reduce")
        seen.append(visit(base, f"page.html{hash}", **options))
        page = seen[-1].page
        page.locator(".mg-machine[data-state=alive]").wait_for()
        return page

    yield go
    for each in seen:
        assert each.errors == [] and each.foreign == []


def crumbs(page):
    return page.locator(".mc-crumbs li").all_inner_texts()


def level(page, number):
    page.locator(f".mg[data-level='{number}']").wait_for()


def test_it_is_alive_before_anything_is_loaded(show, folder):
    for base in (None, folder.as_uri()):
        page = show(**({"base": base} if base else {}))
        assert crumbs(page) == ["The machine"]
        assert page.locator(".mc-band").count() == 6
        page.goto(page.url + "#b=2&h=1&q=4&k=2")
        level(page, 3)
        steps = page.locator(".mc-step b").all_inner_texts()
        assert steps == ["query · key", "÷ √48", "mask", "softmax"]
        asked = page.evaluate(
            "performance.getEntriesByType('resource').map((e) => e.name)"
        )
        assert not [x for x in asked if "worker" in x or "safetensors" in x]


@torch.no_grad()
def test_a_link_leads_to_the_numbers_of_its_text(show, folder):
    text = "Fellow citizens, it's 1790"
    page = show(f"#t={quote(text)}&b=1&h=2&q=5&k=3")
    model = open_model(folder / "small/model.safetensors")[0]
    tokenizer = BPETokenizer.load(folder / "small/tokenizer.json")
    idx = torch.tensor([tokenizer.encode(text)])
    record = []
    model(idx, record=record)
    values = page.locator(".mc-step .mc-value").all_inner_texts()
    weight = record[1][0, 2, 5, 3].item()
    assert float(values[-1]) == pytest.approx(weight, abs=1e-3)
    row = page.locator(".mc-softmax a > :last-child").all_inner_texts()
    assert row[6:] == ["masked"] * (idx.size(1) - 6)
    right = record[1][0, 2, 5, :6].tolist()
    assert [*map(float, row[:6])] == pytest.approx(right, abs=1e-3)
    on = page.locator(".mc-code .mc-on").inner_text()
    page.get_by_role("button", name="softmax").click()
    after = page.locator(".mc-code .mc-on").inner_text()
    assert on.startswith("scores = q @") and after.startswith("return scores")


def test_esc_goes_up_and_back_works(show):
    page = show("#t=Fellow&b=1&h=2&q=1&k=0")
    level(page, 3)
    for left in (2, 1, 0):
        page.keyboard.press("Escape")
        level(page, left)
    assert page.evaluate("location.hash") == "#t=Fellow&q=1"
    page.go_back()
    level(page, 1)
    page.reload()
    level(page, 1)
    page.get_by_role("link", name="The machine").click()
    level(page, 0)


def test_levels_are_reached_by_keyboard_alone(show):
    page = show("#t=Fellow%20citizens")
    page.locator(".mc-scroll").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    level(page, 1)
    page.get_by_role("link", name="projected: MLP").focus()
    page.keyboard.press("Enter")
    level(page, 2)
    page.locator(".mc-frame").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    level(page, 3)
    assert "m=mlp" in page.url and "r=1" in page.url
    page.get_by_role("button", name="show as table").click()
    rows = page.locator(".mg-table-frame tbody tr").count()
    assert rows == 96 + 2  # 4 * 24 inputs, a sum and a bias


def test_text_by_address_is_text(show):
    page = show(f"#t={quote(EVIL)}")
    page.get_by_text("Computed here").wait_for()
    assert page.get_by_label("your sentence").input_value() == EVIL
    page.get_by_role("link", name="block 1").click()
    level(page, 1)
    page.get_by_role("button", name="show as table").click()
    assert page.evaluate("window.hacked") is None
    assert page.locator(".mg-machine img").count() == 0


@pytest.mark.parametrize(
    "hash", ["#b=99&h=1", "#k=3", "#b=x&q=-1", "#m=head&r=99", "#%", "#s=77"]
)
def test_a_wrong_address_shows_what_there_is(hash, show):
    page = show(hash)
    assert crumbs(page)[0] == "The machine"
    assert page.locator(".mc-stage > *").count() == 1


def test_writing_adds_a_lane(show):
    page = show("#t=Fellow")
    page.get_by_text("Computed here").wait_for()
    page.get_by_role("button", name="show as table").click()
    rows = page.locator(".mg-table-frame tbody tr")
    before = rows.count()
    page.locator(".mc-candidate").nth(2).click()
    rows.nth(before).wait_for()
    assert rows.count() == before + 1
    assert page.evaluate("location.hash").startswith("#t=Fellow")


def test_the_tour_goes_by_arrow_keys(show):
    page = show()
    page.get_by_role("button", name="Take the tour").click()
    for stop in range(1, 10):
        page.get_by_text(f"{stop} of 9").wait_for()
        page.keyboard.press("ArrowRight")
    assert "s=9" in page.url
    page.keyboard.press("ArrowLeft")
    page.get_by_text("8 of 9").wait_for()
    page.get_by_role("button", name="End the tour").click()
    assert page.evaluate("location.hash") in ("", "#")


def test_a_phone_shows_the_last_five_lanes(show):
    text = "Fellow citizens, it's 1790: the café"
    page = show(f"#t={quote(text)}", viewport={"width": 360, "height": 740})
    page.get_by_text("Computed here").wait_for()
    room = page.locator(".mc-scroll").evaluate(
        "e => [e.clientWidth, e.scrollWidth, e.scrollLeft]"
    )
    assert room[1] > room[0] and room[0] + room[2] == room[1]
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_of_a_long_text_the_end_is_shown(show):
    page = show(f"#t={quote('1790: ' * 40)}")
    page.get_by_text("these are its last 32 tokens").wait_for()


def test_from_the_disk_the_model_computes_too(show, folder):
    page = show("#t=Fellow", base=folder.as_uri())
    page.get_by_text("Computed here").wait_for()
    page.get_by_role("link", name="how?").first.wait_for()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious_at_any_level(theme, show):
    from axe_playwright_python.sync_playwright import Axe

    page = show("#t=Fellow", color_scheme=theme)
    places = ["", "&s=2", "&b=1", "&b=1&h=1", "&b=1&m=mlp"]
    for place in [*places, "&b=1&h=1&q=1&k=0", "&b=1&m=mixed&r=2"]:
        page.evaluate("(h) => { location.hash = h; }", f"#t=Fellow{place}")
        page.wait_for_timeout(300)
        found = Axe().run(page).response["violations"]
        serious = [
            (v["id"], [n["target"] for n in v["nodes"]])
            for v in found
            if v["impact"] in ("serious", "critical")
        ]
        assert serious == [], place


def test_chapters_show_their_part():
    for chapter, (part, place) in machine.PLACES.items():
        svg = machine.thumbnail(part)
        assert svg.count("mg-lit") > 0
        assert part == "all" or svg.count("mg-dim") > svg.count("mg-lit")
        assert (machine.NOTEBOOKS / f"{chapter}.ipynb").exists()
        address = f"../book/machine.html#{place}".replace("&", "&amp;")
        assert f'"{address}"' in machine.card(f"notebooks/{chapter}")
    assert machine.card("notebooks/17_scale") == ""
