"""What a learner edition remembers: how each exercise went, and with what code."""

import ast
import hashlib
import json
import re
from pathlib import Path

from minigpt.course import exercises
from minigpt.course.check import with_reference
from minigpt.course.notebooks import is_exported, replace_text, syntax_error
from minigpt.course.source import defines, definition

MARKER = "progress.json"  # in the learner's minigpt folder


def load_progress(folder: Path) -> dict:
    """What the edition remembers; damaged or missing: nothing."""
    try:
        text = (folder / "minigpt" / MARKER).read_text(encoding="utf-8")
        progress = json.loads(text)
        progress["exercises"], progress["modules"]  # both must be there
    except (OSError, ValueError, KeyError, TypeError):
        progress = {"exercises": {}, "modules": {}}
    progress.setdefault("copies", {})
    progress.setdefault("way", "guided")
    return progress


def save_progress(folder: Path, progress: dict) -> None:
    text = json.dumps(progress, indent=1, ensure_ascii=False) + "\n"
    replace_text(folder / "minigpt" / MARKER, text)


def standing(nb, progress) -> dict[str, str]:
    """id -> passed, changed, reference, failed or open, for one notebook."""
    code = "\n".join(c.source for c in nb.cells if c.cell_type == "code")
    sources = [c.source for c in nb.cells if is_exported(c)]
    sources += [with_references(x, progress) for x in sources]
    states = {}
    for id in dict.fromkeys(re.findall(r'check\("([\w.-]+)"', code)):
        try:
            entry = progress["exercises"].get(id, {"status": "open"})
            status = entry["status"]
            if status == "passed" and entry.get("code"):
                target = exercises.find(id).name
                now = [
                    fingerprint(definition(source, target))
                    for source in sources
                    if target in defines(source)
                ]
                status = "passed" if entry["code"] in now else "changed"
        except (ValueError, SyntaxError, KeyError, TypeError):
            status = "changed"
        states[id] = status
    return states


def fingerprint(source: str) -> str:
    """A short name for code, the same for any layout and comments."""
    tree = ast.dump(ast.parse(source))
    return hashlib.sha256(tree.encode()).hexdigest()[:12]


def with_references(source: str, progress) -> str:
    """A cell with the course's lines in the blanks given to use_reference."""
    for id in blanks_in(source):
        if progress["exercises"].get(id, {}).get("status") == "reference":
            exercise = exercises.find(id)
            mine = definition(source, exercise.name)
            filled, _ = with_reference(mine, exercise)
            source = source.replace(mine, filled)
    return source


def blanks_in(source: str) -> list[str]:
    """The exercises whose blanks are still in a cell, not only in a comment."""
    if syntax_error(source):
        return []  # the export says what is wrong
    ids = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            found = re.fullmatch(
                r"NotImplementedError\('([\w.-]+): .*'\)", ast.unparse(node.exc)
            )
            ids += [found[1]] if found else []
    return list(dict.fromkeys(ids))
