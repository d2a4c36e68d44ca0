"""The reader's verdicts beside those of the cells."""

import pytest

from minigpt.course.claims import FactCheck, letter_of


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
