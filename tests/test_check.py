"""The checker itself: it survives any answer and says the same each time."""

import os
import random
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch

from minigpt.course import check as checking
from minigpt.course.check import Result, check, hint, solution, use_reference
from minigpt.course.compare import alike, difference, tell, unlike_kind
from minigpt.course.judge import Example, put
from minigpt.course.limits import PRINTED, OutOfTime, run_limited


def merge(first, last="return tuple(text)"):
    """An answer for tokenizer.merge, right but for its first and last line."""
    source = f"""
def merge_pair(word, pair):
    {first}
    text, i = [], 0
    while i < len(word):
        n = 2 if word[i : i + 2] == pair else 1
        text.append(word[i] if n == 1 else word[i] + word[i + 1])
        i += n
    {last}
"""
    names = {}
    put(source, f"<{first} {last}>", names)
    return names["merge_pair"]


@pytest.mark.parametrize(
    "answer",
    [
        "b",
        " B ",
        "b)",
        "(b)",
        "b.",
        "The same.",
        "b) the same",
        "b)same",
        "b the same",
    ],
)
def test_a_choice_may_be_written_as_the_question_has_it(answer):
    assert check("cache.predict-heads", answer).status == "passed"


def test_a_choice_that_is_wrong_is_refused_also_with_its_words():
    assert "as many" in check("cache.predict-heads", "c) twice as large").cause
    assert check("cache.predict-heads", "twice as large").status == "failed"


STUBBORN = """for _ in range(3):
        try:
            while True: pass
        except BaseException: continue"""


@pytest.mark.parametrize(
    "first, last, status, said",
    [
        ("pass", "return tuple(text)", "passed", ""),
        ("print('x' * 10_000_000)", "return tuple(text)", "passed", ""),
        ("while True: pass", "pass", "failed", "never ends"),
        (STUBBORN, "pass", "failed", "never ends"),
        ("import torch; torch.rand(1)", "return tuple(text)", "failed",
         "global random state (torch)"),
        ("import numpy; numpy.random.rand()", "return tuple(text)", "failed",
         "global random state (numpy)"),
        ("return merge_pair(word, pair)", "pass", "failed", "RecursionError"),
        ("1 / 0", "pass", "failed", "ZeroDivisionError, raised by `1 / 0`"),
        ("import sys; sys.exit(3)", "pass", "failed", "SystemExit"),
        ("pass", "pass", "failed", "returns None"),
        ("import torch", "return torch.zeros(2)", "failed", "type is Tensor"),
        ("class Odd: pass", "return Odd()", "failed", "type is Odd"),
        ("other(1)", "pass", "failed", "NameError, raised by `other(1)`"),
    ],
)  # fmt: skip
def test_any_answer_gets_a_result(first, last, status, said, capsys):
    result = check("tokenizer.merge", merge(first, last), seconds=0.5)
    assert result.status == status and said in result.cause, result
    assert "Traceback" not in repr(result) + result._repr_html_()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "answer, status, said",
    [
        (7, "failed", "hand over the function itself"),
        ("merge", "failed", "hand over the function itself"),
        (object(), "failed", "hand over the function itself"),
        (object, "failed", "hand over the function itself"),
        (lambda word, pair: word, "failed", "run its cell"),
        (None, "not attempted", "run its cell"),
        (..., "not attempted", "run its cell"),
    ],
)
def test_what_is_no_definition_is_told(answer, status, said):
    result = check("tokenizer.merge", answer)
    assert result.status == status and said in result.cause, result


def test_a_definition_may_have_another_name():
    names = {}
    put("def mine(word, pair):\n    return word", "<mine>", names)
    assert check("tokenizer.merge", names["mine"]).example


def test_a_name_that_the_module_will_not_know_is_told(monkeypatch):
    answer = merge("helper(1)")
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "helper", lambda x: x, raising=False)
    result = check("tokenizer.merge", answer)
    assert "your module will not know `helper`" in result.cause
    cell = "#| export\ndef helper(x):\n    return x"
    monkeypatch.setattr(main, "In", ["", cell], raising=False)
    assert check("tokenizer.merge", answer).status == "passed"


