"""Safetensors artifacts: what is written is read, and a file that is not whole is named."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.numpy
import torch

from spikeline.artifacts import provenance
from spikeline.artifacts.formats import safetensors_file
from spikeline.bridge.decoder import CONTRACT as DECODER
from spikeline.bridge.decoder import Decoder
from spikeline.errors import InputError
from spikeline.horizon.forecaster.checkpoint import CONTRACT as FORECASTER
from spikeline.horizon.forecaster.checkpoint import load as load_forecaster
from spikeline.horizon.regression.checkpoint import CONTRACT as REGRESSION
from spikeline.horizon.regression.checkpoint import load as load_regression

CONTRACT = "test/1"


def test_arrays_of_any_shape_and_the_description_come_back(tmp_path):
    path = tmp_path / "x.safetensors"
    arrays = {
        "scalar": torch.tensor(3.5).numpy(),
        "transposed": np.arange(6.0).reshape(2, 3).T,
        "empty": np.zeros((0, 4), dtype=np.int16),
    }
    safetensors_file.write(path, CONTRACT, arrays, {"a": [1, None]}, {"step": "here"})
    description, read = safetensors_file.read(path, CONTRACT)
    assert description == {"a": [1, None], provenance.KEY: {"step": "here"}}
    assert provenance.read(path)["step"] == "here"
    assert safetensors_file.contracts(path) == {CONTRACT}
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype and read[name].shape == array.shape
        np.testing.assert_array_equal(read[name], array)


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (None, "holds no contract, expected 'test/1'; make it again"),
        ({"other/2": "{}"}, "holds 'other/2', expected 'test/1'; make it again"),
        ({CONTRACT: "{ cut"}, "parts are missing or wrong"),
        ({CONTRACT: "3"}, "parts are missing or wrong"),
    ],
)
def test_a_file_of_another_contract_or_without_a_description_is_refused(tmp_path, metadata, said):
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors.numpy.save({"a": np.zeros(2)}, metadata=metadata))
    with pytest.raises(InputError, match=said) as error:
        safetensors_file.read(path, CONTRACT)
    assert str(path) in str(error.value)


def test_a_missing_and_a_cut_file_are_named(tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(InputError, match=r"x\.safetensors: cannot be read"):
        safetensors_file.read(path, CONTRACT)
    safetensors_file.write(path, CONTRACT, {"a": np.zeros(100)}, {})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"x\.safetensors: cannot be read"):
        safetensors_file.contracts(path)


READERS = {
    DECODER: Decoder.load,
    FORECASTER: load_forecaster,
    REGRESSION: load_regression,
}
DESCRIPTIONS = [
    {},
    {"members": [{}], "settings": {}, "session": "a", "role": "seen"},
    {"members": 3, "settings": None, "session": None},
]


@pytest.mark.parametrize("contract", READERS)
@pytest.mark.parametrize("description", DESCRIPTIONS, ids=map(json.dumps, DESCRIPTIONS))
def test_a_model_file_that_misses_parts_is_named(tmp_path, contract, description):
    path = tmp_path / "x.safetensors"
    safetensors_file.write(path, contract, {"a": np.zeros(2)}, description)
    with pytest.raises(InputError, match=r"x\.safetensors: parts are missing or wrong"):
        READERS[contract](path)
