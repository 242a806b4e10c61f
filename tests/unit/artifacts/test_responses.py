"""The contract of a responses file, on write and on read."""

from __future__ import annotations

import dataclasses

import h5py
import numpy as np
import pytest

from spikeline.artifacts import embeddings, responses
from spikeline.artifacts.responses import Responses
from spikeline.errors import InputError

RECORD = {"step": "test", "origins": {}}


def example(rows=6, electrodes=3, repetitions=4) -> Responses:
    rng = np.random.default_rng(0)
    test = np.zeros((1, rows), bool)
    test[0, -2:] = True
    repeated = rng.normal(size=(repetitions, 2, electrodes)).astype(np.float32)
    values = rng.normal(size=(rows, electrodes)).astype(np.float32)
    values[-2:] = repeated.mean(axis=0)
    return Responses(
        values=values,
        images=np.array([f"concept/µ_{i}.jpg" for i in range(rows)], object),
        categories=np.array(["a", "a", "b", "", "c", "d"][:rows], object),
        test=test,
        repetitions=repeated,
        electrodes={
            "region": np.array(["V1", "V4", "IT"][:electrodes], object),
            "snr": np.array([1.5, np.nan, 3], np.float32)[:electrodes],
            "reliability": np.array([0.1, 0.2, np.nan], np.float32)[:electrodes],
            "oracle": np.array([0.3, 0.4, 0.5], np.float32)[:electrodes],
            "channel": np.array([0, 5, 7], np.int32)[:electrodes],
        },
    )


def assert_same(first: Responses, second: Responses):
    for field in ("values", "images", "categories", "test", "repetitions"):
        np.testing.assert_array_equal(getattr(first, field), getattr(second, field))
    assert list(first.electrodes) == list(second.electrodes)
    for name in first.electrodes:
        np.testing.assert_array_equal(first.electrodes[name], second.electrodes[name])


def test_what_is_written_is_read_back(tmp_path):
    responses.write(tmp_path / "a.h5", example(), RECORD)
    assert_same(responses.read(tmp_path / "a.h5"), example())


def test_responses_without_repetitions_and_with_several_splits_are_read_back(tmp_path):
    test = np.array([[1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1]], bool)
    given = dataclasses.replace(example(), test=test, repetitions=None)
    responses.write(tmp_path / "a.h5", given, RECORD)
    found = responses.read(tmp_path / "a.h5")
    assert found.repetitions is None
    np.testing.assert_array_equal(found.test, test)


def test_the_file_holds_the_documented_fields_shapes_and_types(tmp_path):
    given = dataclasses.replace(example(), values=example().values.astype(np.float64))
    responses.write(tmp_path / "a.h5", given, RECORD)
    with h5py.File(tmp_path / "a.h5") as handle:
        assert handle.attrs["contract"] == "responses/1"
        kinds = {}
        handle.visititems(
            lambda name, item: (
                kinds.update({name: (str(item.dtype), item.shape)})
                if hasattr(item, "shape")
                else None
            )
        )
    assert kinds == {
        "values": ("float32", (6, 3)),
        "images": ("object", (6,)),
        "categories": ("object", (6,)),
        "test": ("bool", (1, 6)),
        "repetitions": ("float32", (4, 2, 3)),
        "electrodes/region": ("object", (3,)),
        "electrodes/snr": ("float32", (3,)),
        "electrodes/reliability": ("float32", (3,)),
        "electrodes/oracle": ("float32", (3,)),
        "electrodes/channel": ("int32", (3,)),
    }


def test_a_seed_works_with_its_number_modulo_the_splits():
    test = np.eye(3, 6, dtype=bool)
    given = dataclasses.replace(example(), test=test, repetitions=None)
    for seed, split in ((0, 0), (2, 2), (3, 0), (7, 1)):
        np.testing.assert_array_equal(given.split(seed), test[split])
        np.testing.assert_array_equal(given.test_values(seed), given.values[split : split + 1])


def test_test_values_of_chosen_repetitions_are_their_mean():
    given = example()
    chosen = given.test_values(0, np.array([1, 3]))
    np.testing.assert_allclose(chosen, (given.repetitions[1] + given.repetitions[3]) / 2)
    np.testing.assert_allclose(given.test_values(0, np.arange(4)), given.test_values(0), atol=1e-6)


def replaced(**fields):
    return lambda: dataclasses.replace(example(), **fields)


def nan_at(field, place):
    def make():
        values = getattr(example(), field).copy()
        values[place] = np.nan
        return dataclasses.replace(example(), **{field: values})

    return make


def with_electrodes(**fields):
    return lambda: dataclasses.replace(example(), electrodes={**example().electrodes, **fields})


def without_electrodes(name):
    def make():
        electrodes = dict(example().electrodes)
        del electrodes[name]
        return dataclasses.replace(example(), electrodes=electrodes)

    return make


