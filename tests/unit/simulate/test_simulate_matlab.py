"""MATLAB v7.3 files: read back by h5py alone, as the real ones are."""

import h5py
import numpy as np
import pytest

from spikeline.simulate.matlab import write_matlab


@pytest.fixture
def variables():
    rng = np.random.default_rng(0)
    return {
        "train_MUA": rng.standard_normal((7, 5)),
        "ALLMUA": rng.standard_normal((3, 2, 4)).astype(np.float32),
        "train_imgs": {
            "class": ["red_star", "blau_grün", "red_star"],
            "things_path": ["red_star\\red_star_01b.jpg", "b\\b_02s.jpg", ""],
        },
    }


def test_the_file_opens_with_matlabs_own_header(tmp_path, variables):
    path = tmp_path / "a.mat"
    write_matlab(path, variables)
    head = path.read_bytes()[:512]
    assert head.startswith(b"MATLAB 7.3 MAT-file, Platform: ")
    assert head[124:128] == b"\x00\x02IM"
    assert path.read_bytes()[512:520] == b"\x89HDF\r\n\x1a\n"


def test_numbers_keep_axes_dtype_and_class(tmp_path, variables):
    path = tmp_path / "a.mat"
    write_matlab(path, variables)
    with h5py.File(path, "r") as file:
        for name, kind in (("train_MUA", b"double"), ("ALLMUA", b"single")):
            np.testing.assert_array_equal(file[name][:], variables[name])
            assert file[name].dtype == variables[name].dtype
            assert file[name].attrs["MATLAB_class"] == kind


def test_cells_are_references_to_uint16_strings(tmp_path, variables):
    path = tmp_path / "a.mat"
    write_matlab(path, variables)
    with h5py.File(path, "r") as file:
        assert file["train_imgs"].attrs["MATLAB_class"] == b"struct"
        cells = file["train_imgs/class"]
        assert cells.shape == (3, 1) and cells.attrs["MATLAB_class"] == b"cell"
        targets = [file[reference] for reference in cells[:, 0]]
        assert all(t.dtype == np.uint16 and t.shape == (len(t), 1) for t in targets)
        assert all(t.attrs["MATLAB_class"] == b"char" for t in targets)
        assert all(t.name.startswith("/#refs#/") for t in targets)
        read = ["".join(map(chr, t[:].ravel())) for t in targets]
        assert read == variables["train_imgs"]["class"]
        path_codes = file[file["train_imgs/things_path"][0, 0]][:].ravel()
        assert "".join(map(chr, path_codes)) == "red_star\\red_star_01b.jpg"


def test_an_empty_string_is_marked_empty_as_matlab_does(tmp_path, variables):
    path = tmp_path / "a.mat"
    write_matlab(path, variables)
    with h5py.File(path, "r") as file:
        empty = file[file["train_imgs/things_path"][2, 0]]
        assert empty.attrs["MATLAB_empty"] == 1 and empty[:].tolist() == [0, 0]


def test_the_same_variables_give_the_same_bytes(tmp_path, variables):
    for name in ("a.mat", "b.mat"):
        write_matlab(tmp_path / name, variables)
    assert (tmp_path / "a.mat").read_bytes() == (tmp_path / "b.mat").read_bytes()
