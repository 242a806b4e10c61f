"""The subcommand `tabulate`: its files, which figure it chooses, and bad input."""

import json
import subprocess
import sys

import numpy as np
import pytest

from spikeline import plotting
from spikeline.artifacts import evaluations, provenance, tables
from spikeline.artifacts.evaluations import Draw, Evaluation, Ranks, SeedEvaluation
from spikeline.bridge.captions import caption
from spikeline.bridge.tables import retrieval_table
from spikeline.cli import main, tabulate

OUTPUTS = ("t.tsv", "t.tsv.provenance.json", "t.categories.tsv", "t.txt", "t.png")


def an_evaluation(number):
    random = np.random.default_rng(number)

    def ranks(size):
        return Ranks(random.integers(20, size=size).astype(float), np.zeros(size, int))

    names = np.array([f"c{i % 3}/{i}.jpg" for i in range(20)], dtype=object)
    categories = [(f"c{i % 3}",) for i in range(20)]
    draw = Draw(ranks(20), ranks(20), random.random(20))
    return Evaluation({}, "clip-1", [SeedEvaluation(0, names, categories, [draw])])


def condition(model, subject="monkeyF", **varied):
    return {"model": model, "subject": subject, "varied": varied}


REGIONS = [condition("mlp", regions=["V4", "IT"]), condition("mlp@regions=IT", regions=["IT"])]


def arguments(folder, **changed):
    paths = []
    for number in range(len(REGIONS)):
        paths.append(folder / f"e{number}.json")
        evaluations.write(paths[-1], an_evaluation(number), {"origins": {}})
    given = {
        "--evaluations": paths,
        "--conditions": [json.dumps(REGIONS)],
        "--title": ["Regions"],
        "--output": [folder / "t.tsv"],
        "--figure": [folder / "t.png"],
        "--resamples": [50],
    } | {f"--{name}": value for name, value in changed.items()}
    return ["tabulate", *(str(v) for option, values in given.items() for v in [option, *values])]


def test_it_makes_a_table_one_of_categories_a_caption_and_a_figure_each_with_provenance(tmp_path):
    assert main.main(arguments(tmp_path)) == 0
    table = tables.read(tmp_path / "t.tsv")
    assert table["regions"].tolist() == ["V4+IT", "IT"]
    categories = tables.read(tmp_path / "t.categories.tsv")
    assert len(categories) == 2 * 3
    assert categories["images"].sum() == 2 * 20
    (text,) = (tmp_path / "t.txt").read_text().splitlines()
    assert text == caption(table) and "regions=IT is" in text
    for name in ("t.tsv", "t.categories.tsv", "t.txt", "t.png"):
        record = provenance.read(tmp_path / name)
        assert record["step"] == "tabulate"
        assert record["settings"]["conditions"] == REGIONS
        assert len(record["inputs"]) == 2


def test_the_same_evaluations_give_the_same_bytes(tmp_path):
    written = []
    for _ in range(2):
        assert main.main(arguments(tmp_path)) == 0
        written.append([(tmp_path / name).read_bytes() for name in OUTPUTS])
    assert written[0] == written[1]


def test_conditions_may_come_from_a_file(tmp_path):
    (tmp_path / "c.json").write_text(json.dumps(REGIONS))
    assert main.main(arguments(tmp_path, conditions=[tmp_path / "c.json"])) == 0
    assert (tmp_path / "t.png").exists()


def test_the_table_of_categories_and_the_caption_may_go_elsewhere(tmp_path):
    elsewhere = {"categories": [tmp_path / "c.tsv"], "caption": [tmp_path / "c.txt"]}
    assert main.main(arguments(tmp_path, **elsewhere)) == 0
    assert len(tables.read(tmp_path / "c.tsv")) == 2 * 3
    assert (tmp_path / "c.txt").read_text().startswith("monkeyF")
    assert not (tmp_path / "t.categories.tsv").exists() and not (tmp_path / "t.txt").exists()


