"""HDF5 artifacts: built in memory, written at once, refused when damaged or of another kind."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from spikeline.artifacts.formats.hdf5 import array, mapped, opened, require, text, written
from spikeline.errors import InputError

RECORD = {"step": "test", "origins": {}}


def make(path, contract="x/1"):
    with written(path, contract, RECORD) as handle:
        handle["values"] = np.arange(1000.0)
        handle["names"] = text(["a/b", "µ"])
    return path


def test_a_written_file_is_read_back_with_its_contract_and_record(tmp_path):
    with opened(make(tmp_path / "a.h5"), "x/1") as handle:
        assert handle.attrs["contract"] == "x/1"
        assert handle.attrs["provenance"] == '{"origins": {}, "step": "test"}'
        np.testing.assert_array_equal(handle["values"], np.arange(1000.0))
        assert list(array(handle["names"])) == ["a/b", "µ"]


def test_the_same_content_gives_the_same_bytes(tmp_path):
    assert make(tmp_path / "a.h5").read_bytes() == make(tmp_path / "b.h5").read_bytes()


def test_an_exception_while_building_leaves_no_file(tmp_path):
    with pytest.raises(KeyError), written(tmp_path / "a.h5", "x/1", RECORD) as handle:
        handle["values"] = [1.0]
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def refusal(path, contract="x/1"):
    with pytest.raises(InputError) as caught, opened(path, contract):
        pass
    text = str(caught.value)
    assert str(path) in text and "\n" not in text
    return text


def test_another_contract_is_refused_and_both_are_named(tmp_path):
    text = refusal(make(tmp_path / "a.h5", "embeddings/1"), "responses/1")
    assert "'embeddings/1'" in text and "'responses/1'" in text


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path, kept):
    path = make(tmp_path / "a.h5")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    assert "truncated" in refusal(path)


def test_another_format_is_refused(tmp_path):
    (tmp_path / "a.h5").write_text("values\n1\n")
    assert "not an HDF5 file" in refusal(tmp_path / "a.h5")


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"")
    refusal(tmp_path / "a.h5")


def test_a_missing_file_is_refused(tmp_path):
    assert "no such file" in refusal(tmp_path / "a.h5")


def test_missing_fields_are_named_with_those_that_are_there(tmp_path):
    with opened(make(tmp_path / "a.h5")) as handle, pytest.raises(InputError) as caught:
        require(handle, ["values", "test", "images"])
    assert str(caught.value) == (
        f"{tmp_path / 'a.h5'}: field test, images is missing; it has ['names', 'values']; "
        "make it again"
    )


def test_a_group_and_a_dataset_of_neither_numbers_nor_text_are_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        handle.create_group("values")
        handle["pairs"] = np.zeros(2, [("a", int), ("b", int)])
        for name, said in (("values", "is a group"), ("pairs", "neither numbers nor text")):
            with pytest.raises(InputError, match=rf"a\.h5: field {name} .*{said}"):
                array(handle[name])


def test_numbers_are_mapped_and_text_is_read(tmp_path):
    with opened(make(tmp_path / "a.h5")) as handle:
        values = mapped(handle["values"])
        assert isinstance(values, np.memmap) and not values.flags.writeable
        np.testing.assert_array_equal(values, np.arange(1000.0))
        assert list(mapped(handle["names"])) == ["a/b", "µ"]
