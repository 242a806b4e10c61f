"""What is on the screen when: scenes with blank sweeps, a movie, and rests between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SCENES, MOVIE, REST = "natural_scenes", "natural_movie_one", "spontaneous"
SCENE_S = 0.25
MOVIE_HZ = 30.0
# One round of the schedule, seconds; it does not divide the rounds of interleaved splits.
_ROUND = ((SCENES, 45.0), (MOVIE, 30.0), (REST, 5.0))
# Blank sweeps of each pass through the scenes.
_BLANKS = 2


@dataclass(frozen=True)
class Schedule:
    """Presentations in order of time, one row per presentation.

    Attributes:
        start, stop: seconds.
        name: SCENES, MOVIE or REST.
        frame: scene or frame of the movie; -1 for a blank sweep, NaN at rest.
        block: 0-based number of the block; NaN at rest.
    """

    start: np.ndarray
    stop: np.ndarray
    name: np.ndarray
    frame: np.ndarray
    block: np.ndarray


def schedule(
    rng: np.random.Generator, duration_s: float, scenes: int, movie_frames: int
) -> Schedule:
    """Fill a session with rounds of scenes, movie and rest, after two seconds of rest."""
    rows: list[tuple[float, float, str, float, float]] = [(0.0, 2.0, REST, np.nan, np.nan)]
    waiting: list[int] = []
    at, block, part = 2.0, 0, 0
    while at < duration_s - 1:
        name, length = _ROUND[part % len(_ROUND)]
        part += 1
        end = min(at + length, duration_s - 0.5)
        if name == REST:
            rows.append((at, end, REST, np.nan, np.nan))
            at = end
            continue
        step = SCENE_S if name == SCENES else 1 / MOVIE_HZ
        for number in range(int((end - at) / step + 1e-9)):
            if name == MOVIE:
                frame = number % movie_frames
            else:
                if not waiting:
                    waiting = list(rng.permutation(np.r_[[-1] * _BLANKS, np.arange(scenes)]))
                frame = waiting.pop()
            start = at + number * step
            rows.append((start, start + step, name, float(frame), float(block)))
        at, block = end, block + 1
    start, stop, name, frame, number = zip(*rows, strict=True)
    return Schedule(
        np.array(start),
        np.array(stop),
        np.array(name, dtype=object),
        np.array(frame),
        np.array(number),
    )


def shown(times: np.ndarray, plan: Schedule, scenes: int) -> np.ndarray:
    """Index of the picture on screen at each time: scenes first, then the movie's frames.

    Returns:
        (times,) int; -1 for a blank sweep and -2 where nothing is presented.
    """
    row = np.searchsorted(plan.start, times, side="right") - 1
    inside = (row >= 0) & (times < plan.stop[row]) & (plan.name[row] != REST)
    frame = np.where(np.isnan(plan.frame), -2, plan.frame)[row].astype(int)
    picture = np.where((plan.name[row] == MOVIE), frame + scenes, frame)
    return np.where(inside, picture, -2)