@pytest.mark.parametrize(
    ("conditions", "curve"),
    [
        ([condition("a", test_repetitions=r) for r in (1, 5, 30)], True),
        ([condition("a", training_fraction=r) for r in (0.1, 0.5, 1.0)], True),
        ([condition("a", noise_std=r) for r in (0, 1)], False),
        ([condition(m, noise_std=r) for m in "ab" for r in (0, 1, 2)], False),
        ([condition("a", x=x, y=y) for x in (0, 1, 2) for y in (0, 1, 2)], False),
        ([condition("a", test_repetitions=r) for r in (1, 5, None)], False),
        (REGIONS, False),
        ([condition("a")], False),
    ],
)
def test_one_varied_number_gives_curves_and_all_else_a_row_for_each_condition(conditions, curve):
    many = [an_evaluation(number) for number in range(len(conditions))]
    figure = tabulate.draw(retrieval_table(many, conditions, resamples=5), "Title")
    assert figure.axes[0].yaxis_inverted() == (not curve)
    label = figure.axes[0].get_ylabel() if curve else figure.axes[0].get_xlabel()
    assert "N = 20" in label


@pytest.mark.parametrize("numbers", [("V4", "IT"), (1, 5, 30)])
def test_a_control_is_a_mark_at_its_reference_and_no_condition_of_its_own(numbers):
    conditions = [condition(f"a@x={number}", x=number) for number in numbers]
    broken = {**condition("a@shuffle_responses=true", x=numbers[0]), "control": True}
    many = [an_evaluation(number) for number in range(len(numbers) + 1)]
    table = retrieval_table(many, [*conditions, broken], resamples=5)
    axes = tabulate.draw(table, "Title").axes[0]
    controls = [line for line in axes.lines if line.get_marker() == plotting.CONTROL_MARKER]
    curve = len(numbers) > 2
    for line, k in zip(controls, (1, 5), strict=True):
        drawn = np.array([line.get_xdata(), line.get_ydata()], float)
        place, score = drawn if curve else drawn[::-1]
        shown = np.isfinite(score)
        assert score[shown] == pytest.approx(table[f"neural_to_image_top{k}"].iloc[-1:])
        # Of conditions it is in the first row, a little above or below its middle.
        assert place[shown] == pytest.approx([numbers[0] if curve else 0], abs=0.3)
    if not curve:
        assert [text.get_text() for text in axes.get_yticklabels()] == ["V4", "IT"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"conditions": ["[{]"]}, "--conditions"),
        ({"conditions": ['[{"model": "a"}]']}, "1 for 2 evaluations"),
        ({"conditions": ['[{"model": "a"}, {"model": "a"}]']}, "missing"),
        ({"conditions": ["[1, 2]"]}, "objects"),
        ({"conditions": ["absent.json"]}, "--conditions"),
        ({"resamples": [0]}, "--resamples"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_output(tmp_path, capsys, changed, message):
    assert main.main(arguments(tmp_path, **changed)) == 1
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1
    assert not any((tmp_path / name).exists() for name in OUTPUTS)


def test_a_truncated_evaluation_is_named(tmp_path, capsys):
    listed = arguments(tmp_path)
    whole = (tmp_path / "e1.json").read_text()
    (tmp_path / "e1.json").write_text(whole[: len(whole) // 2])
    assert main.main(listed) == 1
    assert "e1.json: not JSON or truncated" in capsys.readouterr().err
    assert not any((tmp_path / name).exists() for name in OUTPUTS)


def test_tables_are_read_without_torch_or_matplotlib_and_made_without_torch():
    code = (
        "import sys, spikeline.artifacts.tables, spikeline.bridge.tables, "
        "spikeline.bridge.retrieval, spikeline.bridge.evaluation;"
        "assert not {'torch', 'matplotlib'} & set(sys.modules);"
        "import spikeline.cli.tabulate, spikeline.cli.evaluate;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
