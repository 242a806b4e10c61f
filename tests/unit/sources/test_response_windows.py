"""Responses over windows of presentations: by hand, as published, and on a simulated recording."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import h5py
import numpy as np
import pytest
from defaults import settings
from trial_examples import ELECTRODES, REPETITIONS, TEST, TRAIN, plain_responses, some_trials_files

from spikeline.artifacts import responses, trials
from spikeline.cli.main import main
from spikeline.errors import InputError
from spikeline.simulate.dataset import write_subject
from spikeline.simulate.images import design_stimuli
from spikeline.simulate.recording import record
from spikeline.simulate.settings import TwinSettings
from spikeline.sources import windows
from spikeline.sources.tvsd import read_responses
from spikeline.sources.windows import over_windows

PUBLISHED = {"areas": {"V1": [25, 125], "V4": [50, 150], "IT": [75, 175]}}
# Half precision rounds a bin by up to 2^-11 of it. Samples are white noise here, so that a bin lies
# up to 17 of the deviations of the window's mean from its median.
HALF = 17 * 2**-11


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return some_trials_files(tmp_path_factory.mktemp("monkey"))


@pytest.fixture(scope="module")
def converted(files):
    path = files.folder / "trials.h5"
    assert main(files.command(path)) == 0
    return trials.read(path)


@pytest.fixture(scope="module")
def plain(files):
    return plain_responses(files)


def windowed(converted, plain, **given):
    return over_windows(converted, plain, settings("window-responses", **given), "trials.h5")


def test_published_windows_scaled_as_published_are_the_sources_own_responses(converted, plain):
    found = windowed(converted, plain, **PUBLISHED)
    np.testing.assert_allclose(found.values, plain.values, atol=HALF)
    np.testing.assert_allclose(found.repetitions, plain.repetitions, atol=HALF)
    assert found.values.dtype == np.float32 and found.edges is None
    np.testing.assert_array_equal(found.images, plain.images)


def response(files, scale_by, start, end):
    """By plain arithmetic: (presentations, electrodes) over a window of all areas."""
    times = files.fields["tb"][:, 0]
    within = (times >= start) & (times < end)
    means, scale = files.electrodes[within].mean(axis=0), files.means()
    day, of_kind = files.fields["ALLMAT"][5], files.fields["ALLMAT"][scale_by] > 0
    found = np.empty_like(means)
    for one in np.unique(day):
        shown = scale[of_kind & (day == one)]
        found[day == one] = (means[day == one] - shown.mean(axis=0)) / shown.std(axis=0, ddof=1)
    return found


def in_rows(files, values):
    """(training rows, electrodes) and (repetitions, test rows, electrodes)."""
    _, train, test, repetition, _, _ = files.fields["ALLMAT"].astype(int)
    repeated = np.empty((REPETITIONS, TEST, values.shape[-1]))
    repeated[repetition[test > 0] - 1, test[test > 0] - 1] = values[test > 0]
    return values[train > 0][np.argsort(train[train > 0])], repeated


@pytest.mark.parametrize(("normalisation", "row"), [("published", 2), ("training", 1)])
def test_a_window_is_a_mean_of_its_bins_over_the_days_scale(
    files, converted, plain, normalisation, row
):
    found = windowed(converted, plain, window=[0, 50], normalisation=normalisation)
    train, repeated = in_rows(files, response(files, row, 0, 50))
    np.testing.assert_allclose(found.values[:TRAIN], train, atol=HALF)
    np.testing.assert_allclose(found.repetitions, repeated, atol=HALF)
    np.testing.assert_allclose(found.values[TRAIN:], repeated.mean(axis=0), atol=HALF)


def test_an_area_may_have_its_own_window(files, converted, plain):
    found = windowed(converted, plain, window=[0, 50], areas={"IT": [100, 200]})
    early, late = (in_rows(files, response(files, 2, *w))[0] for w in ((0, 50), (100, 200)))
    inside = np.arange(ELECTRODES) // 3 == 2  # IT is 6 to 8
    expected = np.where(inside, late, early)
    np.testing.assert_allclose(found.values[:TRAIN], expected, atol=HALF)


@pytest.mark.parametrize("bin_ms", [5, 10, 25])
def test_time_bins_are_columns_of_their_own(files, converted, plain, bin_ms, tmp_path, monkeypatch):
    monkeypatch.setattr(windows, "_BLOCK_BYTES", 8 * 60 * ELECTRODES * 2)
    found = windowed(converted, plain, window=[0, 100], bin_ms=bin_ms)
    responses.write(tmp_path / "a.h5", found, {"origins": {}})
    found = responses.read(tmp_path / "a.h5")
    assert found.values.dtype == np.float16
    np.testing.assert_array_equal(found.edges, np.arange(0, 101, bin_ms))
    for k in range(100 // bin_ms):
        column = found.electrodes["bin"] == k
        train, repeated = in_rows(files, response(files, 2, k * bin_ms, (k + 1) * bin_ms))
        # Rounded a second time.
        atol = HALF + np.abs(train).max() * 2**-11
        np.testing.assert_allclose(found.values[:TRAIN, column], train, atol=atol)
        np.testing.assert_allclose(found.repetitions[..., column], repeated, atol=atol)
        assert list(found.electrodes["channel"][column]) == list(range(ELECTRODES))


def test_electrodes_are_those_of_the_responses(converted, plain):
    keep = [1, 4, 7, 10]
    fewer = replace(
        plain,
        values=plain.values[:, keep],
        repetitions=plain.repetitions[..., keep],
        electrodes={
            **{name: column[keep] for name, column in plain.electrodes.items()},
            "channel": np.array(keep, np.int32),
        },
    )
    found = windowed(converted, fewer, **PUBLISHED)
    np.testing.assert_allclose(found.values, plain.values[:, keep], atol=HALF)


def test_electrodes_that_the_trials_do_not_give_are_dropped_and_logged(converted, plain, caplog):
    usable = np.arange(ELECTRODES) != 3
    constant = {name: column.copy() for name, column in converted.published.items()}
    constant["scale"][1, 8] = 0
    changed = replace(
        converted,
        electrodes={**converted.electrodes, "usable": usable},
        published=constant,
    )
    with caplog.at_level(logging.WARNING):
        found = windowed(changed, plain, window=[0, 100], bin_ms=25)
    assert "dropped 2 of 12 electrodes of the responses" in caplog.text
    assert found.values.shape == (TRAIN + TEST, 4 * 10)
    assert list(found.electrodes["channel"][:10]) == [0, 1, 2, 4, 5, 6, 7, 9, 10, 11]


def without(plain, rows):
    """The responses that their source gives when it leaves out some training rows."""
    source = np.concatenate([np.arange(TRAIN), np.arange(TEST)]).astype(np.int32)
    kept = np.setdiff1d(np.arange(TRAIN + TEST), rows)
    return replace(plain, source_rows=source).of_rows(kept)


@pytest.mark.parametrize("missing", [[], [3], [19], [0, 3, 19]])
def test_training_rows_that_the_trials_lack_are_dropped_and_logged(
    converted, plain, missing, caplog
):
    told = ~np.isin(converted.train_row, [3, 11])
    whole = windowed(converted, plain, **PUBLISHED)
    fewer = without(plain, missing) if missing else plain
    with caplog.at_level(logging.WARNING):
        found = windowed(replace(converted, told=told), fewer, **PUBLISHED)
    lost = sorted({3, 11, *missing})
    kept = np.setdiff1d(np.arange(TRAIN + TEST), lost)
    np.testing.assert_array_equal(found.values, whole.values[kept])
    np.testing.assert_array_equal(found.repetitions, whole.repetitions)
    assert list(found.images) == list(whole.images[kept])
    assert list(found.source_rows[: -found.test.sum()]) == sorted(set(range(TRAIN)) - set(lost))
    dropped = len(set(lost) - set(missing))
    assert f"dropped {dropped} of {TRAIN - len(missing)} training rows" in caplog.text


def of_a_day_without_tests(converted):
    nothing = np.full_like(converted.published["scale"], np.nan)
    scale = np.where([[True], [False]], nothing, converted.published["scale"])
    return replace(converted, published={**converted.published, "scale": scale})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"window": [100, 250]}, r"window \[100, 250\] of V1 is not within .* -100 to 200 ms"),
        ({"window": [-150, 50]}, r"window \[-150, 50\] of V1 is not within"),
        ({"window": [0, 52]}, r"window \[0, 52\] of V1 is not of whole bins of 5 ms"),
        ({"window": [2, 52], "bin_ms": 5}, r"window \[2, 52\] of V1 is not of whole bins"),
        ({"window": [0, 100], "bin_ms": 1}, "bins of 5 ms, which make no bins of 1 ms"),
        ({"areas": {"V1": [0, 50]}}, "has no window for area IT; it has"),
        ({"window": [0, 190], "bin_ms": 25}, "25 does not divide the window"),
        ({"window": [0, 100], "bin_ms": 25, "areas": {"V1": [0, 50]}}, "no `areas`"),
        ({}, "there is none, and no `areas`"),
    ],
)
def test_a_window_that_does_not_fit_is_one_line(converted, plain, given, words):
    with pytest.raises(InputError, match=words) as caught:
        windowed(converted, plain, **given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: replace(t, train_row=t.train_row + 1), "21 training images, .* have 20"),
        (lambda t: replace(t, repetition=t.repetition + 1), "4 repetitions, .* have 3"),
        (
            lambda t: replace(t, electrodes={**t.electrodes, "region": np.array(["V4"] * 12)}),
            "other electrodes than the responses",
        ),
        (of_a_day_without_tests, "day 1 has fewer than two presentations of test images"),
        (
            lambda t: replace(t, electrodes={**t.electrodes, "usable": np.zeros(12, bool)}),
            "no electrode of the responses is finite",
        ),
    ],
)
def test_trials_of_another_recording_are_one_line(converted, plain, change, words):
    with pytest.raises(InputError, match=words):
        windowed(change(converted), plain, window=[0, 100])


def test_a_refused_window_leaves_no_file(files, converted, plain, tmp_path, capsys):
    responses.write(tmp_path / "plain.h5", plain, {"origins": {}})
    status = main([
        "window-responses", "--trials", str(files.folder / "trials.h5"),
        "--responses", str(tmp_path / "plain.h5"), "--settings", '{"window": [0, 250]}',
        "--output", str(tmp_path / "out.h5"),
    ])  # fmt: skip
    (line,) = capsys.readouterr().err.splitlines()
    assert status == 1 and "[0, 250] of V1 is not within the recorded time" in line
    assert [path.name for path in tmp_path.iterdir()] == ["plain.h5"]


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    """A simulated monkey's files, with two dead electrodes and two without any value."""
    folder = tmp_path_factory.mktemp("twin")
    made = TwinSettings.of(
        settings(
            "simulate-ventral",
            concepts=20, test_images=20, images_per_concept=5, repetitions=6, trials=0,
            sample_ms=5, dead_electrodes=2, nan_electrodes=2, coarse_to_fine=["monkey"],
            subjects={"monkey": {"regions": {"V1": [[0, 20]], "IT": [[20, 40]], "V4": [[40, 60]]}}},
        )
    )  # fmt: skip
    stimuli = design_stimuli(20, 5, 20, 0)
    rng = np.random.default_rng(0)
    drive = rng.standard_normal((len(stimuli), 60))
    monkey = made.subjects["monkey"]
    recording = record(drive, stimuli.test, monkey, made, rng, stimuli.shape)
    write_subject(folder, recording, stimuli)
    given = json.dumps({"regions": monkey.regions})
    assert main([
        "convert-trials", "--trials", str(folder / "THINGS_MUA_trials.mat"),
        "--mapping", str(folder / "_logs/1024chns_mapping_20220105.mat"), "--settings", given,
        "--states", str(folder / "states"), "--output", str(folder / "trials.h5"),
    ]) == 0  # fmt: skip
    plain = read_responses(
        folder / "THINGS_normMUA.mat", folder / "_logs/things_imgs.mat", monkey.regions
    )
    return folder, trials.read(folder / "trials.h5"), plain


def test_a_simulated_recordings_published_windows_are_its_norm_mua(twin, capsys):
    folder, converted, plain = twin
    found = windowed(converted, plain, **PUBLISHED)
    assert found.values.shape == plain.values.shape == (120, 56)
    cost = np.abs(found.values - plain.values).max()
    # What half precision costs: a bin is rounded to 2^-11, and 20 of them are averaged.
    assert cost < 2e-3
    np.testing.assert_allclose(found.repetitions, plain.repetitions, atol=2e-3)
    # The exact means differ from what was published by the file's single precision alone.
    channel = plain.electrodes["channel"]
    own = converted.published
    exact = (converted.means[:, channel] - own["offset"][converted.day][:, channel]) / own["scale"][
        converted.day
    ][:, channel]
    shown = converted.train_row >= 0
    with h5py.File(folder / "THINGS_normMUA.mat") as handle:
        expected = handle["train_MUA"][...][converted.train_row[shown]][:, channel]
    np.testing.assert_allclose(exact[shown], expected, atol=2e-5)
