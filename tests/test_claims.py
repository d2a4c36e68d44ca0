"""The reader's verdicts beside those of the cells, and what was trained."""

import json
from collections import Counter
from pathlib import Path

import pytest
from benches import benchmark_module

from minigpt.course.claims import FactCheck, letter_of
from minigpt.gpt import GPTConfig
from minigpt.scale import train_flops

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "given, letter",
    [("a", "a"), ("B", "b"), ("c)", "c"), (" d ", "d")]
    + [("does not hold", "c"), ("Holds with a condition", "b")],
)
def test_a_verdict_is_a_letter_or_its_words(given, letter):
    assert letter_of(given) == letter


@pytest.mark.parametrize("given", ["e", "", "hold", 1])
def test_another_verdict_is_refused(given):
    with pytest.raises(ValueError, match="a verdict is one of a .holds"):
        letter_of(given)


@pytest.mark.parametrize(
    "wrong", [dict(source="rumor"), dict(sure=101), dict(sure=-1)]
)
def test_a_commitment_that_says_nothing_is_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        FactCheck().commit(**(dict(name="1", source="paper") | wrong))


@pytest.mark.parametrize(
    "found, letter",
    [
        (dict(holds=True), "a"),
        (dict(holds=True, condition=True), "a"),
        (dict(holds=False, condition=True), "b"),
        (dict(holds=False), "c"),
        (dict(holds=True, decided=False), "d"),
        (dict(holds=False, condition=True, decided=False), "d"),
    ],
)
def test_the_verdict_follows_from_what_the_cell_found(found, letter):
    facts = FactCheck()
    facts.commit("1", "paper")
    facts.verdict(**found)
    assert facts.claims["1"].found == letter


def answered(*rows):
    """A fact check with (yours, found holds, sure) for each statement."""
    facts = FactCheck()
    for n, (yours, holds, sure) in enumerate(rows):
        source = "paper" if n % 2 else "blog post"
        facts.commit(str(n), source, yours, sure=sure)
        facts.verdict(holds)
    return facts


def test_hits_are_counted_by_source_and_compared_with_one_letter():
    facts = answered(
        ("a", True, None), ("c", False, None), ("a", False, None),
        (..., True, None), ("b", False, None),
    )  # fmt: skip
    score = facts.score()
    assert "right about 2 of 4 statements" in score
    assert "a blog post: 1 of 3" in score
    assert "a paper: 1 of 1" in score
    assert "right about 3 of them" in score  # always c
    assert "sure" not in score


def test_being_sure_is_compared_with_being_right():
    facts = answered(("a", True, 90), ("a", False, 70), ("c", False, None))
    assert "80 % sure on average, and 50 % right (1 of 2)" in facts.score()


def test_without_a_commitment_everything_runs(capsys):
    facts = answered((..., True, None))
    facts.tally()
    assert capsys.readouterr().out.endswith("committed to no verdict yet.\n")


def test_a_cell_that_runs_again_counts_once(capsys):
    facts = answered(("a", False, None))
    facts.commit("0", "blog post", "c")
    facts.verdict(holds=False)
    assert "right about 1 of 1 statements" in facts.score()
    assert capsys.readouterr().out.endswith("✓ you said: does not hold\n")


# The benchmark behind three of the statements


@pytest.fixture(scope="module")
def bench():
    return benchmark_module("fact_check")


@pytest.fixture(scope="module")
def trials(bench):
    seeds = range(3)
    return [
        *bench.norms(seeds),
        *bench.dropout(seeds),
        *bench.sizes(seeds, vocab_size=96),
    ]


def test_every_variant_has_as_many_rates_and_seeds(trials):
    varied = ("order", "start", "dropout", "text", "n_layer", "n_embd")
    for part, each in ("norms", 15), ("dropout", 12), ("sizes", 12):
        some = [t for t in trials if t.part == part]
        counts = Counter(tuple(getattr(t, x) for x in varied) for t in some)
        assert set(counts.values()) == {each}
        assert len({t.name for t in some}) == len(some)


def test_sizes_have_equal_operations_and_the_others_equal_steps(trials):
    for part in ("norms", "dropout"):
        assert len({t.steps for t in trials if t.part == part}) == 1
    flops = {
        t.n_embd: train_flops(
            GPTConfig(96, 64, n_layer=2, n_head=4, n_embd=t.n_embd),
            t.steps * t.batch_size * t.block_size,
        )
        for t in trials
        if t.part == "sizes"
    }
    assert len(flops) == 3
    assert max(flops.values()) < 1.01 * min(flops.values())


def test_the_wide_start_is_wider(bench, trials):
    found = {
        t.start: bench.build(t, 20).blocks[0].mlp.fc.weight.std().item()
        for t in trials
        if t.part == "norms"
    }
    assert found["narrow"] == pytest.approx(0.02, rel=0.05)
    assert found["wide"] == pytest.approx((3 * 32) ** -0.5, rel=0.05)


def test_record_holds_every_trial(trials):
    path = ROOT / "notebooks" / "results" / "fact_check.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    # the steps of sizes depend on the corpus's vocabulary
    named = {t.name.split(" steps=")[0] for t in trials}
    assert {t["name"].split(" steps=")[0] for t in record["trials"]} == named
