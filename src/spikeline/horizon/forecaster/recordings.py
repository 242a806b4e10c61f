"""Recordings ready to be forecast: counts, features and embeddings of sessions onto a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from spikeline.artifacts.counts import Counts
from spikeline.errors import InputError
from spikeline.horizon.forecaster.batches import Recording
from spikeline.horizon.forecaster.layers.identity import UNSEEN, Units, random_vectors
from spikeline.horizon.forecaster.network import Population, reference_offset
from spikeline.horizon.forecaster.trace_checkpoints import checkpoints

if TYPE_CHECKING:
    from torch import Tensor

    from spikeline.artifacts.embeddings import Embeddings
    from spikeline.artifacts.features import Features

# Standard deviations at which a velocity is cut off.
_FASTEST = 5.0


def unit_keys(counts: Counts) -> list[str]:
    """A name for each unit that no unit of another session has."""
    return [f"{counts.session}/{unit}" for unit in counts.unit_ids]


def mean_rate(features: Sequence[Features], bin_s: float) -> float:
    """Mean reference rate over all units, in expected counts per bin; never 0."""
    spikes = sum(float(one.reference_counts.sum()) for one in features)
    places = sum(len(one.reference_counts) * one.reference_s / bin_s for one in features)
    return max(spikes, 0.5) / places


def build_recording(
    counts: Counts,
    features: Features,
    *,
    decay: Tensor,
    mean_rate: float,
    training_keys: dict[str, int],
    random_dim: int,
    embeddings: Sequence[Embeddings] = (),
    mapped: bool = False,
) -> Recording:
    """One session on the device of `decay`.

    Args:
        decay: (constants,) of the traces.
        mean_rate: of the training units, expected counts per bin; steadies reference rates.
        training_keys: row of each training unit.
        random_dim: length of the random vectors of its units; 0 where the mode needs none.
        embeddings: image sets; the first that has all of a session's images is used.
        mapped: leave the counts where they are.

    Raises:
        InputError: counts and features of different sessions.
    """
    if counts.session != features.session:
        raise InputError(
            f"counts of session {counts.session}, but features of session {features.session}; "
            "give both lists in the same order"
        )
    if list(counts.unit_ids) != list(features.unit_ids):
        raise InputError(
            f"session {counts.session}: counts have {len(counts.unit_ids)} units and features "
            f"{len(features.unit_ids)}, not the same ones; make both from one session file"
        )
    device = decay.device
    keys = unit_keys(counts)
    units = Units(
        features=torch.from_numpy(np.asarray(features.values, np.float32)).to(device),
        valid=torch.from_numpy(np.asarray(features.valid, bool)).to(device),
        rows=torch.tensor([training_keys.get(key, UNSEEN) for key in keys], device=device),
        vectors=torch.from_numpy(random_vectors(keys, random_dim)).to(device),
    )
    offset = reference_offset(
        torch.from_numpy(np.asarray(features.reference_counts)),
        max(1, round(features.reference_s / counts.bin_s)),
        mean_rate,
    )
    rows = _image_rows(counts, embeddings)
    return Recording(
        name=counts.session,
        counts=counts.counts if mapped else torch.from_numpy(np.asarray(counts.counts)).to(device),
        kept=checkpoints(counts.counts, decay),
        population=Population(units, offset.to(device), None if rows is None else rows.to(device)),
        domains=np.asarray(counts.domains),
        reference=counts.reference,
        behaviour=_behaviour(counts, device),
        image=None if rows is None else torch.from_numpy(counts.images).long().to(device),
    )


def _behaviour(counts: Counts, device: torch.device) -> Tensor | None:
    """Velocity in standard deviations of the reference window, NaN where unknown.

    Of that window alone, in training too: of an unseen session no more is known.
    """
    values = np.asarray(counts.behaviour, np.float64)
    if not np.isfinite(values).any():
        return None
    seen = values[slice(*counts.reference)]
    seen = seen[np.isfinite(seen)] if np.isfinite(seen).any() else np.zeros(1)
    deviation = seen.std()
    scaled = (values - seen.mean()) / (deviation if deviation > 0 else 1.0)
    return torch.from_numpy(np.clip(scaled, -_FASTEST, _FASTEST).astype(np.float32)).to(device)


def _image_rows(counts: Counts, embeddings: Sequence[Embeddings]) -> Tensor | None:
    """(images, dim) unit-length embeddings in the order of the session's image names."""
    if not len(counts.image_names) or not embeddings:
        return None
    for one in embeddings:
        if set(counts.image_names) <= set(one.images):
            rows = torch.from_numpy(
                np.asarray(one.rows_of(counts.image_names, layers=()), np.float32)
            )
            return torch.nn.functional.normalize(rows, dim=1)
    # the message of the first names what it lacks
    embeddings[0].rows_of(counts.image_names, f"embeddings for session {counts.session}")
    raise InputError(f"session {counts.session}: no embeddings of all its images")
