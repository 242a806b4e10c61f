"""Stationary random processes sampled at regular steps."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter


def wander(rng: np.random.Generator, steps: int, memory: np.ndarray | float) -> np.ndarray:
    """Ornstein-Uhlenbeck process of unit variance.

    Args:
        memory: time constants in steps, one process per time constant.

    Returns:
        (steps, processes), or (steps,) for a scalar memory.
    """
    memories = np.atleast_1d(np.asarray(memory, dtype=float))
    keep = np.exp(-1 / memories)
    noise = rng.standard_normal((steps, len(memories)))
    # The first value comes from the stationary distribution.
    noise[1:] *= np.sqrt(1 - keep**2)
    out = np.stack([lfilter([1.0], [1.0, -k], noise[:, i]) for i, k in enumerate(keep)], axis=1)
    return out if np.ndim(memory) else out[:, 0]


def rotation(rng: np.random.Generator, steps: int, period: float, memory: float) -> np.ndarray:
    """A noisy damped rotation in a plane: (steps, 2), each coordinate of unit variance.

    z(t+1) = exp(-1/memory + 2 pi i / period) z(t) + noise; period and memory in steps. Its
    state predicts its future for about `memory` steps.
    """
    keep = np.exp(-1 / memory)
    noise = rng.standard_normal((steps, 2)) @ np.array([1, 1j])
    noise[1:] *= np.sqrt(1 - keep**2)
    z = lfilter([1.0 + 0j], [1.0, -keep * np.exp(2j * np.pi / period)], noise)
    return np.stack([z.real, z.imag], axis=1)


def low_pass(signal: np.ndarray, memory: float) -> np.ndarray:
    """Causal exponential average over `memory` steps along the first axis."""
    keep = np.exp(-1 / memory)
    return lfilter([1 - keep], [1.0, -keep], signal, axis=0)


def delayed(signal: np.ndarray, steps: int) -> np.ndarray:
    """The signal `steps` later (earlier where negative); its end values fill the gap."""
    index = np.clip(np.arange(len(signal)) - steps, 0, len(signal) - 1)
    return signal[index]
