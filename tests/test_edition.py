"""The learner edition: blanks, own modules, nothing lost."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from minigpt.__main__ import main
from minigpt.course import edition, exercises, notebooks
from minigpt.course.check import MISSING, Result
from minigpt.course.notebooks import CourseError, module_name, read, write
from minigpt.course.source import (
    definition,
    pieces,
    put_back,
    solutions,
    tasks,
    turn,
)

ROOT = Path(__file__).parents[1]
DIRECTORY = "ein Ordner/Übung 1"  # spaces and letters beyond ASCII
REFERENCE = {p.name: read(p) for p in edition.notebooks(ROOT / "notebooks")}
WITH_BLANKS = {
    name: module_name(nb)
    for name, nb in REFERENCE.items()
    if module_name(nb) in exercises.modules()
}


@pytest.fixture(scope="session")
def fresh(tmp_path_factory):
    folder = tmp_path_factory.mktemp("learner") / DIRECTORY
    assert main(["course", "start", str(folder)]) == 0
    return folder


@pytest.fixture
def mine(fresh, tmp_path):
    """A copy of a fresh edition, to work in."""
    return Path(shutil.copytree(fresh, tmp_path / DIRECTORY))


def solve(folder, name, only=None):
    """Fill the blanks of a chapter as the course does; all, or some ids."""
    nb, source = read(folder / name), REFERENCE[name]
    for task in tasks(source):
        if task.code is None or (only is not None and task.id not in only):
            continue
        every = solutions(source.cells[task.code].source)
        lines = [every[block] for block in task.blocks]
        cells = [c for c in nb.cells if turn(task.id) in c.source]
        cells[0].source = put_back(cells[0].source, task.id, lines)
    write(nb, folder / name)


def run(folder, *arguments, fails=False, encoding="utf-8", **env):
    """What a new Python, started in a folder, prints."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *arguments], cwd=folder,
        capture_output=True, encoding=encoding, timeout=300, check=False,
        env=os.environ | {"PYTHONIOENCODING": encoding} | env,
    )  # fmt: skip
    assert (done.returncode != 0) == fails, done.stderr[-2000:]
    return done.stderr if fails else done.stdout


def python(folder, code, *arguments, **options):
    """What a new Python prints that runs `code` in a folder."""
    return run(folder, "-c", code, *arguments, **options)


TRAIN = """
import hashlib, importlib, sys, torch
from minigpt.bigram import evaluate, fit, sample_tokens
from minigpt.cache import new_cache
from minigpt.data import get_batch
from minigpt.gpt import GPT, GPTConfig
from minigpt.sample import Sampling, generate
from minigpt.tokenizer import BPETokenizer
from minigpt.train import Recipe, train

print([importlib.import_module(f"minigpt.{x}").__file__ for x in sys.argv[1:]])
text = "the cat sat on the mat, then the hat sat on the cat. " * 40
tokenizer = BPETokenizer.train(text, 265, progress=False)
ids = torch.tensor(tokenizer.encode(text))
torch.manual_seed(0)
config = GPTConfig(vocab_size=265, block_size=16, n_layer=2, n_head=2,
                   n_embd=16)
model, losses = GPT(config), []
dice = torch.Generator().manual_seed(0)
print(fit(model, lambda: get_batch(
    ids, block_size=16, batch_size=4, generator=dice), steps=3))
train(model, ids, Recipe(max_steps=5, warmup_steps=2, batch_size=4, lr=1e-2),
      block_size=16, callback=lambda step, loss, *_: losses.append(loss))
print(losses, evaluate(model, ids[:200], block_size=16))
digest = hashlib.sha256()
for name, p in sorted(model.state_dict().items()):
    digest.update(name.encode() + p.numpy().tobytes())
print(digest.hexdigest())
model.eval()
cache, told = new_cache(model), []
for new, probability in generate(
    model, ids[None, :4], n=20, sampling=Sampling(temperature=0.9, top_k=40),
    generator=dice, cache=cache,  # 4 + 20: past the context too
):
    told.append((new.item(), probability.item()))
digest = hashlib.sha256(cache[-1].keys.numpy().tobytes())
print(told, cache[0].offset, digest.hexdigest())
print(repr(tokenizer.decode([i for i, _ in told])))
out = sample_tokens(model, ids[None, :4], 20, dice, block_size=16)
print(repr(tokenizer.decode(out[0].tolist())))
"""

