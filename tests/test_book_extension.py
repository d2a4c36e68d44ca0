"""The book's own Sphinx extension, part by part."""

import base64
import importlib.util
import io
import json
from pathlib import Path

import pytest
from minigpt_book import lines, mathfont, modules, notebooks, outputs
from minigpt_book.mathml import MathError, to_mathml
from PIL import Image

# --- LaTeX to MathML -------------------------------------------------------


def test_formula_is_mathml_with_its_source_as_text():
    math = to_mathml(r"x_t")
    assert "<msub><mi>x</mi><mi>t</mi></msub>" in math
    assert 'alttext="x_t"' in math
    assert 'display="inline"' in math
    assert 'display="block"' in to_mathml("x", display=True)


@pytest.mark.parametrize("name", ["aligned", "split", "align*"])
def test_aligned_lines_become_rows(name):
    math = to_mathml(rf"\begin{{{name}}} a &= b \\ &= c \end{{{name}}}")
    assert math.count("<mtr>") == 2
    assert 'class="mg-right"' in math
    assert "&amp;" not in math.split(">", 1)[1]


def test_words_are_single_names():
    assert "<mi>softmax</mi>" in to_mathml(r"\operatorname{softmax}(x)")
    assert "<mi>LayerNorm</mi>" in to_mathml(r"\mathrm{LayerNorm}(x)")
    assert "<mn>10,000</mn>" in to_mathml("10{,}000")


def test_words_in_a_formula_have_no_strokes():
    assert "<mtext>block_size</mtext>" in to_mathml(r"\text{block\_size}")
    assert "<mi>…</mi>" in to_mathml(r"1, \dots, n")


def test_gap_after_the_name_of_a_function():
    assert "<mi>ln</mi><mspace" in to_mathml(r"\ln x")
    log = "<msub><mi>log</mi><mn>2</mn></msub><mspace"
    assert log in to_mathml(r"\log_2 p")
    assert "<mspace" not in to_mathml(r"\exp(x) + a b")


def test_greek_capitals_stand_upright():
    assert '<mi mathvariant="normal">Φ</mi>' in to_mathml(r"\Phi(\mu)")
    assert "<mi>μ</mi>" in to_mathml(r"\Phi(\mu)")


def test_sign_of_a_number_is_no_difference():
    sign = '<mo form="prefix">−</mo>'
    assert sign in to_mathml("x = -1")
    assert sign not in to_mathml("(a) - b")
    assert sign not in to_mathml("a - b")


@pytest.mark.parametrize("latex", [r"\notacommand{x}", r"\frac{a}{", "a & b"])
def test_what_cannot_be_converted_is_refused_by_name(latex):
    with pytest.raises(MathError, match="(?s)" + latex[0].replace("\\", r"\\")):
        to_mathml(latex)


def test_font_has_the_letters_of_the_formulas_and_no_others(tmp_path):
    from fontTools.ttLib import TTFont

    page = tmp_path / "page.html"
    page.write_text("é<math><mi>x</mi><mo>&#8721;</mo></math>")
    letters = mathfont.characters([page])
    assert {"x", "𝑥", "∑", "√"} <= letters
    assert "é" not in letters
    found = importlib.util.find_spec("ziamath").submodule_search_locations[0]
    data = mathfont.cut(Path(found) / mathfont.FILE, letters)
    font = TTFont(io.BytesIO(data))
    has = set(map(chr, font.getBestCmap()))
    assert has <= letters
    assert {"x", "𝑥", "∑", "√"} <= has
    assert "MATH" in font
    assert len(data) < 80_000


# --- notebooks -------------------------------------------------------------


def notebook(*cells, **metadata):
    return {"cells": list(cells), "metadata": metadata}


def code(source, *outputs, tags=()):
    metadata = {"tags": list(tags)} if tags else {}
    return {
        "cell_type": "code",
        "source": source,
        "outputs": list(outputs),
        "metadata": metadata,
        "execution_count": 1,
    }


def shown(**data):
    return {"output_type": "display_data", "data": data, "metadata": {}}


