"""`python -m minigpt share`: a page that is complete, exact and harmless."""

import json
import re
import shutil

import nbformat
import pytest
import torch
from nbformat.v4 import new_code_cell, new_markdown_cell
from test_playground import (
    OPEN,
    READ,
    engine,  # noqa: F401 (a fixture)
    press,
    ready,
    settled,
    status,
    tab,
    table,
    text_of,
    type_text,
    unpacked,
)

from minigpt.__main__ import main
from minigpt.run import share
from minigpt.run.models import load_model
from minigpt.run.options import Train
from minigpt.run.training import train_gpt
from minigpt.tokenizer import CharTokenizer, WordTokenizer

pytestmark = pytest.mark.usefixtures("one_thread")
EVIL = "<img src=x onerror='window.hacked=1'>"
TITLE = (
    f'</script></title><script>window.hacked=1</script><!--{EVIL}"&amp; '
    "\u2028\u2029 👩‍👧 \u202eمرحبا {title}"
)
TEXT = f"The café of 北京, 1790: 👩 {EVIL}</script>\u2028<!-- مرحبا\n" * 60
TINY = {
    "block_size": 16, "n_layer": 2, "n_head": 2, "n_embd": 16,
    "vocab_size": 280, "max_steps": 6, "batch_size": 4, "lr": 1e-2,
    "warmup_steps": 1, "eval_every": 3, "save_every": 3,
    "threads": 1, "device": "cpu",
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """{tokenizer: the folder of a run}, on a text with a name like markup."""
    folder = tmp_path_factory.mktemp("of nobody's business")
    text = folder / f"my \u202e{EVIL}.txt".replace("/", "")
    text.write_text(TEXT, encoding="utf-8")
    for kind in ("char", "bpe"):
        options = TINY | {"tokenizer": kind, "corpus": str(text)}
        train_gpt(Train(out=folder / kind, **options))
    return {kind: folder / kind for kind in ("char", "bpe")}


@pytest.fixture
def shared(tmp_path, visit):
    """shared(source, *options, **context) -> its page, open from the disk."""
    seen = []

    def go(source, *options, **context):
        out = tmp_path / "page.html"
        assert main(["share", str(source), "--out", str(out), *options]) == 0
        seen.append(visit(tmp_path.as_uri(), out.name, **context))
        ready(seen[-1].page)
        return seen[-1].page

    yield go
    for each in seen:
        assert each.errors == [] and each.foreign == []
        assert each.page.evaluate("window.hacked") is None


def said(page, name):
    """A value of the model card."""
    row = page.locator(".share-card div").filter(
        has=page.locator("dt", has_text=re.compile(f"^{name}$"))
    )
    return row.locator("dd").inner_text()


@torch.no_grad()
@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_logits_are_those_of_the_model_but_for_the_rounding(
    kind,
    runs,
    shared,
    engine,  # noqa: F811
):
    """On the tokens of which the page says it, and on what it shows."""
    page = shared(runs[kind])
    weights = page.evaluate("mgDisk['shared/model.safetensors']")
    stated = re.search(r"more than (\S+)", said(page, "weights here"))
    limit = float(stated[1])
    model, tokenizer = load_model(runs[kind])
    (source,) = [x for x in runs[kind].parent.iterdir() if x.is_file()]
    text = source.read_text(encoding="utf-8")
    ids = tokenizer.encode(text[int(0.9 * len(text)) :])[:160]
    engine(OPEN, weights)
    largest = 0.0
    for start in range(0, len(ids) - 15, 16):
        window = ids[start : start + 16]
        got = engine(READ, [window, [16], list(range(16))])["logits"]
        got = torch.stack([unpacked(row) for row in got])
        change = (got - model(torch.tensor([window]))[0]).abs().max().item()
        largest = max(largest, change)
    assert 0 < largest < limit + 1e-4
    beginning = text[:9]
    type_text(page, beginning)
    tab(page, "Settings")
    logits = model(torch.tensor([tokenizer.encode(beginning)]))[0, -1]
    share_ = logits.softmax(-1).max().item()
    ratio = float(table(page)[0][1].split()[0]) / (100 * share_)
    assert abs(ratio - 1) < 2 * limit + 0.01


def test_characters_have_the_ids_of_python(engine, tmp_path):  # noqa: F811
    tokenizer = CharTokenizer.train(TEXT)
    tokenizer.save(tmp_path / "tokenizer.json")
    file = json.loads((tmp_path / "tokenizer.json").read_text())
    ids, text = engine(
        """([file, text]) => { const chars = bpeLoad(file);
        const ids = bpeEncode(chars, text);
        return [ids, bpeDecode(chars, ids)]; }""",
        [file, TEXT],
    )
    assert ids == tokenizer.encode(TEXT) and text == TEXT
    with pytest.raises(Exception, match="no token for ☃"):
        engine("(file) => bpeEncode(bpeLoad(file), '北☃')", file)


def test_whatever_a_name_contains_is_text(runs, shared):
    page = shared(runs["bpe"], "--title", TITLE)
    assert page.title() == TITLE
    assert page.locator("h1").text_content() == TITLE
    assert EVIL.replace("/", "") in page.locator(".share-lead").inner_text()
    press(page, "continue")
    assert "tokens written" in status(page)
    assert page.locator("img, iframe, object").count() == 0
    assert page.locator("script").count() == 3
    assert "nobody's business" not in page.content()


def test_char_model_names_a_character_that_it_does_not_know(runs, shared):
    page = shared(runs["char"])
    type_text(page, "The ☃")
    assert "“☃” is not one of them" in status(page)
    page.get_by_label("Your text").press("Control+Enter")
    settled(page)
    assert text_of(page) == "The ☃"
    type_text(page, "The ")
    press(page, "one token")
    assert text_of(page).startswith("The ") and len(text_of(page)) > 4


def test_curve_and_card_are_those_of_the_run(runs, shared):
    page = shared(runs["char"])
    log = (runs["char"] / "log.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in log]
    best = min(
        (x for x in lines if x["kind"] == "eval" and x["step"]),
        key=lambda x: x["loss"],
    )
    assert f"{best['bits_per_char']:.3f} bits" in said(page, "quality")
    assert said(page, "training").startswith(f"{best['step']} of 6 steps")
    assert said(page, "seed") == "0"
    assert "this model" in page.locator(".share-bars").inner_text()
    chart = page.get_by_label("training curves")
    chart.focus()
    page.keyboard.press("Home")
    first = next(x for x in lines if x["kind"] == "eval")
    spoken = page.locator("[data-curve] .mg-readout").inner_text()
    assert f"held-out loss {first['loss']:.3g}" in spoken


def test_exported_model_without_its_text_is_shared_too(
    runs, shared, tmp_path, capsys
):
    small = tmp_path / "small"
    main(["export-model", str(runs["bpe"]), str(small), "--bits", "8"])
    data = small / "data.json"
    facts = json.loads(data.read_text())
    facts["corpus"] = str(tmp_path / "gone.txt")
    data.write_text(json.dumps(facts))
    page = shared(small)
    assert "no held-out text" in capsys.readouterr().err
    assert page.locator(".share-bars").count() == 0
    press(page, "continue")
    assert said(page, "text") == "gone.txt"


def test_exercises_are_listed_and_called_self_declared(runs, shared, tmp_path):
    """Those that `course status` counts, under the chapter's own title."""
    edition = tmp_path / "my-gpt"
    (edition / "minigpt").mkdir(parents=True)
    passed = {"predict.one": {"status": "passed"}}
    progress = {"exercises": passed, "modules": {}}
    (edition / "minigpt" / "progress.json").write_text(json.dumps(progress))
    cells = [
        new_markdown_cell(f"# 4. {EVIL}"),
        new_code_cell('check("predict.one", 1)\ncheck("predict.two", 2)'),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbformat.write(notebook, edition / "04_attention.ipynb")
    shutil.copytree(runs["bpe"], edition / "run")
    page = shared(edition / "run", "--exercises")
    part = page.get_by_role("heading", name="Exercises").locator("..")
    said_there = part.inner_text()
    assert "1 of 2 exercises" in said_there and "1 of 2\n" in said_there
    assert f"4. {EVIL}" in said_there
    assert "Self-declared" in said_there


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_is_accessible_on_a_phone_and_by_keyboard(scheme, runs, shared):
    from axe_playwright_python.sync_playwright import Axe

    page = shared(
        runs["bpe"],
        color_scheme=scheme,
        reduced_motion="reduce",
        viewport={"width": 360, "height": 740},
    )
    assert page.evaluate("document.activeElement.tagName") == "BODY"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    page.keyboard.press("Control+End")
    before = text_of(page)
    page.keyboard.type("T")
    page.keyboard.press("Control+Enter")
    settled(page)
    assert text_of(page).startswith(f"{before}T")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    found = Axe().run(page).response["violations"]
    serious = [
        (v["id"], [node["html"][:120] for node in v["nodes"]][:3])
        for v in found
        if v["impact"] in ("serious", "critical")
    ]
    assert not serious


def test_a_page_of_this_name_is_replaced_and_nothing_else(
    runs, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "char.html").write_text("old")
    assert main(["share", str(runs["char"])]) == 0
    assert len((tmp_path / "char.html").read_text()) > 100_000
    log = runs["char"] / "log.jsonl"
    kept = log.read_bytes()
    assert main(["share", str(runs["char"]), "--out", str(log)]) == 2
    assert log.read_bytes() == kept


@pytest.mark.parametrize(
    "what, words",
    [
        ("nothing", "there is no model"),
        ("no checkpoint", "neither model.safetensors nor the checkpoints"),
        ("too large", "at most 1,000"),
        ("words", "got WordTokenizer"),
        ("gpt2", "GPT-2 is too large"),
        ("no edition", "not inside a learner edition"),
        ("damaged log", "not JSON"),
    ],
)
def test_what_cannot_be_shared_is_said_in_one_line(
    what, words, runs, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    source, options = tmp_path / "run", []
    if what != "nothing":
        shutil.copytree(runs["char"], source)
    if what == "no checkpoint":
        shutil.rmtree(source / "checkpoints")
        (source / "best.safetensors").unlink()
    if what == "too large":
        monkeypatch.setattr(share, "LARGEST", 1000)
    if what == "words":
        n_vocab = load_model(source)[1].n_vocab
        names = [*WordTokenizer.special, *map(str, range(n_vocab - 4))]
        WordTokenizer(names).save(source / "tokenizer.json")
    if what == "gpt2":
        source = "gpt2"
    if what == "no edition":
        options = ["--exercises"]
    if what == "damaged log":
        (source / "log.jsonl").write_text('{"kind": \n{}\n')
    capsys.readouterr()
    assert main(["share", str(source), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and words in line
    assert not list(tmp_path.glob("*.html"))
