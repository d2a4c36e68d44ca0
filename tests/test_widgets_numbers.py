"""What the widgets compute in the page, against Python: golden vectors."""

import json
import random
from itertools import islice

import numpy as np
import pytest
import torch
from test_widgets_bigram import mulberry32

from minigpt.cache import multiplications
from minigpt.gpt import GPTConfig
from minigpt.sample import Sampling, probabilities
from minigpt.scale import estimate
from minigpt.viz.attention_map import AttentionMap, head_numbers
from minigpt.viz.bigram import BigramTable
from minigpt.viz.cache_timeline import CacheTimeline
from minigpt.viz.live_curve import LiveCurve
from minigpt.viz.sampling_dial import SamplingDial
from minigpt.viz.scale_dial import ScaleDial


@pytest.fixture
def call(browser):
    """call(widget class, JavaScript function, argument) -> what it returns."""

    def go(widget, code, argument):
        page = browser.new_page()
        script = widget._esm.replace("export default", "window.mgWidget =")
        page.add_script_tag(content=script)
        run = f"(text) => JSON.stringify(({code})(JSON.parse(text)))"
        text = page.evaluate(run, json.dumps(argument))
        page.close()
        return json.loads(text)

    return go


def close(got, wanted, rtol=1e-12):
    np.testing.assert_allclose(got, wanted, rtol=rtol, atol=1e-15)


HEADS = """([maps, lower]) => maps.map((w) => {
  const T = w.length;
  const data = w.flatMap((row, t) => (lower ? row.slice(0, t + 1) : row));
  const reader = mgMapReader({ shape: [1, 1, T], data }, lower);
  const { entropy, distance } = mgHeadNumbers(reader, 0, 0, T);
  return [entropy, distance];
})"""


@pytest.mark.parametrize("lower", [True, False])
def test_entropy_and_distance(call, lower):
    g = torch.Generator().manual_seed(1)
    maps = []
    for T in (1, 2, 7, 33):
        scores = 4 * torch.randn(T, T, generator=g, dtype=torch.float64)
        if lower:
            above = torch.ones(T, T).triu(1).bool()
            scores = scores.masked_fill(above, -torch.inf)
        maps += [scores.softmax(-1), torch.eye(T).double()]
    maps.append(maps[-2].clone())
    maps[-1][:5] = 0  # rows of padding
    maps.append(torch.zeros(4, 4).double())
    got = call(AttentionMap, HEADS, [[w.tolist() for w in maps], lower])
    close(got, [[float(x) for x in head_numbers(w)] for w in maps])


KNOBS = [
    Sampling(),
    Sampling(temperature=0),
    Sampling(temperature=0, penalty=3.0),
    Sampling(top_k=1),
    Sampling(min_p=1.0),
    *(
        Sampling(t, k, p, m, penalty)
        for t, k, p, m, penalty in zip(
            (0.1, 0.5, 0.8, 1.0, 1.5, 3.0) * 4,
            (1, 2, 7, 20, 50) * 5,
            (0.05, 0.3, 0.65, 0.9, 1.0, 0.95, 0.5) * 4,
            (None, 0.05, 0.3, None, 1.0) * 5,
            (1.0, 1.1, 2.0) * 8,
        )
    ),
]
DIAL = """([rows, seen, knobs]) => rows.map((row, i) => knobs.map((knob) =>
  dialProbabilities(row, new Set(seen[i]), knob).probs))"""


def test_probabilities_of_every_knob(call):
    g = torch.Generator().manual_seed(4)
    rows = 3 * torch.randn(3, 50, generator=g, dtype=torch.float64)
    rows[1] = rows[1].round()  # many are equal
    rows[2] = 0.0  # all are
    seen = [[4, int(rows[0].argmax())], list(range(0, 50, 3)), []]
    knobs = [
        {"t": s.temperature, "k": s.top_k or 50, "p": s.top_p or 1,
         "m": s.min_p or 0, "penalty": s.penalty} for s in KNOBS
    ]  # fmt: skip
    got = call(SamplingDial, DIAL, [rows.tolist(), seen, knobs])
    for row, ids, mine in zip(rows, seen, got, strict=True):
        for sampling, probs in zip(KNOBS, mine, strict=True):
            written = torch.tensor([ids], dtype=torch.int64)
            wanted = probabilities(row[None], sampling, written)[0]
            close(probs, wanted)
            assert [p > 0 for p in probs] == (wanted > 0).tolist(), sampling


