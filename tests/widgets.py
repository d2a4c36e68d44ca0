"""Every widget with the worst of texts, and what must hold on its page.

`VIEWS` makes each widget out of `HOSTILE`; `problems(visit, name)` says what
went wrong with one of them: markup, hidden characters, a broken layout.
"""

import numpy as np
import torch

from minigpt.bigram import WittenBell
from minigpt.gpt import GPT, GPTConfig
from minigpt.serving import Pool, Request, Scheduler
from minigpt.viz.ablation import AblationToggles
from minigpt.viz.attention_map import AttentionMap
from minigpt.viz.attention_steps import AttentionSteps
from minigpt.viz.bigram import BigramTable
from minigpt.viz.cache_timeline import CacheTimeline
from minigpt.viz.cross_attention import CrossAttentionMap
from minigpt.viz.expert_map import ExpertMap
from minigpt.viz.head_history import HeadHistory
from minigpt.viz.live_curve import LiveCurve
from minigpt.viz.logit_lens import LogitLens
from minigpt.viz.merges import MergeSteps
from minigpt.viz.pages import Pages
from minigpt.viz.sampling_dial import SamplingDial
from minigpt.viz.scale_dial import ScaleDial
from minigpt.viz.speculation import Speculation
from minigpt.viz.window import WindowView

EVIL = "<img src=x onerror=window.mgHit=1>"
HOSTILE = [
    EVIL,
    "<script>window.mgHit=1</script>",
    "\"><svg onload=window.mgHit=1>&lt;b&gt;",
    "\u202e\u2067abc\u200f\u0627\u0644\u0633\u0644\u0627\u0645",
    "".join(map(chr, range(32))) + "\x7f\x9b\ufeff",
    "\u0301",
    "a" + "\u0489" * 300,
    "\ufdfd\U0001f469\u200d\U0001f467" * 40,
    "x" * 10_000,
    "",
    " ",
]  # fmt: skip
N = len(HOSTILE)
CONFIG = GPTConfig(vocab_size=N, block_size=8, n_layer=2, n_head=2, n_embd=8)


class Words:
    """A tokenizer whose tokens are the texts above."""

    def encode(self, text):
        return [len(text) % N, 3, 0]

    def decode(self, ids):
        return "".join(HOSTILE[i] for i in ids)


def some_model(config=CONFIG):
    """A model whose numbers differ."""
    torch.manual_seed(0)
    model = GPT(config).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.4)
    return model


def causal(*shape):
    """Attention weights of that shape, lower triangles."""
    torch.manual_seed(0)
    scores = torch.randn(shape)
    above = torch.ones(shape[-2:]).triu(1).bool()
    return scores.masked_fill(above, -torch.inf).softmax(-1)


def ablation():
    x = torch.arange(16).view(2, 8) % N
    heads = [(0, 1), (1, 0)]
    return AblationToggles(
        some_model(), heads, x, x, prompts=HOSTILE, tokenizer=Words()
    )


def attention_steps():
    x = torch.randn(N, 3, generator=torch.Generator().manual_seed(0))
    return AttentionSteps(HOSTILE, x, x.flip(1), x)


def bigram():
    counts = np.eye(N, k=1, dtype=int) * 3 + np.eye(N, k=-1, dtype=int)
    return BigramTable(counts, HOSTILE, top=8)


def cache_timeline():
    ids = torch.arange(12) % N
    return CacheTimeline(some_model(), ids, HOSTILE.__getitem__, prompt=2)


def cross_attention():
    w = torch.full((1, 2, N, N), 1 / N)
    one = torch.ones(1, 2, 1, 1)
    many = [([text], [text], one) for text in HOSTILE]
    return CrossAttentionMap([(HOSTILE, HOSTILE, w), *many])


def expert_map():
    chosen = torch.arange(4 * N).view(2, N, 2) % 9
    return ExpertMap(HOSTILE, chosen, n_expert=9)


