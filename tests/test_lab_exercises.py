"""A learner at work in JupyterLab: blanks, panels, keys, and nothing else."""

import json
from pathlib import Path
from urllib.parse import quote

import pytest
from lab import IDLE, Lab

from minigpt.course import edition
from minigpt.course.notebooks import read, write

pytestmark = pytest.mark.slow  # a server, a kernel and a browser
ROOT = Path(__file__).parents[1]
NAME = "01_tokenizer.ipynb"
ID = "tokenizer.char"
FOLDER = "Meine Übung 1"
HOSTILE = "<img src=x onerror=window.hit=1><script>window.hit=1</script>"
CHECK = "Shift+Enter"
LONG = 240_000  # milliseconds, for a kernel on a busy machine


class Desk:
    """Chapter 1 of a fresh learner edition, open in JupyterLab."""

    def __init__(self, folder, lab):
        self.folder, self.lab, self.page = folder, lab, lab.page
        self.cells = read(folder / NAME).cells
        has = [f"check({json.dumps(ID)}" in c.source for c in self.cells]
        self.below = has.index(True)  # the cell that checks
        lines = self.cells[self.below - 1].source.splitlines()
        [self.line] = [n for n, x in enumerate(lines) if "your turn" in x]

    def begin(self):
        """Run all cells down to the check, by keyboard."""
        self.page.wait_for_function(IDLE, timeout=LONG)
        self.page.locator(".jp-Notebook .jp-Cell").first.click()
        self.page.keyboard.press("Escape")
        for place in range(self.below + 1):
            self.page.keyboard.press(CHECK)
            if self.cells[place].source == edition.FIRST_CELL:
                self.page.get_by_text("no module is yours yet").wait_for(
                    timeout=LONG
                )

    def write(self, text):
        """Put a line where the blank is, run it and the check, by keyboard."""
        keys = self.page.keyboard
        keys.press("Escape")
        keys.press("ArrowUp")
        keys.press("ArrowUp")
        keys.press("Enter")
        keys.press("Control+Home")
        for _ in range(self.line):
            keys.press("ArrowDown")
        keys.press("Home")
        keys.press("Shift+End")
        keys.insert_text(text)
        keys.press(CHECK)
        keys.press(CHECK)

    def panel(self, status):
        """The panel, once it says so."""
        found = self.page.locator(f'.mg-check[data-status="{status}"]')
        found.wait_for(timeout=LONG)
        return found


@pytest.fixture
def desk(lab, browser):
    root, address, token = lab
    folder = root / FOLDER
    if not folder.exists():
        edition.start(ROOT, folder)
    write(edition.learner_notebook(read(ROOT / "notebooks" / NAME)),
          folder / NAME)  # fmt: skip
    (folder / "minigpt" / edition.MARKER).unlink()
    edition.save_progress(folder, {"exercises": {}, "modules": {}})
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    path = f"lab/tree/{quote(FOLDER)}/{NAME}?token={token}&reset"
    made = Desk(folder, Lab(context, address, path))
    yield made
    context.close()


def test_a_learner_tries_fails_and_succeeds_with_the_keyboard(desk):
    desk.begin()
    untouched = desk.panel("not attempted").inner_text()
    assert f"{ID}: not attempted" in untouched
    assert "the blank is still there" in untouched

    desk.write("return [self.ids[c] for c in sorted(text)]")
    failed = desk.panel("failed")
    said = failed.inner_text()
    assert "expected" in said and "got" in said and "✗" in said
    assert "Traceback" not in said
    rows = failed.locator("tr th[scope=row]").all_inner_texts()
    assert rows == ["given", "expected", "got", "differs"]

    desk.write("return [self.ids[c] for c in text]")
    passed = desk.panel("passed")
    assert "✓" in passed.inner_text() and "✗" not in passed.inner_text()

    desk.page.keyboard.press("Control+s")
    desk.page.wait_for_timeout(2000)
    [line] = [
        x for x in edition.status(desk.folder).splitlines() if x[:2] == "01"
    ]
    assert " 1 of " in line and line.endswith("the course's")
    assert desk.lab.foreign == []


def test_what_an_answer_gives_is_shown_as_text(desk):
    desk.begin()
    desk.panel("not attempted")
    desk.write(f"return [{HOSTILE!r}]")
    panel = desk.panel("failed")
    assert HOSTILE[:20] in panel.inner_text()
    assert panel.locator("img, script").count() == 0
    desk.write(f"raise ValueError({HOSTILE!r})")
    desk.page.get_by_text("ValueError: <img src=x").first.wait_for()
    assert desk.panel("failed").locator("img, script").count() == 0
    assert desk.page.evaluate("window.hit") is None


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_panel_is_accessible(theme, desk):
    from axe_playwright_python.sync_playwright import Axe

    desk.lab.theme(theme)
    desk.begin()
    for status, line in [
        ("not attempted", None),
        ("failed", "return [0 for c in text]"),
        ("passed", "return [self.ids[c] for c in text]"),
    ]:
        if line:
            desk.write(line)
        panel = desk.panel(status)
        assert panel.get_attribute("role") == "status"
        found = Axe().run(desk.page, context=".mg-check").response
        assert not found["violations"], found["violations"]
        assert found["passes"]
