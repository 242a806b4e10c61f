"""Where an artifact came from, in every format."""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile

import h5py
import pytest

from spikeline.artifacts import provenance
from spikeline.artifacts.files import write_bytes
from spikeline.artifacts.formats.hdf5 import written
from spikeline.errors import InputError
from spikeline.settings.code_digest import code_digest

STEP = "spikeline.cli.convert_tvsd"


def described(inputs=(), **more):
    return provenance.describe(STEP, {"regions": {"V1": [[0, 2]]}}, inputs, **more)


def test_a_record_says_step_settings_inputs_code_and_versions(tmp_path):
    (tmp_path / "raw.mat").write_bytes(b"raw")
    record = described([tmp_path / "raw.mat"], seed=3)
    checksum = hashlib.sha256(b"raw").hexdigest()
    assert record["step"] == "convert-tvsd"
    assert record["settings"] == {"regions": {"V1": [[0, 2]]}}
    assert record["seed"] == 3
    assert record["inputs"] == {str(tmp_path / "raw.mat"): checksum}
    assert record["code"] == code_digest(STEP)
    assert record["versions"]["h5py"] == h5py.__version__
    assert {"spikeline", "python", "numpy"} <= set(record["versions"])


def test_an_input_that_no_step_made_is_an_origin(tmp_path):
    (tmp_path / "raw.mat").write_bytes(b"raw")
    origins = described([tmp_path / "raw.mat"])["origins"]
    assert origins == {
        str(tmp_path / "raw.mat"): {
            "name": str(tmp_path / "raw.mat"),
            "sha256": hashlib.sha256(b"raw").hexdigest(),
        }
    }


def test_origins_are_handed_on_through_every_step(tmp_path):
    origin = {"name": "https://example.org/tvsd", "commit": "abc"}
    write_bytes(tmp_path / "raw.mat", b"raw")
    provenance.write_beside(tmp_path / "raw.mat", described(origin=origin))
    with written(tmp_path / "a.h5", "x/1", described([tmp_path / "raw.mat"])):
        pass
    (tmp_path / "own.npy").write_bytes(b"own")
    last = described([tmp_path / "a.h5", tmp_path / "own.npy"])
    assert last["origins"].pop("https://example.org/tvsd") == origin
    assert list(last["origins"]) == [str(tmp_path / "own.npy")]


def test_a_missing_input_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.h5: no such file"):
        described([tmp_path / "gone.h5"])


def test_canonical_json_does_not_depend_on_the_order_of_keys():
    assert provenance.dumps({"b": 1, "a": {"d": 1, "c": 2}}) == provenance.dumps(
        {"a": {"c": 2, "d": 1}, "b": 1}
    )


def write_hdf5(path, record):
    with written(path, "x/1", record):
        pass


def write_json(path, record):
    path.write_text(json.dumps({"provenance": record, "other": 1}))


def write_safetensors(path, record):
    described = json.dumps({"kind": "ridge", "provenance": record})
    header = json.dumps({"__metadata__": {"spikeline": described}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)


def write_zip(path, record):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", b"")
        archive.comment = provenance.dumps(record).encode()


def write_png(path, record):
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("provenance", provenance.dumps(record))
    Image.new("RGB", (2, 2)).save(path, pnginfo=info)


def write_table(path, record):
    path.write_text("a\tb\n")
    provenance.write_beside(path, record)


def write_folder(path, record):
    path.mkdir()
    provenance.write_beside(path, record)


FORMATS = {
    "a.h5": write_hdf5,
    "a.json": write_json,
    "a.safetensors": write_safetensors,
    "a.zip": write_zip,
    "a.png": write_png,
    "a.tsv": write_table,
    "a.mat": write_table,
    "folder": write_folder,
}


@pytest.mark.parametrize("name", FORMATS)
def test_the_record_is_read_back_from_every_format(tmp_path, name):
    record = described()
    FORMATS[name](tmp_path / name, record)
    assert provenance.read(tmp_path / name) == record


@pytest.mark.parametrize("name", ["a.h5", "a.json", "a.safetensors", "a.zip", "a.png", "a.tsv"])
def test_a_damaged_file_gives_one_line_that_names_it(tmp_path, name):
    (tmp_path / name).write_bytes(b"nothing that any format begins with")
    with pytest.raises(InputError) as caught:
        provenance.read(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_without_a_record_says_so(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w"):
        pass
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.json").write_text("[1]")
    (tmp_path / "a.npy").write_bytes(b"")
    for name in ("a.h5", "a.json", "b.json", "a.npy"):
        with pytest.raises(InputError, match="carries no provenance"):
            provenance.read(tmp_path / name)


def test_a_missing_file_says_how_to_make_it(tmp_path):
    with pytest.raises(InputError, match=r"no such file; make it with snakemake"):
        provenance.read(tmp_path / "a.h5")
