"""One chapter, changed: does everything that is made from it still hold?"""

import subprocess
import sys
from pathlib import Path

from minigpt.course.execute import execute
from minigpt.course.export import export
from minigpt.course.notebooks import chapters, module_name, read


def check_chapter(root: Path, number: str) -> int:
    """Execute, export and test one chapter; the exit code of its tests.

    Raises:
        CourseError: there is no such chapter, or one of its cells failed.
    """
    [path] = chapters(root, (number,))
    [(_, seconds)] = execute(root, (number,))
    print(f"executed {path.name} in {seconds:.0f} s")
    for module, changed in export(root, (number,)):
        print(f"exported {module.name}{'' if changed else ', unchanged'}")
    name = module_name(read(path))
    tests = root / "tests"
    files = [
        f
        for f in (tests / f"test_{name}.py", tests / "test_exercises.py")
        if f.exists()
    ]
    if name is None or not files:
        print("no module, or no tests here: nothing more to check")
        return 0
    ours = f"test_{name}.py or [{name}. or [{name}]"  # and not "pretrained"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-k",
        ours,
        *map(str, files),
    ]
    return subprocess.run(command, cwd=root, check=False).returncode
