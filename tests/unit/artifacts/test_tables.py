"""Tables: their file, how their conditions are named, and their text."""

import pandas as pd
import pytest

from spikeline.artifacts import provenance, tables
from spikeline.errors import InputError


def condition(model="mlp", subject="monkeyF", **varied):
    return {"model": model, **varied, "subject": subject}


def a_table(*conditions, **columns):
    """Conditions, and further columns of one value per condition."""
    names = pd.DataFrame(conditions)
    names = names[[*(name for name in names if name != "subject"), "subject"]].fillna("")
    return names.assign(**columns).astype(object)


def scores(name, *values):
    """Columns of a score, with an interval of 0.1 to either side."""
    return {
        f"{name}{end}": [value + shift for value in values]
        for end, shift in (("", 0), ("_low", -0.1), ("_high", 0.1))
    }


def test_a_table_survives_writing_and_reading(tmp_path):
    table = a_table(
        condition(test_repetitions="1"),
        condition(test_repetitions="none"),
        **scores("neural_to_image_top1", 0.123456, 0.5),
        infinite_repetitions_top1=None,
        parameters=[12, None],
    )
    tables.write(tmp_path / "t.tsv", table, {"step": "tabulate"})
    read = tables.read(tmp_path / "t.tsv")
    assert list(read.columns) == list(table.columns)
    assert tables.varied_columns(read) == ["test_repetitions"]
    assert read["test_repetitions"].tolist() == ["1", "none"]
    assert read["neural_to_image_top1"].tolist() == [0.1235, 0.5]
    assert read["infinite_repetitions_top1"].isna().all()
    assert read["parameters"].isna().tolist() == [False, True]
    assert provenance.read(tmp_path / "t.tsv") == {"step": "tabulate"}


def test_shares_have_four_decimals_counts_none_and_the_unknown_is_empty(tmp_path):
    table = a_table(condition(), seeds=1, chance=0.25, zero=-0.0, unknown=None, absent=float("nan"))
    tables.write(tmp_path / "t.tsv", table, {})
    header, values = (tmp_path / "t.tsv").read_text().splitlines()
    row = dict(zip(header.split("\t"), values.split("\t"), strict=True))
    assert (row["seeds"], row["chance"], row["zero"]) == ("1", "0.2500", "0.0000")
    assert row["unknown"] == row["absent"] == ""


def test_a_name_that_would_break_the_table_is_refused(tmp_path):
    with pytest.raises(InputError, match="tab"):
        tables.write(tmp_path / "t.tsv", a_table(condition("a\tb")), {})
    assert not (tmp_path / "t.tsv").exists()


@pytest.mark.parametrize("text", ["", "a\tb\n1\t2\n", "subject\tseeds\nmonkeyF\tmany\n"])
def test_what_is_no_table_is_refused(tmp_path, text):
    (tmp_path / "t.tsv").write_text(text)
    with pytest.raises(InputError):
        tables.read(tmp_path / "t.tsv")
    with pytest.raises(InputError, match="no such file"):
        tables.read(tmp_path / "absent.tsv")


@pytest.mark.parametrize(
    ("conditions", "labels"),
    [
        ([condition("a"), condition("b")], ["a", "b"]),
        ([condition("a@x=1"), condition("a@x=2")], ["a@x=1", "a@x=2"]),
        ([condition("a", x="1"), condition("a@x=2", x="2")], ["1", "2"]),
        ([condition("a", x="1", y="3"), condition("a@x=2", x="2", y="3")], ["x=1 y=3", "x=2 y=3"]),
        ([condition("a", x="1"), condition("b", x="1")], ["a 1", "b 1"]),
        ([condition("a", x="1"), condition("a", "monkeyN", x="1")], ["1", "1"]),
    ],
)
def test_labels_tell_conditions_apart_in_few_words(conditions, labels):
    assert tables.condition_labels(a_table(*conditions)) == labels


def test_a_control_is_labelled_as_such_whatever_it_is_the_control_of():
    table = a_table(
        condition("a", x="1"), condition("a@x=2", x="2"), condition("a@broken=true", x="1"),
        row=["reference", "model", "control"],
    )  # fmt: skip
    assert tables.condition_labels(table) == ["1", "2", "control"]
    assert tables.condition_labels(table, settings=True) == ["x=1", "x=2", "control"]


def test_the_text_of_a_table_is_aligned_and_has_intervals_and_differences():
    table = a_table(
        condition(regions="V1+V4+IT"),
        condition("mlp@regions=IT", regions="IT"),
        seeds=3,
        gallery=20,
        **scores("neural_to_image_top1", 0.4, 0.3),
        **scores("neural_to_image_top5", 0.8, 0.7),
        difference_top1=[None, -0.1],
        difference_top1_low=[None, -0.2],
        difference_top1_high=[None, 0.05],
        infinite_repetitions_top1=[None, 0.75],
    )
    header, rule, first, second = tables.as_text(table).splitlines()
    assert header.split()[:2] == ["regions", "subject"]
    assert set(rule) == {"-", " "}
    assert "0.400 [0.300-0.500]" in first
    for title in ("top-1", "difference", "top-5", "inf. reps", "N", "seeds"):
        assert header.index(title) == rule.index("-", header.index(title))
    assert second[header.index("inf. reps") :].startswith("0.750")
    assert second[header.index("difference") :].startswith("-0.100 [-0.200, 0.050] ")
    assert first[header.index("difference") : header.index("top-5")].strip() == ""


def test_another_table_is_shown_whole_with_intervals_next_to_their_scores():
    table = pd.DataFrame(
        {
            "model": ["poyo"],
            "subject": ["s1"],
            "bits": [0.25],
            "bits_low": [0.2],
            "bits_high": [0.3],
            "units": [144],
        }
    )
    header, _, row = tables.as_text(table).splitlines()
    assert header.split() == ["model", "subject", "bits", "units"]
    assert row[header.index("bits") :].startswith("0.250 [0.200-0.300]")
    assert row.split()[-1] == "144"
