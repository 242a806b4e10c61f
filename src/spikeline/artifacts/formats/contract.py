"""HDF5 formats as data: fields with dtype, dims and unit, and one writer, reader and check."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from spikeline.artifacts.formats import hdf5, seal
from spikeline.errors import InputError

Rule = Callable[[Mapping[str, Any], str], None]


@dataclass(frozen=True)
class Field:
    """One dataset, or one attribute of the file.

    Attributes:
        name: its path in the file, such as "values" or "electrodes/region".
        dtype: NumPy's name for it, or "str". Floats of any precision are stored in this one; other
            dtypes have to match.
        dims: names of its axes. Axes of one name have one length throughout a file; a number is
            that length itself.
        unit: unit or meaning, in words.
        finite: NaN and infinity are refused.
        distinct: no value may occur twice.
    """

    name: str
    dtype: str
    dims: tuple[str | int, ...]
    unit: str
    finite: bool = False
    distinct: bool = False


@dataclass(frozen=True)
class Contract:
    """The format of a file.

    Its values are a mapping from the names of fields and attributes to arrays and plain values;
    the fields of a group, such as "electrodes/region", form a mapping of their own.

    Attributes:
        name: "NAME/VERSION", stored in the file.
        fields: the datasets, in the order in which they are written and checked.
        attributes: of the file.
        optional: fields and groups that may be absent; a group is absent as a whole.
        may_be_empty: dims that may have length 0.
        rules: further checks, each called with the values and the name to use in errors; they run
            after all others and raise InputError.
    """

    name: str
    fields: tuple[Field, ...]
    attributes: tuple[Field, ...] = ()
    optional: tuple[str, ...] = ()
    may_be_empty: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()

    def write(
        self, path: str | os.PathLike[str], values: Mapping[str, Any], record: Mapping[str, Any]
    ) -> None:
        """Check values and write them with provenance.

        Raises:
            InputError: the values break the contract; no file is written.
        """
        self.check(values, str(path))
        flat = _flat(values)
        with hdf5.written(path, self.name, record) as handle:
            for field in self.fields:
                if field.name in flat:
                    handle.create_dataset(field.name, data=_stored(field, flat[field.name]))
            for field in self.attributes:
                handle.attrs[field.name] = _stored(field, flat[field.name])

    def read(self, path: str | os.PathLike[str], mapped: Collection[str] = ()) -> dict[str, Any]:
        """Read and check: text as str objects, attributes as Python values and tuples.

        Args:
            path: a file that `write` made.
            mapped: fields to return as a read-only np.memmap instead of reading them.

        Raises:
            InputError: missing, truncated, damaged, of another contract, or in breach of this one.
        """
        with hdf5.opened(path, self.name) as handle, hdf5.intact(path):
            expected = [field.name for field in self.fields if not self._absent(field, handle)]
            hdf5.require(handle, expected)
            flat = {
                name: hdf5.mapped(handle[name]) if name in mapped else hdf5.array(handle[name])
                for name in expected
            }
            given = {f.name for f in self.attributes} & set(handle.attrs)
            flat |= {name: _plain(handle.attrs[name]) for name in given}
            values = _nested(flat)
            try:
                self.check(values, str(path))
            except InputError as error:
                raise InputError(f"{error}; make it again") from None
            seal.check(handle, mapped)
        return values

    def check(self, values: Mapping[str, Any], where: str) -> None:
        """Compare values with the contract: presence, dtypes, dims, then contents.

        Raises:
            InputError: naming `where` and the field.
        """
        flat = _flat(values)
        expected = [field for field in self.fields if not self._absent(field, values)]
        fields: dict[str, Field] = {}
        places: dict[str, str] = {}
        for kind, group in (("field", expected), ("attribute", self.attributes)):
            missing = [field.name for field in group if field.name not in flat]
            if missing:
                raise InputError(f"{where}: {kind} {', '.join(missing)} is missing")
            fields |= {field.name: field for field in group}
            places |= {field.name: f"{where}: {kind} {field.name}" for field in group}
        unknown = [name for name in flat if name not in fields]
        if unknown:
            raise InputError(f"{where}: field {unknown[0]} is none of contract {self.name}")
        arrays = {name: np.asarray(flat[name]) for name in fields}
        for name, field in fields.items():
            _check_dtype(field, arrays[name], places[name])
        self._check_dims(fields, arrays, places)
        for name, field in fields.items():
            if field.finite:
                _check_finite(field, arrays, fields, places[name])
            if field.distinct:
                _check_distinct(arrays[name], places[name])
        for rule in self.rules:
            rule(values, where)

    def describe(self, handle: h5py.File) -> Iterator[str]:
        """One line per field of an open file: name, dtype, shape, dims and unit."""
        for field in self.fields:
            dataset = handle.get(field.name)
            if isinstance(dataset, h5py.Dataset):
                dtype = "str" if hdf5.is_text(dataset) else dataset.dtype
                dims = ", ".join(map(str, field.dims))
                yield f"{field.name}  {dtype}  {dataset.shape}  ({dims})  {field.unit}"
        for field in self.attributes:
            if field.name in handle.attrs:
                value = _plain(handle.attrs[field.name])
                yield f"{field.name} = {value!r}  {field.dtype}  {field.unit}"

    def _absent(self, field: Field, present: Mapping[str, Any] | h5py.File) -> bool:
        part = field.name.partition("/")[0]
        return part in self.optional and part not in present

    def _check_dims(
        self,
        fields: Mapping[str, Field],
        arrays: Mapping[str, np.ndarray],
        places: Mapping[str, str],
    ) -> None:
        lengths: dict[str | int, int] = {}
        # The field that each length was taken from.
        source: dict[str | int, str] = {}
        for name, field in fields.items():
            shape = arrays[name].shape
            known = [lengths.get(dim, dim) for dim in field.dims]
            fits = len(shape) == len(known) and all(
                isinstance(length, str) or length == found
                for length, found in zip(known, shape, strict=True)
            )
            if not fits:
                dims = [f"{d}={lengths[d]}" if d in lengths else str(d) for d in field.dims]
                sources = dict.fromkeys(source[dim] for dim in field.dims if dim in source)
                as_in = f" as in {', '.join(sources)}" if sources else ""
                raise InputError(
                    f"{places[name]} has shape {shape}, expected ({', '.join(dims)}){as_in}"
                )
            for dim, length in zip(field.dims, shape, strict=True):
                if not length and dim not in self.may_be_empty:
                    raise InputError(
                        f"{places[name]} has shape {shape}, expected at least one of {dim}"
                    )
                if isinstance(dim, str):
                    lengths.setdefault(dim, length)
                    source.setdefault(dim, name)


def _check_dtype(field: Field, array: np.ndarray, place: str) -> None:
    if field.dtype == "str":
        # An empty list of names has NumPy's default dtype.
        fits = array.dtype.kind == "U" or not array.size or all(
            isinstance(value, str) for value in array.flat
        )  # fmt: skip
    else:
        expected = np.dtype(field.dtype)
        fits = array.dtype == expected or array.dtype.kind == expected.kind == "f"
    if not fits:
        raise InputError(f"{place} has dtype {array.dtype}, expected {field.dtype}")


def _check_finite(
    field: Field, arrays: Mapping[str, np.ndarray], fields: Mapping[str, Field], place: str
) -> None:
    finite = np.isfinite(arrays[field.name])
    if finite.all():
        return
    bad = np.argwhere(~finite)
    names = [
        f"{dim} {index}{_label(dim, index, arrays, fields)}"
        for dim, index in zip(field.dims, bad[0], strict=True)
    ]
    raise InputError(
        f"{place} is not finite in {len(bad)} of {finite.size} values"
        + (f", first at {', '.join(names)}" if names else "")
    )


def _label(
    dim: str | int, index: int, arrays: Mapping[str, np.ndarray], fields: Mapping[str, Field]
) -> str:
    """What the first text field along a dim calls its item: an image, a unit or an area."""
    for name, field in fields.items():
        if field.dims == (dim,) and field.dtype == "str":
            return f" ({str(arrays[name][index])!r})"
    return ""


def _check_distinct(array: np.ndarray, place: str) -> None:
    twice = [value for value, count in Counter(array.tolist()).items() if count > 1]
    if twice:
        raise InputError(f"{place} holds {twice[0]!r} more than once, expected distinct values")


def _stored(field: Field, value: Any) -> Any:
    """The value as it is stored; arrays that already are as they should be are not copied."""
    if field.dtype == "str":
        return hdf5.text(value) if field.dims else str(value)
    return np.asarray(value, dtype=field.dtype, order="C")


def _plain(value: Any) -> Any:
    """An attribute as a Python value, or a tuple of them."""
    if isinstance(value, np.ndarray):
        return tuple(value.tolist())
    return value.item() if isinstance(value, np.generic) else value


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """{"a": {"b": x}} as {"a/b": x}."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}/{column}": inner for column, inner in value.items()}
        else:
            flat[name] = value
    return flat


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """{"a/b": x} as {"a": {"b": x}}."""
    values: dict[str, Any] = {}
    for name, value in flat.items():
        group, _, column = name.rpartition("/")
        if group:
            values.setdefault(group, {})[column] = value
        else:
            values[column] = value
    return values
