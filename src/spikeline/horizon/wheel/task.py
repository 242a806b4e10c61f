"""Wheel decoding: which spikes say how fast the wheel turns, at which moments, and how well.

A decoder estimates the velocity at a moment t from the spikes of [t + lookahead - window,
t + lookahead); without a lookahead it knows the past alone. Moments lie on the behaviour's own
samples, at equal steps within each block, and each is scored once:

    R2 = 1 - sum (v - estimate)^2 / sum (v - mean v)^2     over all moments of the test blocks
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from spikeline.errors import InputError

if TYPE_CHECKING:
    from torch_brain.data import Data

SPLITS = ("train", "valid", "test")
# Stretches of a test block whose errors are summed, and from which intervals form their own pieces.
PIECE_S = 5.0


@dataclass(frozen=True)
class Spikes:
    """times (n,) float64 seconds, sorted; unit_index (n,) int64 below `units`; duration seconds."""

    times: np.ndarray
    unit_index: np.ndarray
    units: int
    duration: float

    def rolled(self, shift: float) -> Spikes:
        """All spikes later by `shift` seconds, those past the end at the start: a control that
        keeps everything about the spikes but their relation to behaviour."""
        times = (self.times + shift) % self.duration
        # Rounding may take a time just below zero to the end itself.
        times = np.where(times >= self.duration, 0.0, times)
        order = np.argsort(times, kind="stable")
        return Spikes(times[order], self.unit_index[order], self.units, self.duration)


@dataclass(frozen=True)
class Window:
    """Which spikes an estimate reads: seconds of spikes, ending `lookahead` after its moment."""

    length: float
    lookahead: float = 0.0

    @property
    def moment(self) -> float:
        """Seconds from the window's start to the moment that it speaks of."""
        return self.length - self.lookahead

    def starts(self, times: np.ndarray) -> np.ndarray:
        """Where the windows of moments (n,) begin, seconds."""
        return times - self.moment


@dataclass(frozen=True)
class Samples:
    """Moments of one split: times (n,) seconds, velocity (n,) z-scored, piece (n,) int64.

    `blocks` (pieces,) int64 is the number of each piece's block.
    """

    times: np.ndarray
    velocity: np.ndarray
    piece: np.ndarray
    blocks: np.ndarray

    def __len__(self) -> int:
        return len(self.times)

    def evenly(self, count: int) -> Samples:
        """At most `count` of them, evenly spaced."""
        if len(self) <= count:
            return self
        rows = np.linspace(0, len(self) - 1, count).round().astype(int)
        return Samples(self.times[rows], self.velocity[rows], self.piece[rows], self.blocks)


@dataclass(frozen=True)
class Task:
    """A session to decode: its spikes, the window, and the moments of each split.

    Attributes:
        dense: the train split at every sample of the behaviour, for what draws its own moments.
        mean, std: of the velocity at those, in the source's unit; velocities here are z-scored.
    """

    spikes: Spikes
    window: Window
    train: Samples
    valid: Samples
    test: Samples
    dense: Samples
    mean: float
    std: float


@dataclass(frozen=True)
class Sums:
    """Squared errors of a decoder, before any division: (pieces,) float64 each.

    sse: squared errors; sst: squared deviations from the mean over all test moments, both of
    z-scores; samples: moments; blocks: the number of each piece's block.
    """

    sse: np.ndarray
    sst: np.ndarray
    samples: np.ndarray
    blocks: np.ndarray

    @property
    def r2(self) -> float:
        return float(1 - self.sse.sum() / self.sst.sum())