WORK = """
import linecache, sys
from pathlib import Path
from minigpt.course import exercises
from minigpt.course.check import check
from minigpt.course.edition import begin
from minigpt.course.notebooks import is_exported, module_name, read

begin()
nb, names = read(Path(sys.argv[1])), {"__name__": "__main__"}
for place, cell in enumerate(nb.cells):
    if is_exported(cell):
        file = f"<cell {place}>"
        lines = cell.source.splitlines(True)
        linecache.cache[file] = (1, None, lines, file)
        exec(compile(cell.source, file, "exec"), names)
for entry in exercises.of(module_name(nb)):
    asked = hasattr(entry, "answer")  # a question
    given = entry.answer if asked else names[entry.name]
    result = check(entry.id, given)
    assert result.status == "passed", result
"""


def plain(text):
    """A module's text without the line that names its notebook."""
    return re.sub(r"^# AUTOGENERATED!.*\n", "", text, flags=re.MULTILINE)


def bare(line):
    """A line without its indent and what it says at its end."""
    return line.split("  #")[0].strip()


def test_no_solution_is_in_any_notebook(fresh):
    shown, hidden = set(), set()
    for nb in REFERENCE.values():
        for cell in nb.cells:
            for solved, _, lines in pieces(cell.source):
                (hidden if solved else shown).update(map(bare, lines))
    secret = {x for x in hidden - shown if len(x) > 12 and x[0] != "#"}
    assert len(secret) > 50
    copies = fresh / "minigpt"  # the course's modules, which a learner replaces
    for path in filter(Path.is_file, fresh.rglob("*")):
        if path.parent == copies:
            continue
        texts = [path.read_text(encoding="utf-8")]
        if path.suffix == ".ipynb":
            if path.name not in WITH_BLANKS:
                continue
            texts = [json.dumps(c.get("outputs")) for c in read(path).cells]
            texts += [c.source for c in read(path).cells]
        lines = {bare(x) for text in texts for x in text.splitlines()}
        assert not secret & lines, path.name


@pytest.mark.parametrize("name", REFERENCE)
def test_notebook_is_whole_and_empty_of_outputs(fresh, name):
    nb = read(fresh / name)
    nbformat.validate(nb)
    code = [c for c in nb.cells if c.cell_type == "code"]
    assert not any(c.outputs or c.execution_count for c in code)
    assert code[0].source == edition.FIRST_CELL
    text = "\n".join(c.source for c in nb.cells)
    assert "SOLUTION" not in text and "../" not in text
    ids = [e.id for e in exercises.of(module_name(nb) or "")]
    for id in ids:
        assert text.count(f'check("{id}"') == 1


def test_every_link_of_an_edition_leads_somewhere(fresh):
    pages = [*fresh.glob("*.ipynb"), *fresh.glob("book/*.md")]
    for path in pages:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            text = "\n".join(c.source for c in read(path).cells)
        text = re.sub("`.*?`", "", text)  # examples of links
        for link in re.findall(r"\]\(([\w./-]+\.(?:md|ipynb))", text):
            assert (path.parent / link).exists(), f"{path.name}: {link}"


def test_start_again_keeps_what_was_written(mine, capsys):
    path = mine / "02_data.ipynb"
    path.write_text("mine")
    (mine / "03_bigram.ipynb").unlink()
    assert main(["course", "start", str(mine)]) == 0
    said = capsys.readouterr().out
    assert "kept  02_data.ipynb" in said and "wrote 03_bigram.ipynb" in said
    assert path.read_text() == "mine"


