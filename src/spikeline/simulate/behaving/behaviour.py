"""What the animal does: turns a wheel in trials, or runs in long bouts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeline.simulate.behaving.processes import low_pass, wander

# Behaviour is simulated at this step, seconds.
STEP_S = 0.005
CONTRASTS = (0.0, 0.0625, 0.125, 0.25, 1.0)
# Radians of one count of the rotary encoder: 1024 lines, read four-fold.
ENCODER_RAD = 2 * np.pi / 4096
RUNNING_HZ = 60.0


@dataclass(frozen=True)
class Wheel:
    """A session at the wheel.

    Attributes:
        velocity: (steps,) radians per second, every STEP_S.
        timestamps, position: (samples,) seconds and radians, as the encoder reports them.
        trials: column -> (trials,), in IBL's names.
    """

    velocity: np.ndarray
    timestamps: np.ndarray
    position: np.ndarray
    trials: dict[str, np.ndarray]


def _turn(velocity: np.ndarray, start: float, duration: float, peak: float) -> None:
    """Add a bell of velocity."""
    first, last = int(start / STEP_S), int((start + duration) / STEP_S)
    bell = np.hanning(last - first + 2)[1:-1] * peak
    stop = min(last, len(velocity))
    if first < stop:
        velocity[first:stop] += bell[: stop - first]


def _bout(
    rng: np.random.Generator, velocity: np.ndarray, start: float, length: float, side: float
) -> None:
    """Overlapping turns, most of them towards `side`."""
    at = start
    while at < start + length:
        duration = rng.uniform(0.2, 0.5)
        sign = side if rng.random() < 0.8 else -side
        _turn(velocity, at, duration, sign * rng.uniform(1.5, 5.0))
        at += duration * rng.uniform(0.45, 0.7)


def steer(rng: np.random.Generator, duration_s: float) -> Wheel:
    """Trials of a contrast-discrimination task and the wheel movements that answer them."""
    velocity = np.zeros(round(duration_s / STEP_S))
    rows = []
    at, block, left = rng.uniform(1.0, 2.0), 0, 0.5
    while at + 6.0 < duration_s:
        if len(rows) == block:
            left = 0.5 if not rows else float(rng.choice([0.2, 0.8]))
            block += int(rng.integers(20, 40))
        start = at
        shown = start + rng.uniform(0.4, 0.7)
        contrast = float(rng.choice(CONTRASTS))
        on_left = rng.random() < left
        moved = shown + 0.12 + rng.lognormal(np.log(0.22), 0.4)
        correct = rng.random() < 0.55 + 0.42 * contrast**0.4
        # A stimulus on the left is brought to the centre by turning one way.
        side = 1.0 if on_left == correct else -1.0
        length = rng.uniform(0.4, 1.0)
        _bout(rng, velocity, moved, length, side)
        answered = moved + min(length, rng.uniform(0.15, 0.4))
        off = answered + (1.0 if correct else 2.0)
        if rng.random() < 0.35:
            # In some trials the animal moves the wheel again.
            again, length = answered + rng.uniform(0.8, 1.6), rng.uniform(0.4, 1.8)
            _bout(rng, velocity, again, length, rng.choice([-1.0, 1.0]))
        end = off + rng.uniform(0.3, 0.6)
        rows.append(
            {
                "intervals_0": start,
                "intervals_1": end,
                "stimOn_times": shown,
                "goCue_times": shown + 0.001,
                "firstMovement_times": moved,
                "response_times": answered,
                "feedback_times": answered + 0.001,
                "stimOff_times": off,
                "contrastLeft": contrast if on_left else np.nan,
                "contrastRight": np.nan if on_left else contrast,
                "probabilityLeft": left,
                "choice": side,
                "feedbackType": 1.0 if correct else -1.0,
                "rewardVolume": 1.5 if correct else 0.0,
            }
        )
        at = end
    trials = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    timestamps, position = _encoder(rng, velocity)
    return Wheel(velocity, timestamps, position, trials)


def _encoder(rng: np.random.Generator, velocity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Irregular samples: about a hundred a second while the wheel turns, few at rest."""
    turned = np.concatenate([[0.0], np.cumsum(velocity) * STEP_S])
    grid = np.arange(len(turned)) * STEP_S
    times = np.arange(STEP_S, grid[-1] - 2 * STEP_S, 0.01)
    times += rng.uniform(-0.003, 0.003, len(times))
    counts = np.round(np.interp(times, grid, turned) / ENCODER_RAD)
    moves = np.diff(counts, prepend=counts[0]) != 0
    # The samples around a pause are kept, so that a line between them is flat.
    kept = moves | np.append(moves[1:], False)
    kept[[0, -1]] = True
    return times[kept], counts[kept] * ENCODER_RAD


@dataclass(frozen=True)
class Running:
    """A session on the disc.

    Attributes:
        velocity: (steps,) cm per second, every STEP_S.
        starts, ends: (samples,) seconds, as the sensor reports them.
        speed: (samples,) cm per second, mean from start to end.
    """

    velocity: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    speed: np.ndarray


def run(rng: np.random.Generator, duration_s: float) -> Running:
    """Bouts of some seconds, separated by slightly longer rests."""
    steps = round(duration_s / STEP_S)
    target = np.zeros(steps)
    at, moving = 0.0, bool(rng.random() < 0.5)
    while at < duration_s:
        length = 2.0 + rng.exponential(6.0 if moving else 7.0)
        if moving:
            target[int(at / STEP_S) : int((at + length) / STEP_S)] = rng.uniform(12, 40)
        at, moving = at + length, not moving
    pace = 1 + 0.25 * wander(rng, steps, 1.0 / STEP_S)
    velocity = low_pass(low_pass(target * pace, 0.3 / STEP_S), 0.3 / STEP_S)
    velocity += 0.3 * wander(rng, steps, 0.1 / STEP_S)
    edges = np.arange(0.0, duration_s, 1 / RUNNING_HZ)
    travelled = np.concatenate([[0.0], np.cumsum(velocity) * STEP_S])
    at_edges = np.interp(edges, np.arange(steps + 1) * STEP_S, travelled)
    return Running(velocity, edges[:-1], edges[1:], np.diff(at_edges) * RUNNING_HZ)