def head_history():
    points = [
        {"step": i, "loss": 1.0, "text": HOSTILE[i - N + 1]} for i in range(N)
    ]
    scores = causal(N, 2, 4)
    return HeadHistory(
        points,
        dict.fromkeys(HOSTILE, scores),
        dict.fromkeys(HOSTILE, 0.1),
    )


def live_curve():
    view = LiveCurve(N, tokens=HOSTILE, head=EVIL)
    for i, text in enumerate([*HOSTILE, HOSTILE[8]]):
        view.update(i, 3 - i / 20, 0.01, 1 + i)
        view.point(i, 3.5 - i / 9, text, causal(N, N).numpy())
    view.finish()
    return view


def logit_lens():
    logits = torch.randn(3, N, N, generator=torch.Generator().manual_seed(2))
    return LogitLens(range(N), logits, HOSTILE.__getitem__)


def merges():
    words = {text: 1 + i for i, text in enumerate(HOSTILE)}
    return MergeSteps(words, [("x", "x"), ("xx", "xx"), ("<", "s")])


def pages():
    model = some_model()
    scheduler = Scheduler(model, Pool(model.config, 6, 2), max_batch=2)
    arrivals = {0: [Request([0, 1, 2], 4), Request([0, 1, 3], 5)]}
    arrivals[2] = [Request([0, 1, i], 3) for i in range(3)]
    return Pages(scheduler, arrivals, HOSTILE.__getitem__)


def sampling_dial():
    logits = torch.randn(N, N, generator=torch.Generator().manual_seed(3))
    return SamplingDial(HOSTILE, logits, HOSTILE, [[0]] * N)


def scale_dial():
    return ScaleDial(
        {text: (GPTConfig(), 10**9) for text in HOSTILE},
        dict.fromkeys(HOSTILE, 1e12),
    )


def speculation():
    table = WittenBell(np.arange(40) % N, 2, N)
    return Speculation(
        some_model(), table, range(3), HOSTILE.__getitem__, n=5, k=2
    )


VIEWS = {
    "Ablation": ablation,
    "Attention map": lambda: AttentionMap(HOSTILE, causal(2, 3, N, N)),
    "Attention in five steps": attention_steps,
    "Which character follows which": bigram,
    "Cache timeline": cache_timeline,
    "Cross-attention map": cross_attention,
    "Heads along the run": head_history,
    "Training run": live_curve,
    "Logit lens": logit_lens,
    "Byte-pair merges": merges,
    "Blocks of the cache": pages,
    "Sampling dial": sampling_dial,
    "Scale dial": scale_dial,
    "Who goes where": expert_map,
    "Two models, one text": speculation,
    "Sliding window": lambda: WindowView(HOSTILE, range(N), block_size=4),
}

# What is wrong with one widget, given its box: a list of words.
PROBLEMS = r"""(root, tallest) => {
  const found = [];
  const html = "img, script, svg, iframe, object, style, b, [onerror]";
  root.querySelectorAll(html).forEach((el) => found.push(
    `markup: ${el.outerHTML.slice(0, 80)}`));
  const unseen = /[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e]/;
  const more = /[\u2060-\u206f\ufeff]|(^|[^\p{L}\p{M}◌])\p{M}/u;
  const told = [root.textContent, ...[...root.querySelectorAll("*")].flatMap(
    (el) => [el.ariaLabel, el.title, el.getAttribute("aria-valuetext")])];
  told.filter((text) => text && (unseen.test(text) || more.test(text)))
    .forEach((text) => found.push(`hidden: ${JSON.stringify(text)}`));
  if (!/<img|<script/.test(root.textContent)) found.push("no text is shown");
  const edge = root.getBoundingClientRect();
  const held = (el) => el !== root && (
    getComputedStyle(el).overflowX !== "visible" || held(el.parentElement));
  root.querySelectorAll("*").forEach((el) => {
    const { right, width } = el.getBoundingClientRect();
    if (width && right > edge.right && !held(el.parentElement)) {
      found.push(`too wide: ${el.tagName} ${el.className}, ${right}`);
    }
  });
  if (edge.height > tallest) found.push(`${edge.height} pixels high`);
  if (edge.right > innerWidth) found.push(`${edge.right} pixels wide`);
  return found;
}"""


