"""Every HDF5 contract: what is valid is read back, and each breach is one line naming the field."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from artifact_examples import examples

from spikeline.artifacts.formats.contract import Contract, Field
from spikeline.cli.show import contracts
from spikeline.errors import InputError

RECORD = {"step": "test", "origins": {}}
# Never changed in place.
EXAMPLES = examples()


def value_of(values: dict, name: str):
    for part in name.split("/"):
        values = values[part]
    return values


def with_value(values: dict, name: str, value) -> dict:
    """The values with one replaced, or removed where `value` is None."""
    first, _, rest = name.partition("/")
    if rest:
        return {**values, first: with_value(values[first], rest, value)}
    rest = {key: kept for key, kept in values.items() if key != name}
    return rest if value is None else {**values, name: value}


def present(contract: Contract, values: dict) -> list[Field]:
    datasets = [f for f in contract.fields if f.name.partition("/")[0] in values]
    return [*datasets, *contract.attributes]


# Each field once, though several examples of one contract may have it.
CASES = list(
    {
        (contract.name, field.name): (name, field)
        for name, (contract, values) in EXAMPLES.items()
        for field in present(contract, values)
    }.values()
)
FIELDS = [(name, field.name) for name, field in CASES]


def shared_axes(example: str) -> list[tuple[str, str, int]]:
    """(example, field, axis) of every axis whose length another field has too, or that is fixed."""
    used = Counter(d for field in present(*EXAMPLES[example]) for d in set(field.dims))
    return [
        (name, field.name, axis)
        for name, field in CASES
        for axis, dim in enumerate(field.dims)
        if name == example and (isinstance(dim, int) or used[dim] > 1)
    ]


@functools.cache
def valid_bytes(example: str) -> bytes:
    contract, values = EXAMPLES[example]
    with tempfile.TemporaryDirectory() as folder:
        contract.write(Path(folder, "a.h5"), values, RECORD)
        return Path(folder, "a.h5").read_bytes()


def of(cases):
    return {"argvalues": cases, "ids": ["-".join(map(str, case)) for case in cases]}


def assert_refused(tmp_path, example, field, broken, *said):
    """Writing the broken values is refused, and so is a file that holds them."""
    contract, values = EXAMPLES[example]
    with pytest.raises(InputError) as on_write:
        contract.write(tmp_path / "new.h5", with_value(values, field, broken), RECORD)
    assert list(tmp_path.iterdir()) == []

    path = tmp_path / "a.h5"
    path.write_bytes(valid_bytes(example))
    with h5py.File(path, "r+") as handle:
        attribute = field in handle.attrs
        table = handle.attrs if attribute else handle
        del table[field]
        if broken is not None:
            broken = np.asarray(broken)
            dtype = h5py.string_dtype() if broken.dtype.kind in "UO" else broken.dtype
            create = table.create if attribute else table.create_dataset
            create(field, data=broken.astype(dtype), dtype=dtype)
    with pytest.raises(InputError) as on_read:
        contract.read(path)
    for error, file in ((on_write, "new.h5"), (on_read, "a.h5")):
        line = str(error.value)
        assert line.startswith(f"{tmp_path / file}: ") and "\n" not in line
        assert all(words in line for words in (field, *said)), line
    assert str(on_read.value).endswith("; make it again")


def test_every_contract_that_show_knows_has_an_example():
    assert set(contracts().values()) == {contract for contract, _ in EXAMPLES.values()}
    names = [field.name for _, field in CASES]
    for contract in contracts().values():
        for field in (*contract.fields, *contract.attributes):
            assert field.name in names and field.unit
        assert contract.name.partition("/")[2].isdigit()


@pytest.mark.parametrize("example", EXAMPLES)
def test_what_is_written_is_read_back_with_its_dtypes(tmp_path, example):
    contract, values = EXAMPLES[example]
    contract.write(tmp_path / "a.h5", values, RECORD)
    found = contract.read(tmp_path / "a.h5")
    for field in present(contract, values):
        written, read = value_of(values, field.name), value_of(found, field.name)
        np.testing.assert_array_equal(written, read)
        if field in contract.attributes:
            assert type(read) is (tuple if field.dims else type(written))
        else:
            assert read.dtype == (object if field.dtype == "str" else field.dtype)
    with h5py.File(tmp_path / "a.h5") as handle:
        assert handle.attrs["contract"] == contract.name


@pytest.mark.parametrize(
    ("example", "field"),
    **of([case for case in FIELDS if case[1] not in EXAMPLES[case[0]][0].optional]),
)
def test_a_missing_field_is_named(tmp_path, example, field):
    assert_refused(tmp_path, example, field, None, "is missing")


@pytest.mark.parametrize(("example", "field"), **of(FIELDS))
def test_a_field_of_another_dtype_is_named_with_the_expected_one(tmp_path, example, field):
    contract, values = EXAMPLES[example]
    dtype = {f.name: f.dtype for f in present(contract, values)}[field]
    other = np.int64 if np.dtype(dtype).kind in "fU" else np.float64
    broken = np.ones(np.shape(value_of(values, field)), other)
    assert_refused(tmp_path, example, field, broken, f"expected {dtype}")


@pytest.mark.parametrize(
    ("example", "field", "axis"),
    **of([case for name in EXAMPLES for case in shared_axes(name)]),
)
def test_an_axis_too_short_is_named_with_the_lengths_that_disagree(tmp_path, example, field, axis):
    value = np.asarray(value_of(EXAMPLES[example][1], field))
    shorter = np.take(value, range(value.shape[axis] - 1), axis)
    assert_refused(tmp_path, example, field, shorter, "has shape", "expected (")


@pytest.mark.parametrize(
    ("example", "field"), **of([(name, field.name) for name, field in CASES if field.finite])
)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_named_with_its_place(tmp_path, example, field, bad):
    value = np.array(value_of(EXAMPLES[example][1], field), np.float64)
    value.flat[-1] = bad
    assert_refused(tmp_path, example, field, value, f"not finite in 1 of {value.size} values")


@pytest.mark.parametrize(
    ("example", "field"), **of([(name, field.name) for name, field in CASES if field.distinct])
)
def test_a_value_that_occurs_twice_is_named(tmp_path, example, field):
    value = np.array(value_of(EXAMPLES[example][1], field), object)
    value[-1] = value[0]
    assert_refused(tmp_path, example, field, value, f"holds {value[0]!r} more than once")


@pytest.mark.parametrize("example", EXAMPLES)
def test_only_dims_that_may_be_empty_may_be(tmp_path, example):
    contract, values = EXAMPLES[example]
    for dim in {dim for field in present(contract, values) for dim in field.dims}:
        empty = values
        for field in present(contract, values):
            if dim in field.dims:
                value = np.asarray(value_of(values, field.name))
                empty = with_value(empty, field.name, np.take(value, [], field.dims.index(dim)))
        if isinstance(dim, int):
            said = "expected"
        elif dim not in contract.may_be_empty:
            said = f"expected at least one of {dim}"
        else:
            continue
        with pytest.raises(InputError, match=said):
            contract.write(tmp_path / "a.h5", empty, RECORD)


TOY = Contract(
    "toy/1",
    fields=(
        Field("values", "float32", ("images", "units"), "z-score", finite=True),
        Field("images", "str", ("images",), "name"),
        Field("ids", "int16", ("units",), "number"),
    ),
    attributes=(Field("bin_s", "float64", (), "s"),),
    optional=("ids",),
    may_be_empty=("units",),
)


def toy() -> dict:
    values = np.arange(6, dtype=np.float64).reshape(2, 3)
    return {"values": values, "images": ["a", "b"], "bin_s": 0.5, "ids": np.arange(3, dtype="i2")}


def test_floats_are_stored_in_the_precision_of_the_contract(tmp_path):
    TOY.write(tmp_path / "a.h5", toy(), RECORD)
    assert TOY.read(tmp_path / "a.h5")["values"].dtype == np.float32


def test_integers_of_another_width_are_refused_as_they_might_overflow():
    with pytest.raises(InputError, match="here: field ids has dtype int64, expected int16"):
        TOY.check({**toy(), "ids": np.arange(3)}, "here")


def test_an_optional_field_and_an_empty_axis_are_read_back(tmp_path):
    bare = {**toy(), "values": np.zeros((2, 0), np.float32)}
    del bare["ids"]
    TOY.write(tmp_path / "a.h5", bare, RECORD)
    found = TOY.read(tmp_path / "a.h5")
    assert "ids" not in found and found["values"].shape == (2, 0)


def test_a_field_that_the_contract_does_not_name_is_refused():
    with pytest.raises(InputError, match="here: field speed is none of contract toy/1"):
        TOY.check({**toy(), "speed": np.zeros(3)}, "here")


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        (
            {"images": ["a", "b", "c"]},
            "here: field images has shape (3,), expected (images=2) as in values",
        ),
        (
            {"values": np.array([[0, 0, 0], [0, np.nan, np.inf]])},
            "here: field values is not finite in 2 of 6 values, first at images 1 ('b'), units 1",
        ),
        (
            {"values": np.full((2, 3), "x", object)},
            "here: field values has dtype object, expected float32",
        ),
        (
            {"images": [b"a", b"b"]},
            "here: field images has dtype |S1, expected str",
        ),
        (
            {"values": np.zeros((1, 2, 3))},
            "here: field values has shape (1, 2, 3), expected (images, units)",
        ),
        (
            {"bin_s": (0.5, 0.5)},
            "here: attribute bin_s has shape (2,), expected ()",
        ),
        (
            {"values": np.zeros((0, 3)), "images": []},
            "here: field values has shape (0, 3), expected at least one of images",
        ),
    ],
)
def test_a_breach_names_the_place_and_what_was_expected(changed, line):
    with pytest.raises(InputError) as caught:
        TOY.check({**toy(), **changed}, "here")
    assert str(caught.value) == line


def test_rules_run_after_the_general_checks():
    def rule(values, where):
        raise InputError(f"{where}: {values['values'].sum()}")

    strict = dataclasses.replace(TOY, rules=(rule,))
    with pytest.raises(InputError, match=r"here: 15\.0"):
        strict.check(toy(), "here")
    with pytest.raises(InputError, match="field values is missing"):
        strict.check({"images": ["a"], "bin_s": 1.0}, "here")


def test_a_mapped_field_is_checked_by_its_shape_and_dtype_alone(tmp_path):
    def untouched(values, where):
        assert isinstance(values["values"], np.memmap)

    TOY.write(tmp_path / "a.h5", toy(), RECORD)
    # With the finite check off, nothing may need the content.
    loose = dataclasses.replace(
        TOY, fields=(dataclasses.replace(TOY.fields[0], finite=False), *TOY.fields[1:]),
        rules=(untouched,),
    )  # fmt: skip
    found = loose.read(tmp_path / "a.h5", mapped=("values",))
    np.testing.assert_array_equal(found["values"], toy()["values"])


def test_a_description_has_dtype_shape_dims_and_unit_of_each_field(tmp_path):
    TOY.write(tmp_path / "a.h5", toy(), RECORD)
    with h5py.File(tmp_path / "a.h5") as handle:
        assert list(TOY.describe(handle)) == [
            "values  float32  (2, 3)  (images, units)  z-score",
            "images  str  (2,)  (images)  name",
            "ids  int16  (3,)  (units)  number",
            "bin_s = 0.5  float64  s",
        ]
