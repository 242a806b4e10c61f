"""Figures: what they show, that nothing overlaps, and that they are files like any other."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from spikeline import plotting
from spikeline.artifacts import provenance

MEASURES = [
    plotting.Measure("top1", "top-1", "control1", "chance1", "ceiling1"),
    plotting.Measure("top5", "top-5"),
]


def a_table(conditions, subjects=("monkeyF",)):
    random = np.random.default_rng(0)
    rows = []
    for subject in subjects:
        for _ in range(conditions):
            top1 = random.uniform(0.05, 0.6)
            row = {"subject": subject, "control1": 0.01, "chance1": 0.01, "ceiling1": 0.9}
            for name, value in (("top1", top1), ("top5", top1 + 0.3)):
                row |= {name: value, f"{name}_low": value - 0.04, f"{name}_high": value + 0.04}
            rows.append(row)
    return pd.DataFrame(rows)


def value_labels(table):
    return {subject: f"share among N = 100, {subject}" for subject in table["subject"]}


def conditions_figure(conditions, subjects=("monkeyF",), labels=None):
    table = a_table(conditions, subjects)
    labels = labels or [f"condition_{i}" for i in range(conditions)]
    return plotting.conditions_figure(
        table, labels * len(subjects), MEASURES, "Title", value_labels(table)
    )


def curves_figure(x, subjects=("monkeyF",)):
    table = a_table(len(x), subjects)
    return plotting.curves_figure(
        table, list(x) * len(subjects), MEASURES, "Title", value_labels(table), "repetitions"
    )


def texts_of(figure):
    """The boxes of every text that is drawn, in pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    found = [figure._suptitle, *figure.legends[0].get_texts()]
    for axes in figure.axes:
        found += [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
        found += [t for t in axes.get_xticklabels() if t.get_text()]
        if axes is figure.axes[0]:
            found += axes.get_yticklabels()
    found = [text for text in found if text.get_text() and text.get_visible()]
    return [(text.get_text(), text.get_window_extent(renderer)) for text in found]


def assert_nothing_overlaps(figure):
    boxes = texts_of(figure)
    width, height = figure.canvas.get_width_height()
    for text, box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text
    for index, (text, box) in enumerate(boxes):
        for other, other_box in boxes[index + 1 :]:
            # A value's number may lie next to another's, but no label may touch a label.
            if not (text.startswith("0.") and other.startswith("0.")):
                assert not box.overlaps(other_box), (text, other)


@pytest.mark.parametrize("conditions", [1, 4, 12])
@pytest.mark.parametrize("subjects", [("monkeyF",), ("monkeyF", "monkeyN", "both_joined")])
def test_labels_of_conditions_neither_overlap_nor_leave_the_figure(conditions, subjects):
    long = [f"electrode_dropout=0.{i} noise_std=0.{i} label_smoothing=0.1" for i in range(12)]
    assert_nothing_overlaps(conditions_figure(conditions, subjects, long[:conditions]))


@pytest.mark.parametrize("x", [(1, 2, 5, 10, 30), (0.1, 0.25, 0.5, 1.0), (0, 0.15, 0.3)])
@pytest.mark.parametrize("subjects", [("monkeyF",), ("monkeyF", "monkeyN", "both_joined")])
def test_labels_of_curves_neither_overlap_nor_leave_the_figure(x, subjects):
    assert_nothing_overlaps(curves_figure(x, subjects))


def test_conditions_are_drawn_at_their_values():
    table = a_table(3)
    axes = conditions_figure(3).axes[0]
    drawn = [line for line in axes.lines if line.get_marker() == "o"]
    assert any(np.allclose(line.get_xdata(), table["top1"]) for line in drawn), (
        "no points at the values of top1"
    )
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["condition_0", "condition_1", "condition_2"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1], "the first condition is at the top"


def test_a_condition_that_one_subject_lacks_is_left_blank_there():
    table = a_table(2, ("monkeyF", "monkeyN")).drop(index=3)
    figure = plotting.conditions_figure(
        table, ["a", "b", "a"], MEASURES, "Title", value_labels(table)
    )
    counts = [
        max(len(line.get_xdata()) for line in axes.lines if line.get_marker() == "s")
        for axes in figure.axes
    ]
    assert counts == [2, 1]


def test_positive_numbers_of_a_wide_range_get_a_logarithmic_axis():
    assert curves_figure((1, 2, 5, 10, 30)).axes[0].get_xscale() == "log"
    assert curves_figure((0.25, 0.5, 1.0)).axes[0].get_xscale() == "linear"
    assert curves_figure((0, 0.15, 0.3)).axes[0].get_xscale() == "linear"


def test_the_legend_names_only_what_is_drawn():
    table = a_table(2).drop(columns=["ceiling1", "control1"])
    figure = plotting.conditions_figure(table, ["a", "b"], MEASURES, "T", value_labels(table))
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert shown == ["top-1", "top-5", "chance"]
    full = [text.get_text() for text in conditions_figure(2).legends[0].get_texts()]
    assert full == ["top-1", "top-5", "shuffled control", "chance", "infinite repetitions"]


def test_a_figure_carries_its_provenance_and_the_same_table_gives_the_same_bytes(tmp_path):
    for name in ("a.png", "b.png"):
        plotting.save(tmp_path / name, conditions_figure(2), {"step": "tabulate"})
    assert provenance.read(tmp_path / "a.png") == {"step": "tabulate"}
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
        assert min(image.size) > 400


def test_a_full_disk_leaves_no_figure(tmp_path, monkeypatch):
    figure = conditions_figure(1)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(figure, "savefig", full)
    with pytest.raises(OSError, match="No space"):
        plotting.save(tmp_path / "a.png", figure, {})
    assert list(tmp_path.iterdir()) == []