def task_of(data: Data, settings: Mapping[str, Any], where: str) -> Task:
    """The decoding task of a session.

    Args:
        data: a session, see artifacts/sessions.py.
        settings: window_ms, lookahead_ms, sample_hz.
        where: the session's file, for errors.

    Raises:
        InputError: no behaviour; no spikes; a sample_hz that does not divide the behaviour's rate;
            a split without a known velocity; a velocity that never changes.
    """
    if "behaviour" not in data:
        raise InputError(f"{where}: has no behaviour to decode; leave the session out")
    rate = float(data.behaviour.sampling_rate)
    step = rate / settings["sample_hz"]
    if step < 1 or abs(step - round(step)) > 1e-6:
        raise InputError(
            f"--settings.sample_hz: {settings['sample_hz']}, but {where} has behaviour at "
            f"{rate:g} Hz; give a divisor of that"
        )
    window = Window(settings["window_ms"] / 1000, settings["lookahead_ms"] / 1000)
    duration = float(data.domain.end[-1])
    times = np.asarray(data.spikes.timestamps, np.float64)
    if not len(times):
        raise InputError(f"{where}: has no spikes to decode")
    spikes = Spikes(
        times, np.asarray(data.spikes.unit_index, np.int64), len(data.units.id), duration
    )
    velocity = np.asarray(data.behaviour.velocity, np.float64)
    found = {}
    for name, every in (*((split, round(step)) for split in SPLITS), ("dense", 1)):
        interval = getattr(data, f"{'train' if name == 'dense' else name}_domain")
        blocks = np.stack([interval.start, interval.end], axis=1)
        found[name] = _samples(velocity, rate, blocks, every, window, duration)
        if not len(found[name]):
            raise InputError(f"{where}: no velocity is known in its {name} blocks; leave it out")
    mean, std = float(found["dense"].velocity.mean()), float(found["dense"].velocity.std())
    if not std > 0:
        raise InputError(f"{where}: its velocity never changes in train blocks; leave it out")
    scaled = {
        name: replace(part, velocity=(part.velocity - mean) / std) for name, part in found.items()
    }
    if not np.ptp(scaled["test"].velocity) > 0:
        raise InputError(f"{where}: its velocity never changes in test blocks; leave it out")
    return Task(spikes, window, **scaled, mean=mean, std=std)


def score_sums(estimate: np.ndarray, samples: Samples) -> Sums:
    """Sums per piece of estimates (n,) of the samples' velocity."""
    pieces = len(samples.blocks)

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(samples.piece, weights=values, minlength=pieces)

    deviation = samples.velocity - samples.velocity.mean()
    sums = Sums(
        total((samples.velocity - np.asarray(estimate, np.float64)) ** 2),
        total(deviation**2),
        total(np.ones(len(samples))).astype(np.int64),
        samples.blocks,
    )
    kept = sums.samples > 0  # a piece whose velocities are all unknown
    return Sums(sums.sse[kept], sums.sst[kept], sums.samples[kept], sums.blocks[kept])


def control_shifts(duration: float, count: int, seed: int) -> np.ndarray:
    """Seconds (count,) by which a control rolls the spikes: a quarter to three of the session."""
    return np.random.default_rng([seed, 1]).uniform(0.25, 0.75, count) * duration


def _samples(
    velocity: np.ndarray,
    rate: float,
    blocks: np.ndarray,
    every: int,
    window: Window,
    duration: float,
) -> Samples:
    """Every `every`-th sample of each block whose velocity is known and whose window lies in the
    session; pieces are numbered over the blocks."""
    indices, pieces, counts, first = [], [], [], 0
    for start, end in blocks:
        # Microseconds of rounding move no sample over an edge.
        inside = np.arange(int(np.ceil(start * rate - 1e-4)), int(np.ceil(end * rate - 1e-4)))
        inside = inside[inside < len(velocity)][::every]
        count = max(1, int(np.ceil((end - start) / PIECE_S - 1e-6)))
        piece = ((inside / rate - start) / (end - start) * count).astype(np.int64)
        indices.append(inside)
        pieces.append(first + piece.clip(0, count - 1))
        counts.append(count)
        first += count
    index = np.concatenate(indices) if indices else np.zeros(0, np.int64)
    piece = np.concatenate(pieces) if pieces else np.zeros(0, np.int64)
    times = index / rate
    begin = window.starts(times)
    kept = (begin >= -1e-9) & (begin + window.length <= duration + 1e-9)
    kept &= np.isfinite(velocity[index])
    of = np.repeat(np.arange(len(counts)), counts)
    return Samples(times[kept], velocity[index][kept], piece[kept], of)