def test_dice_are_those_of_python(call):
    wanted = list(islice(mulberry32(1), 500))
    for widget, make in (
        (SamplingDial, "dialDice"),
        (
            BigramTable,
            "randomNumbers",
        ),
    ):
        code = f"(n) => Array.from({{ length: n }}, {make}(1))"
        assert call(widget, code, 500) == wanted


def test_a_throw_takes_the_token_it_falls_on(call):
    g = torch.Generator().manual_seed(5)
    probs = torch.rand(30, generator=g, dtype=torch.float64)
    probs[[0, 7, 29]] = 0
    probs /= probs.sum()
    throws = torch.rand(500, generator=g, dtype=torch.float64).tolist()
    code = "([probs, throws]) => throws.map((x) => dialDraw(probs, () => x))"
    got = call(SamplingDial, code, [probs.tolist(), [*throws, 1.0]])
    wanted = np.searchsorted(probs.cumsum(0).numpy(), throws, "right")
    assert got == [*wanted.tolist(), 28]  # never one that has nothing


def some_settings(n=20):
    """Configurations of all sizes, with what else `estimate` asks."""
    r = random.Random(6)
    for _ in range(n):
        heads = r.choice((1, 2, 12, 96))
        config = GPTConfig(
            vocab_size=r.choice((106, 2048, 50257)),
            block_size=r.choice((16, 1024, 2**20)),
            n_layer=r.randint(1, 128),
            n_head=heads,
            n_embd=heads * r.choice((16, 64, 128)),
            bias=r.random() < 0.5,
        )
        yield (
            config,
            {
                "tokens": r.randint(10**6, 10**13),
                "batch_size": r.choice((1, 7, 1024)),
                "devices": r.choice((1, 3, 10_000)),
                "peak": r.choice((5e10, 1.25e14)),
                "utilization": r.randint(1, 100),
            },
        )


def test_formulas_of_scale(call):
    fields = "vocab_size block_size n_layer n_head n_embd bias".split()
    asked = [
        {name: getattr(config, name) for name in fields} | more
        for config, more in some_settings()
    ]
    got = call(ScaleDial, "(all) => all.map(scaleEstimate)", asked)
    for mine, (config, more) in zip(got, some_settings(), strict=True):
        share = more["utilization"] / 100
        wanted = estimate(config, **more | {"utilization": share})
        assert mine.keys() == wanted.keys()
        close(
            [float(x) for x in mine.values()],
            [float(wanted[name]) for name in mine],
        )


WORDS = [
    ("scaleSay", 0, "0"),
    ("scaleSay", 0.0089, "0.0089"),
    ("scaleSay", 0.00089, "8.90 × 10⁻⁴"),
    ("scaleSay", 2.5, "2.5"),
    ("scaleSay", 9999, "9999"),
    ("scaleSay", 50257, "50,257"),
    ("scaleSay", 1234567, "1.23 million"),
    ("scaleSay", 999_600_000, "1 billion"),
    ("scaleSay", 3.14e23, "3.14 × 10²³"),
    ("scaleBytes", 999, "999 bytes"),
    ("scaleBytes", 999.6, "1.00 KB"),
    ("scaleBytes", 4.98e11, "498 GB"),
    ("scaleTime", 0.5, "12 hours"),
    ("scaleTime", 1 / 1440, "1 minutes"),
    ("scaleTime", 3650, "10 years"),
]


def test_numbers_are_said_in_words(call):
    code = """(all) => all.map(([name, x]) => (
      { scaleSay, scaleBytes, scaleTime }[name](x)))"""
    got = call(ScaleDial, code, [[name, x] for name, x, _ in WORDS])
    assert got == [said for *_, said in WORDS]


def test_multiplications_of_a_step(call):
    config = GPTConfig(vocab_size=99, n_layer=3, n_embd=24, n_head=2)
    shape = {"n_layer": 3, "n_embd": 24, "vocab_size": 99}
    code = "([c, all]) => all.map(([T, S]) => timelineProducts(c, T, S))"
    asked = [(T, S) for S in (1, 2, 17, 1024) for T in {1, S}]
    assert call(CacheTimeline, code, [shape, asked]) == [
        multiplications(config, T, S) for T, S in asked
    ]


def test_figures_of_a_curve_are_rounded_as_python_rounds(call):
    r = random.Random(7)
    values = [r.choice((-1, 1)) * 10 ** r.uniform(-6, 6) for _ in range(300)]
    got = call(LiveCurve, "(all) => all.map(brief)", values)
    for text, x in zip(got, values, strict=True):
        digits = ".1e" if abs(x) < 0.001 else ".3g"
        assert float(text) == float(format(x, digits))