def test_start_refuses_the_course_and_foreign_folders(tmp_path, capsys):
    assert main(["course", "start", str(ROOT)]) == 2
    (tmp_path / "minigpt").mkdir()
    assert main(["course", "start", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "is the course itself" in said and "not made by this" in said
    assert list((tmp_path / "minigpt").iterdir()) == []


def test_commands_outside_an_edition_say_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["course", "status"]) == 2
    assert "not inside a learner edition" in capsys.readouterr().err


def test_a_chapter_with_blanks_is_not_exported(mine):
    with pytest.raises(CourseError, match="01_tok.*tokenizer.char.*use_ref"):
        edition.export(mine, ("1",))
    said = dict(map(reversed, edition.export(mine)))
    assert said["01_tokenizer.ipynb"] == "7 blanks left in"
    assert edition.own_modules(mine) == []


def test_who_solves_everything_owns_a_package_equal_to_the_course(mine):
    for name in WITH_BLANKS:
        solve(mine, name)
    said = edition.export(mine)
    assert {what for what, _ in said} == {"wrote"}
    for name, module in WITH_BLANKS.items():
        text = (mine / "minigpt" / f"{module}.py").read_text(encoding="utf-8")
        course = (ROOT / "minigpt" / f"{module}.py").read_text(encoding="utf-8")
        assert plain(text) == plain(course)
        assert f"File to edit: ../{name}\n" in text
    assert {what for what, _ in edition.export(mine)} == {"unchanged"}
    files = python(
        mine,
        "import minigpt, minigpt.viz, minigpt.course\n"
        "from minigpt.course.edition import begin, own_modules\n"
        "from pathlib import Path\n"
        "import importlib\n"
        "begin()\n"
        "for m in own_modules(Path.cwd()):\n"
        "    m = importlib.import_module(f'minigpt.{m}')\n"
        "    assert Path(m.__file__).parent == Path.cwd() / 'minigpt', m\n"
        "print(Path(minigpt.viz.__file__).parts[-4:])\n",
    )
    first, *_ = files.splitlines()
    for module in WITH_BLANKS.values():
        assert module in first
    equal_bit_for_bit(mine, own=WITH_BLANKS.values())


def equal_bit_for_bit(folder, own):
    """Trains and writes as the course's package; `own` are the learner's."""
    theirs = python(ROOT / "notebooks", TRAIN)
    yours = python(folder, TRAIN, *own)
    files, *rest = yours.splitlines()
    assert rest == theirs.splitlines()[1:] and len(rest) == 6, "bit for bit"
    expected = [folder / "minigpt" / f"{name}.py" for name in own]
    assert [Path(x) for x in ast.literal_eval(files)] == expected


@pytest.mark.slow
def test_a_learner_goes_through_the_course_chapter_by_chapter(mine):
    command, done = ["-m", "minigpt", "course"], []
    for name, module in WITH_BLANKS.items():
        solve(mine, name)
        first, *said = python(mine, WORK, name).splitlines()
        assert all(x in first for x in done), "each runs on those before"
        assert not said
        assert f"wrote {module}.py" in run(mine, *command, "export", name[:2])
        done.append(module)
    table = run(mine, *command, "status").splitlines()
    for name, module in WITH_BLANKS.items():
        [line] = [x for x in table if x.startswith(name[:2])]
        n = len(exercises.of(module))
        assert f"{n} of {n} passed  " in line
        assert line.endswith(f"{module}: yours")
    equal_bit_for_bit(mine, own=done)


def test_who_solves_some_goes_on_with_the_courses(mine, capsys):
    solve(mine, "01_tokenizer.ipynb")
    solve(mine, "03_bigram.ipynb", {"bigram.fit"})
    code = (
        "from minigpt.course.edition import begin\n"
        "from minigpt.course.check import check, use_reference\n"
        "begin()\n"
        "from minigpt.tokenizer import CharTokenizer\n"
        "from minigpt.bigram import BigramLM, sample_tokens\n"
        "print(check('tokenizer.char', CharTokenizer).status)\n"
        "print(check('bigram.sample', sample_tokens).status)\n"
        "print(check('bigram.predict-perplexity', 8).status)\n"
        "import torch, math, numpy as np, torch.nn.functional as F\n"
        "from tqdm import tqdm\n"
        "use_reference('bigram.add_k')\n"
        "print(AddK, check('bigram.add_k', AddK).status)\n"
        "use_reference('bigram.add_k')\n"
    )
    edition.export(mine, ("01",))
    first, *said = python(mine, code).splitlines()
    assert first == "your own code: tokenizer"
    assert said[:3] == ["passed", "refused", "failed"]
    assert said[3] == "<class '__main__.AddK'> refused"
    table = edition.status(mine).splitlines()
    assert re.match(r"01_tokenizer +1 of 9 passed +tokenizer: yours", table[1])
    assert "0 of 8 passed" in table[3]
    assert {
        "bigram.sample: refused",
        "bigram.add_k: by use_reference",
        "bigram.predict-perplexity: not right yet",
    } <= set(table)
    assert table[3].endswith("bigram: the course's")


def test_use_reference_fills_the_blank_of_the_module(mine):
    every = {e.id for e in exercises.of("data")}
    solve(mine, "02_data.ipynb", every - {"data.batch"})
    progress = edition.load_progress(mine)
    progress["exercises"]["data.batch"] = {"status": "reference"}
    edition.save_progress(mine, progress)
    assert edition.export(mine, ("02",)) == [("wrote", "data.py")]
    text = (mine / "minigpt" / "data.py").read_text(encoding="utf-8")
    course = (ROOT / "minigpt" / "data.py").read_text(encoding="utf-8")
    assert plain(text) == plain(course)
    nb = (mine / "02_data.ipynb").read_text(encoding="utf-8")
    assert "data.batch: your turn" in nb, "the notebook keeps its blank"


def test_a_broken_module_is_named_with_the_way_back(mine):
    (mine / "minigpt" / "data.py").write_text("import torch\nx = wrong\n")
    begun = "from minigpt.course.edition import begin\nbegin()\n"
    out = python(mine, begun)
    assert "your minigpt/data.py raises NameError" in out
    assert "course reset --module data" in out
    assert "data: yours" in edition.status(mine)
    [kept] = edition.reset_module(mine, "data")
    assert kept.read_text() == "import torch\nx = wrong\n"
    assert "data: the course's" in edition.status(mine)
    assert python(mine, begun) == "no module is yours yet\n"


def test_a_stub_in_a_comment_is_no_blank(mine):
    solve(mine, "01_tokenizer.ipynb")
    nb = read(mine / "01_tokenizer.ipynb")
    [cell] = [c for c in nb.cells if "class CharTok" in c.source]
    cell.source += '\n# raise NotImplementedError("tokenizer.char: your turn")'
    write(nb, mine / "01_tokenizer.ipynb")
    assert edition.export(mine, ("01",)) == [("wrote", "tokenizer.py")]


def changed(folder, name, change):
    """Change the cell that defines `get_batch` in a solved chapter 2."""
    solve(folder, name)
    nb = read(folder / name)
    [place] = [i for i, c in enumerate(nb.cells) if "def get_batch" in c.source]
    nb.cells[place] = change(nb.cells[place])
    write(nb, folder / name)


def with_text(old, new):
    def change(cell):
        assert old in cell.source
        cell.source = cell.source.replace(old, new)
        return cell

    return change


def as_markdown(cell):
    return nbformat.v4.new_markdown_cell(cell.source)


@pytest.mark.parametrize(
    "change, said",
    [
        (with_text("torch.randint", "helper.randint"), "use helper, which"),
        (with_text("len(ids)", "math.floor(len(ids))"), "use math, which"),
        (with_text("#| export\n", ""), "no exported cell defines get_batch"),
        (as_markdown, r"cell \d+.*press Y"),
        (with_text("    n_starts", "%time\n    n_starts"), r"cell \d+.*%time"),
    ],
)
def test_an_export_that_would_lack_something_is_refused(mine, change, said):
    before = (mine / "minigpt" / "data.py").read_bytes()
    changed(mine, "02_data.ipynb", change)
    with pytest.raises(CourseError, match=f"^02_data.ipynb.*{said}"):
        edition.export(mine, ("02",))
    assert (mine / "minigpt" / "data.py").read_bytes() == before


@pytest.mark.parametrize(
    "mark", ["#|export", "# | export", "#| exports", "#| export\r"]
)
def test_a_blank_is_seen_under_any_mark_that_nbdev_knows(mine, mark):
    nb = read(mine / "02_data.ipynb")
    for cell in nb.cells:
        cell.source = re.sub("^#\\| export$", mark, cell.source, flags=re.M)
    write(nb, mine / "02_data.ipynb")
    with pytest.raises(CourseError, match="has blanks: data.split"):
        edition.export(mine, ("02",))
    solve(mine, "02_data.ipynb")
    assert edition.export(mine, ("02",)) == [("wrote", "data.py")]


@pytest.mark.parametrize("line", ["", "#| default_exp other"])
def test_a_chapter_that_names_no_module_or_another_is_told(mine, line):
    solve(mine, "02_data.ipynb")
    nb = read(mine / "02_data.ipynb")
    for cell in nb.cells:
        cell.source = cell.source.replace("#| default_exp data", line)
    write(nb, mine / "02_data.ipynb")
    with pytest.raises(CourseError, match="default_exp data"):
        edition.export(mine, ("02",))


def test_a_stub_that_is_never_reached_is_no_blank_once_it_passed(mine):
    stub = turn("data.batch")
    changed(mine, "02_data.ipynb", lambda cell: cell)
    nb = read(mine / "02_data.ipynb")
    [cell] = [c for c in nb.cells if "def get_batch" in c.source]
    cell.source += f"\n    {stub}"
    write(nb, mine / "02_data.ipynb")
    with pytest.raises(CourseError, match="has blanks: data.batch"):
        edition.export(mine, ("02",))
    python(mine, WORK, "02_data.ipynb")
    assert edition.export(mine, ("02",)) == [("wrote", "data.py")]


IN_ORDER = """
import linecache, sys
from pathlib import Path
from minigpt.course.check import blanks_of, check, use_reference
from minigpt.course.edition import begin
from minigpt.course.exercises import find, of
from minigpt.course.notebooks import read, write
from minigpt.course.source import put_back, turn

begin()
file, ids = Path(sys.argv[1]), sys.argv[2:]
names = vars(sys.modules["__main__"])
exec("import torch\\nfrom torch import nn\\n"
     "from minigpt.block import *", names)
for id in ids:
    nb, name = read(file), find(id.lstrip("=")).name
    [cell] = [c for c in nb.cells if f"class {name}(" in c.source]
    if id[0] != "=":
        cell.source = put_back(cell.source, id, blanks_of(id))
        write(nb, file)
        place = f"<{id}>"
        lines = cell.source.splitlines(True)
        linecache.cache[place] = (1, None, lines, place)
        exec(compile(cell.source, place, "exec"), names)
    for taken in ids[: ids.index(id) + 1]:
        if taken[0] == "=":
            use_reference(taken[1:])
    if id[0] != "=":
        result = check(id, names[name])
        assert result.status == "passed", result
"""


@pytest.mark.parametrize(
    "order, said",
    [
        (["post", "pre"], "2 of 6 passed"),
        (["=pre", "post"], "1 of 6 passed"),
    ],
)
def test_blanks_of_one_cell_stay_passed_in_any_order(mine, order, said):
    ids = [x[: x[0] == "="] + f"block.{x.lstrip('=')}" for x in order]
    python(mine, IN_ORDER, "07_block.ipynb", *ids)
    [line] = [x for x in edition.status(mine).splitlines() if x[:2] == "07"]
    assert re.search(rf"  {said}  ", line), line


@pytest.fixture
def opened(monkeypatch):
    """Calls of JupyterLab: (its arguments, the folder it runs in)."""
    calls = []
    monkeypatch.setattr(
        subprocess, "call", lambda words, cwd: calls.append((words[4:], cwd))
    )
    return calls


def note(folder, **states):
    """Write into an edition how the exercises of modules went."""
    progress = edition.load_progress(folder)
    for module, status in states.items():
        for entry in exercises.of(module):
            progress["exercises"][entry.id] = {"status": status}
    edition.save_progress(folder, progress)


def test_learn_makes_a_copy_and_passes_on_options(tmp_path, opened):
    folder = tmp_path / "my course"
    assert not main(["learn", str(folder), "--no-browser", "--port", "9"])
    words = ["00_welcome.ipynb", "--no-browser", "--port", "9"]
    assert opened == [(words, folder)]


def test_learn_goes_on_where_the_learner_was(mine, opened, monkeypatch):
    note(mine, tokenizer="passed")
    main(["learn", str(mine)])
    note(mine, tokenizer="failed", data="passed", bigram="failed")
    main(["learn", str(mine)])  # something in chapter 1 was left out
    note(mine, bigram="reference")
    monkeypatch.chdir(mine / "book")
    main(["learn"])  # without a name, from inside
    names = ["02_data.ipynb", "03_bigram.ipynb", "04_attention.ipynb"]
    assert opened == [([name], mine) for name in names]


def test_learn_makes_my_gpt_elsewhere(tmp_path, opened, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["learn"])
    assert opened == [(["00_welcome.ipynb"], Path("my-gpt"))]
    assert "course export 01" in capsys.readouterr().out
    monkeypatch.chdir("my-gpt")
    assert main(["course", "export", "00"]) == 2
    assert "00_welcome.ipynb has no module" in capsys.readouterr().err


def test_reset_gives_a_chapter_back_and_keeps_yours(mine, monkeypatch, capsys):
    monkeypatch.chdir(mine)
    solve(mine, "01_tokenizer.ipynb")
    edition.export(mine, ("01",))
    yours = (mine / "01_tokenizer.ipynb").read_bytes()
    module = (mine / "minigpt" / "tokenizer.py").read_bytes()
    assert main(["course", "reset", "1"]) == 0
    said = capsys.readouterr().out
    assert (mine / "old1_01_tokenizer.ipynb").read_bytes() == yours
    assert (mine / "minigpt" / "old1_tokenizer.py").read_bytes() == module
    assert 'kept yours as "old1_01_tokenizer.ipynb"' in said
    assert "tokenizer.char: your turn" in (
        mine / "01_tokenizer.ipynb"
    ).read_text(encoding="utf-8")
    assert edition.own_modules(mine) == []
    assert main(["course", "reset", "01"]) == 0
    assert (mine / "old1_01_tokenizer.ipynb").read_bytes() == yours
    assert (mine / "old2_01_tokenizer.ipynb").exists()
    assert len(edition.notebooks(mine)) == len(REFERENCE), "old ones aside"
    assert main(["course", "reset", "--module", "tokenizer"]) == 2
    assert main(["course", "reset"]) == 2
    assert main(["course", "reset", "77"]) == 2


def test_export_moves_a_module_written_by_hand_aside(mine):
    solve(mine, "01_tokenizer.ipynb")
    edition.export(mine, ("01",))
    target = mine / "minigpt" / "tokenizer.py"
    target.write_text("by hand = True\n")
    assert edition.export(mine, ("01",)) == [("wrote", "tokenizer.py")]
    kept = mine / "minigpt" / "old1_tokenizer.py"
    assert kept.read_text() == "by hand = True\n"


def test_a_passed_exercise_that_changes_is_no_longer_passed(mine):
    solve(mine, "01_tokenizer.ipynb")
    cells = read(mine / "01_tokenizer.ipynb").cells
    [source] = [c.source for c in cells if "class CharTok" in c.source]
    code = edition.fingerprint(definition(source, "CharTokenizer"))
    progress = edition.load_progress(mine)
    progress["exercises"]["tokenizer.char"] = {"status": "passed", "code": code}
    edition.save_progress(mine, progress)
    assert "1 of 9 passed" in edition.status(mine)
    edition.reset(ROOT, mine, "01")
    edition.save_progress(mine, progress)
    said = edition.status(mine)
    assert "0 of 9 passed" in said
    assert "tokenizer.char: changed since it passed" in said


def test_damaged_progress_is_an_empty_one(mine):
    (mine / "minigpt" / edition.MARKER).write_text('{"exercises": ')
    assert "0 of 9 passed" in edition.status(mine)


def test_begin_refuses_the_wrong_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CourseError, match="must run in the folder of your"):
        edition.begin()


