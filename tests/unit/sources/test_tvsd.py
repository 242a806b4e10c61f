"""TVSD's MATLAB files to responses: what is read, and every way they may be wrong."""

from __future__ import annotations

import itertools
import logging

import h5py
import numpy as np
import pytest

from spikeline.artifacts import responses
from spikeline.errors import InputError
from spikeline.sources.tvsd import read_image_list, read_responses


def read(files):
    return read_responses(*files.write(), files.regions)


def test_the_files_are_hdf5_behind_a_matlab_header_as_published(tvsd_files):
    path, _ = tvsd_files.write()
    assert path.read_bytes()[:10] == b"MATLAB 7.3"
    assert path.read_bytes()[512:520] == b"\x89HDF\r\n\x1a\n"


def test_rows_are_training_then_test_images_with_the_test_rows_marked(tvsd_files):
    found = read(tvsd_files)
    np.testing.assert_array_equal(found.values[:20], tvsd_files.fields["train_MUA"].astype("f4"))
    np.testing.assert_array_equal(found.values[20:], tvsd_files.fields["test_MUA"].astype("f4"))
    np.testing.assert_array_equal(found.test, [[False] * 20 + [True] * 5])
    assert found.values.dtype == np.float32


def test_names_use_slashes_and_concepts_come_from_class(tvsd_files):
    found = read(tvsd_files)
    assert found.images[0] == "train_concept_0/train_concept_0_00s.jpg"
    assert found.images[24] == "test_concept_0/test_concept_0_04s.jpg"
    assert not any("\\" in name for name in found.images)
    assert list(found.categories[:5]) == [f"train_concept_{k}" for k in (0, 1, 2, 3, 0)]
    assert found.categories[21] == "test_concept_1"


def test_a_name_beyond_ascii_is_read_from_utf16(tvsd_files):
    tvsd_files.images["train_imgs/things_path"][3] = "jalapeño\\jalapeño_01.jpg"
    assert read(tvsd_files).images[3] == "jalapeño/jalapeño_01.jpg"


def test_electrodes_are_named_by_the_half_open_0_based_region_map(tvsd_files):
    found = read(tvsd_files)
    assert list(found.electrodes["region"]) == ["V1"] * 6 + ["IT"] * 3 + ["V4"] * 3
    np.testing.assert_array_equal(found.electrodes["channel"], np.arange(12))


def test_a_region_may_lie_in_several_ranges(tvsd_files):
    tvsd_files.regions = {"V4": [[0, 2], [10, 12]], "V1": [[2, 10]]}
    assert list(read(tvsd_files).electrodes["region"]) == ["V4"] * 2 + ["V1"] * 8 + ["V4"] * 2


def test_the_electrode_table_is_the_files_own(tvsd_files):
    found, fields = read(tvsd_files), tvsd_files.fields
    np.testing.assert_allclose(found.electrodes["snr"], fields["SNR_max"][:, 0], rtol=1e-6)
    np.testing.assert_allclose(found.electrodes["oracle"], fields["oracle"][:, 0], rtol=1e-6)
    repeated = fields["test_MUA_reps"]
    pairs = list(itertools.combinations(range(3), 2))
    expected = [
        np.mean([np.corrcoef(repeated[a, :, e], repeated[b, :, e])[0, 1] for a, b in pairs])
        for e in range(12)
    ]
    np.testing.assert_allclose(found.electrodes["reliability"], expected, rtol=1e-5)


def test_repetitions_are_those_of_the_test_rows(tvsd_files):
    found = read(tvsd_files)
    np.testing.assert_array_equal(
        found.repetitions, tvsd_files.fields["test_MUA_reps"].astype("f4")
    )
    np.testing.assert_allclose(found.repetitions.mean(axis=0), found.test_values(0), atol=1e-6)


def test_what_is_read_keeps_the_contract(tvsd_files, tmp_path):
    responses.write(tmp_path / "a.h5", read(tvsd_files), {"origins": {}})
    assert responses.read(tmp_path / "a.h5").values.shape == (25, 12)


@pytest.mark.parametrize("fields", [("train_MUA",), ("train_MUA", "test_MUA", "test_MUA_reps")])
def test_an_all_nan_electrode_is_dropped_counted_and_logged(tvsd_files, caplog, fields):
    for name in fields:
        tvsd_files.fields[name][..., 2] = np.nan
    with caplog.at_level(logging.WARNING):
        found = read(tvsd_files)
    assert found.values.shape == (25, 11) and found.repetitions.shape == (3, 5, 11)
    assert list(found.electrodes["channel"]) == [0, 1, *range(3, 12)]
    assert list(found.electrodes["region"]) == ["V1"] * 5 + ["IT"] * 3 + ["V4"] * 3
    (record,) = caplog.records
    assert "dropped 1 of 12 electrodes" in record.getMessage()
    assert "THINGS_normMUA.mat" in record.getMessage()


