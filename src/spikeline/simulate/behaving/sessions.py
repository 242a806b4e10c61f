"""One session of the behaving twin, from its plan to its spikes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeline.simulate.behaving import latents as shared
from spikeline.simulate.behaving.behaviour import Running, Wheel, run, steer
from spikeline.simulate.behaving.pictures import drives
from spikeline.simulate.behaving.screen import Schedule, schedule
from spikeline.simulate.behaving.settings import BIN_S, BehavingSettings, Plan
from spikeline.simulate.behaving.spikes import draw_spikes, expected_counts
from spikeline.simulate.behaving.unit_types import TRACKS, Units, draw_units
from spikeline.simulate.slow_changes import population_bursts, presence, slow_gain

# Log rate that a population burst adds to a unit.
BURST_HEIGHT = 0.8
# Of the log gain, so that no bin overflows.
_LARGEST_GAIN = 1.6


@dataclass(frozen=True)
class Session:
    """A simulated recording.

    Attributes:
        plan: which session it is.
        duration_s: the session starts at 0.
        units: good and bad, in the order of probes and clusters.
        times, index: (spikes,) sorted seconds, and the unit of each.
        wheel, running: None for the one that this kind of session lacks.
        screen: presentations; None for the sessions that watch nothing.
        rates: (bins, good units) float32, the true expectation of each bin's count.
    """

    plan: Plan
    duration_s: float
    units: Units
    times: np.ndarray
    index: np.ndarray
    wheel: Wheel | None
    running: Running | None
    screen: Schedule | None
    rates: np.ndarray


def simulate(plan: Plan, settings: BehavingSettings, pictures: np.ndarray) -> Session:
    """Simulate one session.

    Args:
        plan: one of `settings.plans`.
        pictures: (scenes + movie frames, height, width) uint8; used by sessions that watch.
    """
    ibl = plan.source == "ibl"
    rng = np.random.default_rng([settings.seed, 3, int(ibl), plan.number])
    good = int(rng.integers(settings.min_units, settings.max_units + 1))
    bad = int(rng.integers(settings.min_bad_units, settings.max_bad_units + 1))
    if plan.poor:
        # As many units as in other sessions, nearly all of them bad.
        good, bad = settings.poor_units, max(1, good + bad - settings.poor_units)
    tracks = TRACKS[plan.source]
    tracks = [tracks[(plan.number - 1 + p) % len(tracks)] for p in range(len(plan.probes))]
    units = draw_units(rng, tracks, good, bad, settings.shared, settings.scatter)
    bins = int(settings.duration_s / BIN_S + 1e-9)
    wheel = running = screen = None
    if ibl:
        wheel = steer(rng, settings.duration_s)
        stimulus = shared.of_gratings(wheel, bins, len(units))
    else:
        running = run(rng, settings.duration_s)
        screen = schedule(rng, settings.duration_s, settings.scenes, settings.movie_frames)
        drive, _ = drives(pictures, len(units), rng)
        stimulus = shared.of_pictures(screen, drive, settings.scenes, bins)
    latents = shared.draw_latents(rng, settings, wheel or running, stimulus)
    expected = shared.rates(rng, units, latents, settings)
    # From generators of their own, so that a twin without them is what it would be anyway.
    expected = _as_recorded(
        np.random.default_rng([settings.seed, 4, int(ibl), plan.number]), expected, settings
    )
    events = expected / (1 + units.burst.sum(axis=1))
    trains = [
        draw_spikes(rng, events[:, u], units.regularity[u], units.burst[u], BIN_S)
        for u in range(len(units))
    ]
    times = np.concatenate(trains)
    index = np.repeat(np.arange(len(units)), [len(train) for train in trains])
    order = np.argsort(times, kind="stable")
    truth = expected_counts(events, units.burst, BIN_S)[:, units.good]
    return Session(
        plan=plan,
        duration_s=settings.duration_s,
        units=units,
        times=times[order],
        index=index[order],
        wheel=wheel,
        running=running,
        screen=screen,
        rates=truth.astype(np.float32),
    )


def _as_recorded(
    rng: np.random.Generator, expected: np.ndarray, settings: BehavingSettings
) -> np.ndarray:
    """Expected counts (bins, units) with what real sessions have: slow gain, units that come and
    go, population bursts, and a rate of the whole session; the mean of each unit's gain is 1."""
    bins, count = expected.shape
    gain = slow_gain(
        rng, bins, count, BIN_S, settings.slow_gain, settings.slow_gain_shared,
        tuple(settings.slow_gain_minutes),
    )  # fmt: skip
    gain += presence(rng, bins, count, BIN_S, settings.come_and_go)
    gain += population_bursts(
        rng, bins, count, BIN_S, settings.population_bursts_per_minute, BURST_HEIGHT
    )
    factor = np.exp(np.clip(gain, None, _LARGEST_GAIN))
    factor /= factor.mean(axis=0)
    return expected * factor * np.exp(settings.rate_scatter * rng.standard_normal())