def test_an_edition_without_the_course_says_what_to_install(mine):
    code = (
        "import sys\n"
        "sys.meta_path = [f for f in sys.meta_path if 'ditable' not in "
        "repr(f)]\n"
        f"sys.path = [p for p in sys.path if p != {str(ROOT)!r}]\n"
        "import minigpt"
    )
    assert "pip install -r requirements.txt" in python(mine, code, fails=True)


# ---- other systems: what of Windows can be tried on any

NARROW = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
COMMANDS = """
import locale, sys, warnings
from minigpt.__main__ import main

assert locale.getpreferredencoding(False) != "utf-8"
warnings.filterwarnings("error", category=EncodingWarning, module="minigpt")
for command in (["start", "."], ["export", "05"], ["status"],
                ["reset", "5"], ["release", "classroom"]):
    assert main(["course", *command]) == 0, command
"""
RESERVED = {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(10)),
            *(f"lpt{n}" for n in range(10))}  # fmt: skip
ONLY_POSIX = {"fcntl", "grp", "pwd", "resource", "signal", "termios"}


def test_no_text_file_depends_on_the_systems_encoding(mine):
    solve(mine, "05_position.ipynb")
    flags = ["-X", "warn_default_encoding", "-c", COMMANDS]
    said = run(mine, *flags, **NARROW)
    assert "wrote position.py" in said and "wrote 05_position" in said
    made = mine / "minigpt" / "old1_position.py"
    course = (ROOT / "minigpt" / "position.py").read_text(encoding="utf-8")
    assert plain(made.read_text(encoding="utf-8")) == plain(course)
    for path in mine.rglob("*.ipynb"):
        assert b"\r" not in path.read_bytes()


