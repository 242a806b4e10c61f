"""Heaps of HDF5 files: whole ones end, and one that leads nowhere is refused before it is read."""

import h5py
import numpy as np
import pytest

from spikeline.artifacts.formats import hdf5
from spikeline.artifacts.formats.heaps import heaps_end
from spikeline.errors import InputError


@pytest.fixture
def path(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        handle.attrs[hdf5.CONTRACT_KEY] = "x/1"
        handle["names"] = np.array([f"unit {i}" * (i % 40) for i in range(3000)], object)
    return tmp_path / "a.h5"


def test_heaps_of_a_file_with_much_text_end(path):
    assert path.read_bytes().count(b"GCOL") > 3
    assert heaps_end(path)


@pytest.mark.parametrize("size", [0, 7, 1 << 62, (1 << 64) - 16])
def test_a_heap_whose_free_space_leads_nowhere_is_refused_before_hdf5_walks_it(path, size):
    raw = bytearray(path.read_bytes())
    start = raw.rfind(b"GCOL")  # the others are full
    place = start + 16
    while raw[place : place + 2] != b"\0\0":
        held = int.from_bytes(raw[place + 8 : place + 16], "little")
        place += 16 + -(-held // 8) * 8
    raw[place + 8 : place + 16] = size.to_bytes(8, "little")
    path.write_bytes(raw)
    assert not heaps_end(path)
    with pytest.raises(InputError, match=r"a\.h5: is damaged \(a heap without an end\)"):
        hdf5.opened(path, "x/1").__enter__()


def test_an_empty_file_has_no_heap(tmp_path):
    (tmp_path / "a.h5").touch()
    assert heaps_end(tmp_path / "a.h5")
