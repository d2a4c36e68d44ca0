"""Marks prose that a native speaker would not write; the count may not grow.

    python .ci/prose.py

The linter is proselint, with some of its own checks and the phrases below:
what reads like a translation, and what this course does without. Exit code 1
where there are more marks than `MOST`; where there are fewer, lower it.
"""

import sys
from pathlib import Path

from proselint.checks import __register__ as theirs
from proselint.registry import CheckRegistry
from proselint.registry.checks import Check, Padding, types
from proselint.tools import LintFile

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from prose import NOTEBOOKS, PAGES, cells, name, paragraphs, read  # noqa: E402

MOST = 0
KEPT = ("lexical_illusions", "malapropisms", "mondegreens", "oxymorons",
        "redundancy", "uncomparables")  # fmt: skip
PHRASES = {
    "say is, appears, continues, is available": (
        r"stands? (?:in|at|for itself|above|below|beside|there)",
        r"is to be (?:had|seen|found|told)", r"is due to be", r"goes on to be",
        r"there lies", r"it lies in the",
    ),
    "no headless clause as a subject": (
        r"what (?:it|this|that) (?:is|was|does|did|costs|needs|takes)[:,]",
        r"who (?:is|has|wants|needs) [a-z]+ (?:is|has|can|may|must)",
    ),
    "say it in an idiom of English": (
        r"the (?:least|most) (?:it|that|we|one) can", r"of which all",
        r"for the (?:half|double) of", r"as (?:soon|often) as there",
        r"so it is (?:with|for)", r"and that is so", r"told at the door",
        r"makes? no sense of", r"in the one .{1,20} in the other",
        r"gains? nothing from", r"comes? out of nothing",
    ),
    "show it, do not praise it": (
        r"simply", r"obviously", r"of course", r"trivially", r"amazing",
        r"incredibly?", r"beautifully", r"elegantly?",
    ),
    "American spelling": (
        r"colours?", r"behaviours?", r"neighbours?", r"centre[sd]?",
        r"favours?", r"grey", r"licence", r"analys(?:e|ed|es|ing)",
        r"(?:un)?recognis\w+", r"normalis\w+", r"initialis\w+",
        r"optimis(?:e|es|ed|er|ers|ation)", r"generalis\w+", r"summaris\w+",
    ),
}  # fmt: skip


def texts():
    """(place, prose) of every page and notebook."""
    for path in PAGES:
        yield name(path), read(path)
    for path in NOTEBOOKS:
        yield from cells(path, "markdown")


def main() -> int:
    """Print the marks; 1 where there are too many."""
    registry = CheckRegistry()
    registry.register_many(
        tuple(c for c in theirs if c.path.split(".")[0] in KEPT)
    )
    for message, items in PHRASES.items():
        kind = types.Existence(items=items, padding=Padding.WORDS_IN_TEXT)
        registry.register(Check(kind, path="course", message=message))
    on = {"checks": dict.fromkeys((*KEPT, "course"), True), "max_errors": 1000}
    marks = 0
    for place, text in texts():
        for line, pieces in paragraphs(text):
            said = "".join("…" if p.kind == "code" else p.text for p in pieces)
            for found in LintFile(place, said).lint(on) if said.strip() else []:
                start, end = found.check_result.span
                words = said[start - 1 : end].strip()
                print(
                    f"{place}:{line}: {words!r}: {found.check_result.message}"
                )
                marks += 1
    print(f"{marks} marks, at most {MOST}")
    return int(marks > MOST)


if __name__ == "__main__":
    sys.exit(main())
