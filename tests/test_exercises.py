"""Every exercise proven: blank, right and wrong answers, the reference.

Answers stand in `minigpt/course/exercises`; here each is put in the place of
the blank in its notebook, run, and checked.
"""

import functools
import random
from pathlib import Path

import pytest
import torch

from minigpt.course import exercises
from minigpt.course.check import check
from minigpt.course.compare import alike, tell
from minigpt.course.exercises import Exercise, Question
from minigpt.course.judge import (
    course_module,
    put,
    reference,
    template_of,
    with_answer,
)
from minigpt.course.limits import run_limited
from minigpt.course.notebooks import (
    MARKS,
    chapters,
    is_exported,
    module_name,
    read,
)
from minigpt.course.source import (
    answers_in,
    defines,
    filled,
    tasks,
    turn,
)

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


def checked(exercise, source, seconds=10.0, seed=1):
    """The result for a definition with this text."""
    names = dict(vars(course_module(exercise.module)))
    put(source, "<the exercise>", names)
    answer = names[exercise.name]
    return check(exercise.id, answer, seconds=seconds, seed=seed)


def cell_of(exercise):
    cells, found = notebook(exercise.module)
    return cells[found[exercise.id].code].source


def blank(exercise, mine=None):
    """The definition as a learner finds it; with `mine`, this blank filled."""
    template, own = template_of(exercise.id)
    owner = {}
    for other in exercises.of(exercise.module):
        if getattr(other, "name", "") == exercise.name:
            owner |= dict.fromkeys(template_of(other.id)[1], other.id)
    lines = [turn(owner[place]) for place in sorted(owner)]
    for place in own if mine == "course" else []:
        lines[place] = None
    return filled(template, lines)


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
    assert exercise.name in defines(cell_of(exercise))
    assert exercise.cases and exercise.right and all(exercise.hints)
    assert len(exercise.wrong) >= (4 if exercise.core else 2)
    causes = [cause for _, cause in exercise.wrong]
    assert len(set(causes)) == len(causes), "one message for two mistakes"


@pytest.mark.parametrize("exercise", BLANKS, ids=by_id)
def test_no_table_of_constants_passes(exercise):
    for case in exercise.cases:
        first, second = (reference(exercise, case, seed) for seed in (2, 3))
        if not alike(first.value, second.value):
            return
    pytest.fail("no case has a result that changes with the seed")


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
def test_a_blank_passes_while_the_others_are_open(exercise):
    result = checked(exercise, blank(exercise, mine="course"))
    assert result.status == "passed", result


@pytest.mark.parametrize("exercise", BLANKS, ids=by_id)
def test_the_notebooks_own_lines_pass(exercise, proven):
    own = with_answer(exercise, None)
    for seed in (1, 2, 3, 777_777):
        result = checked(exercise, own, seed=seed)
        assert result.status == "passed", (seed, result)
        assert len(result.holds) == len(exercise.cases) and not result.cause
    proven("exercises", [exercise.id])
    proven("right answers", [exercise.id])


@pytest.mark.parametrize("exercise, answer", answers("right"))
def test_other_right_answer_passes(exercise, answer, proven):
    for seed in (1, 2):
        result = checked(exercise, with_answer(exercise, answer), seed=seed)
        assert result.status == "passed", (seed, result)
    proven("right answers", [f"{exercise.id}: {answer}"])


@pytest.mark.parametrize("exercise", BLANKS, ids=by_id)
def test_what_stands_in_each_blank_is_read_back(exercise):
    template, _ = template_of(exercise.id)
    lines = [f"a = {n}\nif a:\n    b = a\n\nreturn b" for n in range(9)]
    lines = lines[: template.count(MARKS[0])]
    assert answers_in(template, filled(template, lines)) == lines


@pytest.mark.parametrize("exercise", BLANKS, ids=by_id)
def test_each_wrong_answer_gets_its_cause(exercise, proven):
    for answer, cause in exercise.wrong:
        result = checked(exercise, with_answer(exercise, answer), 0.7)
        assert result.status == "failed", (answer, result)
        assert result.cause == cause, (answer, result)
        assert result.example, "shown on the smallest case"
    proven("wrong answers", [f"{exercise.id}: {a}" for a, _ in exercise.wrong])
    proven("messages", [cause for _, cause in exercise.wrong])


def test_memory_that_nobody_wrote_is_nan():
    made = []
    run_limited(lambda: made.append(torch.empty(3)), seconds=5)
    assert made[0].isnan().all()
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.slow
@pytest.mark.parametrize("exercise", BLANKS, ids=by_id)
def test_whatever_numbers_a_grader_draws(exercise):
    dice = random.Random(exercise.id)
    for right in (None, *exercise.right):
        for seed in (dice.randrange(2, 10**6) for _ in range(20)):
            result = checked(exercise, with_answer(exercise, right), seed=seed)
            assert result.status == "passed", (seed, result)
    for answer, _ in exercise.wrong:
        wrong = with_answer(exercise, answer)
        for seed in (dice.randrange(2, 10**6) for _ in range(4)):
            result = checked(exercise, wrong, 0.7, seed)
            assert result.status == "failed", (seed, answer, result)


@pytest.mark.parametrize("exercise", BLANKS, ids=by_id)
def test_the_courses_own_definition_is_refused(exercise):
    answer = getattr(course_module(exercise.module), exercise.name)
    assert check(exercise.id, answer).status == "refused"


def test_tensors_in_a_dict_are_told_as_numbers():
    value = {"x": torch.tensor([1.0, 2.5]), "y": {"z": 0.12345}}
    assert tell(value) == "{'x': [1, 2.5], 'y': {'z': 0.123}}"


def test_an_answer_knows_only_the_names_of_its_module():
    exercise = exercises.find("multihead.split")
    lines = "math.sqrt(4)\n" + exercise.right[0]
    result = checked(exercise, with_answer(exercise, lines))
    assert "NameError" in result.cause, "the cases have `math`"


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
