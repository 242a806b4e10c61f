"""Artifacts without a seal, as earlier versions wrote them, with changed bytes and fields."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import strategies as st
from mutations import TRICKY, altered, fuzz, mutated
from safetensors import safe_open
from stored_artifacts import artifacts

from spikeline.artifacts import provenance, tables

STORED = Path(__file__).parents[1] / "artifacts" / "stored" / "0.1.0"
READERS = {name: read for name, _, read in artifacts()}
EXAMPLES = 60


@pytest.fixture(scope="module")
def unsealed(tmp_path_factory):
    """A folder of the stored artifacts without their seals, which would stop most changes first."""
    folder = tmp_path_factory.mktemp("unsealed")
    for name, write, _ in artifacts():
        path = folder / name
        if (STORED / name).exists():
            shutil.copy(STORED / name, path)
        else:
            write(path)  # an example that came after that version
        if name.endswith(".h5"):
            with h5py.File(path, "r+") as handle:
                handle.attrs.pop("seal")
        elif name.endswith(".json"):
            content = json.loads(path.read_text())
            del content["seal"]
            path.write_text(json.dumps(content))
        elif name.endswith(".safetensors"):
            contract, described = description(path)
            del described["seal"]
            arrays = safetensors.numpy.load_file(path)
            safetensors.numpy.save_file(arrays, path, {contract: json.dumps(described)})
    return folder


def description(path):
    with safe_open(path, framework="numpy") as file:
        ((contract, text),) = file.metadata().items()
    return contract, json.loads(text)


def of(suffix):
    return sorted(name for name in READERS if name.endswith(suffix))


@pytest.mark.parametrize("name", READERS)
def test_an_artifact_with_changed_bytes_is_read_or_refused(
    name, tmp_path, unsealed, record_property
):
    path = tmp_path / name

    def attempt(changed):
        path.write_bytes(changed)
        try:
            provenance.read(path)
        finally:
            READERS[name](path)

    fuzz(mutated((unsealed / name).read_bytes()), attempt, EXAMPLES, record_property)


@pytest.mark.parametrize("name", of(".json"))
def test_an_artifact_in_json_with_other_values_is_read_or_refused(
    name, tmp_path, unsealed, record_property
):
    path = tmp_path / name
    content = json.loads((unsealed / name).read_text())

    def attempt(changed):
        path.write_text(json.dumps(changed))
        READERS[name](path)

    fuzz(altered(content), attempt, 3 * EXAMPLES, record_property)


@pytest.mark.parametrize("name", of(".safetensors"))
def test_a_description_in_safetensors_with_other_values_is_read_or_refused(
    name, tmp_path, unsealed, record_property
):
    path = tmp_path / name
    arrays = safetensors.numpy.load_file(unsealed / name)
    contract, described = description(unsealed / name)

    def attempt(changed):
        safetensors.numpy.save_file(arrays, path, {contract: json.dumps(changed)})
        READERS[name](path)

    fuzz(altered(described), attempt, EXAMPLES, record_property)


@pytest.mark.parametrize("name", of(".safetensors"))
def test_tensors_of_other_shapes_or_names_are_read_or_refused(
    name, tmp_path, unsealed, record_property
):
    path = tmp_path / name
    arrays = safetensors.numpy.load_file(unsealed / name)
    contract, described = description(unsealed / name)
    header = {contract: json.dumps(described)}

    def attempt(chosen):
        key, shape, dtype, other = chosen
        changed = {k: v for k, v in arrays.items() if k != key}
        changed[other or key] = np.zeros(shape, dtype)
        safetensors.numpy.save_file(changed, path, header)
        READERS[name](path)

    chosen = st.tuples(
        st.sampled_from(sorted(arrays)),
        st.lists(st.integers(0, 3), max_size=3).map(tuple),
        st.sampled_from(["f4", "i8", "u1", "?"]),
        st.none() | st.sampled_from(["x", "encoder.", ".", "a.b.c"]),
    )
    fuzz(chosen, attempt, EXAMPLES // 2, record_property)


@pytest.mark.parametrize("name", of(".h5"))
def test_fields_of_other_shapes_or_kinds_are_read_or_refused(
    name, tmp_path, unsealed, record_property
):
    path = tmp_path / name
    whole = (unsealed / name).read_bytes()
    with h5py.File(unsealed / name, "r") as handle:
        places = []
        handle.visit(places.append)
        places += [f"@{attribute}" for attribute in handle.attrs]
    values = st.one_of(
        st.sampled_from(TRICKY),
        st.integers(-(2**60), 2**60),
        st.floats(),
        st.tuples(
            st.lists(st.integers(0, 3), max_size=3).map(tuple),
            st.sampled_from(["f4", "i8", "S2", "c8", "?"]),
        ).map(lambda told: np.zeros(*told)),
        st.none(),
    )

    def attempt(chosen):
        place, value = chosen
        path.write_bytes(whole)
        with h5py.File(path, "r+") as handle:
            holder, key = (handle.attrs, place[1:]) if place[0] == "@" else (handle, place)
            del holder[key]
            try:
                if value is not None:
                    holder[key] = value
            except (ValueError, TypeError, UnicodeError):
                pass  # HDF5 cannot hold it: the field stays away.
        READERS[name](path)

    fuzz(st.tuples(st.sampled_from(sorted(places)), values), attempt, EXAMPLES, record_property)


def test_a_table_with_changed_bytes_is_read_or_refused(tmp_path, record_property):
    path = tmp_path / "table.tsv"
    text = (
        "model\tregions\tsubject\trow\ttop1\nridge\tIT\tF\treference\t0.25\nmlp\tV1\tF\tmodel\t\n"
    )

    def attempt(changed):
        path.write_bytes(changed)
        tables.read(path)

    attempt(text.encode())
    fuzz(mutated(text.encode()), attempt, 3 * EXAMPLES, record_property)
