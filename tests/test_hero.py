"""The front page: its recording is the model's, and typing wakes the model."""

import gzip
import hashlib
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from playwright.sync_api import expect

from minigpt.lens import record_attention
from minigpt.run.models import load_model
from minigpt.sample import Sampling, generate
from minigpt.viz.base import visible

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "book" / "ext"))

from minigpt_book import hero, playground  # noqa: E402

LIMIT = 30_000  # bytes of all that the front page adds, gzipped
EVIL = "<img src=x onerror='window.hacked=1'>"
RECORD = hero.read(hero.RECORD)


# --- what is recorded -------------------------------------------------------


@pytest.fixture(scope="module")
def recorded():
    """The model that was recorded, with its tokenizer."""
    return load_model(playground.ASSETS / RECORD["model"])


def test_recording_is_that_of_the_model_the_page_loads():
    path = playground.shipped()[0] / "model.safetensors"
    assert RECORD["model"] == path.parent.name
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    assert found == RECORD["sha256"], f"run {RECORD['command']}"


@pytest.mark.parametrize("take", RECORD["takes"])
def test_texts_are_what_the_model_writes(take, recorded):
    model, tokenizer = recorded
    prompt = "".join(take["tokens"][: take["given"]])
    new = generate(
        model,
        torch.tensor([tokenizer.encode(prompt)]),
        n=len(take["tokens"]) - take["given"],
        sampling=Sampling(
            temperature=RECORD["temperature"], top_p=RECORD["top_p"]
        ),
        generator=torch.Generator().manual_seed(take["seed"]),
    )
    written = tokenizer.decode([i.item() for i, _ in new])
    assert prompt + written == "".join(take["tokens"])


@pytest.mark.parametrize("take", RECORD["takes"])
def test_numbers_are_what_the_model_computes(take, recorded):
    """Probabilities to 0.001; weights to the digit that stands for them."""
    model, tokenizer = recorded
    idx = torch.tensor([tokenizer.encode("".join(take["tokens"]))])
    with torch.no_grad():
        probs = model(idx)[0].softmax(-1)
    weights = record_attention(model, idx)[:, 0].flatten(0, 1)
    names = [tokenizer.decode([i]) for i in range(tokenizer.n_vocab)]
    assert len(take["steps"]) == len(take["tokens"]) - take["given"] + 1
    for place, step in enumerate(take["steps"], take["given"] - 1):
        shown = [probs[place, names.index(text)] for text in step["texts"]]
        assert torch.allclose(
            torch.tensor(shown),
            torch.tensor(step["permille"]) / 1000,
            atol=1e-3,
        )
        assert shown[0] == probs[place].max()
        if place + 1 < len(take["tokens"]):
            assert take["tokens"][place + 1] in step["texts"]
        digits = torch.tensor([int(x) for x in step["rows"]]) / 7
        expected = weights[:, place, : place + 1].flatten().sqrt()
        assert (digits - expected).abs().max() < 0.5 / 7 + 1e-3


def test_front_page_is_small():
    parts = (hero.script(), hero.style())
    assert sum(len(gzip.compress(p.encode())) for p in parts) <= LIMIT


# --- in a browser -----------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hero")
    playground.write(folder, playground.shipped()[:1])
    hero.write(folder)
    html = hero.page_html(playground.shipped()[:1])
    (folder / "page.html").write_text(html, encoding="utf-8")
    shutil.copy(ROOT / "book/theme/files/minigpt.css", folder)
    return folder


@pytest.fixture(params=["http", "file"])
def opened(request, folder, serve, visit):
    """opened(**options) -> the page of the hero, from a server or the disk."""
    base = serve(folder) if request.param == "http" else folder.as_uri()
    seen = []

    def go(**options):
        seen.append(visit(base, "page.html", **options))
        return seen[-1].page

    yield go
    for each in seen:
        assert each.errors == [] and each.foreign == []


def text_of(page):
    return page.locator(".mg-hero-words").text_content()


def given_of(page):
    """The part of the text that was there before the model wrote."""
    given = "all => all.map((e) => e.previousSibling?.nodeType === 3"
    texts = page.locator(".mg-hero-given").evaluate_all(
        f"{given} ? ` ${{e.textContent}}` : e.textContent)"
    )
    return "".join(texts)


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()


LIVE = "[data-live=true]"
SAID = ".mg-hero-said"


def test_recording_plays_and_can_be_paused(opened):
    page = opened()
    take = RECORD["takes"][0]
    start = "".join(take["tokens"][: take["given"]])
    expect(page.locator(".mg-hero-words")).to_contain_text(start)
    page.wait_for_function(
        "n => document.querySelector('.mg-hero-words').children.length > n",
        arg=take["given"] + 2,
    )
    assert "".join(take["tokens"]).startswith(text_of(page))
    assert page.locator(".mg-hero-arcs path").count()
    press(page, "pause")
    before = text_of(page)
    page.wait_for_timeout(1000)
    assert text_of(page) == before
    press(page, "another")
    expect(page.locator(".mg-hero-words")).to_contain_text(
        RECORD["takes"][1]["tokens"][0]
    )


