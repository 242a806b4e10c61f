"""Figures: what they show, that nothing overlaps, and that they are files like any other."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from spikeline import plotting
from spikeline.artifacts import provenance
from spikeline.plotting import outliers

MEASURES = [
    plotting.Measure("top1", "top-1", "control1", "chance1", "ceiling1", "difference1"),
    plotting.Measure("top5", "top-5", difference="difference5"),
]
SENTENCE = "On this image it is lower by 13.5 points [-19, 9.5], at 1.5 %. "
CAPTION = "\n".join([SENTENCE * 5] * 2)


def a_table(conditions, subjects=("monkeyF",), compared=False):
    """Scores; if compared, with differences from each subject's first row, every other certain."""
    random = np.random.default_rng(0)
    rows = []
    for subject in subjects:
        for number in range(conditions):
            top1 = random.uniform(0.05, 0.6)
            row = {"subject": subject, "control1": 0.01, "chance1": 0.01, "ceiling1": 0.9}
            for name, value in (("top1", top1), ("top5", top1 + 0.3)):
                row |= {name: value, f"{name}_low": value - 0.04, f"{name}_high": value + 0.04}
            for name in ("difference1", "difference5") if compared and number else ():
                half = 0.05 if number % 2 else 0.15
                row |= {name: -0.1, f"{name}_low": -0.1 - half, f"{name}_high": -0.1 + half}
            rows.append(row)
    return pd.DataFrame(rows)


def value_labels(table):
    return {subject: f"share among N = 100, {subject}" for subject in table["subject"]}


def conditions_figure(conditions, subjects=("monkeyF",), labels=None, compared=False):
    table = a_table(conditions, subjects, compared)
    labels = (labels or [f"condition_{i}" for i in range(conditions)]) * len(subjects)
    caption = CAPTION if compared else ""
    return plotting.conditions_figure(
        table, labels, MEASURES, "Title", value_labels(table), caption=caption
    )


def curves_figure(x, subjects=("monkeyF",), compared=False):
    table = a_table(len(x), subjects, compared)
    given = table, list(x) * len(subjects), MEASURES, "Title", value_labels(table), "repetitions"
    return plotting.curves_figure(*given, caption=CAPTION if compared else "")


