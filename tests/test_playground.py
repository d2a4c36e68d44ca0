"""The playground: its numbers are PyTorch's, its page holds whatever comes."""

import base64
import functools
import http.server
import json
import math
import operator
import random
import re
import shutil
import sys
import threading
import unicodedata
from pathlib import Path

import pytest
import regex
import torch

from minigpt.bigram import cross_entropy
from minigpt.cache import new_cache
from minigpt.gpt import GPT, GPTConfig
from minigpt.run import bundle
from minigpt.run.checkpoint import open_model, save_model
from minigpt.sample import Sampling, next_logits, probabilities
from minigpt.tokenizer import BPETokenizer

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "book" / "ext"))

from minigpt_book import playground  # noqa: E402

END = "<|endoftext|>"
EVIL = "<img src=x onerror='window.hacked=1'>"
TEXT = (
    "Fellow citizens, it's 1790: the café's naïve “state” of 北京 → 👩‍👧.\n\n"
)


def random_model(path, seed=0, *, dtype=torch.float16, bits=None, **config):
    """A model whose numbers are far from their small starting values."""
    torch.manual_seed(seed)
    model = GPT(GPTConfig(**config))
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.normal_(1.0 if "norm" in name and p.dim() == 1 else 0.0, 0.15)
    save_model(path, model, dtype=dtype, bits=bits)
    return open_model(path)[0]


def small_tokenizer():
    """Trained on a little text, with tokens that would like to be markup."""
    tokens = list(BPETokenizer.train(TEXT * 3, 300, progress=False).ranks)
    evil = [f"{EVIL}{i}\u202e\x07".encode() for i in range(99)]
    return BPETokenizer([*tokens, *evil], [END])


# --- numbers ----------------------------------------------------------------


@pytest.fixture(scope="module")
def engine(browser):
    """A function that calls the scripts of the playground's worker."""
    parts = map(bundle.plain, bundle.PARTS["worker.js"])
    page = browser.new_page()
    page.add_script_tag(content="\n".join(parts) + PACK)

    def call(code, argument=None):
        """As JSON: much quicker than Playwright's own way for long lists."""
        run = f"(text) => JSON.stringify(({code})(JSON.parse(text)) ?? null)"
        return json.loads(page.evaluate(run, json.dumps(argument)))

    yield call
    page.close()


PACK = """
function pack(floats) {
  let text = "";
  for (const b of new Uint8Array(floats.buffer)) text += String.fromCharCode(b);
  return btoa(text);
}"""


def unpacked(text):
    """What `pack` made of a Float32Array -> a tensor."""
    return torch.frombuffer(
        bytearray(base64.b64decode(text)), dtype=torch.float
    )


OPEN = """(text) => {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const model = gptRead(bytes.buffer);
  globalThis.golden = new GptRun(model.config, gptWeights(model));
}"""
READ = """([ids, cuts, places]) => {
  golden.length = 0;
  golden.off.fill(0);
  for (const n of cuts) golden.read(ids.slice(0, n));
  const T = golden.config.block_size;
  return { logits: places.map((p) => pack(golden.logits(p))),
    maps: golden.maps.map(pack) };
}"""
LENS = """(places) => golden.stream.map((_, l) => places.map(
  (p) => pack(golden.logits(p, l))))"""
GROW = """([ids, lengths]) => {
  const starts = lengths.map((n) => gptStart(n, golden.config.block_size));
  golden.length = 0;
  return [starts, lengths.map((n, i) => {
    golden.read(ids.slice(starts[i], n));
    return pack(golden.logits(golden.length - 1));
  })];
}"""
OFF = """([layer, head]) => {
  const { config, weights } = golden;
  const spare = new GptRun(config, weights);
  spare.off[layer * config.n_head + head] = 1;
  spare.follow(golden, layer);
  return [golden.loss(), spare.loss()];
}"""
PARTS = [  # six lists of five: in MODELS each choice meets all others
    [{"mlp": m} for m in ("gelu", "gelu_tanh", "relu", "relu2", "swiglu")],
    [
        {"position": p}
        for p in ("learned", "sinusoidal", "none", "rope", "alibi")
    ],
    [
        {},
        {"norm": "rms"},
        {"order": "post"},
        {"order": "post", "norm": "rms"},
        {"n_layer": 3},
    ],
    [
        {},
        {"qk_norm": True},
        {"n_kv_head": 1},
        {"n_kv_head": 2, "qk_norm": True},
        {"n_head": 1},
    ],
    [
        {},
        {"bias": False},
        {"tied": False},
        {"bias": False, "tied": False},
        {"vocab_size": 71},
    ],
    [
        {},
        {"bits": 8},
        {"bits": 4, "n_embd": 96},
        {"dtype": torch.float32, "n_embd": 40},
        {"bits": 8, "block_size": 31, "rope_base": 500.0, "n_hidden": 40},
    ],
]
SIZES = dict(n_layer=2, n_head=4, n_embd=24, vocab_size=64, block_size=23)


def mixed(i, j):
    """The parts of model (i, j), an orthogonal array: for any two of the
    lists, the 25 models have all 25 pairs (Bose 1938)."""
    places = [i, j, *((i + k * j) % 5 for k in (1, 2, 3, 4))]
    parts = [choices[at] for choices, at in zip(PARTS, places, strict=True)]
    return functools.reduce(operator.or_, parts, SIZES)


MODELS = {f"mixed {i} {j}": mixed(i, j) for i in range(5) for j in range(5)}


@pytest.fixture(params=[*MODELS, *playground.MODELS])
def golden(request, engine, tmp_path):
    """A model, open in PyTorch and in the browser, and some ids for it."""
    if request.param in playground.MODELS:
        path = playground.ASSETS / request.param / "model.safetensors"
        model = open_model(path)[0]
    else:
        path = tmp_path / "model.safetensors"
        model = random_model(path, **MODELS[request.param])
    engine(OPEN, base64.b64encode(path.read_bytes()).decode())
    c = model.config
    g = torch.Generator().manual_seed(1)
    ids = torch.randint(c.vocab_size, (1, c.block_size), generator=g)
    return model, ids


