"""Binning: counts on the edges, overflow, velocity, images and domains."""

from __future__ import annotations

import numpy as np
import pytest
from defaults import blocks, settings
from torch_brain.data import Interval, IrregularTimeSeries
from torch_brain.utils.binning import bin_spikes

from spikeline.artifacts import counts, sessions
from spikeline.cli import main
from spikeline.errors import InputError
from spikeline.horizon.sessions import binning
from spikeline.sources.behaviour import Track, sampled

BIN_S = 0.02


def spikes(duration: float = 50.0, units: int = 7, rate: float = 20.0, seed: int = 0):
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, duration, size=rng.poisson(duration * units * rate)))
    return times, rng.integers(0, units, size=len(times)), [f"u{k}" for k in range(units)]


def test_counts_are_those_of_torch_brain_and_of_numpys_histogram(monkeypatch):
    monkeypatch.setattr(binning, "CHUNK", 1000)
    times, index, ids = spikes()
    found = binning.bin_counts(times, index, ids, 2500, BIN_S)
    assert found.dtype == np.uint8 and found.flags.c_contiguous
    data = IrregularTimeSeries(times, unit_index=index, domain=Interval(0.0, 50.0))
    np.testing.assert_array_equal(found, bin_spikes(data, len(ids), BIN_S))
    for unit in range(len(ids)):
        one = np.histogram(times[index == unit], np.arange(2501) * BIN_S)[0]
        np.testing.assert_array_equal(found[:, unit], one)


def test_a_spike_on_an_edge_opens_the_bin_that_starts_there():
    """Division puts some of these into the bin before, the product with 1 / 0.02 others."""
    edges = np.arange(100_000) * BIN_S
    found = binning.bin_counts(edges, np.zeros(len(edges), int), ["a"], 100_000, BIN_S)
    assert (found == 1).all()
    before = np.nextafter(edges[1:], 0)
    found = binning.bin_counts(before, np.zeros(len(before), int), ["a"], 100_000, BIN_S)
    assert (found[:-1] == 1).all() and found[-1] == 0


def test_spikes_at_and_after_the_last_whole_bin_are_left_out():
    times = np.array([0.0, 0.039, 0.04, 0.05])
    found = binning.bin_counts(times, np.zeros(4, int), ["a"], 2, BIN_S)
    assert found.tolist() == [[1], [1]]
    assert binning.whole_bins(120.0, BIN_S) == 6000
    assert binning.whole_bins(119.99885, BIN_S) == 5999
    assert binning.whole_bins(0.06, BIN_S) == binning.whole_bins(3 * 0.02, BIN_S) == 3


@pytest.mark.parametrize("count", [0, 1])
def test_no_spike_and_one_spike_are_counts_too(count):
    found = binning.bin_counts(np.full(count, 0.5), np.zeros(count, int), ["a", "b"], 50, BIN_S)
    assert found.shape == (50, 2) and found.sum() == count


def test_more_than_255_spikes_in_a_bin_are_an_error_that_names_unit_and_time():
    times = np.sort(np.concatenate([np.linspace(3.0, 3.019, 256), [1.0, 5.0]]))
    index = np.ones(len(times), int)
    with pytest.raises(InputError, match=r"s\.h5: unit b has 256 spikes .* from 3\.00 s"):
        binning.bin_counts(times, index, ["a", "b"], 300, BIN_S, "s.h5")
    keep = np.ones(len(times), bool)
    keep[100] = False
    found = binning.bin_counts(times[keep], index[keep], ["a", "b"], 300, BIN_S)
    assert found.max() == 255


def test_velocity_is_the_mean_of_a_bins_samples_and_nan_where_unknown():
    timestamps = np.arange(100) * 0.005 + 0.04
    velocity = np.arange(100.0)
    velocity[40:44] = np.nan
    found = binning.bin_velocity(timestamps, velocity, 30, BIN_S)
    assert np.isnan(found[:2]).all() and np.isnan(found[-3:]).all()
    assert found[2] == pytest.approx(1.5) and found[3] == pytest.approx(5.5)
    assert np.isnan(found[12]) and np.isfinite(found[[11, 13]]).all()


def test_velocity_sampled_more_coarsely_than_bins_takes_the_line_between_samples():
    timestamps = np.arange(31) / 30
    found = binning.bin_velocity(timestamps, 2 * timestamps, 50, BIN_S)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, 2 * (np.arange(50) + 0.5) * BIN_S, atol=0.021)


def test_the_image_of_a_bin_is_the_one_on_screen_in_its_middle():
    start, end = np.array([0.02, 0.10, 0.16]), np.array([0.10, 0.16, 0.185])
    found, names = binning.bin_images(start, end, np.array(["b", "", "a"]), 12, BIN_S)
    assert list(names) == ["a", "b"]
    assert found.tolist() == [-2, 1, 1, 1, 1, -1, -1, -1, 0, -2, -2, -2]


def test_no_image_and_only_blanks_leave_no_name():
    nothing = np.zeros(0)
    found, names = binning.bin_images(nothing, nothing, nothing, 5, BIN_S)
    assert (found == -2).all() and len(names) == 0
    found, names = binning.bin_images(np.zeros(1), np.ones(1), np.array([""]), 5, BIN_S)
    assert (found == -1).all() and len(names) == 0