def test_marks_go_and_empty_cells_with_them():
    nb = notebook(
        code("#| default_exp x\n#| export\nimport torch\n"),
        code("#| export"),
        code(
            "#| export\ndef f():\n    ### BEGIN SOLUTION\n    return 1  # ###"
            "\n    ### END SOLUTION\n"
        ),
    )
    notebooks.prepare(nb)
    assert [cell["source"] for cell in nb["cells"]] == [
        "import torch",
        "def f():\n    # … yours to write",
        "def f():\n    return 1  # ###",
    ]
    blank, whole = nb["cells"][1:]
    assert not blank["outputs"] and "tags" not in blank["metadata"]
    assert "hide-cell" in whole["metadata"]["tags"]


def test_hints_of_an_exercise_are_folded_below_its_blank():
    task = {
        "cell_type": "markdown",
        "metadata": {},
        "source": "**Exercise** `attention.head` · ★★ · 20 minutes\n\nDo.",
    }
    solved = code("### BEGIN SOLUTION\nx = 1\n### END SOLUTION")
    nb = notebook(task, solved)
    notebooks.prepare(nb)
    kinds = [cell["cell_type"] for cell in nb["cells"]]
    assert kinds == ["markdown", "code", "markdown", "code"]
    folded = nb["cells"][2]["source"]
    assert folded.count("<details>") == folded.count("</details>") == 2
    assert "Hint 2 for <code>attention.head</code>" in folded


def test_source_as_lines_is_understood():
    nb = notebook(code(["#| export\n", "x = 1\n", "# | no mark"]))
    notebooks.prepare(nb)
    assert nb["cells"][0]["source"] == "x = 1\n# | no mark"


@pytest.mark.parametrize("tag", ["solution", "verdict"])
def test_cell_with_an_answer_is_folded(tag):
    nb = notebook(code("1 + 1", tags=[tag]))
    notebooks.prepare(nb)
    assert "hide-cell" in nb["cells"][0]["metadata"]["tags"]


def png(width, height, dpi):
    data = io.BytesIO()
    Image.new("RGB", (width, height)).save(data, "PNG", dpi=(dpi, dpi))
    return base64.b64encode(data.getvalue()).decode()


def test_figure_is_shown_at_the_size_of_its_resolution():
    output = shown(**{"image/png": png(300, 150, 144)})
    notebooks.size_figure(output)
    assert output["metadata"]["image/png"] == {"width": 200, "height": 100}


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("one sentence after another", "mg-flow"),
        ("[1, 2, 3]\n[4, 5, 6]", "mg-flow"),
        ("a  1\nb  2", ""),
        ("tensor([[1, 2],\n        [3, 4]])", ""),
        ("a\t1\nb\t2", ""),
        ("title\n      and a sentence" + 20 * " more", "mg-flow"),
        ("a  1\nb  2\n" + "x" * 81, "mg-flow mg-columns"),
        ("", "mg-flow"),
    ],
)
def test_sentences_wrap_and_tables_keep_their_columns(text, classes):
    assert " ".join(outputs.flow(text)) == classes


def test_planned_chapters_are_words_and_others_stay_links():
    text = "[a](04_attention.ipynb#x), [b](../notebooks/03_bigram.ipynb)"
    assert notebooks.unlink(text, {"04_attention"}) == (
        "a, [b](../notebooks/03_bigram.ipynb)"
    )


def test_page_gets_the_state_it_needs_and_each_script_once():
    view = {"version_major": 2}
    state = {
        "a": {"state": {"_esm": "S", "layout": "IPY_MODEL_c"}},
        "b": {"state": {"_esm": "S", "child": "IPY_MODEL_d"}},
        "c": {"state": {}},
        "d": {"state": {"text": "</script><b>"}},
    }
    nb = notebook(
        *[
            code("w", shown(**{notebooks.VIEW: {**view, "model_id": name}}))
            for name in "ab"
        ],
        widgets={notebooks.STATE: {"state": state}},
    )
    notebooks.prepare(nb)
    assert "widgets" not in nb["metadata"]
    script = nb["cells"][-1]["source"]
    assert "</script><b>" not in script
    body = script.removesuffix("</script>").split(">", 1)[1]
    kept = json.loads(body)["state"]
    assert set(kept) == {"a", "b", "d"}
    texts = sorted(kept[name]["state"]["_esm"] for name in "ab")
    assert texts[0] in ("=a", "=b")
    assert texts[1] == "S"