def test_a_dead_electrode_is_dropped_counted_and_logged(tvsd_files, caplog):
    for name in ("train_MUA", "test_MUA", "test_MUA_reps"):
        tvsd_files.fields[name][..., 9] = 0
    tvsd_files.fields["train_MUA"][..., 4] = np.nan
    tvsd_files.fields["train_MUA"][3, 5] = np.nan
    with caplog.at_level(logging.WARNING):
        found = read(tvsd_files)
    assert list(found.electrodes["channel"]) == [0, 1, 2, 3, 5, 6, 7, 8, 10, 11]
    trials, text = (record.getMessage() for record in caplog.records)
    assert "dropped 1 of 20 training presentations" in trials
    assert "dropped 2 of 12 electrodes" in text and "1 constant" in text


def lost(tvsd_files, caplog):
    """Which training rows and which electrodes are read, and what is logged of the others."""
    train = tvsd_files.fields["train_MUA"].copy()
    train[np.isnan(train)] = -1
    with caplog.at_level(logging.WARNING):
        found = read(tvsd_files)
    channels = found.electrodes["channel"]
    names = list(read_image_list(tvsd_files.write()[1], "train")[0])
    rows = [names.index(name) for name in found.images[: -found.test.sum()]]
    np.testing.assert_array_equal(found.values[: len(rows)], train[rows][:, channels].astype("f4"))
    assert np.isfinite(found.values).all() and np.isfinite(found.repetitions).all()
    told = [record.getMessage().split(": ", 1)[1] for record in caplog.records]
    return set(range(20)) - set(rows), set(range(12)) - set(channels), told


def test_a_silent_array_costs_its_electrodes_alone(tvsd_files, caplog):
    for name in ("train_MUA", "test_MUA", "test_MUA_reps"):
        tvsd_files.fields[name][..., 3:6] = np.nan
    rows, electrodes, told = lost(tvsd_files, caplog)
    assert not rows and electrodes == {3, 4, 5}
    assert told == ["dropped 3 of 12 electrodes: 3 all-NaN, 0 partly NaN, 0 constant"]


def test_an_array_that_was_silent_for_a_while_costs_those_presentations_alone(tvsd_files, caplog):
    tvsd_files.fields["train_MUA"][7:9, 3:6] = np.nan
    rows, electrodes, told = lost(tvsd_files, caplog)
    assert rows == {7, 8} and not electrodes
    assert told == ["dropped 2 of 20 training presentations that some electrodes lack"]


def test_an_array_that_was_silent_most_of_the_time_costs_its_electrodes(tvsd_files, caplog):
    tvsd_files.fields["train_MUA"][:15, 3:6] = np.nan
    rows, electrodes, _ = lost(tvsd_files, caplog)
    assert not rows and electrodes == {3, 4, 5}


def test_a_presentation_that_all_arrays_lack_costs_no_electrode(tvsd_files, caplog):
    tvsd_files.fields["train_MUA"][11] = np.nan
    tvsd_files.fields["train_MUA"][:, 3:6] = np.nan
    rows, electrodes, told = lost(tvsd_files, caplog)
    assert rows == {11} and electrodes == {3, 4, 5} and len(told) == 2


def test_an_array_that_lacks_a_test_repetition_costs_its_electrodes_alone(tvsd_files, caplog):
    tvsd_files.fields["test_MUA_reps"][1, 2, 3:6] = np.nan
    rows, electrodes, told = lost(tvsd_files, caplog)
    assert not rows and electrodes == {3, 4, 5}
    assert told == ["dropped 3 of 12 electrodes: 0 all-NaN, 3 partly NaN, 0 constant"]


def test_each_wrong_file_gives_one_line_that_names_it(bad_tvsd):
    files, paths, said = bad_tvsd
    with pytest.raises(InputError) as caught:
        found = read_responses(*paths, files.regions)
        # What the reader lets through, the contract stops before anything is written.
        responses.write(paths[0].with_name("r.h5"), found, {"origins": {}})
    text = str(caught.value)
    assert "\n" not in text and len(text) < 600
    for words in said:
        assert words in text


def test_damaged_bytes_inside_a_field_are_an_input_error(tvsd_files):
    path, images = tvsd_files.write()
    with h5py.File(path, "r+") as handle:
        del handle["train_MUA"]
        handle.create_dataset(
            "train_MUA", data=tvsd_files.fields["train_MUA"], chunks=True, compression="gzip",
            fletcher32=True,
        )  # fmt: skip
        place = handle["train_MUA"].id.get_chunk_info(0)
    with open(path, "r+b") as raw:
        raw.seek(512 + place.byte_offset + place.size // 2)
        raw.write(b"\xff" * 16)
    with pytest.raises(InputError, match="train_MUA cannot be read"):
        read_responses(path, images, tvsd_files.regions)


def test_a_damaged_reference_in_the_image_list_is_an_input_error(tvsd_files):
    _, images = tvsd_files.write()
    with h5py.File(images, "r+") as handle:
        del handle["#refs#/train_imgs_class_3"]
        handle["train_imgs/things_path"][...] = np.full((20, 1), h5py.Reference(), h5py.ref_dtype)
    with pytest.raises(InputError, match=r"things_imgs\.mat: train_imgs/things_path"):
        read_image_list(images, "train")