def texts_of(figure):
    """The boxes of every text that is drawn, in pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    found = [*figure.texts, *figure.legends[0].get_texts()]
    for axes in figure.axes:
        found += [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
        low, high = axes.get_xlim()
        ticks = zip(axes.get_xticks(), axes.get_xticklabels(), strict=False)
        found += [label for tick, label in ticks if low <= tick <= high]
        if axes.get_subplotspec().is_first_col():
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


@pytest.mark.parametrize("compared", [False, True])
@pytest.mark.parametrize("conditions", [1, 4, 16])
@pytest.mark.parametrize("subjects", [("monkeyF",), ("monkeyF", "monkeyN", "both_joined")])
def test_labels_of_conditions_neither_overlap_nor_leave_the_figure(conditions, subjects, compared):
    long = [f"electrode_dropout=0.{i} noise_std=0.{i} label_smoothing=0.1" for i in range(16)]
    assert_nothing_overlaps(conditions_figure(conditions, subjects, long[:conditions], compared))


@pytest.mark.parametrize("compared", [False, True])
@pytest.mark.parametrize("x", [(1, 2, 5, 10, 30), (0.1, 0.25, 0.5, 1.0), (0, 0.15, 0.3)])
@pytest.mark.parametrize("subjects", [("monkeyF",), ("monkeyF", "monkeyN", "both_joined")])
def test_labels_of_curves_neither_overlap_nor_leave_the_figure(x, subjects, compared):
    assert_nothing_overlaps(curves_figure(x, subjects, compared))


def filling(axes, marker):
    """{place: is its mark filled} along the axis on which rows or numbers stand."""
    found = {}
    for line in axes.lines:
        if line.get_marker() == marker:
            values = line.get_xydata()[:, 1 if axes.yaxis_inverted() else 0]
            found |= {round(float(v)): line.get_markerfacecolor() != "white" for v in values}
    return found


@pytest.mark.parametrize("subjects", [("monkeyF",), ("monkeyF", "monkeyN")])
def test_a_difference_is_filled_only_where_its_interval_excludes_zero(subjects):
    by_row = conditions_figure(4, subjects, compared=True)
    by_number = curves_figure((0, 1, 2, 3), subjects, compared=True)
    # Beside the scores, and below them.
    panels = [*by_row.axes[1::2], *by_number.axes[len(subjects) :]]
    assert len(panels) == 2 * len(subjects)
    for axes in panels:
        for marker in "os":
            certain = filling(axes, marker)
            # That of the reference is not drawn: its place holds no number.
            assert {place: certain[place] for place in (1, 2, 3)} == {1: True, 2: False, 3: True}
        assert any(list(line.get_xydata().ravel()).count(0) >= 2 for line in axes.lines), "no zero"


def test_a_table_without_differences_has_no_panel_for_them():
    assert len(conditions_figure(3).axes) == len(curves_figure((1, 2)).axes) == 1
    assert "interval includes zero" not in [
        text.get_text() for text in conditions_figure(3).legends[0].get_texts()
    ]


def test_the_caption_stands_below_the_panels_whole():
    title, caption = conditions_figure(2, compared=True).texts
    assert title.get_text() == "Title"
    assert caption.get_text().split() == CAPTION.split()
    lines = caption.get_text().splitlines()
    assert len(lines) > 2
    # A line ends neither inside an interval nor before a percent sign.
    assert all(line.count("[") == line.count("]") and line[0] != "%" for line in lines)


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


def test_a_legend_of_long_names_keeps_within_the_figure():
    from spikeline.plotting.marks import _columns

    assert _columns([5, 5, 5], 3.0) == 3
    assert _columns([30, 5, 30, 5], 6.0) == 2
    assert _columns([60, 60], 6.0) == 1


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


def test_masking_has_a_line_for_each_mask_beside_ridge_and_the_mean():
    masks, shares = ("random", "region_balanced"), ("0.15", "0.25", "0.5")
    rows = [
        {"subject": "monkeyF", "mask": mask, "mask_share": share, "masked_mse": 0.8,
         "masked_mse_linear": 0.7, "masked_mse_mean": 1.0, "neural_to_image_top1": 0.3,
         "neural_to_image_top1_low": 0.2, "neural_to_image_top1_high": 0.4, "chance_top1": 0.01}
        for mask in masks for share in reversed(shares)
    ]  # fmt: skip
    figure = plotting.masking_figure(pd.DataFrame(rows), "Title", "top-1", caption=CAPTION)
    errors, scores = figure.axes
    assert len(errors.lines) == 3 * len(masks) and len(scores.lines) == len(masks) + 1
    assert list(errors.lines[0].get_xdata()) == [0.15, 0.25, 0.5]
    assert {line.get_linestyle() for line in errors.lines} == {"-", "--", ":"}
    FigureCanvasAgg(figure).draw()


def test_a_score_far_below_the_others_does_not_stretch_the_range():
    values = np.array([0.3, 0.35, 0.4, 0.2, -0.1])
    for with_outlier in (values, np.append(values, -1e13)):
        assert -2 < outliers.floor(with_outlier) < -0.1


@pytest.mark.parametrize("far", [-0.4, 0.5])
def test_differences_of_the_rows_in_focus_set_the_range_and_others_are_numbered_arrows(far):
    labels = [*"abc", "plain", "plainer"]
    table = a_table(len(labels), compared=True)
    for name in ("difference1", "difference5"):
        table[name] = [np.nan, 0.004, -0.003, far, far]
        for end, step in (("_low", -0.002), ("_high", 0.002)):
            table[f"{name}{end}"] = table[name] + step

    def differences(focus):
        axis = value_labels(table)
        return plotting.conditions_figure(
            table, labels, MEASURES, "", axis, shares=False, focus=focus
        ).axes[1]

    close, wide = differences(["a", "b", "c"]), differences([])
    arrows = [line for line in close.lines if str(line.get_gid()).startswith("outside")]
    assert [line.get_xdata()[0] for line in arrows] == [close.get_xlim()[far > 0]] * 4
    assert [text.get_text() for text in close.texts] == [f"{far:.2g}"] * 4
    assert np.ptp(close.get_xlim()) < 0.03
    assert min(close.get_xlim()) < -0.005 and max(close.get_xlim()) > 0.006
    # Where all are in focus, the range is as it was.
    assert differences(labels).get_xlim() == wide.get_xlim()
