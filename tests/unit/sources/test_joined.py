"""Joined subjects against a pair made by hand."""

from dataclasses import replace

import numpy as np
import pytest
from artifact_examples import electrodes_of_one_area

from spikeline.artifacts import responses
from spikeline.artifacts.responses import Responses
from spikeline.cli.main import main
from spikeline.errors import InputError
from spikeline.sources.joined import joined

# Rows: a and b train (b twice), c and d test. The other subject's rows are in another order.
IMAGES = ["a", "b", "c", "b", "d"]
OTHER_ROWS = [4, 3, 2, 0, 1]  # d b c a b: its first b is the first's second row of b


def subject(images, first_value, electrodes, repetitions, region="V1"):
    """Row r of electrode e is first_value + 10 r + e, repetition k of it is k - 1 more."""
    rows, test = len(images), np.isin(images, ["c", "d"])
    values = first_value + 10.0 * np.arange(rows)[:, None] + np.arange(electrodes)
    offsets = np.arange(repetitions) - (repetitions - 1) / 2
    return Responses(
        values=values.astype(np.float32),
        images=np.array(images, object),
        categories=np.array([f"concept {name}" for name in images], object),
        test=test[None],
        electrodes=electrodes_of_one_area(region, electrodes),
        repetitions=(values[test] + offsets[:, None, None]).astype(np.float32),
    )


FIRST = subject(IMAGES, 0, 2, repetitions=3)
OTHER = subject([IMAGES[row] for row in OTHER_ROWS], 1000, 3, repetitions=4, region="IT")


def test_electrodes_stand_side_by_side_for_the_same_image():
    both = joined({"F": FIRST, "N": OTHER})
    assert both.images.tolist() == IMAGES and both.test.tolist() == FIRST.test.tolist()
    np.testing.assert_array_equal(both.values[:, :2], FIRST.values)
    # N's rows of a, b (its first), b (its second): 3, 1, 4.
    np.testing.assert_array_equal(both.values[[0, 1, 3], 2:], OTHER.values[[3, 1, 4]])
    assert both.electrodes["region"].tolist() == ["V1"] * 2 + ["IT"] * 3
    assert both.electrodes["channel"].tolist() == [0, 1, 0, 1, 2]


def test_as_many_repetitions_are_joined_as_the_fewest_and_averaged():
    both = joined({"F": FIRST, "N": OTHER})
    assert both.repetitions.shape == (3, 2, 5)
    # Test rows c, d; N recorded d before c.
    np.testing.assert_array_equal(both.repetitions[:, :, 2:], OTHER.repetitions[:3][:, ::-1])
    np.testing.assert_allclose(both.values[[2, 4]], both.repetitions.mean(0))


def test_time_bins_are_joined_bin_by_bin():
    def in_bins(one, electrodes):
        table = electrodes_of_one_area("V1", electrodes)
        table = {name: np.tile(column, 2) for name, column in table.items()}
        table["bin"] = np.repeat(np.arange(2, dtype=np.int32), electrodes)
        return replace(
            one,
            values=np.concatenate([one.values, one.values + 0.5], 1),
            repetitions=np.concatenate([one.repetitions, one.repetitions + 0.5], 2),
            electrodes=table,
            edges=np.array([0, 10, 20], np.float32),
        )

    both = joined({"F": in_bins(FIRST, 2), "N": in_bins(OTHER, 3)})
    assert both.values[0].tolist() == [0, 1, 1030, 1031, 1032, 0.5, 1.5, 1030.5, 1031.5, 1032.5]
    assert both.electrodes["bin"].tolist() == [0] * 5 + [1] * 5
    with pytest.raises(InputError, match="N: its time bins are not those of F"):
        joined({"F": in_bins(FIRST, 2), "N": OTHER})


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (["d", "x", "c", "a", "b"], "N: image 'b' of F is not among its rows as often"),
        (["d", "b", "c", "a", "b", "e"], "F: image 'e' of N is not among its rows as often"),
    ],
)
def test_the_first_image_that_differs_is_named(images, words):
    with pytest.raises(InputError, match=words):
        joined({"F": FIRST, "N": subject(images, 0, 2, 3)})


def test_another_test_set_is_refused():
    other = replace(OTHER, test=np.array([[True, False, True, True, False]]), repetitions=None)
    with pytest.raises(InputError, match="N: image 'a' is in the test of one of it and F only"):
        joined({"F": replace(FIRST, repetitions=None), "N": other})


def test_single_repetitions_of_one_alone_are_refused():
    with pytest.raises(InputError, match="N: has no single repetitions, but F has"):
        joined({"F": FIRST, "N": replace(OTHER, repetitions=None)})


def test_a_joined_file_follows_the_contract_and_a_refusal_leaves_none(tmp_path, capsys):
    paths = [str(tmp_path / name) for name in ("f.h5", "n.h5", "odd.h5")]
    odd = subject(["d", "x", "c", "a", "b"], 0, 2, 3)
    for path, one in zip(paths, (FIRST, OTHER, odd), strict=True):
        responses.write(path, one, {})
    output = tmp_path / "both.h5"
    assert main(["join-responses", "--responses", *paths[:2], "--output", str(output)]) == 0
    np.testing.assert_array_equal(
        responses.read(output).values, joined({"F": FIRST, "N": OTHER}).values
    )
    output.unlink()
    assert main(["join-responses", "--responses", *paths[::2], "--output", str(output)]) == 1
    assert "image 'b'" in capsys.readouterr().err and not output.exists()


def test_a_training_row_that_one_lost_is_left_out_of_all_and_counted(caplog):
    images = ["c", *map(str, range(30)), "d"]
    first, other = subject(images, 0, 2, 3), subject(images[::-1], 1000, 3, 3, region="IT")
    kept = np.array([row for row, name in enumerate(other.images) if name != "7"])
    held = replace(
        other,
        **{name: getattr(other, name)[kept] for name in ("values", "images", "categories")},
        test=other.test[:, kept],
    )
    both = joined({"F": first, "N": held})
    assert both.images.tolist() == [name for name in images if name != "7"]
    rows = [row for row, name in enumerate(images) if name != "7"]
    np.testing.assert_array_equal(both.values[:, :2], first.values[rows])
    np.testing.assert_array_equal(both.values[:, 2:], other.values[::-1][rows])
    np.testing.assert_array_equal(both.repetitions[:, :, 2:], other.repetitions[:, ::-1])
    assert [record.getMessage() for record in caplog.records] == [
        "F: 1 of 32 rows are left out, which another subject lacks"
    ]
