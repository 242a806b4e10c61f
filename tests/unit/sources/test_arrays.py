"""A lab's own arrays to responses."""

from __future__ import annotations

import itertools
import logging

import numpy as np
import pytest

from spikeline.artifacts import responses
from spikeline.errors import InputError
from spikeline.sources.arrays import read_array, read_names, responses_from_arrays

IMAGES = np.array([f"cat/{k:02d}.png" for k in range(12)], object)
VALUES = np.random.default_rng(0).poisson(5, size=(12, 4)).astype(float)


def refusal(call, *arguments, **more):
    with pytest.raises(InputError) as caught:
        call(*arguments, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def convert(values=VALUES, images=IMAGES, regions=None, **more):
    return responses_from_arrays(values, images, regions, "a.npy", splits=5, test_size=3, **more)


@pytest.mark.parametrize("dtype", ["f8", "f4", "i4", "u1"])
def test_npy_is_read_as_float64(tmp_path, dtype):
    np.save(tmp_path / "a.npy", VALUES.astype(dtype))
    found = read_array(tmp_path / "a.npy")
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, VALUES)


def test_csv_is_read_row_by_row(tmp_path):
    (tmp_path / "a.csv").write_text("1,2.5,-3e1\n4,5,6\n")
    np.testing.assert_array_equal(read_array(tmp_path / "a.csv"), [[1, 2.5, -30], [4, 5, 6]])


def test_a_csv_of_one_row_keeps_two_axes(tmp_path):
    (tmp_path / "a.csv").write_text("1,2,3\n")
    assert read_array(tmp_path / "a.csv").shape == (1, 3)


def test_a_missing_file_is_named(tmp_path):
    assert f"{tmp_path / 'a.npy'}: no such file" in refusal(read_array, tmp_path / "a.npy")
    assert f"{tmp_path / 'a.txt'}: no such file" in refusal(read_names, tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"snr,region\n1,V4\n"),
        ("a.csv", b"1,2\n3\n"),
        ("a.csv", b"\xff\xfe\x00"),
        ("a.csv", b""),
        ("a.npy", b"1,2\n"),
        ("a.npy", b""),
        ("a.npy", b"\x93NUMPY\x01\x00"),
    ],
)
@pytest.mark.filterwarnings("ignore:loadtxt")
def test_a_file_that_holds_no_numbers_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert str(tmp_path / name) in refusal(read_array, tmp_path / name)


def test_a_truncated_npy_is_named(tmp_path):
    np.save(tmp_path / "a.npy", VALUES)
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-8])
    assert str(tmp_path / "a.npy") in refusal(read_array, tmp_path / "a.npy")


def test_pickled_objects_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], object), allow_pickle=True)
    assert "cannot be read as numbers" in refusal(read_array, tmp_path / "a.npy")


