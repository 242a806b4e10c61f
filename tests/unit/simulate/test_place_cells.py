"""The simulated place cells: fields where they are said to be, that move; rates that are true."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from defaults import settings

from spikeline.artifacts import true_rates
from spikeline.cli import main
from spikeline.simulate.place_cells.recording import simulate
from spikeline.simulate.place_cells.settings import (
    BIN_S,
    CLUSTERS,
    POSITION,
    RATES,
    TIMES,
    TIMESTAMPS,
    PlaceCellSettings,
)
from spikeline.simulate.place_cells.wandering import CAMERA_CM

STEADY = {"slow_gain": 0, "come_and_go": 0, "population_bursts_per_minute": 0}


def made(**given):
    wanted = {"duration_s": 600, "place_cells": 20, "interneurons": 4, **given}
    return simulate(PlaceCellSettings(**settings("simulate-place-cells", **wanted)))


def counts(recording) -> np.ndarray:
    """(bins, units)"""
    table = np.zeros(recording.rates.shape)
    np.add.at(table, ((recording.times / BIN_S).astype(int), recording.cluster), 1)
    return table


def test_the_same_seed_gives_the_same_recording_and_another_seed_another():
    first, again, other = made(), made(), made(seed=1)
    assert np.array_equal(first.times, again.times)
    assert np.array_equal(first.walk.tracked, again.walk.tracked)
    assert len(first.times) != len(other.times)


@pytest.mark.parametrize("arena", ["track", "field"])
def test_the_true_rates_predict_the_counts_and_no_unit_is_nearly_silent(arena):
    recording = made(arena=arena, size_cm=90)
    spikes, expected = counts(recording).sum(axis=0), recording.rates.sum(axis=0)
    assert (np.abs(spikes - expected) < 8 * np.sqrt(expected) + 5).all()
    assert expected.min() / 600 > 0.04
    assert (np.diff(recording.times) >= 0).all() and recording.times[-1] < 600


@pytest.mark.parametrize("arena", ["track", "field"])
def test_the_animal_goes_everywhere_and_the_camera_sees_it(arena):
    walk = made(arena=arena, size_cm=100).walk
    assert walk.position.min() >= 0 and walk.position.max() <= 100
    for axis in walk.position.T:
        assert (np.histogram(axis, 5, (0, 100))[0] > 0.03 * len(axis)).all()
    resting = (walk.speed < 0.5).mean()
    assert 0.1 < resting < 0.7
    middle = (np.arange(len(walk.position)) + 0.5) * BIN_S
    for seen, true in zip(walk.tracked.T, walk.position.T, strict=True):
        error = seen - np.interp(walk.timestamps, middle, true)
        assert error.std() == pytest.approx(CAMERA_CM, rel=0.05)


def test_a_cell_of_one_field_fires_most_where_its_field_is():
    recording = made(field_drift_cm=0, duration_s=1200, **STEADY)
    number = np.bincount(recording.field_unit, minlength=20)
    edges = np.linspace(0, 200, 41)
    place = np.digitize(recording.walk.position[:, 0], edges) - 1
    place = np.clip(place, 0, 39)
    running, spikes = recording.walk.speed > 8, counts(recording)
    time = np.bincount(place[running], minlength=40)
    for field, unit in enumerate(recording.field_unit):
        if number[unit] == 1:
            fired = np.bincount(place[running], spikes[running, unit], 40) / np.maximum(time, 1)
            smooth = np.convolve(fired, np.ones(5) / 5, "same")
            peak = (edges[:-1] + 2.5)[smooth.argmax()]
            assert abs(peak - recording.centres[0, field, 0]) < 15


def test_fields_move_as_far_as_asked_and_from_nowhere_else():
    still, moving = made(field_drift_cm=0), made(field_drift_cm=20)
    assert (still.centres == still.centres[:1]).all()
    np.testing.assert_array_equal(moving.centres[0], still.centres[0])
    # An Ornstein-Uhlenbeck process of half the recording: after all of it, sqrt(2 (1 - e^-2)) SD.
    inside = (still.centres[0, :, 0] > 50) & (still.centres[0, :, 0] < 150)
    far = (moving.centres[-1] - moving.centres[0])[inside, 0]
    assert 10 < np.sqrt((far**2).mean()) < 50


def test_gains_of_minutes_move_the_rates_of_a_recording_apart():
    drifting, steady = made(duration_s=900), made(duration_s=900, field_drift_cm=0, **STEADY)

    def spread(recording):
        """Between the thirds of a recording, of the log rates of its units."""
        thirds = recording.rates.reshape(3, -1, recording.rates.shape[1]).mean(axis=1)
        return np.log(thirds).std(axis=0).mean()

    assert spread(drifting) > 2 * spread(steady)


def test_the_command_writes_plain_arrays_and_the_true_rates(tmp_path):
    given = {"duration_s": 60, "place_cells": 8, "interneurons": 2, "arena": "field"}
    folder = tmp_path / "twin"
    arguments = ["simulate-place-cells", "--settings", json.dumps(given), "--output", str(folder)]
    assert main.main(arguments) == 0
    times, clusters = np.load(folder / TIMES), np.load(folder / CLUSTERS)
    stamps, position = np.load(folder / TIMESTAMPS), np.load(folder / POSITION)
    assert len(times) == len(clusters) and set(clusters) <= set(range(10))
    assert position.shape == (len(stamps), 2)
    rates = true_rates.read(folder / RATES)
    assert rates.shape == (3000, 10)
    wanted = PlaceCellSettings(**settings("simulate-place-cells", **given))
    np.testing.assert_array_equal(times, simulate(wanted).times)
    assert dataclasses.asdict(wanted)["arena"] == "field"
