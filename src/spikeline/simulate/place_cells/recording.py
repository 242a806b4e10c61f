r"""One recording: place cells whose fields drift, interneurons, gains that change by the minute.

A place cell's expected count is, with fields f at places x_f that wander slowly, and direction or
no direction d (on a track a field counts for runs one way; O'Keefe and Dostrovsky 1971; Mehta et
al. 1997 and Ziv et al. 2013 for fields that move),

    background + sum_f peak_f exp( -|x - x_f(t)|^2 / (2 width_f^2) ) d_f,

by how much the animal runs; at rest the cells fire together in brief bursts. Interneurons fire all
the time, faster in runs, at theta. Rates of all are multiplied by slow gains, and some units are
there for part of the recording only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeline.simulate.behaving.processes import low_pass, wander
from spikeline.simulate.behaving.spikes import draw_spikes, expected_counts
from spikeline.simulate.place_cells.settings import BIN_S, PlaceCellSettings
from spikeline.simulate.place_cells.wandering import Walk, in_field, on_track
from spikeline.simulate.slow_changes import population_bursts, presence, slow_gain

# Peak rates of fields, rates between fields, and of interneurons, lowest and highest, spikes/s.
_PEAK, _BACKGROUND, _INTERNEURON = (4.0, 20.0), (0.02, 0.2), (6.0, 20.0)
# Fields of a cell, how often so many; and on a track, how often a field knows both directions.
_FIELDS, _BOTH_WAYS = {1: 0.6, 2: 0.3, 3: 0.1}, 0.35
# A field's centre keeps its place for about this part of the recording.
_FIELD_KEEPS = 0.5
# Running at which a field is driven in full, and what is left of it at rest, cm/s.
_RUNNING, _AT_REST = 8.0, 0.15
# Interneurons: log rate per unit of the speed drive, theta's log amplitude and frequency, Hz.
_SPEED_GAIN, _THETA_GAIN, _THETA_HZ = (0.2, 0.6), (0.15, 0.5), 8.0
# Log rate that a population burst adds.
_BURST = 2.0
# Shape of the gamma of intervals, and probabilities of a second and a third spike of a burst.
_REGULARITY = {"place": 1.0, "inter": 2.0}
_COMPLEX = {"place": (0.3, 0.1), "inter": (0.0, 0.0)}


@dataclass(frozen=True)
class Recording:
    """A simulated recording.

    Attributes:
        walk: where the animal was.
        times, cluster: (spikes,) sorted seconds, and the unit of each.
        rates: (bins, units) float32, the true expectation of each bin's count.
        centres: (bins, fields, axes) cm, where the fields were.
        field_unit: (fields,) the unit of each field.
    """

    walk: Walk
    times: np.ndarray
    cluster: np.ndarray
    rates: np.ndarray
    centres: np.ndarray
    field_unit: np.ndarray


def simulate(settings: PlaceCellSettings) -> Recording:
    """Simulate one recording; the place cells come first, then the interneurons."""
    rng = np.random.default_rng([settings.seed, 7])
    bins = int(settings.duration_s / BIN_S + 1e-9)
    walk = {"track": on_track, "field": in_field}[settings.arena](rng, bins, settings.size_cm)
    place, inter = settings.place_cells, settings.interneurons
    units = place + inter
    running = np.minimum(walk.speed / _RUNNING, 1.0)
    fields = _Fields.draw(rng, settings, bins)
    rates = np.concatenate(
        [fields.rates(walk, running, place), _interneurons(rng, inter, walk)], axis=1
    )
    gain = slow_gain(
        rng, bins, units, BIN_S, settings.slow_gain, settings.slow_gain_shared,
        tuple(settings.slow_gain_minutes),
    )  # fmt: skip
    gain += presence(rng, bins, units, BIN_S, settings.come_and_go)
    bursts = population_bursts(
        rng, bins, units, BIN_S, settings.population_bursts_per_minute, _BURST
    )
    gain += bursts * (1 - running)[:, None]
    rates *= np.exp(gain)
    # No unit is so quiet that a lab would leave it out.
    rates *= np.maximum(1, settings.least_rate_hz / rates.mean(axis=0))
    kinds = ["place"] * place + ["inter"] * inter
    burst = np.array([_COMPLEX[kind] for kind in kinds])
    events = rates * BIN_S / (1 + burst.sum(axis=1))
    trains = [
        draw_spikes(rng, events[:, u], _REGULARITY[kind], burst[u], BIN_S)
        for u, kind in enumerate(kinds)
    ]
    times = np.concatenate(trains)
    cluster = np.repeat(np.arange(units), [len(train) for train in trains])
    order = np.argsort(times, kind="stable")
    truth = expected_counts(events, burst, BIN_S).astype(np.float32)
    return Recording(walk, times[order], cluster[order], truth, fields.centres, fields.unit)


@dataclass(frozen=True)
class _Fields:
    """The fields of all place cells.

    Attributes:
        unit: (fields,) whose it is.
        peak: (fields,) spikes/s; width: (fields,) cm.
        way: (fields,) 1 or -1 for runs that way alone, 0 for both.
        centres: (bins, fields, axes) cm.
        background: (units,) spikes/s.
    """

    unit: np.ndarray
    peak: np.ndarray
    width: np.ndarray
    way: np.ndarray
    centres: np.ndarray
    background: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, settings: PlaceCellSettings, bins: int) -> _Fields:
        number = rng.choice(list(_FIELDS), settings.place_cells, p=list(_FIELDS.values()))
        count, axes = int(number.sum()), 1 if settings.arena == "track" else 2
        start = rng.uniform(0, settings.size_cm, (count, axes))
        moved = wander(rng, bins, np.full(count * axes, _FIELD_KEEPS * bins))
        # From where it is at the start, whatever the process's value is there.
        moved = settings.field_drift_cm * (moved - moved[0]).reshape(bins, count, axes)
        way = np.where(rng.random(count) < _BOTH_WAYS, 0, rng.choice([-1, 1], count))
        return cls(
            unit=np.repeat(np.arange(settings.place_cells), number),
            peak=_between(rng, _PEAK, count),
            width=settings.field_cm * np.exp(0.3 * rng.standard_normal(count)),
            way=way if axes == 1 else np.zeros(count, int),
            centres=np.clip(start + moved, 0, settings.size_cm),
            background=_between(rng, _BACKGROUND, settings.place_cells),
        )

    def rates(self, walk: Walk, running: np.ndarray, units: int) -> np.ndarray:
        """(bins, units) spikes/s, before any gain."""
        found = np.repeat(self.background[None], len(running), axis=0)
        drive = _AT_REST + (1 - _AT_REST) * running
        # The last way that it ran, at rest too.
        turned = np.sign(walk.velocity[:, 0])
        last = np.maximum.accumulate(np.where(turned != 0, np.arange(len(turned)), 0))
        direction = turned[last]
        for f, unit in enumerate(self.unit):
            distance = ((walk.position - self.centres[:, f]) ** 2).sum(axis=1)
            field = self.peak[f] * np.exp(-distance / (2 * self.width[f] ** 2))
            found[:, unit] += field * drive * ((self.way[f] == 0) | (direction == self.way[f]))
        return found


def _interneurons(rng: np.random.Generator, units: int, walk: Walk) -> np.ndarray:
    """(bins, units) spikes/s."""
    bins = len(walk.position)
    speed = low_pass(np.minimum(walk.speed / 30, 1.5), 5.0)
    phase = 2 * np.pi * np.cumsum(_THETA_HZ * (1 + 0.05 * wander(rng, bins, 25.0))) * BIN_S
    log_rate = speed[:, None] * rng.uniform(*_SPEED_GAIN, units)
    theta = np.cos(phase[:, None] + rng.uniform(0, 2 * np.pi, units))
    log_rate += theta * rng.uniform(*_THETA_GAIN, units) * np.minimum(speed, 1)[:, None]
    rate = np.exp(log_rate)
    return rate / rate.mean(axis=0) * _between(rng, _INTERNEURON, units)


def _between(rng: np.random.Generator, bounds: tuple[float, float], size: int) -> np.ndarray:
    """Values between two bounds, even on a log scale."""
    low, high = bounds
    return low * (high / low) ** rng.random(size)
