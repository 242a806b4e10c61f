"""What a forecaster starts from, made of its training sessions: the shared regression, and updates.

Both are closed forms: the regression is fitted on windows drawn evenly from all sessions, and each
session is then gone through once for what it teaches about its own units.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from spikeline.artifacts.counts import TRAIN, VALID
from spikeline.errors import InputError
from spikeline.horizon.forecaster.adaptation import learn_updates
from spikeline.horizon.forecaster.batches import (
    Geometry,
    Recording,
    lead_counts,
    past_of,
    read_rows,
    starts_within,
)
from spikeline.horizon.forecaster.shared_glm import SharedGlm

logger = logging.getLogger(__name__)

# Windows, times units, read at once.
_CHUNK = 1 << 17


def fit_shared(
    shared: SharedGlm,
    recordings: Sequence[Recording],
    geometry: Geometry,
    *,
    most_rows: int,
    seed: int,
    shuffled: bool = False,
    refit: bool = False,
) -> None:
    """Fit the shared regression in place, its penalty chosen on valid blocks where there are any.

    Args:
        most_rows: windows of units that are drawn; a third as many choose the penalty.
        seed: of the draw.
        shuffled: each past is of another window of its session, as a control.
        refit: fit once more, on train and valid together, with the penalty that was chosen.
    """
    rng = np.random.default_rng(seed)
    lengths = torch.from_numpy(np.diff(geometry.edges)).float()

    def rows(domains: tuple[int, ...], most: int) -> tuple[Tensor, Tensor, Tensor] | None:
        return _rows(recordings, geometry, domains, most, rng, shuffled)

    train, valid = rows((TRAIN,), most_rows), rows((VALID,), most_rows // 3)
    if train is None:
        raise InputError("no session has a window to fit the shared regression on")
    penalty = shared.fit(train, valid, lengths)
    if refit and valid is not None:
        shared.refit(rows((TRAIN, VALID), most_rows), lengths, penalty)


def with_updates(recording: Recording, shared: SharedGlm, geometry: Geometry) -> Recording:
    """The recording with what it teaches about its own units; see horizon/forecaster/adaptation."""
    if not geometry.adapted:
        return recording
    plain = replace(recording, updates=None)

    def read(starts: np.ndarray) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            state = past_of(plain, starts, geometry).state
            return state.stabilised[..., geometry.adapted], shared(state)

    updates = learn_updates(
        read, recording.counts, geometry.edges, recording.reference[1], geometry.bin_s
    )
    return replace(recording, updates=updates)


def _rows(
    recordings: Sequence[Recording],
    geometry: Geometry,
    domains: tuple[int, ...],
    most: int,
    rng: np.random.Generator,
    shuffled: bool,
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Features (rows, features), levels (rows,), counts (rows, lead bins); None without windows."""
    pools = [starts_within(one, geometry.future_bins, domains) for one in recordings]
    every = sum(len(pool) * one.units for pool, one in zip(pools, recordings, strict=True))
    if not every:
        return None
    share = min(1.0, most / every)
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for pool, one in zip(pools, recordings, strict=True):
        if not len(pool):
            continue
        starts = np.sort(rng.choice(pool, max(1, round(share * len(pool))), replace=False))
        parts = max(1, -(-len(starts) * one.units // _CHUNK))
        for part in np.array_split(starts, parts):
            begin = rng.choice(pool, len(part)) if shuffled else part
            state = past_of(one, begin, geometry).state
            future = read_rows(one, part, 0, geometry.future_bins).to(state.level.device)
            counts = lead_counts(future, geometry.edges).mT
            found.append(
                (state.features.flatten(0, 1), state.level.flatten(), counts.flatten(0, 1))
            )
    features, levels, counts = (torch.cat(part).cpu() for part in zip(*found, strict=True))
    return features, levels, counts
