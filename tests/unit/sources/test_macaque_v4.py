"""The public macaque V4 set: neurons x images, image k of the sorted names is column k."""

from __future__ import annotations

import numpy as np
import pytest

from spikeline.artifacts import responses
from spikeline.errors import InputError
from spikeline.sources import arrays, stimuli
from spikeline.sources.macaque_v4 import responses_of_session

COUNTS = np.random.default_rng(0).poisson(3, size=(4, 12)).astype(float)
IMAGES = np.array([f"{k:02d}.jpg" for k in range(12)], object)


def refusal(counts, images=IMAGES):
    with pytest.raises(InputError) as caught:
        responses_of_session(counts, images, 5, 3, "r.npy")
    assert str(caught.value).startswith("r.npy: ") and "\n" not in str(caught.value)
    return str(caught.value)


def test_image_k_is_column_k():
    found = responses_of_session(COUNTS, IMAGES, 5, 3, "r.npy")
    np.testing.assert_array_equal(found.values, COUNTS.T)
    assert list(found.images) == list(IMAGES)
    assert set(found.electrodes["region"]) == {"V4"}
    assert found.test.shape == (5, 12) and (found.test.sum(axis=1) == 3).all()
    assert found.repetitions is None


def test_columns_of_one_picture_are_averaged_and_stand_where_it_first_did():
    twice = IMAGES.copy()
    twice[[7, 10]] = twice[2], twice[5]
    found = responses_of_session(COUNTS, twice, 5, 3, "r.npy")
    assert list(found.images) == [IMAGES[k] for k in (0, 1, 2, 3, 4, 5, 6, 8, 9, 11)]
    expected = COUNTS.T[[0, 1, 2, 3, 4, 5, 6, 8, 9, 11]]
    expected[2], expected[5] = COUNTS[:, [2, 7]].mean(1), COUNTS[:, [5, 10]].mean(1)
    np.testing.assert_allclose(found.values, expected, rtol=1e-6)


def test_a_picture_under_two_names_goes_by_the_first(tmp_path):
    (tmp_path / "images").mkdir()
    for name, content in {
        "a.jpg": b"one",
        "b.jpg": b"two",
        "c.jpg": b"one",
        "d.jpg": b"on",
    }.items():
        (tmp_path / "images" / name).write_bytes(content)
    stimuli.pack(tmp_path / "images", tmp_path / "packed.zip", "{}")
    assert list(stimuli.first_names(tmp_path / "packed.zip")) == [
        "a.jpg",
        "b.jpg",
        "a.jpg",
        "d.jpg",
    ]


def test_swapped_axes_are_said_to_be_swapped():
    assert "swapped" in refusal(COUNTS.T)


def test_an_image_list_of_another_length_is_refused():
    text = refusal(COUNTS, IMAGES[:-1])
    assert "(4, 12) for 11 images" in text and "swapped" not in text


def test_negative_counts_are_refused():
    assert "negative" in refusal(COUNTS - 5)


def test_one_axis_is_refused():
    assert "(12,)" in refusal(COUNTS[0])


@pytest.fixture(scope="module")
def session(real_data):
    folder = real_data / "macaque_v4_201025"
    if not folder.is_dir():
        pytest.skip(f"the macaque V4 session is not at {folder}")
    return folder


def test_the_real_session_is_converted_and_keeps_the_contract(session, tmp_path):
    stimuli.pack(session / "images_201025.zip", tmp_path / "images.zip", "{}")
    counts = arrays.read_array(session / "responses_201025.npy")
    names = stimuli.names(tmp_path / "images.zip")
    found = responses_of_session(counts, names, 5, 100, "responses_201025.npy")
    responses.write(tmp_path / "a.h5", found, {"origins": {}})
    found = responses.read(tmp_path / "a.h5")
    assert found.values.shape == (1200, 89)
    assert found.test.shape == (5, 1200) and (found.test.sum(axis=1) == 100).all()
    np.testing.assert_allclose(found.values, counts.T, rtol=1e-6)
    (image,) = stimuli.load(tmp_path / "images.zip", found.images[:1])
    assert image.size == (112, 112) and image.mode == "RGB"


def test_the_real_sessions_axes_cannot_be_mistaken(session):
    counts = np.load(session / "responses_201025.npy")
    names = np.array([f"{k:04d}" for k in range(1200)], object)
    assert "swapped" in refusal(counts.T, names)