def test_an_edition_with_the_line_ends_of_windows_works(mine):
    for path in filter(Path.is_file, mine.rglob("*")):
        text = path.read_bytes().replace(b"\n", b"\r\n")
        path.write_bytes(text)
    edition.start(ROOT, mine)
    assert edition.own_modules(mine) == []
    said = python(
        mine,
        "from minigpt.course.check import check\n"
        "from minigpt.tokenizer import merge_pair\n"
        "print(merge_pair.__code__.co_filename)\n"
        "print(check('tokenizer.merge', merge_pair).status)\n",
    ).splitlines()
    assert said == [str(mine / "minigpt" / "tokenizer.py"), "refused"]
    solve(mine, "02_data.ipynb")
    assert edition.export(mine, ("02",)) == [("wrote", "data.py")]
    assert edition.own_modules(mine) == ["data"]


def test_a_path_with_letters_that_the_output_lacks(tmp_path):
    folder = tmp_path / "Łódź"
    command = ["-m", "minigpt", "course", "start", str(folder)]
    said = run(tmp_path, *command, encoding="cp1252")
    assert "\\u0141\xf3d\\u017a" in said and "wrote 01_tok" in said
    assert (folder / "01_tokenizer.ipynb").exists()


def test_file_names_are_names_on_every_system(fresh, tmp_path):
    assert main(["course", "release", str(tmp_path / "c")]) == 0
    for top in (fresh, tmp_path / "c"):
        names = [p.relative_to(top).as_posix() for p in top.rglob("*")]
        assert len({n.lower() for n in names}) == len(names) > 10
        assert max(map(len, names)) < 100
        for name in names:
            for part in name.split("/"):
                assert not re.search(r'[<>:"|?*\\\x00-\x1f]|[. ]$', part)
                assert part.split(".")[0].lower() not in RESERVED


