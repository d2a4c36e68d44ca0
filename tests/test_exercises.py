"""Every exercise proven: blank, right and wrong answers, the reference.

Answers stand in `minigpt/course/exercises`; here each is put in the place of
the blank in its notebook, run, and checked.
"""

import functools
import importlib
import linecache
import random
import types
from pathlib import Path

import pytest

from minigpt.course import exercises
from minigpt.course.check import check
from minigpt.course.exercises import Exercise, Question
from minigpt.course.notebooks import (
    MARKS,
    chapters,
    is_exported,
    module_name,
    read,
)
from minigpt.course.source import defines, filled, stub, tasks

ROOT = Path(__file__).parents[1]
CHAPTERS = {
    name: path
    for path in chapters(ROOT)
    if (name := module_name(read(path))) in exercises.modules()
}
EVERY = [e for name in CHAPTERS for e in exercises.of(name)]
BLANKS = [e for e in EVERY if isinstance(e, Exercise)]
QUESTIONS = [e for e in EVERY if isinstance(e, Question)]


@pytest.fixture(scope="module", autouse=True)
def own_parts():
    """What the cells of chapter 15 register, holds for this file only."""
    from minigpt.gpt import PARTS
    from minigpt.train import OPTIMIZERS

    kinds = [x for x in (*PARTS.values(), OPTIMIZERS) if isinstance(x, dict)]
    before = [dict(x) for x in kinds]
    yield
    for now, old in zip(kinds, before, strict=True):
        now.clear()
        now.update(old)


def by_id(entry):
    return entry.id


@functools.cache
def notebook(module):
    """(cells, tasks by id) of the chapter of a module."""
    nb = read(CHAPTERS[module])
    return nb.cells, {t.id: t for t in tasks(nb)}


def run(source, name, namespace):
    """Run source as a notebook's cell; its lines can be read back."""
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    exec(compile(source, name, "exec"), namespace)


@functools.cache
def up_to(id):
    """The names after all exported cells above an exercise."""
    cells, found = notebook(id.split(".")[0])
    names = {"__name__": "__main__"}
    for place, cell in enumerate(cells[: found[id].code]):
        if is_exported(cell):
            run(filled(cell.source, [None] * 9), f"<cell {place}>", names)
    return names


def checked(exercise, source, seconds=10.0, seed=1):
    """The result for a cell with this source."""
    names = dict(up_to(exercise.id))
    run(source, "<the exercise>", names)
    answer = names[exercise.name]
    return check(exercise.id, answer, seconds=seconds, seed=seed)


def cell_of(exercise):
    cells, found = notebook(exercise.id.split(".")[0])
    return cells[found[exercise.id].code].source


def with_answer(exercise, answer):
    """The cell with an answer in the exercise's blanks."""
    parts = (answer,) if isinstance(answer, str) else answer
    blocks = notebook(exercise.id.split(".")[0])[1][exercise.id].blocks
    put = dict(zip(blocks, parts, strict=True))
    return filled(cell_of(exercise), [put.get(i) for i in range(9)])


def blank(exercise):
    """The cell as a learner finds it."""
    tasks = notebook(exercise.id.split(".")[0])[1]
    code = tasks[exercise.id].code
    return stub(
        cell_of(exercise), [t for t in tasks.values() if t.code == code]
    )


def answers(kind):
    """One parameter for each answer of a kind."""
    return [
        pytest.param(e, answer, id=f"{e.id}-{n}")
        for e in BLANKS
        for n, answer in enumerate(getattr(e, kind))
    ]


@pytest.mark.parametrize("module", CHAPTERS)
def test_notebook_and_registry_name_the_same_exercises(module):
    cells, found = notebook(module)
    listed = {e.id: e for e in exercises.of(module)}
    assert set(found) == set(listed)
    for id, task in found.items():
        kind = "Question" if isinstance(listed[id], Question) else "Exercise"
        assert task.kind == kind and len(task.text) > 40, id


@pytest.mark.parametrize("module", CHAPTERS)
def test_every_blank_is_an_exported_exercise(module):
    cells, found = notebook(module)
    marked = {i for i, c in enumerate(cells) if MARKS[0] in c.source}
    assert marked == {t.code for t in found.values() if t.code is not None}
    assert all(is_exported(cells[i]) for i in marked)


def test_every_chapter_with_blanks_has_exercises():
    blank = {
        module_name(nb)
        for nb in map(read, chapters(ROOT))
        if any(MARKS[0] in cell.source for cell in nb.cells)
    }
    assert blank == set(exercises.modules())


@pytest.mark.parametrize("exercise", BLANKS, ids=by_id)
def test_exercise_is_proven_well_enough(exercise):
    source = cell_of(exercise)
    assert exercise.name in defines(source)
    task = notebook(exercise.id.split(".")[0])[1][exercise.id]
    assert len(task.blocks) == exercise.blanks
    assert exercise.right and all(exercise.hints)
    assert len(exercise.wrong) >= (4 if exercise.core else 2)
    pieces = [said for _, said in exercise.wrong]
    assert len(set(pieces)) == len(pieces), "one message for two mistakes"


@pytest.fixture
def proven(record_property):
    """proven(kind, things) notes them for the line at the end of the run."""
    return lambda kind, things: record_property(f"proven {kind}", list(things))


