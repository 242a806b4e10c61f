"""Presentations in time: THINGS_MUA_trials.mat of a simulated monkey, block by block."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from spikeline.simulate.matlab import Blocks

FIRST_MS, END_MS = -100, 200  # of the recorded time, after stimulus onset
WINDOWS = {"V1": (25, 125), "V4": (50, 150), "IT": (75, 175)}  # ms, averaged into one response
# When what is particular to an image sets in, and how fast, in ms after the latency.
_FINE_AFTER, _FINE_WIDTH = 45.0, 8.0
_BLOCK_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Presented:
    """Every presentation to one monkey: training images first, then repetitions of all test images.

    Attributes:
        raw: (presentations, electrodes) mean response in the area's window, microvolts.
        late: (presentations, electrodes) the part of it that comes late; None where nothing does.
        day: (presentations,) recording day, from 0.
        baseline: (days, electrodes) microvolts before the response.
        latency: (electrodes,) ms.
        regions: (electrodes,) area.
        mapping: (electrodes,) 1-based raw channel of each electrode.
        dead: indices of electrodes that are constant.
    """

    raw: np.ndarray
    late: np.ndarray | None
    day: np.ndarray
    baseline: np.ndarray
    latency: np.ndarray
    regions: np.ndarray
    mapping: np.ndarray
    dead: np.ndarray


def sample_times(sample_ms: int) -> np.ndarray:
    """When each sample begins, (samples,) ms after stimulus onset."""
    return np.arange(FIRST_MS, END_MS, sample_ms)


def window_weights(regions: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(samples, electrodes): those of the mean over the window of an electrode's area."""
    first, end = np.array([WINDOWS[region] for region in regions]).T
    within = (first <= times[:, None]) & (end > times[:, None])
    return within / within.sum(axis=0)


def trials(
    presented: Presented,
    n_train: int,
    n_test: int,
    kept: int,
    sample_ms: int,
    rng: np.random.Generator,
) -> dict[str, np.ndarray | Blocks]:
    """Fields of THINGS_MUA_trials.mat, days in order and images of each day in random order.

    The mean over a region's window is exactly the response that was normalised.

    Args:
        kept: presentations, half of them of test images; 0 keeps all.
    """
    total = len(presented.raw)
    if kept:
        tests = rng.permutation(total - n_train)[: kept // 2] + n_train
        shown = np.concatenate([rng.permutation(n_train)[: kept - len(tests)], tests])
    else:
        shown = rng.permutation(total)
    shown = shown[np.argsort(presented.day[shown], kind="stable")]
    times = sample_times(sample_ms)
    electrodes = presented.raw.shape[1]
    courses = _time_courses(presented.latency, presented.regions, times, rng)
    seed = rng.integers(2**63)

    def blocks() -> Iterator[np.ndarray]:
        drawn = np.random.default_rng(seed)
        size = max(1, _BLOCK_BYTES // (4 * len(times) * electrodes))
        for first in range(0, len(shown), size):
            yield _recorded(presented, shown[first : first + size], courses, times, drawn)

    is_test = shown >= n_train
    row = np.where(is_test, (shown - n_train) % n_test, shown)
    table = [
        np.arange(1, len(shown) + 1),
        np.where(is_test, 0, row + 1),
        np.where(is_test, row + 1, 0),
        np.where(is_test, (shown - n_train) // n_test + 1, 1),
        np.arange(1, len(shown) + 1),
        presented.day[shown] + 1,
    ]
    shape = (len(times), len(shown), electrodes)
    return {
        "ALLMUA": Blocks(shape, np.dtype(np.float32), blocks),
        "ALLMAT": np.stack(table).astype(np.float64),
        "tb": times.astype(np.float64)[:, None],
    }


def _time_courses(
    latency: np.ndarray, regions: np.ndarray, times: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Evoked time courses (samples, electrodes) of the whole response and of its late part.

    Both are 0 before the latency and have mean 1 in the electrode's window. The late part is the
    whole course times a logistic rise some time after the latency.
    """
    weights = window_weights(regions, times)
    since = np.clip(times[:, None] - latency, 0, None)
    transient = since / 12 * np.exp(1 - since / 12)
    sustained = rng.uniform(0.3, 0.6, len(latency)) * (1 - np.exp(-since / 15))
    course = transient + sustained
    course /= (weights * course).sum(axis=0)
    late = course / (1 + np.exp(-(since - _FINE_AFTER) / _FINE_WIDTH))
    return course, late / (weights * late).sum(axis=0)


def _recorded(
    presented: Presented,
    shown: np.ndarray,
    courses: tuple[np.ndarray, np.ndarray],
    times: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """ALLMUA of some presentations: (samples, presentations, raw channels) float32, microvolts."""
    course, late_course = (c[:, None].astype(np.float32) for c in courses)
    weights = window_weights(presented.regions, times).astype(np.float32)
    base = presented.baseline[presented.day[shown]]
    jitter = rng.standard_normal((len(times), *base.shape), dtype=np.float32)
    jitter -= np.einsum("tpe,te->pe", jitter, weights)
    # White noise: the mean of 1 ms has a standard deviation of 1.
    jitter /= np.sqrt(times[1] - times[0])
    jitter[..., presented.dead] = 0
    physical = jitter + base.astype(np.float32)
    physical += course * (presented.raw[shown] - base).astype(np.float32)
    if presented.late is not None:
        # Its mean over the window is 0.
        physical += (late_course - course) * presented.late[shown].astype(np.float32)
    recorded = np.empty_like(physical)
    recorded[..., presented.mapping - 1] = physical
    return recorded