def test_a_bin_belongs_to_a_domain_only_where_it_lies_wholly_inside():
    found = binning.bin_domains([[0.0, 0.05]], [[0.05, 0.1]], [[0.11, 0.2]], 10, BIN_S)
    assert found.tolist() == [1, 1, 0, 2, 2, 0, 3, 3, 3, 3]
    assert binning.bins_within(71.4, 84.0, 6000, BIN_S) == (3570, 4200)


def saved_session(path, duration=200.0, stimuli=None, behaviour=None, units=5):
    times, index, ids = spikes(duration, units, 10.0)
    cut = blocks(duration)
    data = sessions.build(
        times,
        index,
        {"id": ids, "region": ["VISp"] * units, "depth": np.zeros(units)},
        duration,
        {"train": cut.train, "valid": cut.valid, "test": cut.test, "reference": cut.reference},
        {"id": "one", "source": "arrays", "subject": "mouse", "origin_s": 0.0},
        behaviour=behaviour,
        stimuli=stimuli,
    )
    sessions.save(path, data, {"step": "test", "origins": {}})
    return times, index, cut


def test_a_session_file_becomes_counts_in_step_with_behaviour_and_images(tmp_path):
    rate = 250.0
    velocity = np.sin(np.arange(200 * 250) / rate).astype(np.float32)
    starts = np.arange(0.0, 200.0, 0.5)
    names = np.array([f"img{k % 3}" if k % 4 else "" for k in range(len(starts))])
    times, _, cut = saved_session(
        tmp_path / "s.h5",
        stimuli={"start": starts, "end": starts + 0.25, "image": names},
        behaviour=sessions.Behaviour("wheel", rate, np.cumsum(velocity) / rate, velocity, 0.03),
    )
    arguments = ["bin-spikes", "--session", str(tmp_path / "s.h5")]
    assert main.main([*arguments, "--output", str(tmp_path / "c.h5")]) in (0, None)
    found = counts.read(tmp_path / "c.h5")
    assert found.counts.shape == (10_000, 5) and found.counts.sum() == len(times)
    assert found.session == "one" and found.source == "arrays" and found.behaviour_kind == "wheel"
    assert list(found.image_names) == ["img0", "img1", "img2"]
    late = 2  # 30 ms, and up to a sample
    assert np.isnan(found.behaviour[:late]).all()
    velocity = np.sin((np.arange(10_000) + 0.4) * BIN_S)
    np.testing.assert_allclose(found.behaviour[late:], velocity[:-late], atol=0.02)
    assert found.reference == (0, 3000)
    for code, split in ((1, cut.train), (2, cut.valid), (3, cut.test)):
        assert (found.domains == code).sum() * BIN_S == pytest.approx(
            (split[:, 1] - split[:, 0]).sum(), abs=2 * BIN_S * len(split)
        )
    shown = found.images[int(1.1 / BIN_S)]
    assert found.image_names[shown] == names[2]


def test_a_session_without_behaviour_or_images_has_none_in_its_counts(tmp_path):
    saved_session(tmp_path / "s.h5")
    arguments = ["bin-spikes", "--session", str(tmp_path / "s.h5")]
    main.main([*arguments, "--output", str(tmp_path / "c.h5")])
    found = counts.read(tmp_path / "c.h5")
    assert np.isnan(found.behaviour).all() and found.behaviour_kind == ""
    assert (found.images == -2).all()


@pytest.mark.parametrize(
    ("kind", "step", "more"),
    [
        ("wheel", 0.01, {}), ("wheel", 0.03, {}), ("running", 0.033, {}), ("position", 0.01, {}),
        ("position", 1 / 60, {}), ("position", 1 / 30, {}), ("position", 0.1, {}),
        ("position", 1 / 30, {"smoothing_s": 0.5}), ("position", 0.02, {"rate_hz": 25}),
    ],
)  # fmt: skip
def test_behaviour_that_has_not_happened_yet_changes_no_bin_before_it(kind, step, more):
    times = np.arange(0, 20, step)
    # A wheel at rest sends no ticks, and must not tell where it will turn; tracking is lost at
    # times, and what is known first behind the gap lies on either side of the tenth second.
    lost = (times > 8) & (times < 10) if kind == "wheel" else (times > 9.4) & (times < 9.93)
    later = np.cumsum(np.random.default_rng(0).normal(size=(2, len(times))), axis=1)
    given = {kind: {"wrap": None, **more}}
    chosen = settings("convert-spikes", behaviour=given)["behaviour"][kind]
    binned = []
    for one in later:
        position = np.where(times < 10, np.sin(times), np.sin(8) + one)[~lost]
        made = sampled(Track(kind, times[~lost], position, "x"), 0.0, 19.0, chosen)
        grid = np.arange(len(made.velocity)) / made.sampling_rate
        velocity = binning.bin_velocity(grid, made.velocity, 900, BIN_S)
        delay = binning.delay_bins(made.look_ahead_s, made.sampling_rate, BIN_S)
        binned.append(binning.delayed(velocity, delay))
    np.testing.assert_array_equal(binned[0][:500], binned[1][:500])
    assert not np.array_equal(binned[0][500 + delay :], binned[1][500 + delay :])
    assert np.isfinite(binned[0][500 + 2 * delay + 2 :]).all()
    assert kind == "wheel" or np.isnan(binned[0][470:500]).any()


def test_velocity_is_late_by_as_many_bins_as_it_looks_ahead():
    assert binning.delay_bins(0.0, 250.0, 0.02) == 1
    assert binning.delay_bins(0.07, 100.0, 0.02) == 4  # a wheel: 20 ms of filter, 50 ms to a tick
    assert binning.delay_bins(0.08, 100.0, 0.02) == 5