@pytest.mark.parametrize("exercise", BLANKS, ids=by_id)
def test_untouched_stub_is_not_attempted(exercise, proven):
    result = checked(exercise, blank(exercise))
    assert result.status == "not attempted", result
    proven("stubs", [exercise.id])


@pytest.mark.parametrize("exercise", BLANKS, ids=by_id)
def test_the_notebooks_own_cell_passes(exercise, proven):
    result = checked(exercise, filled(cell_of(exercise), [None] * 9))
    assert result.status == "passed", result
    assert result.holds and not result.cause
    proven("exercises", [exercise.id])
    proven("right answers", [exercise.id])


@pytest.mark.parametrize("exercise", BLANKS, ids=by_id)
def test_with_other_numbers_the_same_answers_pass_and_fail(exercise):
    right = filled(cell_of(exercise), [None] * 9)
    for seed in (2, 3, 777_777):
        result = checked(exercise, right, seed=seed)
        assert result.status == "passed", result
    for answer, _ in exercise.wrong[:2]:
        wrong = with_answer(exercise, answer)
        assert checked(exercise, wrong, 0.7, 777_777).status == "failed"


@pytest.mark.slow
@pytest.mark.parametrize("exercise", BLANKS, ids=by_id)
def test_whatever_numbers_a_grader_draws(exercise):
    dice = random.Random(exercise.id)
    own = filled(cell_of(exercise), [None] * 9)
    for right in [own, *(with_answer(exercise, a) for a in exercise.right)]:
        for seed in (dice.randrange(2, 10**6) for _ in range(30)):
            result = checked(exercise, right, seed=seed)
            assert result.status == "passed", (seed, result)
    for answer, _ in exercise.wrong:
        wrong = with_answer(exercise, answer)
        for seed in (dice.randrange(2, 10**6) for _ in range(8)):
            result = checked(exercise, wrong, 0.7, seed)
            assert result.status == "failed", (seed, answer, result)
            assert "cannot judge" not in result.cause, (seed, answer)


@pytest.mark.parametrize("exercise, answer", answers("right"))
def test_other_right_answer_passes(exercise, answer, proven):
    result = checked(exercise, with_answer(exercise, answer))
    assert result.status == "passed", result
    proven("right answers", [f"{exercise.id}: {answer}"])


@pytest.mark.parametrize("exercise", BLANKS, ids=by_id)
def test_each_wrong_answer_gets_its_own_message(exercise, proven):
    causes = []
    for answer, said in exercise.wrong:
        result = checked(exercise, with_answer(exercise, answer), 0.7)
        assert result.status == "failed", (answer, result)
        assert said in result.cause, (answer, result)
        assert result.example, "shown on the smallest case"
        assert "Traceback" not in repr(result)
        causes.append(result.cause)
    assert len(set(causes)) == len(causes)
    proven("wrong answers", [f"{exercise.id}: {a}" for a, _ in exercise.wrong])
    proven("messages", causes)


def test_a_missing_return_is_named_also_where_the_next_blank_is_open():
    exercise = exercises.find("block.pre")
    answer = (
        "x = x + self.attention(self.norm1(x), **options)\n"
        "x = x + self.mlp(self.norm2(x))"
    )
    open_ = 'raise NotImplementedError("block.post: your turn")'
    result = checked(exercise, filled(cell_of(exercise), [answer, open_]))
    assert result.status == "failed" and "not returned" in result.cause


def reference(exercise):
    module = importlib.import_module(f"minigpt.{exercise.id.split('.')[0]}")
    return getattr(module, exercise.name)


def subclass(answer):
    return types.new_class("Mine", (answer,))


def wrapped(answer):
    """The same, called from a function or held in a class."""
    if not isinstance(answer, type):
        return lambda *args, **kwargs: answer(*args, **kwargs)

    class Mine:
        def __init__(self, *args, **kwargs):
            self.inner = answer(*args, **kwargs)

        def __getattr__(self, name):
            return getattr(self.__dict__["inner"], name)

        def __call__(self, *args, **kwargs):
            return self.inner(*args, **kwargs)

        train = getattr(answer, "train", None)

    return Mine


@pytest.mark.parametrize("exercise", BLANKS, ids=by_id)
def test_the_reference_as_an_answer_is_refused(exercise, proven):
    answer = reference(exercise)
    disguises = [answer, functools.partial(answer), wrapped(answer)]
    if isinstance(answer, type):
        disguises = [answer, subclass(answer), wrapped(answer)]
    for disguise in disguises:
        result = check(exercise.id, disguise)
        assert result.status == "refused", (disguise, result)
        proven("disguises", [f"{exercise.id}: {disguise}"])


@pytest.mark.parametrize("question", QUESTIONS, ids=by_id)
def test_question_knows_its_answers(question, proven):
    assert check(question.id).status == "not attempted"
    assert check(question.id, ...).status == "not attempted"
    for answer in (question.answer, *question.words):
        right = check(question.id, answer)
        assert right.status == "passed" and right.holds == [question.why]
    assert len(question.wrong) >= 2 and all(question.hints)
    causes = [check(question.id, w).cause for w in question.wrong]
    assert causes == list(question.wrong.values())
    assert len(set(causes)) == len(causes)
    for strange in ["zzz", 12345.6, [1], {}, object(), float("nan")]:
        assert check(question.id, strange).status == "failed"
    proven("questions", [question.id])
    proven("wrong answers", [f"{question.id}: {w}" for w in question.wrong])
    proven("messages", causes)