@pytest.mark.parametrize("array", [np.array(["1", "x"]), np.ones(3, complex) * 1j])
def test_text_and_complex_numbers_are_refused(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    assert "cannot be read as numbers" in refusal(read_array, tmp_path / "a.npy")


def test_names_are_one_a_line_with_slashes(tmp_path):
    (tmp_path / "a.txt").write_text("cat\\1.png\r\n\n  dog/2.png \n", encoding="utf-8")
    assert list(read_names(tmp_path / "a.txt")) == ["cat/1.png", "dog/2.png"]


def test_names_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x80")
    assert str(tmp_path / "a.txt") in refusal(read_names, tmp_path / "a.txt")


def test_rows_keep_their_images_and_categories_are_folders():
    found = convert()
    np.testing.assert_array_equal(found.values, VALUES)
    assert list(found.images) == list(IMAGES)
    assert set(found.categories) == {"cat"}
    assert list(found.electrodes["region"]) == ["all"] * 4
    assert np.isnan(found.electrodes["reliability"]).all()
    assert found.test.shape == (5, 12) and (found.test.sum(axis=1) == 3).all()


def test_a_region_map_names_the_electrodes():
    found = convert(regions={"V4": [[0, 1]], "IT": [[1, 4]]})
    assert list(found.electrodes["region"]) == ["V4", "IT", "IT", "IT"]


def test_categories_may_be_given_by_name():
    found = convert(categories={IMAGES[0]: "animal"})
    assert list(found.categories[:2]) == ["animal", ""]


@pytest.mark.parametrize("shape", [(12,), (2, 12, 4)])
def test_an_array_of_other_axes_is_refused(shape):
    assert f"a.npy: has shape {shape}" in refusal(convert, np.ones(shape))


def test_swapped_axes_are_said_to_be_swapped():
    assert "its axes are swapped" in refusal(convert, VALUES.T)


def test_an_image_list_of_another_length_is_refused():
    text = refusal(convert, VALUES, IMAGES[:-1])
    assert "12 rows for 11 images" in text and "swapped" not in text


def test_a_region_map_of_another_number_of_electrodes_is_refused():
    assert "leaves out electrode 3" in refusal(convert, regions={"V4": [[0, 3]]})
    assert "region V4" in refusal(convert, regions={"V4": [[0, 5]]})


def test_all_nan_and_dead_electrodes_are_dropped_counted_and_logged(caplog):
    values = VALUES.copy()
    values[:, 1], values[:, 2] = np.nan, 7
    with caplog.at_level(logging.WARNING):
        found = convert(values, regions={"V4": [[0, 2]], "IT": [[2, 4]]})
    assert list(found.electrodes["channel"]) == [0, 3]
    assert list(found.electrodes["region"]) == ["V4", "IT"]
    assert "dropped 2 of 4 electrodes" in caplog.text


def test_a_test_set_of_its_own_follows_the_training_rows():
    test_images = np.array(["new/1.png", "new/2.png"], object)
    found = convert(test_values=VALUES[:2] + 0.5, test_images=test_images)
    assert found.test.tolist() == [[False] * 12 + [True] * 2]
    np.testing.assert_array_equal(found.values[12:], VALUES[:2] + 0.5)
    assert list(found.images[12:]) == list(test_images)
    assert found.repetitions is None


def test_repetitions_are_averaged_and_their_reliability_computed(tmp_path):
    repeated = np.random.default_rng(1).normal(size=(3, 6, 4))
    found = convert(test_values=repeated, test_images=IMAGES[:6])
    np.testing.assert_allclose(found.values[12:], repeated.mean(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(found.repetitions, repeated.astype("f4"))
    for electrode in range(4):
        pairs = itertools.combinations(repeated[:, :, electrode], 2)
        expected = np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs])
        assert found.electrodes["reliability"][electrode] == pytest.approx(expected, abs=1e-6)
        left_out = [
            np.corrcoef(
                repeated[k, :, electrode], np.delete(repeated, k, axis=0).mean(axis=0)[:, electrode]
            )[0, 1]
            for k in range(3)
        ]
        assert found.electrodes["oracle"][electrode] == pytest.approx(np.mean(left_out), abs=1e-6)
    responses.write(tmp_path / "a.h5", found, {"origins": {}})


@pytest.mark.parametrize("shape", [(5, 4), (6, 3), (3, 5, 4), (4, 6)])
def test_test_responses_of_another_shape_are_refused(shape):
    text = refusal(convert, test_values=np.ones(shape), test_images=IMAGES[:6])
    assert str(shape) in text and "6 images" in text and "4 electrodes" in text


def test_test_responses_without_their_image_list_are_refused():
    assert "test" in refusal(convert, test_values=VALUES[:2])


def test_a_recording_too_small_for_its_test_splits_is_refused():
    text = refusal(responses_from_arrays, VALUES, IMAGES, None, "a.npy", splits=5, test_size=12)
    assert "a.npy: 12 test images requested of 12" in text
