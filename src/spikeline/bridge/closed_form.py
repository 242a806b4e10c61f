"""Decoders in closed form: ridge regression, and a Bayesian decoder of two Gaussian models.

Only training rows are read, and torch is not needed. Where training drops the concepts of the
test, cross-validation leaves whole concepts out too.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spikeline.bridge.aligned_member import AffineMap, AlignedMember
from spikeline.bridge.bayesian.fitting import fit_bayesian
from spikeline.bridge.decoder import Decoder
from spikeline.bridge.preprocessing import (
    ResponseScaler,
    electrode_selection,
    stabilised,
    time_bins,
)
from spikeline.bridge.ridge import fit_ridge
from spikeline.bridge.splits import left_out_together
from spikeline.bridge.targets import fit_target_space
from spikeline.bridge.temporal_components import TemporalComponents, fit_temporal_components

logger = logging.getLogger(__name__)


def fit_ridge_decoder(
    responses: np.ndarray,
    embeddings: np.ndarray,
    images: np.ndarray,
    categories: np.ndarray,
    electrodes: Mapping[str, np.ndarray],
    settings: Mapping[str, Any],
    layer_dims: Sequence[int] = (),
) -> Decoder:
    """Ridge from responses to the target space; the penalty is chosen by cross-validation.

    Args:
        responses: training rows (rows, columns of the file).
        embeddings: of the image of each row (rows, dim).
        images, categories: str (rows,).
        electrodes: the electrode table.
        settings: resolved settings of a `ridge` entry.
        layer_dims: columns of each layer of the embeddings; none means one layer.
    """
    chosen = electrode_selection(
        electrodes, settings["regions"], settings["min_snr"], settings["min_reliability"]
    )
    groups = left_out_together(images, categories, settings["drop_test_concepts"])
    components = _components(
        responses, embeddings, images, groups, electrodes, chosen, settings, layer_dims
    )
    scaler = ResponseScaler.fit(responses[:, chosen], settings["transform"], components)
    x = scaler.apply(responses[:, chosen])
    space = fit_target_space(embeddings, images, settings, lambda: x, groups, layer_dims)
    fit = fit_ridge(
        x,
        space.project(embeddings),
        settings["penalties"],
        groups=groups,
        per_target=settings["per_target_penalty"],
    )
    logger.info("penalty %s", "per component" if np.ptp(fit.penalties) else fit.penalties[0])
    member = AlignedMember(chosen, scaler, AffineMap(fit.coefficients, fit.intercept), space)
    return Decoder(responses.shape[1], (member,), {"settings": dict(settings)})


def fit_bayesian_decoder(
    responses: np.ndarray,
    embeddings: np.ndarray,
    images: np.ndarray,
    categories: np.ndarray,
    electrodes: Mapping[str, np.ndarray],
    settings: Mapping[str, Any],
    gallery: int,
    layer_dims: Sequence[int] = (),
) -> Decoder:
    """Two Gaussian models that share one score; see `spikeline.bridge.bayesian`.

    Args:
        responses: training rows (rows, columns of the file).
        embeddings: of the image of each row (rows, dim).
        images, categories: str (rows,).
        electrodes: the electrode table.
        settings: resolved settings of a `bayesian` entry.
        gallery: number of test images: validation galleries are as large.
        layer_dims: columns of each layer of the embeddings; none means one layer.
    """
    chosen = electrode_selection(
        electrodes, settings["regions"], settings["min_snr"], settings["min_reliability"]
    )
    groups = left_out_together(images, categories, settings["drop_test_concepts"])
    components = _components(
        responses, embeddings, images, groups, electrodes, chosen, settings, layer_dims
    )
    member = fit_bayesian(
        responses,
        embeddings,
        images,
        settings,
        gallery,
        groups=groups if settings["drop_test_concepts"] else None,
        electrodes=chosen,
        components=components,
        layer_dims=layer_dims,
    )
    return Decoder(responses.shape[1], (member,), {"settings": dict(settings)})


def _components(
    responses: np.ndarray,
    embeddings: np.ndarray,
    images: np.ndarray,
    groups: np.ndarray,
    electrodes: Mapping[str, np.ndarray],
    chosen: np.ndarray,
    settings: Mapping[str, Any],
    layer_dims: Sequence[int],
) -> TemporalComponents | None:
    """How the settings weigh the time bins of the chosen columns; None where they do not."""
    bins = time_bins(electrodes, chosen, settings)
    if settings["time"] == "concatenated":
        return None
    components = fit_temporal_components(
        stabilised(responses[:, chosen], settings["transform"]),
        embeddings,
        images,
        groups,
        np.asarray(electrodes["region"])[chosen[: len(chosen) // bins]].astype(str),
        bins,
        settings,
        layer_dims,
    )
    logger.info("temporal components: %s", json.dumps(components.described(), sort_keys=True))
    return components
