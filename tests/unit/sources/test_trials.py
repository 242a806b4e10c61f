"""Presentations in time: what a conversion writes, and how it continues."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys

import numpy as np
import pytest
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


def test_electrodes_that_are_silent_or_constant_are_marked_and_logged(files, tmp_path, caplog):
    channel = files.mapping.ravel().astype(int) - 1
    samples = files.fields["ALLMUA"]
    samples[..., channel[1]] = np.nan
    samples[3, of_a_test(files, 2), channel[4]] = np.nan
    samples[..., channel[7]] = 12.5
    samples[10, of_a_test(files, 0), channel[8]] = 1e12  # beyond half precision
    with caplog.at_level(logging.WARNING):
        found = convert(files, tmp_path / "a.h5")
    assert list(np.flatnonzero(~found.electrodes["usable"])) == [1, 4, 7, 8] and found.told.all()
    (record,) = caplog.records
    assert "dropped 4 of 12 electrodes: 1 all-NaN, 2 partly NaN, 1 constant" in record.getMessage()


def of_a_test(files, image):
    return np.flatnonzero(files.fields["ALLMAT"][2] == 1 + image)[0]


def test_an_array_that_was_silent_for_a_while_costs_those_presentations(files, tmp_path, caplog):
    channel = files.mapping.ravel().astype(int) - 1
    lost = np.flatnonzero(files.fields["ALLMAT"][1])[4:7]
    files.fields["ALLMUA"][3, lost[:, None], channel[3:6]] = np.nan
    with caplog.at_level(logging.WARNING):
        found = convert(files, tmp_path / "a.h5")
    assert found.electrodes["usable"].all()
    np.testing.assert_array_equal(np.flatnonzero(~found.told), lost)
    (record,) = caplog.records
    assert "dropped 3 of 20 training presentations that some" in record.getMessage()
    # The scale of a day is that of what is left.
    day = found.training["offset"][0]
    own = found.told & (found.train_row >= 0) & (found.day == 0)
    np.testing.assert_allclose(day, found.means[own].mean(axis=0))


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
    assert "contract trials/2" in text and "values  float16  (35, 60, 12)" in text
    size = (files.folder / "THINGS_MUA_trials.mat").stat().st_size
    assert f'THINGS_MUA_trials.mat": "{size} bytes"' in text
