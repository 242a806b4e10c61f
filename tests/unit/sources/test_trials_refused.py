"""Presentations in time that are refused: one line, and nothing left behind."""

from __future__ import annotations

import re

import h5py
import numpy as np
import pytest
import scipy.io
from trial_examples import ELECTRODES, some_trials_files

from spikeline.cli.main import main
from spikeline.sources import tvsd_trials


@pytest.fixture
def files(tmp_path):
    return some_trials_files(tmp_path / "monkeyF")


def set_table(row, column, value):
    def change(files):
        files.fields["ALLMAT"][row, column] = value

    return change


def both_set(files):
    files.fields["ALLMAT"][1:3, 4] = 1


def repetition_twice(files):
    table = files.fields["ALLMAT"]
    shown = np.flatnonzero(table[2] == 2)
    table[3, shown] = [1, 2, 2]


def repetition_missing(files):
    gone = np.flatnonzero((files.fields["ALLMAT"][2] == 2) & (files.fields["ALLMAT"][3] == 2))
    files.fields["ALLMAT"] = np.delete(files.fields["ALLMAT"], gone, axis=1)
    files.fields["ALLMUA"] = np.delete(files.fields["ALLMUA"], gone, axis=1)


def image_twice(files):
    table = files.fields["ALLMAT"]
    table[1, table[1] == 7] = 8


def channel_twice(files):
    files.mapping[0, 3] = files.mapping[0, 4]


# What is wrong -> (change before writing, settings, words of the message).
BAD = {
    "both indices": (both_set, {}, ("presentation 5 is of a training image and of a test",)),
    "no index": (
        lambda f: f.fields["ALLMAT"].__setitem__((slice(1, 3), 4), 0),
        {}, ("presentation 5 is of no image",),
    ),
    "a fraction": (set_table(5, 0, 1.5), {}, ("ALLMAT holds other than whole numbers",)),
    "no day": (set_table(5, 2, 0), {}, ("presentation 3 is of a day below 1",)),
    "a repetition twice": (
        repetition_twice, {}, ("test image 2, repetition 2, is there twice",),
    ),
    "a repetition missing": (repetition_missing, {}, ("test image 2, repetition 2, is missing",)),
    "an image twice": (image_twice, {}, ("training image 8 is there twice",)),
    "a channel twice": (channel_twice, {}, ("mapping.mat", "maps two electrodes to channel")),
    "a channel out of range": (
        lambda f: f.mapping.__setitem__((0, 3), 13), {}, ("to channel 13, expected 1 to 12",),
    ),
    "a channel counted from 0": (
        lambda f: f.mapping.__isub__(1), {}, ("to channel 0, expected 1 to 12",),
    ),
    "a mapping of another length": (
        lambda f: setattr(f, "mapping", f.mapping[:, :11]), {}, ("maps 11 electrodes",),
    ),
    "axes swapped": (
        lambda f: f.fields.update(ALLMUA=f.fields["ALLMUA"].T.copy()),
        {}, ("ALLMUA has shape (12, 35, 60)", "swapped"),
    ),
    "another number of presentations": (
        lambda f: f.fields.update(ALLMAT=f.fields["ALLMAT"][:, :30]),
        {}, ("ALLMAT has shape (6, 30), expected (6, 35)",),
    ),
    "no ALLMAT": (lambda f: f.fields.pop("ALLMAT"), {}, ("field ALLMAT is missing",)),
    "uneven samples": (
        lambda f: f.fields["tb"].__setitem__((5, 0), -76), {}, ("even steps",),
    ),
    "bins narrower than samples": (
        lambda f: None, {"trial_bin_ms": 1}, ("every 5 ms", "not whole bins of 1 ms"),
    ),
    "bins that do not divide the recorded time": (
        lambda f: f.fields.update(ALLMUA=f.fields["ALLMUA"][1:], tb=f.fields["tb"][1:]),
        {"trial_bin_ms": 10}, ("from -95 to 200 ms", "not whole bins of 10 ms"),
    ),
    "a window outside the recorded time": (
        lambda f: None, {"published_windows": {"IT": [150, 250]}},
        ("window [150, 250] of IT", "-100 to 200 ms"),
    ),
    "an area without a window": (
        lambda f: setattr(f, "regions", {"V1": [[0, 6]], "TEO": [[6, 12]]}),
        {}, ("published_windows: has no window for area TEO",),
    ),
    "no finite electrode": (
        lambda f: f.fields["ALLMUA"].fill(np.nan), {}, ("no electrode is finite",),
    ),
}  # fmt: skip


def refused(command, capsys) -> str:
    """The one line on stderr of a command that must fail."""
    assert main(command) == 1
    said = [
        line for line in re.split(r"[\r\n]", capsys.readouterr().err)
        if line and not re.match(r"(INFO|WARNING): |convert-trials: +\d+%", line)
    ]  # fmt: skip
    assert len(said) == 1, said
    return said[0]


def contents(folder):
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("wrong", BAD)
def test_each_wrong_file_or_setting_is_one_line_and_leaves_nothing(files, tmp_path, wrong, capsys):
    change, settings, words = BAD[wrong]
    change(files)
    command = files.command(tmp_path / "out" / "a.h5", **settings)
    before = contents(tmp_path)
    line = refused(command, capsys)
    assert line.startswith("spikeline convert-trials: ")
    for word in words:
        assert word in line
    assert contents(tmp_path) == before


@pytest.mark.parametrize("share", [0.99, 0.5, 0.01])
def test_a_file_cut_short_is_one_line_and_leaves_nothing(files, tmp_path, share, capsys):
    command = files.command(tmp_path / "a.h5")
    path = files.folder / "THINGS_MUA_trials.mat"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    before = contents(tmp_path)
    assert "truncated or damaged; fetch it again" in refused(command, capsys)
    assert contents(tmp_path) == before


def test_damage_in_the_middle_is_one_line_and_leaves_nothing(files, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tvsd_trials, "BLOCK_BYTES", 5 * 60 * ELECTRODES * 8)
    files.chunks = (60, 5, 12)
    command = files.command(tmp_path / "a.h5")
    path = files.folder / "THINGS_MUA_trials.mat"
    with h5py.File(path, "r") as handle:
        place = handle["ALLMUA"].id.get_chunk_info(4)
    with open(path, "r+b") as raw:
        raw.seek(512 + place.byte_offset)
        raw.write(b"\xff" * 64)
    before = contents(tmp_path)
    assert "ALLMUA cannot be read at presentation 21" in refused(command, capsys)
    assert contents(tmp_path) == before


def test_a_mapping_that_is_no_matlab_file_is_one_line(files, tmp_path, capsys):
    command = files.command(tmp_path / "a.h5")
    (files.folder / "mapping.mat").write_text("no")
    assert "damaged or not a MATLAB v5 file" in refused(command, capsys)
    scipy.io.savemat(files.folder / "mapping.mat", {"map": [1]})
    assert "has no variable 'mapping'" in refused(command, capsys)