def test_nothing_that_only_posix_has_is_used():
    for path in (ROOT / "minigpt" / "course").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [a.name for a in getattr(node, "names", [])]
            names.append(getattr(node, "module", None) or "")
            used = {str(n).split(".")[0] for n in names}
            assert not used & ONLY_POSIX, path.name
            called = (
                ast.unparse(node) if isinstance(node, ast.Attribute) else ""
            )
            assert called not in {"os.fork", "os.getuid", "os.killpg"}


def test_a_file_that_another_program_reads_is_waited_for(tmp_path, monkeypatch):
    left, replace = [1, 2], os.replace

    def busy(old, new):
        if left:
            left.pop()
            raise PermissionError("used by another process")
        return replace(old, new)

    monkeypatch.setattr(os, "replace", busy)
    notebooks.replace_text(tmp_path / "a.txt", "ä\n")
    assert (tmp_path / "a.txt").read_bytes() == "ä\n".encode()
    left[:] = range(9)
    with pytest.raises(PermissionError):
        notebooks.replace_text(tmp_path / "a.txt", "b")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"], "nothing is left"


def test_two_notebooks_write_one_file_at_once(tmp_path, monkeypatch):
    path, replace = tmp_path / "a.txt", os.replace
    code = f"""
from pathlib import Path
from minigpt.course.notebooks import replace_text
replace_text(Path({str(path)!r}), "theirs")"""

    def meanwhile(old, new):
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
        assert path.read_text() == "theirs"
        return replace(old, new)

    monkeypatch.setattr(os, "replace", meanwhile)
    notebooks.replace_text(path, "mine")
    assert path.read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"], "nothing is left"


def test_a_check_answers_where_nothing_can_be_noted(mine, monkeypatch, capsys):
    def full(folder, progress):
        raise OSError("no space left")

    monkeypatch.chdir(mine)
    monkeypatch.setattr(edition, "save_progress", full)
    edition._record(Result("tokenizer.char"), MISSING)
    assert "not noted for `course status`: no sp" in capsys.readouterr().out


def test_the_reference_is_known_by_any_of_its_names(tmp_path):
    link = tmp_path / "link"
    try:
        link.symlink_to(ROOT, target_is_directory=True)
    except OSError:
        pytest.skip("this system lets nobody make a link")
    said = python(
        tmp_path,
        "from minigpt.tokenizer import merge_pair as answer\n"
        "from minigpt.course.check import check\n"
        "print(answer.__code__.co_filename)\n"
        "print(check('tokenizer.merge', answer).status)\n",
        PYTHONPATH=str(link),
    )
    file, status = said.splitlines()
    assert Path(file) == link / "minigpt" / "tokenizer.py"
    assert status == "refused"