def everything():
    """All widgets in one notebook."""
    from lab import stored

    return stored(*(make() for make in VIEWS.values()))


def problems(page, tallest=2000):
    """{name of a widget: what is wrong with it}, empty at best."""
    found = {}
    for name in VIEWS:
        root = page.locator(f'section.mg[aria-label="{name}"]')
        found[name] = root.evaluate(PROBLEMS, tallest)
    found["page"] = page.evaluate(
        """() => [window.mgHit && "a script ran",
        document.documentElement.scrollWidth > innerWidth && "page too wide"
        ].filter(Boolean)"""
    )
    return {name: wrong for name, wrong in found.items() if wrong}


def stir(page):
    """Open all tables, move all sliders and cursors to their ends."""
    page.evaluate(
        """() => {
          document.querySelectorAll(".mg-button").forEach((el) => {
            if (/as table$/.test(el.textContent)) el.click();
          });
          const key = { key: "End", ctrlKey: true, bubbles: true };
          document.querySelectorAll(".mg-map, .mg-range").forEach((el) => {
            el.dispatchEvent(new KeyboardEvent("keydown", key));
            if (el.type !== "range") return;
            el.value = el.max;
            el.dispatchEvent(new Event("input"));
          });
        }"""
    )


def serious(page):
    """What axe-core calls serious or critical inside the widgets."""
    from axe_playwright_python.sync_playwright import Axe

    options = {"preload": False}  # a page from a disk cannot ask for its CSS
    found = Axe().run(page, "section.mg", options).response
    assert found["passes"]
    return [
        (v["id"], [node["html"][:120] for node in v["nodes"]][:3])
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
    ]


def drive_maps(page):
    """On every map the pointer does what the keys do; returns how many."""
    maps = page.locator(".mg-map").all()
    for grid in maps:
        below = "xpath=following-sibling::*[contains(@class, 'mg-readout')]"
        said = grid.locator(below).first
        canvas = grid.locator("canvas")
        box = canvas.bounding_box()
        wide = box["width"] / grid.locator(".mg-label-col").count()
        high = box["height"] / grid.locator(".mg-label-row").count()

        def at(row, col, wide=wide, high=high):
            return {"x": (col + 0.5) * wide, "y": (row + 0.5) * high}

        grid.press("Control+Home")
        first = said.inner_text()
        grid.press("ArrowDown")
        grid.press("ArrowRight")
        second = said.inner_text()
        assert first != second
        canvas.hover(position=at(0, 0), force=True)
        assert said.inner_text() == first
        canvas.click(position=at(1, 1), force=True)
        assert said.inner_text() == f"{second} (pinned)"
        canvas.hover(position=at(0, 0), force=True)
        assert said.inner_text() == f"{second} (pinned)"
        canvas.click(position=at(1, 1), force=True)
        assert said.inner_text() == second
    return len(maps)


def drive_sliders(page):
    """Every slider by pointer, by keys and by its buttons; returns how many."""
    sliders = page.locator(".mg-stepper:visible").all()
    for line in sliders:
        slider, said = line.locator("input"), line.locator("output")
        back, on = line.locator("button").all()
        low, high = (slider.get_attribute(x) for x in ("min", "max"))
        slider.press("End")
        assert slider.input_value() == high and on.is_disabled()
        last = said.inner_text()
        assert slider.get_attribute("aria-valuetext") == last
        slider.press("Home")
        assert slider.input_value() == low and back.is_disabled()
        assert said.inner_text() != last
        size = slider.bounding_box()
        middle = {"x": size["width"] - 3, "y": size["height"] / 2}
        slider.click(position=middle)
        assert slider.input_value() == high
        back.click()
        assert int(slider.input_value()) == int(high) - 1
        on.click()
        assert said.inner_text() == last
    return len(sliders)