def test_an_unknown_id_names_those_there_are():
    assert "tokenizer.merge" in check("tokenizer.nothing", merge("")).cause
    assert "attention" in check("nothing", 1).cause
    assert check(3, 1).status == "failed"


def test_random_states_are_as_before():
    states = [torch.get_rng_state(), random.getstate(), np.random.get_state()]
    check("tokenizer.merge", merge("import torch; torch.rand(1)"))
    check("tokenizer.merge", merge("import numpy; numpy.random.rand()"))
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1] == random.getstate()
    assert all(map(np.array_equal, states[2], np.random.get_state()))


def test_an_answer_that_changes_its_input_is_told():
    names = {"torch": torch}
    put(
        "def join_heads(x):\n"
        "    x += 1\n"
        "    return (x - 1).transpose(1, 2).flatten(2)\n",
        "<changes>",
        names,
    )
    result = check("multihead.join", names["join_heads"])
    assert "changes what it was given" in result.cause
    assert result.example.differs


def test_time_is_limited_and_the_thread_ends():
    before, start = threading.active_count(), time.perf_counter()
    endless = merge("while True: pass")
    error = run_limited(lambda: endless(1, 2), seconds=0.3)
    assert isinstance(error, OutOfTime)
    assert time.perf_counter() - start < 5
    assert threading.active_count() == before


def test_a_call_into_c_is_left_behind():
    start = time.perf_counter()
    error = run_limited(lambda: time.sleep(4), seconds=0.2)
    assert isinstance(error, OutOfTime)
    assert time.perf_counter() - start < 3.5


INTERRUPTED = '''
import _thread, os, random, signal, threading
import numpy, torch
from minigpt.course.check import check
from minigpt.course.judge import put

def states():
    name, keys, *rest = numpy.random.get_state()
    kept = torch.get_rng_state().tolist(), keys.tolist(), rest
    return *kept, random.getstate(), torch.get_num_threads()

names = {{}}
put("""
def merge_pair(word, pair):
    import _thread, os, random, signal, numpy, torch
    {interrupt}
    while True:
        torch.rand(1), numpy.random.rand(), random.random()
""", "<endless>", names)
signal.signal(signal.SIGINT, signal.default_int_handler)  # if it was ignored
before = states()
try:
    check("tokenizer.merge", names["merge_pair"], seconds=600)
except KeyboardInterrupt:
    print(threading.active_count(), states() == before)
'''
INTERRUPTS = ["_thread.interrupt_main()"]  # as Jupyter does on Windows
if os.name != "nt":
    INTERRUPTS.append("os.kill(os.getpid(), signal.SIGINT)")


@pytest.mark.parametrize("interrupt", INTERRUPTS)
def test_after_an_interrupt_nothing_runs_on_and_all_is_as_before(interrupt):
    code = INTERRUPTED.format(interrupt=interrupt)
    printed = subprocess.check_output(
        [sys.executable, "-c", code], text=True, timeout=200
    )
    assert printed == "1 True\n"


def test_printing_is_capped():
    kept = []

    def shout():
        for _ in range(100):
            print("x" * 1000)
        kept.append(len(sys.stdout.kept))

    run_limited(shout, seconds=5)
    assert kept == [PRINTED]


def test_results_are_the_same_each_time_and_safe_as_html():
    wrong = merge("pass", "return ('<script>', *word)")
    first, second = (check("tokenizer.merge", wrong) for _ in range(2))
    assert repr(first) == repr(second)
    assert first._repr_html_() == second._repr_html_()
    page = first._repr_html_()
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert 'role="status"' in page and '<th scope="row"' in page
    assert " at 0x" not in repr(first)


