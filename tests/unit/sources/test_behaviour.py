"""Behaviour: regular, unwrapped, its velocity right, and unknown where it was not recorded."""

from __future__ import annotations

import numpy as np
import pytest
from defaults import settings

from spikeline.errors import InputError
from spikeline.sources import behaviour
from spikeline.sources.behaviour import Track

# Samples at the start of a run in which the filter would look a whole window ahead.
WHEEL, POSITION = 2, 5


def track(timestamps, position=None, kind="wheel", **more):
    return Track(kind, np.asarray(timestamps), position, "t.npy", **more)


def sampled(recorded, origin, duration, **given):
    """With the schema's settings of the track's kind, but for those given."""
    complete = settings("convert-spikes", behaviour={recorded.kind: given})["behaviour"]
    return behaviour.sampled(recorded, origin, duration, complete[recorded.kind])


def test_velocity_is_the_derivative_of_an_irregular_position():
    rng = np.random.default_rng(0)
    times = np.sort(rng.uniform(-1, 21, 8000))
    found = sampled(track(times, 3 * np.sin(times)), 0.0, 20.0)
    grid = np.arange(2000) / 100
    assert found.sampling_rate == 100 and len(found.velocity) == 2000
    np.testing.assert_allclose(found.position, 3 * np.sin(grid), atol=1e-3)
    assert np.isnan(found.velocity[:WHEEL]).all()
    np.testing.assert_allclose(found.velocity[WHEEL:], 3 * np.cos(grid)[WHEEL:], atol=0.1)


def test_a_position_that_wraps_has_no_jumps():
    times = np.arange(0, 20, 0.01)
    turned = np.mod(2.5 * times, 2 * np.pi)
    found = sampled(track(times, turned), 0.0, 19.0)
    np.testing.assert_allclose(found.velocity[WHEEL:], 2.5, atol=1e-6)
    lap = sampled(track(times, np.mod(7 * times, 40.0), "position"), 0.0, 19.0, wrap=40.0)
    np.testing.assert_allclose(lap.velocity[POSITION:], 7, atol=1e-6)


def test_a_position_of_two_columns_has_a_speed():
    times = np.arange(0, 20, 0.01)
    position = np.stack([3 * times, -4 * times], axis=1)
    found = sampled(track(times, position, "position"), 0.0, 19.0)
    np.testing.assert_allclose(found.velocity[POSITION:], 5, atol=1e-6)
    assert found.position.shape == (1900, 2)


def test_a_shorter_recording_is_unknown_outside_and_a_longer_one_is_trimmed():
    times = np.arange(2, 8, 0.01)
    short = sampled(track(times, times), 0.0, 10.0)
    known = np.isfinite(short.velocity)
    assert (
        not known[: 200 + WHEEL].any() and known[201 + WHEEL : 799].all() and not known[801:].any()
    )
    long = sampled(track(np.arange(-50, 50, 0.01), np.arange(-50, 50, 0.01)), 0.0, 10.0)
    assert len(long.velocity) == 1000 and np.isfinite(long.velocity[WHEEL:]).all()


def test_lost_tracking_is_unknown_and_a_resting_wheel_is_at_rest():
    times = np.arange(0, 20, 0.02)
    position = times.copy()
    position[(times > 5) & (times < 9)] = np.nan
    found = sampled(track(times, position, "position"), 0.0, 19.0)
    assert np.isnan(found.velocity[510:890]).all() and np.isfinite(found.velocity[920:]).all()
    still = sampled(track([0, 5, 15, 19.9], np.ones(4)), 0.0, 19.0)
    np.testing.assert_allclose(still.velocity[WHEEL:], 0, atol=1e-12)


def test_a_source_of_velocities_is_interpolated_and_integrated():
    times = np.arange(0, 20.5, 1 / 60)
    found = sampled(track(times, kind="running", velocity=np.full(len(times), 4.0)), 0.0, 20.0)
    np.testing.assert_allclose(found.velocity, 4)
    np.testing.assert_allclose(np.diff(found.position), 0.04)


def test_of_samples_at_one_time_the_first_counts():
    times = np.repeat(np.arange(0, 20, 0.02), 2)
    position = np.where(np.arange(len(times)) % 2, 99.0, times)
    found = sampled(track(times, position), 0.0, 19.0)
    np.testing.assert_allclose(found.velocity[WHEEL:], 1, atol=1e-6)


def test_frame_numbers_are_no_seconds():
    with pytest.raises(InputError, match=r"t\.npy: counts frames 0, 1, 2"):
        sampled(track(np.arange(500), np.zeros(500)), 0.0, 300.0)


def test_swapped_axes_are_named():
    times = np.arange(0, 20, 0.02)
    with pytest.raises(InputError, match="swapped axes"):
        sampled(track(times, np.zeros((2, len(times))), "position"), 0.0, 19.0)


def test_a_line_is_drawn_between_neighbours_and_not_across_lost_frames():
    # Across a gap it would know, before its end, where the animal is going to be.
    times = np.arange(600) / 30
    lost = (times > 10) & (times < 10.9)
    found = sampled(track(times[~lost], times[~lost] ** 2, "position"), 0.0, 19.0)
    grid = np.arange(len(found.position)) / found.sampling_rate
    gap = (grid > 10.04) & (grid < 10.86)
    assert np.isnan(found.velocity[gap]).all() and np.isnan(found.position[gap]).all()
    assert np.isfinite(found.velocity[(grid > 1) & (grid < 9.9)]).all()
    slow = sampled(track(times[::10], times[::10], "position"), 0.0, 19.0)
    assert np.isfinite(slow.velocity[POSITION:]).all()
