"""What pytest needs to know about the course; loaded by pyproject.toml.

- notebooks run as `course run` runs them: no progress bars to compare;
- standard error is not compared (warnings differ between machines);
- in CI (`MINIGPT_NO_SKIP=1`) a skipped test is a failed one;
- a run that proves exercises says at its end how many, of what.
"""

import os

import pytest

from minigpt.course.execute import QUIET

os.environ.update(QUIET)


def pytest_collection_modifyitems(items):
    """Leave standard error out of what nbval compares."""
    for item in items:
        skipped = getattr(item.parent, "skip_compare", None)
        if skipped and "stderr" not in skipped:
            item.parent.skip_compare = (*skipped, "stderr")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Turn a skip into a failure where MINIGPT_NO_SKIP says so."""
    report = (yield).get_result()
    if report.skipped and os.environ.get("MINIGPT_NO_SKIP"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI forbids: {report.longrepr}"


def pytest_terminal_summary(terminalreporter):
    """Say what tests/test_exercises.py proved, by what its tests noted."""
    found, seconds = {}, 0.0
    for report in terminalreporter.stats.get("passed", []):
        notes = getattr(report, "user_properties", [])
        kinds = [k for k, _ in notes if k.startswith("proven ")]
        seconds += report.duration if kinds else 0.0
        for kind, things in notes:
            if kind in kinds:
                found.setdefault(kind.removeprefix("proven "), set()).update(
                    things
                )
    if found:
        counts = [f"{len(found[kind])} {kind}" for kind in sorted(found)]
        terminalreporter.write_line(
            f"proven: {', '.join(counts)}; {seconds:.0f} s"
        )
