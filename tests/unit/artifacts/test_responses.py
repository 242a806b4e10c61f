"""Responses: splits, repetitions, and what a file of them has to satisfy."""

from __future__ import annotations

import dataclasses

import h5py
import numpy as np
import pytest
from artifact_examples import some_responses, some_time_responses

from spikeline.artifacts import embeddings, responses
from spikeline.artifacts.responses import Responses
from spikeline.errors import InputError

RECORD = {"step": "test", "origins": {}}


def assert_same(first: Responses, second: Responses):
    for field in ("values", "images", "categories", "test", "repetitions"):
        np.testing.assert_array_equal(getattr(first, field), getattr(second, field))
    assert list(first.electrodes) == list(second.electrodes)
    for name in first.electrodes:
        np.testing.assert_array_equal(first.electrodes[name], second.electrodes[name])


def test_what_is_written_is_read_back(tmp_path):
    responses.write(tmp_path / "a.h5", some_responses(), RECORD)
    assert_same(responses.read(tmp_path / "a.h5"), some_responses())


def test_responses_without_repetitions_and_with_several_splits_are_read_back(tmp_path):
    test = np.array([[1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1]], bool)
    given = dataclasses.replace(some_responses(), test=test, repetitions=None)
    responses.write(tmp_path / "a.h5", given, RECORD)
    found = responses.read(tmp_path / "a.h5")
    assert found.repetitions is None
    np.testing.assert_array_equal(found.test, test)


def test_a_seed_works_with_its_number_modulo_the_splits():
    test = np.eye(3, 6, dtype=bool)
    given = dataclasses.replace(some_responses(), test=test, repetitions=None)
    for seed, split in ((0, 0), (2, 2), (3, 0), (7, 1)):
        np.testing.assert_array_equal(given.split(seed), test[split])
        np.testing.assert_array_equal(given.test_values(seed), given.values[split : split + 1])


def test_test_values_of_chosen_repetitions_are_their_mean():
    given = some_responses()
    chosen = given.test_values(0, np.array([1, 3]))
    np.testing.assert_allclose(chosen, (given.repetitions[1] + given.repetitions[3]) / 2)
    np.testing.assert_allclose(given.test_values(0, np.arange(4)), given.test_values(0), atol=1e-6)


def replaced(**fields):
    return dataclasses.replace(some_responses(), **fields)


REPETITIONS = some_responses().repetitions
BREACHES = {
    "no test rows": ({"test": np.zeros((1, 6), bool)}, "each split of field test"),
    "no training rows": ({"test": np.ones((1, 6), bool), "repetitions": None}, "training rows"),
    "a test image twice": ({"images": np.array(list("abcdee"), object)}, "not distinct"),
    "repetitions of other images": (
        {"repetitions": REPETITIONS[:, :1]},
        "repetitions has shape (4, 1, 3), expected (repetitions, test rows=2, electrodes=3)",
    ),
    "repetitions with two splits": (
        {"test": np.array([[0, 0, 0, 0, 1, 1]] * 2, bool)},
        "repetitions comes with 2 splits",
    ),
    "repetitions whose mean is not the value": ({"repetitions": REPETITIONS + 1}, "the mean of"),
    "NaN in an electrode": (
        {"values": np.where(np.arange(18).reshape(6, 3) == 7, np.nan, 0)},
        "values is not finite in 1 of 18 values, first at rows 2 ('concept/µ_2.jpg'), "
        "electrodes 1 ('V4')",
    ),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_is_refused_on_write_naming_file_and_field(tmp_path, breach):
    changed, said = BREACHES[breach]
    with pytest.raises(InputError) as caught:
        responses.write(tmp_path / "a.h5", replaced(**changed), RECORD)
    text = str(caught.value)
    assert str(tmp_path / "a.h5") in text and said in text and "\n" not in text
    assert list(tmp_path.iterdir()) == []


def refusal(path):
    with pytest.raises(InputError) as caught:
        responses.read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


def test_a_breach_is_refused_on_read(tmp_path):
    responses.write(tmp_path / "a.h5", some_responses(), RECORD)
    with h5py.File(tmp_path / "a.h5", "r+") as handle:
        handle["test"][...] = False
    assert "each split of field test" in refusal(tmp_path / "a.h5")


def test_another_contract_is_refused(tmp_path):
    embedded = embeddings.Embeddings(np.ones((2, 2), np.float32), np.array(["a", "b"]), "clip")
    embeddings.write(tmp_path / "a.h5", embedded, RECORD)
    assert "holds 'embeddings/2', expected 'responses/1'; make it again" in refusal(
        tmp_path / "a.h5"
    )


def test_a_truncated_file_is_refused(tmp_path):
    responses.write(tmp_path / "a.h5", some_responses(), RECORD)
    content = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(content[: len(content) // 2])
    assert "truncated" in refusal(tmp_path / "a.h5")


def test_a_full_disk_leaves_no_file(tiny_disk):
    rows = 40_000
    test = np.zeros((1, rows), bool)
    test[0, 0] = True
    large = dataclasses.replace(
        some_responses(),
        values=np.ones((rows, 3), np.float32),
        images=np.array([str(i) for i in range(rows)], object),
        categories=np.array([""] * rows, object),
        test=test,
        repetitions=None,
        source_rows=None,
    )
    with pytest.raises(OSError, match="No space left"):
        responses.write(tiny_disk / "a.h5", large, RECORD)
    assert list(tiny_disk.iterdir()) == []


def test_time_bins_are_apart_in_the_file_and_side_by_side_in_memory(tmp_path):
    given, plain = some_time_responses(), some_responses()
    responses.write(tmp_path / "r.h5", given, RECORD)
    with h5py.File(tmp_path / "r.h5") as handle:
        assert handle.attrs["contract"] == "time_responses/1"
        stored = handle["values"][...]
        assert stored.dtype == np.float16
        for time in range(4):
            np.testing.assert_array_equal(
                stored[:, time], plain.values.astype(np.float16) * np.float16(time + 1)
            )
        assert list(handle["electrodes"]) == sorted(plain.electrodes)
    found = responses.read(tmp_path / "r.h5")
    assert_same(found, given)
    np.testing.assert_array_equal(found.edges, given.edges)


@pytest.mark.parametrize("edges", [[0, 25, 50, 75], [0, 25, 50, 50, 100]])
def test_edges_that_do_not_fit_the_bins_or_do_not_ascend_are_refused(tmp_path, edges):
    broken = dataclasses.replace(some_time_responses(), edges=np.array(edges, np.float32))
    with pytest.raises(InputError, match=r"edges.*expected 5 that ascend"):
        responses.write(tmp_path / "r.h5", broken, RECORD)
    assert not (tmp_path / "r.h5").exists()