def test_the_text_shows_what_holds_and_the_smallest_example():
    example = Example("f(2)", "4", "5")
    text = repr(Result("a.b", "failed", ["one"], "off by one", example))
    assert text.splitlines() == [
        "a.b: failed",
        "  ✓ one",
        "  ✗ off by one",
        "      given     f(2)",
        "      expected  4",
        "      got       5",
    ]


def test_hints_and_solutions():
    assert "hint('attention.head', 2)" in str(hint("attention.head"))
    assert hint("attention.head", 2) != hint("attention.head")
    with pytest.raises(ValueError, match="hints 1 and 2, got 3"):
        hint("attention.head", 3)
    assert repr(solution("attention.head")).startswith("self.query = ")
    assert "return attention(" in solution("attention.head")
    assert solution("data.break-shift").startswith("0: ")


@pytest.fixture
def session(monkeypatch):
    """The names of a notebook."""
    names = {"__name__": "__main__"}
    monkeypatch.setattr(checking, "_namespace", lambda: names)
    return names


def test_use_reference_defines_what_was_blank(session):
    result = use_reference("tokenizer.merge")
    assert result.status == "reference" and "✗" not in repr(result)
    assert session["merge_pair"](("a", "b"), ("a", "b")) == ("ab",)
    again = check("tokenizer.merge")
    assert again.status == "refused"


def test_use_reference_leaves_the_learners_other_lines(session):
    source = (
        "def get_batch(ids, *, block_size, batch_size, generator):\n"
        "    mine = 1\n"
        '    raise NotImplementedError("data.batch: your turn")\n'
    )
    checking.linecache.cache["<mine>"] = (1, None, source.splitlines(True), "")
    exec(compile(source, "<mine>", "exec"), session)
    use_reference("data.batch")
    made = checking.source_of(session["get_batch"], "get_batch")
    assert "mine = 1" in made and "at = starts" in made and "raise" not in made


@pytest.mark.parametrize(
    "got, expected, said",
    [
        (None, [1], "`return` missing"),
        ((1,), [1], "type is tuple, expected list"),
        (torch.zeros(2), torch.zeros(3), "shape is (2,), expected (3,)"),
        (torch.zeros(2), torch.zeros(2).long(), "dtype is torch.float32"),
        (torch.zeros(2, device="meta"), torch.zeros(2), "is on meta"),
        (np.zeros(2), np.zeros(2, int), "dtype is float64"),
        ({"n": 1.0}, {"n": 1}, "type is float, expected int"),
        ([None, 2], [1, 2], "`return` missing"),
    ],
)
def test_differences_of_kind_are_named(got, expected, said):
    assert said in unlike_kind(got, expected)
    assert not alike(got, expected)


def test_none_is_a_value_where_it_is_expected():
    assert unlike_kind([1, None], [None, 1]) == ""


def test_values_are_compared_with_a_tolerance_and_nan_equals_nan():
    a = torch.tensor([1.0, float("nan")])
    assert alike(a, a + 1e-7) and not alike(a, a + 1e-2)
    assert alike([1.0, (2, "x")], [1.0 + 1e-8, (2, "x")])
    assert not alike([1], [True]) and not alike([1, 2], [1])


def test_values_are_told_in_one_short_line():
    assert tell(torch.tensor([[1.0, -0.0], [0.25, 1 / 3]])) == (
        "[[1, 0], [0.25, 0.333]]"
    )
    assert len(tell(torch.zeros(1000))) <= 160
    assert tell(object()) == "a object" and tell({1: "a"}) == "{1: 'a'}"
    assert tell({"a": [1 / 3]}) == "{'a': [0.333]}"


@pytest.mark.parametrize(
    "expected, got, said",
    [
        ([1, [2, 3]], [1, [2, 4]], "[1][1]: expected 3, got 4"),
        (torch.eye(2), torch.ones(2, 2), "[0][1]: expected 0, got 1"),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, "['b']: expected 2, got 3"),
        ("abc", "abd", ""),
        (torch.ones(2), torch.ones(3), ""),
    ],
)
def test_the_first_difference_is_named(expected, got, said):
    assert difference(expected, got) == said