def test_stand_in_comes_before_the_view():
    first = shown(**{notebooks.VIEW: {"model_id": "a"}, "text/html": "<p>"})
    parts = notebooks.split_view(first, [])
    assert parts[0]["data"] == {"text/html": "<p>"}
    assert notebooks.VIEW in parts[1]["data"]["text/html"]


# --- where lines may end ----------------------------------------------------


def test_formula_stays_with_its_brackets_and_commas():
    math = to_mathml("x")
    held = f'<span class="mg-keep">({math}),</span>'
    assert lines.keep(f"<p>a ({math}), b {math} c</p>") == (
        f"<p>a {held}, b {math} c</p>".replace(",</span>,", ",</span>")
    )
    block = to_mathml("x", display=True)
    assert lines.keep(f"<div>{block}.</div>") == f"<div>{block}.</div>"


def test_shapes_and_minutes_stay_whole():
    assert lines.unbroken("is (B, T), so") == "is (B,\u00a0T), so"
    assert lines.unbroken("(B, H, T, D)").count(" ") == 0
    assert lines.unbroken("(A, see below)") == "(A, see below)"
    assert lines.unbroken(" · ★★ · 10 minutes").split(" ") == [
        "\u00a0·", "★★\u00a0·", "10\u00a0minutes",
    ]  # fmt: skip
    assert " " not in lines.unbroken("125 · 10")


def test_names_may_break_in_tables_only():
    name = '<span class="pre">sample.top_k</span>'
    table = f"<table><td>{name}</td></table>"
    assert "sample.<wbr>top_<wbr>k" in lines.breaks(table)
    assert lines.breaks(name) == name


def test_addresses_and_signatures_break_at_their_signs():
    link = '<a href="https://a.org/b">https://a.org/b</a>'
    assert ">https://a.org/<wbr>b<" in lines.addresses(link)
    assert '"https://a.org/b"' in lines.addresses(link)
    bracket = '<span class="sig-paren">(</span>'
    assert lines.signatures(bracket) == f"{bracket}<wbr>"


def test_long_text_without_spaces_takes_no_time():
    page = "a" * 1_000_000 + to_mathml("x") + "."
    assert "mg-keep" in lines.keep(page)


def test_errors_and_arguments_of_a_docstring_become_fields():
    lines = [
        "What it does.",
        "Args:",
        "    maps: (L, H, T, S), the weights,",
        "        one for each layer",
        "Raises:",
        "    ValueError: no map.",
        "",
        "Source: a paper.",
    ]
    assert modules.fields(lines) == [
        "What it does.",
        "",
        ":param maps: (L, H, T, S), the weights,",
        "        one for each layer",
        "",
        ":raises ValueError: no map.",
        "",
        "Source: a paper.",
    ]


def test_settings_are_explained_by_what_stands_behind_them():
    source = """class Recipe:
    steps: int = 1000
    clip: float = 1.0  # longest gradient
    norm: str = "pre"  # or "post"
"""
    assert modules.settings(source) == [
        "",
        ":param clip: longest gradient",
        ':param norm: "pre" or "post"',
        "",
    ]


def test_code_and_arrows_in_a_docstring_are_marked():
    lines = ['order="pre" of (B, T) -> (B, T), a "word", ("t", "h")']
    modules.on_docstring(None, "function", "f", len, None, lines)
    assert lines == [
        '``order="pre"`` of (B, T) \u2192 (B, T), a ``"word"``, ``("t", "h")``'
    ]


def test_a_widget_lists_what_only_it_can_do():
    name, widget = modules.widget_of(modules.VIZ / "live_curve.py")
    assert name == "minigpt.viz.live_curve"
    assert modules.own_methods(widget).startswith("   :members: update, point")
    assert modules.widget_of(modules.VIZ / "style.py")[1] is None
