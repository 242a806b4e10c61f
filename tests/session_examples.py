"""A small session with behaviour, trials and stimuli, for tests to write, read and spoil."""

from __future__ import annotations

import numpy as np
from defaults import blocks

from spikeline.artifacts import sessions

RECORD = {"step": "test", "origins": {}}
DURATION = 120.0


def make(behaviour=True, stimuli=True, trials=True):
    rng = np.random.default_rng(0)
    domains = blocks(DURATION)
    start = np.arange(0, 100, 0.5)
    return sessions.build(
        times=np.sort(rng.uniform(0, DURATION - 0.01, 5000)),
        unit_index=rng.integers(0, 6, 5000),
        units={
            "id": np.array([f"unit{k}" for k in range(6)], object),
            "region": np.full(6, ""),
            "depth": np.arange(6, dtype=np.float32),
        },
        duration=DURATION,
        domains={name: getattr(domains, name) for name in ("train", "valid", "test", "reference")},
        session={"id": "mouse", "source": "arrays", "subject": "m", "origin_s": 0.0},
        behaviour=sessions.Behaviour("wheel", 100.0, rng.normal(size=12000), rng.normal(size=12000))
        if behaviour
        else None,
        trials={"start": start, "end": start + 0.4, "choice": np.ones(200), "go_times": start}
        if trials
        else None,
        stimuli={
            "start": start,
            "end": start + 0.25,
            "image": np.where(np.arange(200) % 9, "scenes/001.png", ""),
        }
        if stimuli
        else None,
    )