BREACHES = {
    "a row short of images": (replaced(images=example().images[:-1]), "images has length 5"),
    "a row short of categories": (replaced(categories=example().categories[1:]), "categories"),
    "a row short of test": (replaced(test=example().test[:, 1:]), "test has length 5"),
    "values of one axis": (replaced(values=np.zeros(6, np.float32)), "values have shape (6,)"),
    "no rows": (replaced(values=np.zeros((0, 3), np.float32)), "values have shape (0, 3)"),
    "no electrodes": (replaced(values=np.zeros((6, 0), np.float32)), "values have shape (6, 0)"),
    "an electrode short": (replaced(values=example().values[:, :2]), "electrodes/region"),
    "a short electrode field": (with_electrodes(snr=np.ones(2)), "electrodes/snr has length 2"),
    "no region": (without_electrodes("region"), "region"),
    "no channel": (without_electrodes("channel"), "channel"),
    "NaN in values": (nan_at("values", (2, 1)), "electrode column(s) 1 "),
    "NaN in repetitions": (nan_at("repetitions", (0, 1, 1)), "repetitions are not finite"),
    "no test rows": (replaced(test=np.zeros((1, 6), bool)), "test"),
    "no training rows": (replaced(test=np.ones((1, 6), bool), repetitions=None), "training"),
    "no splits": (replaced(test=np.zeros((0, 6), bool), repetitions=None), "splits x rows"),
    "test of one axis": (replaced(test=example().test[0]), "test"),
    "a test image twice": (replaced(images=np.array(list("abcdee"), object)), "not distinct"),
    "repetitions of other images": (
        replaced(repetitions=example().repetitions[:, :1]),
        "repetitions have shape (4, 1, 3)",
    ),
    "repetitions of two axes": (replaced(repetitions=np.zeros((4, 2))), "repetitions have shape"),
    "no repetitions in it": (replaced(repetitions=np.zeros((0, 2, 3))), "repetitions"),
    "repetitions beside two splits": (
        replaced(test=np.array([[0, 0, 0, 0, 1, 1]] * 2, bool)),
        "beside one split",
    ),
    "repetitions whose mean is not the value": (
        replaced(repetitions=example().repetitions + 1),
        "mean",
    ),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_is_refused_on_write_naming_file_and_field(tmp_path, breach):
    make, said = BREACHES[breach]
    with pytest.raises(InputError) as caught:
        responses.write(tmp_path / "a.h5", make(), RECORD)
    text = str(caught.value)
    assert str(tmp_path / "a.h5") in text and said in text and "\n" not in text
    assert list(tmp_path.iterdir()) == []


def edited(tmp_path, edit):
    responses.write(tmp_path / "a.h5", example(), RECORD)
    with h5py.File(tmp_path / "a.h5", "r+") as handle:
        edit(handle)
    return tmp_path / "a.h5"


def refusal(path):
    with pytest.raises(InputError) as caught:
        responses.read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


def delete(name):
    return lambda handle: handle.__delitem__(name)


def replace(name, value):
    def edit(handle):
        del handle[name]
        handle[name] = value

    return edit


@pytest.mark.parametrize(
    "field", ["values", "images", "categories", "test", "electrodes/region", "electrodes/snr"]
)
def test_a_missing_field_is_named_on_read(tmp_path, field):
    assert f"field {field} is missing" in refusal(edited(tmp_path, delete(field)))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("values", np.full((6, 3), np.nan, np.float32), "not finite"),
        ("values", np.zeros((3, 6), np.float32), "3 is due"),
        ("values", np.array([["a"] * 3] * 6, "S1"), "values"),
        ("values", np.float32(1), "values"),
        ("test", np.zeros((1, 6), np.float32), "test"),
        ("test", np.bool_(True), "test"),
        ("images", np.arange(6), "images"),
        ("electrodes/region", np.arange(3), "region"),
    ],
)
def test_a_breach_is_refused_on_read(tmp_path, name, value, said):
    assert said in refusal(edited(tmp_path, replace(name, value)))


def test_another_contract_is_refused(tmp_path):
    embedded = embeddings.Embeddings(np.ones((2, 2), np.float32), np.array(["a", "b"]), "clip")
    embeddings.write(tmp_path / "a.h5", embedded, RECORD)
    assert "'embeddings/1' where 'responses/1' is due" in refusal(tmp_path / "a.h5")


def test_a_truncated_file_is_refused(tmp_path):
    responses.write(tmp_path / "a.h5", example(), RECORD)
    content = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(content[: len(content) // 2])
    assert "truncated" in refusal(tmp_path / "a.h5")


def test_a_full_disk_leaves_no_file(tiny_disk):
    rows = 40_000
    test = np.zeros((1, rows), bool)
    test[0, 0] = True
    large = dataclasses.replace(
        example(),
        values=np.ones((rows, 3), np.float32),
        images=np.array([str(i) for i in range(rows)], object),
        categories=np.array([""] * rows, object),
        test=test,
        repetitions=None,
    )
    with pytest.raises(OSError, match="No space left"):
        responses.write(tiny_disk / "a.h5", large, RECORD)
    assert list(tiny_disk.iterdir()) == []
