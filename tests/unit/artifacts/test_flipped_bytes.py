"""A byte flipped anywhere in an artifact is refused, or changes nothing of what is read."""

from __future__ import annotations

import json
import zipfile

import h5py
import numpy as np
import pytest
from artifact_examples import examples
from PIL import Image
from session_examples import make

from spikeline.artifacts import sessions
from spikeline.artifacts.formats import json_file, safetensors_file
from spikeline.errors import InputError
from spikeline.sources import stimuli

RECORD = {"settings": {"a": 1}}
FLIPS = 60


def plain(value):
    """Something that equals itself, NaN included, wherever the file is the same."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist() if value.dtype.kind == "O" else value.tobytes()
    return repr(value)


def contract_file(name):
    contract, values = examples()[name]
    return (
        lambda path: contract.write(path, values, RECORD),
        lambda path: plain(contract.read(path)),
    )


def read_session(path):
    data = sessions.read(path)
    spikes, units = data.spikes, data.units
    return plain([spikes.timestamps.tobytes(), spikes.unit_index.tobytes(), list(units.id)])


def write_zip(path):
    pixels = np.random.default_rng(0).integers(0, 255, (4, 8, 8, 3), dtype=np.uint8)
    with zipfile.ZipFile(path, "w") as archive:
        for number, picture in enumerate(pixels):
            with archive.open(f"{number}.png", "w") as handle:
                Image.fromarray(picture).save(handle, "PNG")


def read_zip(path):
    names = stimuli.names(path)
    return [names.tolist(), [np.asarray(image).tobytes() for image in stimuli.load(path, names)]]


ARRAYS = {"weights": np.linspace(0, 1, 30, dtype=np.float32), "index": np.arange(5)}
CONTENT = {"ranks": [1, 2, 30], "score": 0.12345, "names": ["a", "µ"]}
KINDS = {
    **{name: contract_file(name) for name in examples()},
    "session": (lambda path: sessions.save(path, make(), RECORD), read_session),
    "safetensors": (
        lambda path: safetensors_file.write(path, "x/1", ARRAYS, {"kind": "ridge"}, RECORD),
        lambda path: plain(list(map(plain, safetensors_file.read(path, "x/1")))),
    ),
    "json": (
        lambda path: json_file.write(path, "x/1", CONTENT, RECORD),
        lambda path: json.dumps(
            {name: json_file.read(path, "x/1").get(name) for name in CONTENT}, sort_keys=True
        ),
    ),
    "images": (write_zip, read_zip),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_byte_is_refused_or_changes_nothing(kind, tmp_path):
    write, read = KINDS[kind]
    path = tmp_path / "a.h5"
    write(path)
    whole, expected = path.read_bytes(), read(path)
    random = np.random.default_rng(0)
    refused = 0
    for place in random.choice(len(whole), min(FLIPS, len(whole)), replace=False):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(random.integers(8))
        path.write_bytes(flipped)
        try:
            found = read(path)
        except InputError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error)
            refused += 1
        else:
            assert found == expected, f"byte {place}"
    assert refused > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_anywhere_is_refused(kind, tmp_path):
    write, read = KINDS[kind]
    path = tmp_path / "a.h5"
    write(path)
    whole = path.read_bytes()
    for share in (0, 0.01, 0.3, 0.5, 0.9, 0.99):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(InputError) as caught:
            read(path)
        assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_a_file_of_an_earlier_version_without_a_seal_is_read(tmp_path):
    contract, values = examples()["counts"]
    contract.write(tmp_path / "a.h5", values, RECORD)
    with h5py.File(tmp_path / "a.h5", "r+") as handle:
        del handle.attrs["seal"]
    assert np.array_equal(contract.read(tmp_path / "a.h5")["counts"], values["counts"])


def test_a_changed_value_is_named(tmp_path):
    contract, values = examples()["true_rates"]
    contract.write(tmp_path / "a.h5", values, RECORD)
    with h5py.File(tmp_path / "a.h5", "r+") as handle:
        handle["rates"][1, 2] = 5
    for mapped in ((), ("rates",)):
        with pytest.raises(InputError, match=r"a\.h5: is damaged: rates is not what was written"):
            contract.read(tmp_path / "a.h5", mapped=mapped)