def some_places(ids):
    T = ids.size(1)
    return sorted({*range(0, T, max(1, T // 24)), T - 1})


@torch.no_grad()
def test_logits_and_attention_are_those_of_pytorch(golden, engine):
    """Fed at once, and piece by piece through the cache."""
    model, ids = golden
    T, H = ids.size(1), model.config.n_head
    places, record = some_places(ids), []
    expected = model(ids, record=record)[0]
    assert expected.std() > 0.3  # else equality would say little
    for cuts in ([T], [5, 6, 7, T - 1, T]):
        got = engine(READ, [ids[0].tolist(), cuts, places])
        logits = torch.stack([unpacked(row) for row in got["logits"]])
        assert (logits - expected[places]).abs().max() < 1e-3
        for map_, weights in zip(got["maps"], record, strict=True):
            lower = torch.ones(H, T, T).tril().bool()
            found = torch.zeros(H, T, T).masked_scatter(lower, unpacked(map_))
            assert (found - weights[0]).abs().max() < 1e-4


@torch.no_grad()
def test_another_beginning_is_computed_anew(golden, engine):
    model, ids = golden
    T = ids.size(1)
    other = ids.clone()
    other[0, 3] = (other[0, 3] + 1) % model.config.vocab_size
    engine(READ, [ids[0].tolist(), [T], [0]])
    got = engine(
        "([ids, p]) => { golden.read(ids); return pack(golden.logits(p)); }",
        [other[0].tolist(), T - 1],
    )
    difference = unpacked(got) - model(other)[0, -1]
    assert difference.abs().max() < 1e-3


@torch.no_grad()
def test_lens_reads_the_stream_between_the_blocks(golden, engine):
    model, ids = golden
    places, stream = some_places(ids)[-5:], []
    hooks = [
        block.register_forward_pre_hook(lambda _, x: stream.append(x[0]))
        for block in model.blocks
    ]
    last = model(ids)
    for hook in hooks:
        hook.remove()
    engine(READ, [ids[0].tolist(), [ids.size(1)], [0]])
    got = engine(LENS, places)  # (L + 1, places, V)
    got = [torch.stack([unpacked(x) for x in layer]) for layer in got]
    for found, x in zip(got, stream, strict=False):
        expected = model.head(model.norm(x))[0, places]
        assert (found - expected).abs().max() < 1e-3
    assert (got[-1] - last[0, places]).abs().max() < 1e-3


@torch.no_grad()
def test_a_head_that_is_off_gives_zeros(golden, engine):
    model, ids = golden
    c = model.config
    layer, head = c.n_layer - 1, c.n_head // 2
    D = c.n_embd // c.n_head

    def silence(_, x):
        joined = x[0].clone()
        joined[..., head * D : (head + 1) * D] = 0
        return (joined,)

    targets = ids[:, 1:]
    before = cross_entropy(model(ids)[:, :-1], targets).item()
    projection = model.blocks[layer].attention.proj
    hook = projection.register_forward_pre_hook(silence)
    after = cross_entropy(model(ids)[:, :-1], targets).item()
    hook.remove()
    assert abs(after - before) > 1e-5
    engine(READ, [ids[0].tolist(), [ids.size(1)], [0]])
    assert engine(OFF, [layer, head]) == pytest.approx(
        [before, after], abs=1e-4
    )


def test_error_function(engine):
    x = torch.linspace(-6, 6, 2001, dtype=torch.float64)
    got = engine("(xs) => xs.map(gptErf)", x.tolist())
    error = (torch.tensor(got, dtype=torch.float64) - x.erf()).abs().max()
    assert error < 2e-7


def test_text_beyond_the_block_leaves_the_window_in_steps(engine):
    starts = engine(
        "() => Array.from({ length: 1000 }, (_, n) => gptStart(n, 256))"
    )
    kept = [n - start for n, start in enumerate(starts)]
    assert starts[:257] == [0] * 257
    assert starts[257] == 64
    assert max(kept) == 256 and min(kept[257:]) == 193
    assert starts == sorted(starts)


@torch.no_grad()
def test_a_text_grows_beyond_the_window_as_in_sample(golden, engine):
    """Token by token, through the cache; both compute a new window anew."""
    model, _ = golden
    T, V = model.config.block_size, model.config.vocab_size
    g = torch.Generator().manual_seed(2)
    ids = torch.randint(V, (1, T + T // 4 + 2), generator=g)
    n_seen = [n for n in range(1, ids.size(1) + 1) if T < 50 or n > T - 3]
    starts, logits = engine(GROW, [ids[0].tolist(), n_seen])
    assert len({*starts}) == 3
    cache, last = new_cache(model), 0
    for n, start, found in zip(n_seen, starts, logits, strict=True):
        if start != last:
            cache, last = new_cache(model), start
        expected = next_logits(model, ids[:, start:n], cache=cache)[0]
        assert (unpacked(found) - expected).abs().max() < 1e-3


@pytest.mark.parametrize(
    "damage, said",
    [
        ("short", "cut short"),
        ("empty", "cut short"),
        ("foreign", "another format: minigpt-model 9"),
        ("missing", "no token.weight\n"),
        ("no scale", "no token.weight.scale"),
        ("other parts", "a model whose mlp is gels"),
    ],
)
def test_a_file_that_cannot_be_computed_is_refused(
    damage, said, engine, tmp_path
):
    path = tmp_path / "model.safetensors"
    random_model(path, bits=8, **SIZES)
    data = path.read_bytes()
    data = {
        "short": data[:-10],
        "empty": b"",
        "foreign": data.replace(b"minigpt-model 1", b"minigpt-model 9"),
        "missing": data.replace(b"token.weight", b"taken.weight"),
        "no scale": data.replace(b"token.weight.scale", b"token.weight.stale"),
        "other parts": data.replace(b'\\"gelu\\"', b'\\"gels\\"'),
    }[damage]
    with pytest.raises(Exception, match=said):
        engine(OPEN, base64.b64encode(data).decode())


# --- the tokenizer ----------------------------------------------------------

HARD = [
    "",
    " ",
    "   three  spaces   ",
    "\n\n \n x\r\n\ty",
    "it's IT'S we'll 'twas 's's o'clock I'd've",
    "1790 ١٢٣ ½ Ⅷ ² 3,640",
    "café cafe\u0301 \u0301\u0301 lone marks \u0bcd",
    "क्षि தமிழ் ภาษาไทย 北京 日本語 한국어",
    "\u00a0no\u00a0break\u3000\u2003\u2028\u2029\u0085\u180e",
    "\ufeffmark \u200b\u200d\u200e\u200f\u202e\u2066 end",
    "\x00\x01\x1b[31m\x1c\x1d\x1e\x1f\x7f",
    "👩‍👩‍👧‍👦 🇫🇷 👍🏽 \U0001f9d1\u200d\U0001f680",
    EVIL + "</script><b>&amp;",
    END + " is text here",
    "a" * 10_000,
    "ab" * 3_000 + " " * 500 + "\u0301" * 500,
    "\U000e0001\U0010ffff\ue000\ufffe",
]


def random_texts(n):
    r = random.Random(7)
    signs = "abcXYZ 012'.,-\n\t \u00a0\u0301é北👩\u200d\u2028½'slvred"
    anything = [chr(c) for c in range(0x3000) if not 0xD800 <= c < 0xE000]
    return [
        "".join(r.choice(r.choice((signs, anything))) for _ in range(30))
        for _ in range(n)
    ]


@pytest.fixture(scope="module", params=["small", "shipped"])
def tokenizer(request, engine, tmp_path_factory):
    """A tokenizer, open in Python and in the browser."""
    path = playground.shipped()[0] / "tokenizer.json"
    if request.param == "small":
        path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
        small_tokenizer().save(path)
    file = json.loads(path.read_text(encoding="utf-8"))
    engine("(file) => { globalThis.bpe = bpeLoad(file); }", file)
    return BPETokenizer.load(path)


def test_ids_are_those_of_python(tokenizer, engine):
    texts = HARD + random_texts(1500)
    got = engine("(texts) => texts.map((t) => bpeEncode(bpe, t))", texts)
    for text, ids in zip(texts, got, strict=True):
        assert ids == tokenizer.encode(text), text[:80]


def test_text_of_ids_is_that_of_python(tokenizer, engine):
    """Also where the bytes are no UTF-8, or have only begun a character."""
    r = random.Random(3)
    lists = [
        [r.randrange(r.choice((256, tokenizer.n_vocab))) for _ in range(9)]
        for _ in range(1500)
    ]
    lists += [tokenizer.encode(text) for text in HARD]
    got = engine(
        "(lists) => lists.map((ids) => [bpeDecode(bpe, ids), bpeDecode(bpe,"
        " ids, { open: true }), bpeOpenBytes(bpe, ids)])",
        lists,
    )
    unfinished = 0
    for ids, (text, begun, open_) in zip(lists, got, strict=True):
        assert text == tokenizer.decode(ids)
        assert text == begun + "\ufffd" * bool(open_)
        unfinished += bool(open_)
    assert unfinished > 20


def test_half_a_character_becomes_a_sign(tokenizer, engine):
    ids = engine("() => bpeEncode(bpe, 'a\\ud800b')")
    assert tokenizer.decode(ids) == "a\ufffdb"


def test_letters_numbers_and_spaces_are_the_same_characters(engine):
    """Where browser and `regex` differ, one of them knows newer letters."""
    points = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    text = "".join(map(chr, points))
    engine(
        """() => { globalThis.every = "";
        for (let c = 0; c < 0x110000; c += 1) {
          if (c < 0xd800 || c >= 0xe000) every += String.fromCodePoint(c);
        } }"""
    )
    for kind in (r"\p{L}", r"\p{N}", r"\p{White_Space}"):
        mine = set(regex.findall(kind.replace(r"\p{White_Space}", r"\s"), text))
        theirs = set(engine(f"() => every.match(/{kind}/gu).join('')"))
        strange = mine ^ theirs
        assert len(mine) > 20
        assert all(unicodedata.category(c) == "Cn" for c in strange)


def test_parts_of_characters_are_shown_as_bytes(engine):
    got = engine(
        "() => ['\\x20\\xe2\\x80', '\\x9c', 'a\\xc3\\xa9\\xff'].map((b) =>"
        " bpePieces(b).map((p) => p.text ?? p.byte))"
    )
    assert got == [[" ", 0xE2, 0x80], [0x9C], ["a", "é", 0xFF]]


def test_throws_are_even_and_hang_on_seed_and_place(engine):
    throws = (
        "(seed) => Array.from({length: 4000}, (_, i) => throwAt(seed, i)())"
    )
    one, same, other = (torch.tensor(engine(throws, s)) for s in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    for x in (one, other):
        assert x.histc(10, 0, 1).sub(400).abs().max() < 100  # 5 deviations
        assert x[:-1].sub(0.5).mul(x[1:] - 0.5).mean().abs() < 0.01
    assert one.sub(0.5).mul(other - 0.5).mean().abs() < 0.01


# --- the page ---------------------------------------------------------------


class Server:
    """A folder over http that can fail as asked; counts what it sends."""

    def __init__(self, folder):
        self.folder, self.fail, self.sent = folder, {}, []
        outer = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args, **options):
                super().__init__(*args, directory=str(folder), **options)

            def log_message(self, *args):
                """Say nothing."""

            def do_GET(self):
                name = self.path.split("?")[0].rsplit("/", 1)[-1]
                outer.sent.append(name)
                how = outer.fail.get(name)
                if how is None:
                    return super().do_GET()
                path = Path(self.translate_path(self.path))
                outer.answer(self, path.read_bytes(), how)

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def answer(self, handler, data, how):
        if how == "missing":
            return handler.send_error(404)
        half = len(data) // 2
        if how == "damaged":
            data = data[:half] + bytes([data[half] ^ 1]) + data[half + 1 :]
        handler.send_response(200)
        size = half if how == "short" else len(data)
        handler.send_header("Content-Length", str(size))
        handler.end_headers()
        cut = half if how in ("short", "broken") else len(data)
        handler.wfile.write(data[:cut])
        handler.wfile.flush()
        handler.close_connection = True


@pytest.fixture(scope="module")
def assets(tmp_path_factory):
    """A small model and its tokenizer, as the course ships its own."""
    folder = tmp_path_factory.mktemp("assets") / "second_term"
    shape = dict(n_layer=2, n_head=3, n_embd=24, block_size=40)
    return random_assets(folder, small_tokenizer(), **shape)


def random_assets(folder, tokenizer, **shape):
    folder.mkdir()
    tokenizer.save(folder / "tokenizer.json")
    path = folder / "model.safetensors"
    random_model(path, **shape, vocab_size=tokenizer.n_vocab)
    return folder


@pytest.fixture(scope="module")
def server(assets, tmp_path_factory):
    """page.html has one model, two.html two."""
    world = random_assets(
        assets.parent / "world",
        BPETokenizer.train("Mia was here. ", 262, progress=False),
        n_layer=1,
        n_head=2,
        n_embd=16,
        block_size=30,
    )
    site = tmp_path_factory.mktemp("site")
    playground.write(site, [assets, world])
    (site / "page.html").write_text(playground.page_html([assets]))
    (site / "two.html").write_text(playground.page_html([assets, world]))
    for file in (ROOT / "book/theme/files").iterdir():
        shutil.copy(file, site)
    (site / "favicon.ico").write_bytes(b"")
    server = Server(site)
    yield server
    server.http.shutdown()


@pytest.fixture
def opened(server, visit):
    """opened(path, **context) -> a page with a model loaded, no complaint."""
    seen = []

    def go(path="page.html", **options):
        seen.append(visit(server.base, path, **options))
        load(seen[-1].page)
        return seen[-1].page

    yield go
    for each in seen:
        assert each.errors == [] and each.foreign == []


def load(page):
    page.get_by_role("button", name="Load the model").click()
    ready(page)


def ready(page):
    page.get_by_label("Your text").wait_for()
    settled(page)
    page.get_by_label("speed").select_option("0")  # all at once


def settled(page):
    """Wait until what is shown belongs to the text."""
    page.wait_for_timeout(30)
    page.locator("section[data-busy=false]").wait_for()


def type_text(page, text):
    page.get_by_label("Your text").fill(text)
    settled(page)


def turn(page, label, steps):
    slider = page.get_by_label(label, exact=True)
    slider.evaluate(
        "(el, v) => { el.value = v; el.dispatchEvent(new Event('input')); }",
        steps,
    )
    settled(page)


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()
    settled(page)


def tab(page, name):
    page.get_by_role("tab", name=name).click()


def choose_token(page, i):
    """Click on the letters of a token, in the box that lies above it."""
    box = page.locator(".mg-pg-chip").nth(i).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.click(x, y)
    settled(page)


def chosen(page):
    """Which token is looked at."""
    return page.locator(".mg-pg-chip").evaluate_all(
        "all => all.findIndex(e => e.classList.contains('mg-pg-chosen'))"
    )


def text_of(page):
    return page.get_by_label("Your text").input_value()


def table(page):
    """[token, model, after] of the rows of the next token."""
    return page.locator(".mg-pg-next tbody tr").evaluate_all(
        "rows => rows.filter(r => !r.hidden).map(r => [...r.cells].slice(0, 3)"
        ".map(c => c.textContent))"
    )


def status(page):
    return page.locator(".mg-readout").first.inner_text()


@pytest.fixture(scope="module")
def reference(assets):
    model = open_model(assets / "model.safetensors")[0]
    return model, BPETokenizer.load(assets / "tokenizer.json")


@torch.no_grad()
def logits_after(reference, ids):
    return reference[0](torch.tensor([ids]))[0, -1:]


def test_nothing_is_loaded_before_it_is_asked_for(server, assets, visit):
    before = len(server.sent)
    seen = visit(server.base, "page.html")
    seen.page.wait_for_load_state("networkidle")
    asked = server.sent[before:]
    assert "page.js" in asked
    assert not {"model.safetensors", "tokenizer.json", "worker.js"} & {*asked}
    button = seen.page.get_by_role("button", name="Load the model")
    (model,) = playground.models([assets])
    size = sum(f["bytes"] for f in model["files"])
    assert f"{size / 1e6:.1f} MB" in button.inner_text()


def test_weights_are_kept_for_the_next_visit(server, opened):
    page = opened()
    assert "kept from before" not in status(page)
    before = len(server.sent)
    page.reload()
    load(page)
    assert "kept from before" in status(page)
    assert "model.safetensors" not in server.sent[before:]


@pytest.mark.parametrize(
    "how, said",
    [
        ("missing", "is not on this site (the server says 404)"),
        ("short", "is not whole"),
        ("broken", "the connection broke after"),
        ("damaged", "is damaged"),
    ],
)
def test_what_cannot_be_loaded_is_said_and_tried_again(
    how, said, server, browser
):
    page = browser.new_page()
    server.fail = {"model.safetensors": how}
    page.goto(f"{server.base}/page.html")
    page.get_by_role("button", name="Load the model").click()
    page.get_by_text(said).wait_for()
    again = page.get_by_role("button", name="Try again")
    again.click()
    page.get_by_text(said).wait_for()
    server.fail = {}
    again.click()
    page.get_by_label("Your text").wait_for()
    page.close()


def test_from_the_disk_the_same_text_is_written(server, visit, opened):
    over_http = opened()
    seen = visit(server.folder.as_uri(), "page.html")
    load(seen.page)
    for page in (over_http, seen.page):
        type_text(page, "The state")
        press(page, "continue")
    assert text_of(seen.page) == text_of(over_http) != "The state"
    seen.page.wait_for_timeout(500)  # the address follows a little later
    assert "t=The+state" in seen.page.evaluate("location.hash")
    assert seen.errors == []


@pytest.mark.parametrize(
    "damage, said",
    [
        ("missing", "is not in the folder of this page"),
        ("damaged", "is damaged"),
        ("short", "is not whole"),
    ],
)
def test_from_the_disk_a_bad_file_is_refused(
    damage, said, server, visit, tmp_path
):
    site = shutil.copytree(server.folder, tmp_path / "site")
    (name,) = site.glob("second_term/model.safetensors.js")
    text = name.read_text()
    name.unlink()
    at = len(text) // 2
    if damage == "damaged":
        other = "A" if text[at] != "A" else "B"
        name.write_text(f"{text[:at]}{other}{text[at + 1 :]}")
    if damage == "short":
        name.write_text(text[:at] + text[at + 4 :])
    page = visit(site.as_uri(), "page.html").page
    page.get_by_role("button", name="Load the model").click()
    page.get_by_text(said).wait_for()


REFUSED = {
    "at once": "throw new DOMException('not here', 'SecurityError');",
    "later": "setTimeout(() => this.onerror(new Event('error')), 50);",
}


@pytest.mark.parametrize("when", REFUSED)
def test_from_the_disk_a_refused_worker_is_explained(when, server, visit):
    seen = visit(server.folder.as_uri(), "page.html")
    seen.page.evaluate(
        "() => { window.Worker = class { postMessage() {} terminate() {}"
        f" constructor() {{ {REFUSED[when]} }} }}; }}"
    )
    seen.page.get_by_role("button", name="Load the model").click()
    seen.page.get_by_text("python -m http.server").wait_for()
    assert seen.page.get_by_role("button", name="Try again").is_enabled()
    assert seen.errors == []


def test_without_the_model_the_page_says_so(tmp_path):
    assert "not built into this copy" in playground.box("", [tmp_path])
    playground.write(tmp_path, [tmp_path])
    assert (tmp_path / "page.js").exists()


def test_table_is_what_pytorch_and_sample_say(opened, reference):
    page = opened()
    type_text(page, TEXT[:20])
    turn(page, "temperature", 13)
    turn(page, "top-k", 4)
    turn(page, "top-p", 16)
    model, tokenizer = reference
    logits = logits_after(reference, tokenizer.encode(TEXT[:20]))
    chosen = Sampling(temperature=1.3, top_k=10, top_p=0.8)
    after = probabilities(logits.double(), chosen)[0]
    before = logits.double().softmax(-1)[0]
    order = logits[0].sort(descending=True, stable=True).indices
    rows = table(page)
    assert len(rows) == 12
    for i, (_, first, second) in zip(order.tolist(), rows, strict=False):
        assert float(first.split()[0]) == pytest.approx(
            100 * before[i].item(), rel=0.01
        )
        if after[i] == 0:
            assert "cut by top-" in second
        else:
            assert float(second.split()[0]) == pytest.approx(
                100 * after[i].item(), rel=0.01
            )
    bits = -(before * before.log2()).sum().item()
    caption = page.locator(".mg-pg-next caption").inner_text()
    assert f"uncertainty {bits:.2f} bits" in caption
    assert f"keep {(after > 0).sum()} of {tokenizer.n_vocab}" in caption


def test_greedy_writes_what_pytorch_writes(opened, reference):
    """Past the end of the block too."""
    model, tokenizer = reference
    page = opened()
    type_text(page, TEXT[:20])
    turn(page, "temperature", 0)
    page.get_by_label("tokens to write").fill("45")
    press(page, "continue")
    ids = tokenizer.encode(TEXT[:20])
    for _ in range(45):
        n, T = len(ids), model.config.block_size
        start = max(0, math.ceil((n - T) / 10) * 10)
        best = logits_after(reference, ids[start:]).argmax().item()
        if tokenizer.tokens[best] == END.encode():
            break
        ids.append(best)
    shown = tokenizer.decode(ids)
    assert len(ids) > model.config.block_size
    assert text_of(page).rstrip("\ufffd") == shown.rstrip("\ufffd")
    assert "have left its window" in page.get_by_role("main").inner_text()


def test_seed_decides_and_steps_change_nothing(opened):
    page = opened()
    type_text(page, "The state")
    page.get_by_label("tokens to write").fill("6")
    press(page, "continue")
    at_once = text_of(page)
    press(page, "back to my text")
    assert text_of(page) == "The state"
    for _ in range(6):
        press(page, "one token")
    assert text_of(page) == at_once != "The state"
    press(page, "back to my text")
    page.get_by_label("seed").first.fill("99")
    press(page, "continue")
    assert text_of(page) != at_once
    tokens = page.locator(".mg-pg-chip")
    count = tokens.count()
    press(page, "take one back")
    assert tokens.count() == count - 1


def test_writing_can_be_stopped_and_the_text_edited(opened):
    page = opened()
    turn(page, "temperature", 0)
    page.get_by_label("tokens to write").fill("1000")
    # both in one go, so that a slow machine cannot write all of it before
    was_busy = page.get_by_label("Your text").evaluate(
        """(area) => { const press = (key, ctrlKey) => area.dispatchEvent(
             new KeyboardEvent("keydown", { key, ctrlKey, bubbles: true }));
           press("Enter", true); const busy = area.readOnly;
           press("Escape", false); return busy; }"""
    )
    settled(page)
    assert was_busy
    written = page.locator(".mg-pg-written").count()
    assert len(text_of(page)) < 500 and written < 30
    assert page.get_by_label("Your text").is_editable()
    page.get_by_label("Your text").fill("Mine")
    settled(page)
    assert page.locator(".mg-pg-chip").all_inner_texts() == list("Mine")


def at_once(page, text, key):
    """Type a text and press a key before anything could be answered."""
    page.get_by_label("Your text").evaluate(
        """(area, [text, key]) => { area.value = text;
          area.dispatchEvent(new Event("input"));
          area.dispatchEvent(new KeyboardEvent("keydown",
            { key, ctrlKey: true, bubbles: true })); }""",
        [text, key],
    )


def test_what_was_typed_a_moment_ago_is_continued(opened):
    page = opened()
    page.get_by_label("tokens to write").fill("5")
    at_once(page, "The state", "Enter")
    settled(page)
    assert text_of(page).startswith("The state")
    assert "5 tokens written" in status(page)
    assert page.locator(".mg-pg-written").count() == 5
    page.get_by_label("Your text").press("Control+a")
    page.keyboard.type("Fellow")
    page.keyboard.press("Control+Enter")
    settled(page)
    assert text_of(page).startswith("Fellow") and text_of(page) != "Fellow"
    press(page, "back to my text")
    assert text_of(page) == "Fellow"


def test_typing_is_never_overtaken_by_an_answer(opened, reference):
    page = opened()
    text = "it's 1790: the café"
    page.get_by_label("Your text").press("Control+a")
    for character in text:
        page.keyboard.type(character)
        page.wait_for_timeout(random.Random(character).randrange(30))
    settled(page)
    assert text_of(page) == text
    ids = reference[1].encode(text)
    assert page.locator(".mg-pg-chip").count() == len(ids)


def off(page, name):
    button = page.get_by_role("button", name=name, exact=True)
    return button.get_attribute("aria-disabled") == "true"


def test_buttons_that_cannot_work_are_off(opened):
    page = opened()
    buttons = ["continue", "one token", "take one back", "back to my text"]
    assert [off(page, b) for b in buttons] == [False, False, False, True]
    assert off(page, "stop")
    before = text_of(page)
    for name in ("back to my text", "stop"):
        button = page.get_by_role("button", name=name, exact=True)
        button.evaluate("button => button.click()")
    settled(page)
    assert text_of(page) == before != ""
    type_text(page, "")
    assert [off(page, b) for b in buttons] == [False, False, True, True]
    press(page, "one token")
    assert [off(page, b) for b in buttons] == [False] * 4


def test_buttons_keep_the_focus(opened):
    page = opened()
    type_text(page, "ab")
    for name in ("continue", "one token", "take one back", "back to my text"):
        button = page.get_by_role("button", name=name, exact=True)
        button.focus()
        page.keyboard.press("Enter")
        settled(page)
        assert button.evaluate("button => button === document.activeElement")
    assert text_of(page) == "ab"


def test_a_typed_text_comes_back_after_all_that_replaced_it(opened):
    page = opened()
    type_text(page, TEXT[:30])
    choose_token(page, 3)
    tab(page, "Settings")
    page.locator(".mg-pg-next tbody button").nth(5).click()
    settled(page)
    assert page.locator(".mg-pg-chip").count() == 5
    for name in ("one token", "take one back", "take one back", "continue"):
        press(page, name)
    press(page, "back to my text")
    assert text_of(page) == TEXT[:30]
    assert page.locator(".mg-pg-written").count() == 0


def test_lens_shows_the_text_when_writing_has_ended(opened):
    from playwright.sync_api import expect

    page = opened()
    type_text(page, "abc")
    tab(page, "Lens")
    press(page, "one token")
    rows = page.locator("[aria-label='logit lens'] tbody tr")
    expect(rows).to_have_count(4)


def test_a_head_that_is_switched_off_ends_the_writing(opened):
    """The text stays as the page showed it then."""
    page = opened()
    type_text(page, "abc")
    page.get_by_label("tokens to write").fill("1000")
    page.locator("section").first.evaluate(
        """(root) => { root.querySelector(".mg-button").click();
          root.querySelector(".mg-pg-head").click(); }"""
    )
    settled(page)
    assert text_of(page) == "abc"
    assert page.locator(".mg-pg-chip").all_inner_texts() == list("abc")


def test_writing_is_not_read_aloud_token_by_token(opened):
    page = opened()
    page.evaluate(
        """() => { window.said = 0; new MutationObserver((all) => {
          for (const m of all) {
            const at = m.target.closest?.('[aria-live=polite]')
              ?? m.target.parentElement?.closest('[aria-live=polite]');
            if (at) window.said += 1; }
        }).observe(document.body, { subtree: true, childList: true,
          characterData: true }); }"""
    )
    page.get_by_label("tokens to write").fill("60")
    press(page, "continue")
    assert 1 <= page.evaluate("window.said") <= 4


def test_an_earlier_place_can_be_seen_and_changed(opened, reference):
    model, tokenizer = reference
    page = opened()
    type_text(page, TEXT[:16])
    ids = tokenizer.encode(TEXT[:16])
    chips = page.locator(".mg-pg-chip")
    assert chips.count() == len(ids)
    choose_token(page, 2)
    assert chosen(page) == 2
    tab(page, "Settings")
    logits = logits_after(reference, ids[:3])[0]
    first = float(table(page)[0][1].split()[0])
    best = logits.softmax(-1).max().item()
    assert first == pytest.approx(100 * best, rel=0.01)
    real = page.locator(".mg-pg-next .mg-pg-real")
    assert real.get_attribute("title").startswith(f"id {ids[3]},")
    row = page.locator(".mg-pg-next tbody tr").nth(1).get_by_role("button")
    id_ = int(re.match(r"id (\d+),", row.get_attribute("title"))[1])
    row.click()
    settled(page)
    expected = tokenizer.decode([*ids[:3], id_])
    assert text_of(page).rstrip("\ufffd") == expected.rstrip("\ufffd")
    assert chips.count() == 4


def test_caret_chooses_the_token_before_it(opened):
    page = opened()
    type_text(page, "abcd")
    assert page.locator(".mg-pg-chip").count() == 4
    assert chosen(page) == 3
    page.get_by_label("Your text").focus()
    for key, place in (("End", 3), ("ArrowLeft", 2), ("ArrowLeft", 1)):
        page.keyboard.press(key)
        settled(page)
        assert chosen(page) == place
    for key, place in (("Home", 0), ("End", 3)):
        page.keyboard.press(key)
        settled(page)
        assert chosen(page) == place


def test_chips_lie_behind_their_letters(opened):
    """The box and the layer below it break their lines alike."""
    page = opened(viewport={"width": 360, "height": 740})
    type_text(page, f"{TEXT}{'word ' * 60}\n\nx")
    heights = page.evaluate(
        """() => [...document.querySelectorAll(".mg-pg-text, .mg-pg-under")]
             .map((e) => e.scrollHeight)"""
    )
    assert heights[0] == heights[1] > 300
    places = ".mg-pg-text, .mg-pg-under"
    assert len({*page.locator(places).evaluate_all(
        "all => all.map(e => e.clientWidth)")}) == 1  # fmt: skip


def test_candidates_hang_below_the_text_and_can_be_chosen(opened):
    page = opened()
    type_text(page, "abcd")
    rows = [row for row in table(page) if "cut" not in row[2]][:5]
    lines = page.locator(".mg-pg-candidate")
    tokens = lines.locator(".mg-token").all_inner_texts()
    assert [t[:5] for t in tokens] == [row[0][:5] for row in rows]
    shares = lines.locator("> span:last-child").all_inner_texts()
    assert [share.strip() for share in shares] == [row[2] for row in rows]
    third = lines.nth(2).locator(".mg-token").inner_text()
    lines.nth(2).click()
    settled(page)
    assert page.locator(".mg-pg-written").count() == 1
    assert f"Added “{third[:5]}" in status(page)


def test_arcs_show_what_the_chosen_token_reads(opened, reference):
    page = opened()
    type_text(page, "abcdef")
    model, tokenizer = reference
    record = []
    with torch.no_grad():
        model(torch.tensor([tokenizer.encode("abcdef")]), record=record)
    every = torch.stack(record)[:, 0]  # (L, H, T, T)

    def shown():
        return page.locator(".mg-pg-reads .mg-soft").all_inner_texts()

    def says(weights):
        best = weights.sort(descending=True).values[:5].tolist()
        got = [float(text.split()[0]) for text in shown()]
        assert got == pytest.approx([100 * w for w in best], abs=0.06)

    says(every[:, :, -1].mean((0, 1)))
    page.get_by_role("button", name="layer 1, head 2", exact=True).click()
    says(every[1, 2, -1])
    choose_token(page, 3)
    says(every[1, 2, 3, :4])
    weights = every[1, 2, 3, :3]
    drawn = (weights / max(0.3, weights.max())) >= 0.08
    assert page.locator(".mg-pg-arcs path").count() == drawn.sum()
    page.locator(".mg-pg-strip").nth(5).press("Escape")
    says(every[:, :, 3, :4].mean((0, 1)))


def test_speed_can_be_seen_and_changes_no_text(opened):
    page = opened()
    type_text(page, "The state")
    page.get_by_label("tokens to write").fill("4")
    press(page, "continue")
    at_once = text_of(page)
    press(page, "back to my text")
    page.get_by_label("speed").select_option("5")
    took = page.evaluate(
        """async () => { const began = performance.now();
          const root = document.querySelector("section");
          [...root.querySelectorAll("button")].find(
            (b) => b.textContent === "continue").click();
          while (root.dataset.busy === "true") await new Promise(
            (done) => setTimeout(done, 10));
          return performance.now() - began; }"""
    )
    assert took > 3 * 200
    assert text_of(page) == at_once
    press(page, "back to my text")
    page.get_by_label("speed").select_option("1")
    page.get_by_role("button", name="continue", exact=True).click()
    page.get_by_role("button", name="stop", exact=True).click()
    settled(page)
    assert page.locator(".mg-pg-written").count() <= 1


def test_attention_map_follows_the_text_and_keeps_its_head(opened, reference):
    page = opened()
    type_text(page, "abcdef")
    page.get_by_text("All weights of every head").click()
    heads = page.locator(".mg-head")
    heads.last.wait_for()
    assert heads.count() == 6
    heads.nth(4).click()
    settled(page)
    type_text(page, "abcdefgh")
    assert heads.nth(4).inner_text() == "A"
    page.get_by_role("button", name="weights as table").click()
    cells = page.locator(".mg-pg-attention tbody tr").last.locator("td")
    shown = [float(x) for x in cells.all_inner_texts()]
    model, tokenizer = reference
    record = []
    with torch.no_grad():
        model(torch.tensor([tokenizer.encode("abcdefgh")]), record=record)
    weights = record[1][0, 1, -1].tolist()
    assert shown == pytest.approx(weights, abs=6e-4)


def test_lens_is_drawn_and_follows_the_text(opened):
    from playwright.sync_api import expect

    page = opened()
    type_text(page, "abcd")
    tab(page, "Lens")
    rows = page.locator("[aria-label='logit lens'] tbody tr")
    rows.first.wait_for()
    assert rows.count() == 4 and rows.first.locator("td").count() == 3
    likely = rows.last.locator("td").last
    share = likely.evaluate("e => e.style.getPropertyValue('--share')")
    assert share.endswith("%")
    last = likely.inner_text()
    top = table(page)[0]
    assert last.split()[0].startswith(top[0].strip()[:5])
    type_text(page, "abc")
    expect(rows).to_have_count(3)


@pytest.mark.parametrize("width", [1280, 700, 360])
def test_every_column_of_the_lens_is_inside_its_frame(width, opened):
    page = opened(viewport={"width": width, "height": 800})
    type_text(page, TEXT)
    tab(page, "Lens")
    page.locator(".mg-pg-lens").first.wait_for()
    frame = page.get_by_role("region", name="logit lens")
    assert frame.evaluate("e => e.scrollWidth - e.clientWidth") == 0


def test_heads_are_measured_and_switched_off(opened, reference):
    page = opened()
    type_text(page, "abcdefg")
    tab(page, "Lens")
    page.locator(".mg-pg-lens").first.wait_for()
    tab(page, "Heads")
    press(page, "measure every head")
    page.get_by_text("measured: the loss").wait_for()
    head = page.get_by_role("button", name="layer 1, head 2: off")
    change = float(head.inner_text().replace("−", "-"))
    assert change != 0
    before = table(page)
    head.click()
    settled(page)
    assert head.get_attribute("aria-pressed") == "true"
    assert table(page) != before
    assert "1 head is switched off" in status(page)
    press(page, "all heads on")
    assert table(page) == before


# --- whatever comes ---------------------------------------------------------

HOSTILE = {
    "markup": EVIL * 3 + "<script>window.hacked=1</script>",
    "direction": "\u202e\u2067abc\u200f\u0627\u0644\u0633\u0644\u0627\u0645",
    "control": "".join(map(chr, range(1, 32))) + "\x7f\x9b\ufeff",
    "marks": "\u0301" * 200 + "a" + "\u0489" * 300,
    "unbroken": "x" * 10_000,
    "nothing": "",
    "half": "\ud83d",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_is_text(kind, opened):
    page = opened(viewport={"width": 360, "height": 740})
    page.get_by_label("Your text").evaluate(
        "(el, text) => { el.value = text;"
        " el.dispatchEvent(new Event('input')); }",
        HOSTILE[kind],
    )
    settled(page)
    tab(page, "Lens")
    page.get_by_label("tokens to write").fill("20")
    press(page, "continue")
    page.locator(".mg-pg-lens").first.wait_for()
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img, main script").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator(".mg-pg-chip").count() > 0


def test_hostile_tokens_are_text(opened):
    """Most of this vocabulary would like to be markup."""
    page = opened()
    turn(page, "temperature", 20)
    page.get_by_label("tokens to write").fill("30")
    press(page, "continue")
    assert "<img src=x onerror" in page.get_by_role("main").inner_html() or (
        "&lt;img" in page.get_by_role("main").inner_html()
    )
    assert page.locator("main img").count() == 0
    assert page.evaluate("window.hacked") is None


def test_a_text_that_is_too_long_is_refused(opened):
    """It stays in its box whatever is pressed, and can be shortened."""
    page = opened()
    page.get_by_label("Your text").fill("x " * 15_000)
    refusal = page.get_by_text("30,000 characters")
    refusal.wait_for()
    for name in ("continue", "one token", "take one back", "back to my text"):
        button = page.get_by_role("button", name=name, exact=True)
        button.evaluate("button => button.click()")
    turn(page, "temperature", 3)
    page.get_by_label("Your text").press("Control+Enter")
    settled(page)
    assert text_of(page) == "x " * 15_000
    assert refusal.is_visible()
    page.get_by_label("Your text").fill("x x")
    settled(page)
    assert refusal.count() == 0
    press(page, "one token")
    assert text_of(page).startswith("x x") and len(text_of(page)) > 3


# --- two models ---------------------------------------------------------------


def choose(page, label):
    page.get_by_role("radio", name=label).check()


def test_one_model_offers_no_choice(opened):
    assert opened().get_by_role("radio").count() == 0


def test_another_model_is_loaded_when_it_is_asked_for(server, opened):
    page = opened("two.html")
    assert "2 blocks of 3 heads" in status(page)
    before = len(server.sent)
    choose(page, "A little world")
    page.get_by_role("button", name="Load the model").wait_for()
    assert server.sent[before:] == []
    assert not page.get_by_label("Your text").is_visible()
    load(page)
    assert "1 blocks of 2 heads" in status(page)
    assert page.locator(".mg-pg-head").count() == 2
    assert text_of(page).startswith("Mia was")
    press(page, "one token")
    # now both are there
    choose(page, "The presidents")
    page.get_by_label("Your text").wait_for()
    settled(page)
    assert "2 blocks of 3 heads" in status(page)
    assert text_of(page).startswith("I ask the")
    press(page, "one token")


def test_another_model_leaves_the_text_and_the_settings(opened):
    page = opened("two.html")
    type_text(page, "Mine, and\nnobody else's")
    turn(page, "temperature", 13)
    page.get_by_label("tokens to write").fill("7")
    press(page, "continue")
    choose(page, "A little world")
    load(page)
    assert text_of(page) == "Mine, and\nnobody else's"
    assert page.get_by_label("tokens to write").input_value() == "7"
    assert page.get_by_label("temperature", exact=True).input_value() == "13"
    press(page, "continue")
    assert "7 tokens written" in status(page)


def test_another_model_may_be_chosen_at_any_moment(opened):
    """While the first one loads, and while it writes."""
    page = opened("two.html")
    choose(page, "A little world")
    page.evaluate(
        """() => { document.querySelector(".mg-pg-load button").click();
          document.querySelectorAll("[type=radio]")[0].click(); }"""
    )
    page.get_by_label("Your text").wait_for()
    settled(page)
    assert "2 blocks of 3 heads" in status(page)
    choose(page, "A little world")
    load(page)
    page.get_by_label("tokens to write").fill("1000")
    at_once(page, "Mine", "Enter")
    choose(page, "The presidents")
    page.get_by_label("Your text").wait_for()
    settled(page)
    assert "2 blocks of 3 heads" in status(page)
    assert text_of(page) == "Mine"
    page.get_by_label("tokens to write").fill("3")
    press(page, "continue")
    assert "3 tokens written" in status(page)


def test_keyboard_alone_is_enough(server, visit):
    page = visit(server.base, "two.html").page
    keys = page.keyboard
    for key in ("Tab", "ArrowDown", "Tab", "Enter"):
        keys.press(key)
    page.get_by_label("Your text").wait_for()
    settled(page)
    assert page.get_by_role("radio", name="A little world").is_checked()
    keys.press("Control+a")
    keys.type("Mine")
    keys.press("Control+Enter")
    settled(page)
    assert text_of(page).startswith("Mine") and text_of(page) != "Mine"
    keys.type("!")  # the box has kept the focus
    settled(page)
    assert text_of(page).endswith("!")
    keys.press("Shift+Tab")
    keys.press("ArrowUp")
    load(page)
    assert page.get_by_role("radio", name="The presidents").is_checked()
    assert text_of(page).startswith("Mine")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_playground_is_accessible(scheme, opened):
    from axe_playwright_python.sync_playwright import Axe

    page = opened("two.html", color_scheme=scheme, reduced_motion="reduce")
    press(page, "one token")
    tab(page, "Heads")
    press(page, "measure every head")
    page.get_by_text("measured: the loss").wait_for()
    for name in ("Heads", "Lens", "Settings", "Attention"):
        tab(page, name)
        if name == "Lens":
            page.locator(".mg-pg-lens").first.wait_for()
        found = Axe().run(page).response["violations"]
        serious = [
            (v["id"], [node["html"][:120] for node in v["nodes"]][:3])
            for v in found
            if v["impact"] in ("serious", "critical")
        ]
        assert not serious


def test_what_is_printed_is_the_text_and_its_tokens(opened):
    page = opened()
    page.emulate_media(media="print")
    assert page.get_by_label("Your text").is_visible()
    assert page.locator(".mg-pg-candidate").first.is_visible()
    assert not page.get_by_role("button", name="continue").is_visible()


def test_playground_in_the_book(site, visit):
    """The page of the built book, under its policy, with the real model."""
    seen = visit(site, "book/playground.html")
    known = playground.models(playground.shipped())
    if not known:
        assert seen.page.get_by_text("not built into this copy").is_visible()
        return
    load(seen.page)
    assert seen.page.locator(".mg-pg-candidate").first.is_visible()
    press(seen.page, "continue")
    assert "tokens written" in status(seen.page)
    assert all(f["bytes"] < 8e6 for model in known for f in model["files"])
    assert seen.errors == [] and seen.foreign == []
