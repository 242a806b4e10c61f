"""Fit candidates, weigh them on validation images, and refit their mix to all training rows.

Only training rows are read. For each fold some training images (or concepts) are held out, in
galleries of as many as the test has; each candidate is fitted to the other rows and scored on the
galleries. Similarities of candidates are cosines of different kinds: they are divided by the
candidate's spread before they are weighed; see `spikeline.bridge.decoder`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from spikeline.bridge.automatic import weights
from spikeline.bridge.automatic.budget import Candidate, affordable, estimated
from spikeline.bridge.automatic.operations import Shapes
from spikeline.bridge.automatic.validation import (
    Rows,
    gallery_similarities,
    held_out,
    with_fewer_validation_images,
)
from spikeline.bridge.closed_form import fit_bayesian_decoder, fit_ridge_decoder
from spikeline.bridge.decoder import Decoder, combine
from spikeline.bridge.preprocessing import electrode_selection, time_bins
from spikeline.bridge.splits import ValidationSplit

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from spikeline.training.state import StateFile

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitter:
    """Fits one candidate to some rows.

    Attributes:
        electrodes: the electrode table.
        seed: of all that is random in a network.
        gallery: number of test images.
        fabric: see `spikeline.training.loop.train`.
        state_file: where an unfinished network of this name is kept; None keeps none.
        layer_dims: columns of each layer of the embeddings; none means one layer.
    """

    electrodes: Mapping[str, np.ndarray]
    seed: int
    gallery: int
    fabric: Fabric | None = None
    state_file: Callable[..., StateFile | None] = lambda *name: None
    layer_dims: tuple[int, ...] = ()

    def __call__(self, candidate: Candidate, rows: Rows, part: str) -> Decoder:
        """The decoder, its spread measured; `part` names the rows among those of a candidate."""
        arrays = (*vars(rows).values(), self.electrodes)
        settings = candidate.settings
        if settings["kind"] == "ridge":
            decoder = fit_ridge_decoder(*arrays, settings, self.layer_dims)
        elif settings["kind"] == "bayesian":
            decoder = fit_bayesian_decoder(*arrays, settings, self.gallery, self.layer_dims)
        else:
            from spikeline.bridge.networks.training import fit_network

            decoder, _ = fit_network(
                *arrays,
                with_fewer_validation_images(settings, rows, self.gallery),
                seed=self.seed,
                gallery=self.gallery,
                fabric=self.fabric,
                state_file=self.state_file(candidate.name, part),
                layer_dims=self.layer_dims,
            )
        return decoder.with_spread(rows.responses, rows.embeddings, rows.images)


def fit_auto(
    rows: Rows,
    settings: Mapping[str, Any],
    candidates: Mapping[str, Mapping[str, Any]],
    fit: Fitter,
) -> Decoder:
    """The mix of the candidates with the least log loss on validation images.

    Args:
        settings: resolved settings of an `auto` entry.
        candidates: resolved settings of other entries by name; see
            `spikeline.settings.candidates`.

    Returns:
        The decoder; its metadata hold `candidates`, a record of each and of the mix; see `_record`.

    Raises:
        InputError: too few images for validation, or what fitting a candidate raises.
    """
    chosen = electrode_selection(
        fit.electrodes, settings["regions"], settings["min_snr"], settings["min_reliability"]
    )
    bins = max(time_bins(fit.electrodes, chosen, own) for own in candidates.values())
    shapes = Shapes(
        len(rows.images),
        len(np.unique(rows.images)),
        len(chosen) // bins,
        rows.embeddings.shape[1],
        fit.layer_dims,
        bins,
    )
    ordered = estimated(candidates, shapes, settings)
    count = affordable(ordered, settings["budget_minutes"])
    for place, one in enumerate(ordered):
        logger.info("%s: %.3g minutes estimated", one.name, one.minutes)
        if place >= count:
            logger.warning("%s: left out, beyond budget_minutes", one.name)
    taken = ordered[:count]

    share, scores = np.ones(count), None
    if count > 1:
        splits = held_out(rows, settings, fit.gallery, fit.seed)
        scores = np.stack([_scores(one, rows, splits, fit) for one in taken])
        share = weights.fit_shares(scores)
    decoders = [fit(one, rows, "all") for one, part in zip(taken, share, strict=True) if part > 0]
    mix = combine(decoders, share[share > 0])
    record = _record(ordered, share, scores)
    for row in record:
        logger.info("%s", _said(row))
    metadata = {"settings": dict(settings), "candidates": record}
    return replace(mix, metadata=metadata)


def _scores(
    candidate: Candidate, rows: Rows, splits: Sequence[ValidationSplit], fit: Fitter
) -> np.ndarray:
    """(galleries of all folds, N, N): responses by images, in spreads of the candidate."""
    found = []
    for fold, split in enumerate(splits):
        decoder = fit(candidate, rows.take(split.train), f"fold{fold}")
        found.append(gallery_similarities(decoder, rows, split) / decoder.spread)
        logger.info("%s, fold %d: %s", candidate.name, fold, _said(weights.figures(found[-1])))
    return np.concatenate(found)


def _record(
    candidates: Sequence[Candidate], share: np.ndarray, scores: np.ndarray | None
) -> list[dict[str, Any]]:
    """A row for each candidate and one for the mix, as JSON.

    candidate, estimated_minutes (all its fits, by count of operations), weight (its share of the
    mix; None: beyond the budget), and on validation images top1, top5, log_loss and ways (None:
    not scored). Each gallery is scored by the mix with weights fitted to the others, if there are.

    Args:
        share: (taken,), of the candidates that are within the budget.
        scores: (taken, galleries, N, N); None where there was nothing to weigh.
    """
    rows = []
    for place, one in enumerate(candidates):
        taken = place < len(share)
        rows.append(
            {
                "candidate": one.name,
                "estimated_minutes": _rounded(one.minutes),
                "weight": float(share[place]) if taken else None,
                **_figures(scores[place] if taken and scores is not None else None),
            }
        )
    mix = {
        "candidate": "mix",
        "estimated_minutes": _rounded(sum(one.minutes for one in candidates[: len(share)])),
        "weight": 1.0,
        **_figures(None if scores is None else weights.cross_fitted(scores)),
    }
    return [*rows, mix]


def _said(row: Mapping[str, Any]) -> str:
    shown = {k: f"{v:.3g}" if isinstance(v, float) else v for k, v in row.items() if v is not None}
    return ", ".join(f"{key} {value}" for key, value in shown.items())


def _rounded(minutes: float) -> float:
    return float(f"{minutes:.3g}")


def _figures(scores: np.ndarray | None) -> dict[str, float | None]:
    if scores is None:
        return dict.fromkeys(("top1", "top5", "log_loss", "ways"))
    return {**weights.figures(scores), "ways": scores.shape[-1]}
