"""Presentations in time: what a conversion writes, how it continues, and what it refuses."""

from __future__ import annotations

import logging
import re
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest
import scipy.io
from trial_examples import ELECTRODES, some_trials_files

from spikeline.artifacts import trials
from spikeline.artifacts.unfinished_trials import UnfinishedTrials
from spikeline.cli.main import main
from spikeline.sources import tvsd_trials


@pytest.fixture
def files(tmp_path):
    return some_trials_files(tmp_path / "monkeyF")


def convert(files, output, **settings):
    assert main(files.command(output, **settings)) == 0
    return trials.read(output)


def physical(found):
    """The bins in the source's unit: (presentations, bins, electrodes)."""
    table = found.electrodes
    return found.values.astype(float) * table["scale"] + table["offset"]


@pytest.mark.parametrize(("sample_ms", "bin_ms"), [(1, 1), (1, 5), (1, 25), (5, 5), (5, 10)])
def test_bins_are_means_of_samples_of_the_mapped_channels(tmp_path, sample_ms, bin_ms):
    files = some_trials_files(tmp_path / "monkey", sample_ms)
    found = convert(files, tmp_path / "a.h5", trial_bin_ms=bin_ms)
    samples = files.electrodes
    expected = samples.reshape(300 // bin_ms, bin_ms // sample_ms, *samples.shape[1:]).mean(axis=1)
    spread = found.electrodes["scale"]
    # Half precision rounds to 2^-11 of a value; values are a few of the first block's deviations.
    difference = (physical(found) - expected.transpose(1, 0, 2)) / spread
    assert np.abs(difference).max() < 5 * 2**-11
    np.testing.assert_array_equal(found.edges, np.arange(-100, 201, bin_ms))
    np.testing.assert_allclose(found.means, files.means(), rtol=1e-12)


def test_a_window_that_cuts_bins_still_has_its_exact_mean(files, tmp_path):
    # 25 ms bins, and windows that begin and end within them.
    windows = {"V1": [30, 135], "V4": [50, 150], "IT": [75, 80]}
    found = convert(files, tmp_path / "a.h5", trial_bin_ms=25, published_windows=windows)
    np.testing.assert_allclose(found.means, files.means(windows), rtol=1e-12)


def test_presentations_keep_the_order_of_the_file_with_what_they_were(files, tmp_path):
    found = convert(files, tmp_path / "a.h5")
    _, train, test, repetition, _, day = files.fields["ALLMAT"].astype(int)
    np.testing.assert_array_equal(found.train_row, train - 1)
    np.testing.assert_array_equal(found.test_row, test - 1)
    shown = test > 0
    np.testing.assert_array_equal(found.repetition[shown], repetition[shown] - 1)
    np.testing.assert_array_equal(found.day, day - 1)
    assert list(found.electrodes["region"]) == ["V1"] * 6 + ["IT"] * 3 + ["V4"] * 3


@pytest.mark.parametrize("name", ["published", "training"])
def test_each_days_scale_is_that_of_its_test_or_training_presentations(files, tmp_path, name):
    found = convert(files, tmp_path / "a.h5")
    table, means = files.fields["ALLMAT"], files.means()
    of_kind = table[2 if name == "published" else 1] > 0
    for day in (0, 1):
        shown = means[of_kind & (table[5] == day + 1)]
        scale = getattr(found, name)
        np.testing.assert_allclose(scale["offset"][day], shown.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(scale["scale"][day], shown.std(axis=0, ddof=1), rtol=1e-10)


@pytest.mark.parametrize("chunks", [None, (60, 4, 12), (7, 3, 5), (1, 35, 12)])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_small_blocks_and_any_storage_give_the_same_bytes_of_values(
    files, tmp_path, monkeypatch, chunks, dtype
):
    files.fields["ALLMUA"] = files.fields["ALLMUA"].astype(dtype)
    whole = convert(files, tmp_path / "a.h5")
    files.chunks = chunks
    sample_bytes = 60 * ELECTRODES * np.dtype(dtype).itemsize
    monkeypatch.setattr(tvsd_trials, "BLOCK_BYTES", 8 * sample_bytes)
    small = convert(files, tmp_path / "b.h5")
    np.testing.assert_array_equal(small.means, whole.means)
    # The provisional scale is that of the first block, which differs.
    spread = whole.electrodes["scale"]
    np.testing.assert_allclose(physical(small) / spread, physical(whole) / spread, atol=5e-3)


def test_electrodes_that_are_not_finite_or_constant_are_marked_and_logged(files, tmp_path, caplog):
    channel = files.mapping.ravel().astype(int) - 1
    samples = files.fields["ALLMUA"]
    samples[..., channel[1]] = np.nan
    samples[3, 30, channel[4]] = np.nan  # before the response, of one presentation
    samples[..., channel[7]] = 12.5
    samples[10, 20, channel[8]] = 1e12  # beyond half precision
    with caplog.at_level(logging.WARNING):
        found = convert(files, tmp_path / "a.h5")
    assert list(np.flatnonzero(~found.electrodes["usable"])) == [1, 4, 7, 8]
    (record,) = caplog.records
    assert "dropped 4 of 12 electrodes: 1 all-NaN, 2 partly NaN, 1 constant" in record.getMessage()


KILLED = """
import os, signal, sys
from spikeline.artifacts.unfinished_trials import UnfinishedTrials
from spikeline.cli.main import main
from spikeline.sources import tvsd_trials

tvsd_trials.BLOCK_BYTES = 4 * 60 * 12 * 8
append, count = UnfinishedTrials.append, 0

def appended(self, values, means):
    global count
    append(self, values, means)
    count += 1
    if count == 3:
        os.kill(os.getpid(), signal.SIGKILL)

UnfinishedTrials.append = appended
main(sys.argv[1:])
"""


def kill(command, environment):
    """Run a conversion that is killed after its third block of four presentations."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *command], env=environment, capture_output=True, timeout=60
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def counted(monkeypatch) -> list[int]:
    """Filled with the presentations of each block that is written."""
    written, append = [], UnfinishedTrials.append

    def appended(self, values, means):
        written.append(len(values))
        append(self, values, means)

    monkeypatch.setattr(UnfinishedTrials, "append", appended)
    monkeypatch.setattr(tvsd_trials, "BLOCK_BYTES", 4 * 60 * ELECTRODES * 8)
    return written


def test_a_conversion_killed_with_9_continues_to_the_file_of_an_unbroken_one(
    files, tmp_path, monkeypatch, environment, caplog
):
    command = files.command(tmp_path / "killed.h5")
    kill(command, environment)
    assert not (tmp_path / "killed.h5").exists()
    written = counted(monkeypatch)
    with caplog.at_level(logging.INFO):
        assert main(command) == 0
    assert "resuming after presentation 12" in caplog.text and written == [4] * 5 + [3]
    assert list((files.folder / "states").iterdir()) == []
    assert main([*command[:-1], str(tmp_path / "unbroken.h5")]) == 0
    assert (tmp_path / "killed.h5").read_bytes() == (tmp_path / "unbroken.h5").read_bytes()


def test_an_unfinished_conversion_of_another_file_is_not_continued(
    files, tmp_path, monkeypatch, environment, caplog
):
    command = files.command(tmp_path / "a.h5")
    kill(command, environment)
    files.fields["ALLMUA"][:] += 1
    written = counted(monkeypatch)
    found = convert(files, tmp_path / "a.h5")
    assert sum(written) == 35 and "of other settings, code or input" in caplog.text
    np.testing.assert_allclose(found.means, files.means(), rtol=1e-12)
    assert list((files.folder / "states").iterdir()) == []


def test_a_damaged_note_of_the_progress_is_ignored(
    files, tmp_path, monkeypatch, environment, caplog
):
    command = files.command(tmp_path / "a.h5")
    kill(command, environment)
    (note,) = (files.folder / "states").glob("*.json")
    note.write_text("{")
    written = counted(monkeypatch)
    assert main(command) == 0
    assert sum(written) == 35 and "is unreadable; starting anew" in caplog.text


def test_the_file_says_what_it_holds_and_where_it_came_from(files, tmp_path, capsys):
    convert(files, tmp_path / "a.h5")
    assert main(["show", str(tmp_path / "a.h5")]) == 0
    text = capsys.readouterr().out
    assert "contract trials/1" in text and "values  float16  (35, 60, 12)" in text
    size = (files.folder / "THINGS_MUA_trials.mat").stat().st_size
    assert f'THINGS_MUA_trials.mat": "{size} bytes"' in text


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
