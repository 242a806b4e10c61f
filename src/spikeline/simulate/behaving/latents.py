"""What the units of a session share: behaviour, arousal, a rotating latent, and the screen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeline.simulate.behaving.behaviour import STEP_S, Running, Wheel
from spikeline.simulate.behaving.pictures import BLANK
from spikeline.simulate.behaving.processes import delayed, low_pass, rotation, wander
from spikeline.simulate.behaving.screen import Schedule, shown
from spikeline.simulate.behaving.settings import BIN_S, BehavingSettings
from spikeline.simulate.behaving.unit_types import Units

# Units fire before the animal moves, and after the screen changes, seconds.
LEAD_S = 0.06
LATENCY_S = 0.05
AROUSAL_S = 20.0
# Speeds at which the behavioural drive is 1.
WHEEL_SCALE = 2.0
RUNNING_SCALE = 30.0
_DRIFT_S = (5.0, 60.0)
# Bounds of the log rates around their mean, so that no bin overflows.
_LARGEST = 2.5


@dataclass(frozen=True)
class Latents:
    """Drives, one row per bin of BIN_S.

    Attributes:
        speed: 0 at rest, 1 in full motion.
        direction: signed, -1 to 1 or so; 0 on the running disc.
        arousal: unit variance.
        rotation: (bins, 2), unit variance each.
        stimulus: (bins, units), each unit's own view of the screen.
    """

    speed: np.ndarray
    direction: np.ndarray
    arousal: np.ndarray
    rotation: np.ndarray
    stimulus: np.ndarray


def binned(signal: np.ndarray, bins: int) -> np.ndarray:
    """Means over bins of a signal sampled every STEP_S."""
    per_bin = round(BIN_S / STEP_S)
    return signal[: bins * per_bin].reshape(bins, per_bin).mean(axis=1)


def of_movement(velocity: np.ndarray, bins: int, scale: float, signed: bool):
    """Speed and direction drives, (bins,) each, LEAD_S ahead of the movement."""
    velocity = delayed(binned(velocity, bins), -round(LEAD_S / BIN_S))
    speed = np.minimum(low_pass(np.abs(velocity), 3.0) / scale, 1.5)
    direction = np.clip(velocity / scale, -1.5, 1.5) if signed else np.zeros(bins)
    return speed, direction


def of_gratings(wheel: Wheel, bins: int, units: int) -> np.ndarray:
    """Responses to a grating on one side: a transient, then a plateau while it is shown.

    Returns:
        (bins, units), the same for all units; the right side counts in full, the left by 0.4.
    """
    trials = wheel.trials
    centres = (np.arange(bins) + 0.5) * BIN_S
    drive = np.zeros(bins)
    right = np.nan_to_num(trials["contrastRight"])
    left = np.nan_to_num(trials["contrastLeft"])
    strength = right / (right + 0.15) + 0.4 * left / (left + 0.15)
    events = zip(trials["stimOn_times"], trials["stimOff_times"], strength, strict=True)
    for on, off, height in events:
        first, last = np.searchsorted(centres, [on + LATENCY_S, off + LATENCY_S])
        since = centres[first:last] - on - LATENCY_S
        drive[first:last] += height * (0.8 + 2.2 * np.exp(-since / 0.25))
    return np.repeat(drive[:, None], units, axis=1)


def of_pictures(plan: Schedule, drive: np.ndarray, scenes: int, bins: int) -> np.ndarray:
    """Each unit's drive by what is shown, (bins, units); 0 where nothing is presented."""
    centres = (np.arange(bins) + 0.5) * BIN_S - LATENCY_S
    picture = shown(centres, plan, scenes)
    # Index -1 is a blank sweep and -2 no presentation: the table's last two rows.
    rows = [drive, np.zeros((1, drive.shape[1])), np.full((1, drive.shape[1]), BLANK)]
    return low_pass(np.concatenate(rows)[picture], 3.0)


def draw_latents(
    rng: np.random.Generator,
    settings: BehavingSettings,
    behaviour: Wheel | Running,
    stimulus: np.ndarray,
) -> Latents:
    """The latents of one session; `stimulus` is (bins, units)."""
    bins = len(stimulus)
    wheel = isinstance(behaviour, Wheel)
    scale = WHEEL_SCALE if wheel else RUNNING_SCALE
    speed, direction = of_movement(behaviour.velocity, bins, scale, signed=wheel)
    turn = rotation(
        rng,
        bins,
        settings.rotation_period_s / BIN_S,
        settings.rotation_memory_s / BIN_S,
    )
    return Latents(speed, direction, wander(rng, bins, AROUSAL_S / BIN_S), turn, stimulus)


def rates(
    rng: np.random.Generator, units: Units, latents: Latents, settings: BehavingSettings
) -> np.ndarray:
    """Spikes expected in each bin, (bins, units), apart from the delays within bursts.

    log rate = couplings x latents + private drift, around each unit's own mean rate.
    """
    bins, count = latents.stimulus.shape
    turn = latents.rotation @ np.stack([np.cos(units.phase), np.sin(units.phase)])
    log_rate = (
        latents.speed[:, None] * units.speed
        + latents.direction[:, None] * units.direction
        + latents.arousal[:, None] * units.arousal
        + turn * units.rotation
        + latents.stimulus * units.stimulus
    )
    low, high = np.log(_DRIFT_S)
    memory = np.exp(rng.uniform(low, high, count)) / BIN_S
    log_rate += settings.drift * units.drift * wander(rng, bins, memory)
    log_rate = np.clip(log_rate - log_rate.mean(axis=0), -_LARGEST, _LARGEST)
    rate = np.exp(log_rate)
    return rate / rate.mean(axis=0) * units.rate * BIN_S