def test_what_is_typed_is_continued_by_the_model(opened, recorded):
    """The first key loads the model, and the bars are its probabilities."""
    model, tokenizer = recorded
    page = opened()
    page.keyboard.type("The state of the")  # at nothing: the field takes it
    field = page.get_by_role("textbox")
    expect(field).to_be_focused()
    expect(field).to_have_value("The state of the")
    page.wait_for_selector(f"{LIVE} .mg-hero-new", timeout=60_000)
    assert given_of(page) == "The state of the"
    page.get_by_text("Live: the model runs in this page").wait_for()
    press(page, "pause")
    page.wait_for_timeout(700)
    ids = tokenizer.encode("The state of the")
    count = page.locator(".mg-hero-words span").count()
    assert count > len(ids)
    with torch.no_grad():
        idx = torch.tensor([tokenizer.encode(text_of(page))])
        probs = model(idx)[0, -1].softmax(-1)
    best = probs.argmax().item()
    row = page.locator(".mg-hero-next li").first
    assert row.locator("bdi").text_content() == visible(
        tokenizer.decode([best])
    )
    shown = float(row.locator("b").text_content().split()[0])
    assert shown == pytest.approx(100 * probs[best].item(), abs=0.6)


def test_escape_and_an_empty_field_bring_the_recording_back(opened):
    page = opened()
    field = page.get_by_role("textbox")
    field.fill("Peace")
    page.wait_for_selector(LIVE)
    field.press("Escape")
    expect(field).to_have_value("")
    expect(page.locator(LIVE)).to_have_count(0)
    expect(page.locator(".mg-hero-words")).to_contain_text(
        RECORD["takes"][0]["tokens"][0]
    )


def test_hostile_text_is_text(opened):
    page = opened()
    page.get_by_role("textbox").fill(EVIL)
    page.wait_for_selector(f"{LIVE} .mg-hero-new", timeout=60_000)
    assert given_of(page) == EVIL
    assert page.evaluate("window.hacked") is None
    assert not page.locator(".mg-hero img").count()


def test_a_character_of_several_tokens_is_one(opened):
    page = opened()
    page.get_by_role("textbox").fill("the café in 北京")
    page.wait_for_selector(f"{LIVE} .mg-hero-new", timeout=60_000)
    assert given_of(page) == "the café in 北京"


def test_seed_decides_and_another_is_another(opened):
    page = opened()
    page.clock.install()
    page.get_by_role("textbox").fill("We must")
    said = page.locator(SAID)
    texts = []
    for _ in range(2):
        for _ in range(400):
            page.clock.run_for(500)
            page.wait_for_timeout(20)
            if "The model wrote" in said.text_content():
                break
        texts.append(said.text_content())
        press(page, "another")
        page.evaluate(
            "s => { document.querySelector(s).textContent = ''; }", SAID
        )
    assert all(t.startswith("The model wrote: ") for t in texts)
    assert texts[0] != texts[1]


def test_calm_page_holds_still_and_still_obeys(opened):
    page = opened(reduced_motion="reduce")
    whole = "".join(RECORD["takes"][0]["tokens"])
    expect(page.locator(".mg-hero-words")).to_have_text(whole)
    before = page.locator("[data-figure] svg").evaluate_all(
        "all => all.map((e) => e.innerHTML).join()"
    )
    page.wait_for_timeout(800)
    assert text_of(page) == whole
    assert before == page.locator("[data-figure] svg").evaluate_all(
        "all => all.map((e) => e.innerHTML).join()"
    )
    page.get_by_role("textbox").fill("We")
    page.wait_for_selector(f"{LIVE} .mg-hero-new", timeout=60_000)


def test_figures_move_while_they_are_seen_and_can_be_stopped(opened):
    page = opened(viewport={"width": 1280, "height": 700})
    svg = page.locator("[data-figure=sampling] svg")
    svg.scroll_into_view_if_needed()
    first = svg.inner_html()
    page.wait_for_timeout(600)
    assert svg.inner_html() != first
    press(page, "pause the figures")
    still = svg.inner_html()
    page.wait_for_timeout(600)
    assert svg.inner_html() == still


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_hero_is_accessible(scheme, folder, serve, visit):
    from axe_playwright_python.sync_playwright import Axe

    page = visit(serve(folder), "page.html", color_scheme=scheme).page
    press(page, "pause")
    found = Axe().run(page).response["violations"]
    assert [
        (v["id"], v["nodes"][0]["html"])
        for v in found
        if v["impact"] in ("serious", "critical")
    ] == []


def test_hero_fits_a_phone_and_holds_its_place(opened):
    page = opened(viewport={"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    box, inside = (
        page.locator(selector).bounding_box()["height"]
        for selector in (".mg-hero", ".mg-hero > .mg")
    )
    assert inside <= box


def test_a_model_that_does_not_load_is_said(folder, serve, visit, tmp_path):
    site = tmp_path / "site"
    shutil.copytree(folder, site)
    shutil.rmtree(site / playground.shipped()[0].name)
    page = visit(serve(site), "page.html").page
    page.get_by_role("textbox").fill("We")
    page.get_by_text("The model did not load").first.wait_for()


def test_ladder_and_figures_show_the_records():
    html = hero.ladder(lambda chapter: None)
    stages = hero.read(hero.LADDER)["stages"]
    for chapter in {s["chapter"] for s in stages}:
        last = [s for s in stages if s["chapter"] == chapter][-1]
        assert f"{last['bits_per_char']:.2f} bits" in html
        assert last["writes"].split()[0].replace("'", "&#x27;") in html
    for name, _, _ in hero.FIGURES:
        assert json.dumps(RECORD[name])


def test_merges_are_those_of_the_tokenizer(recorded):
    _, tokenizer = recorded
    merge = RECORD["merge"]
    ids = tokenizer.encode(merge["word"])
    assert merge["lengths"][-1] == [len(tokenizer.decode([i])) for i in ids]
