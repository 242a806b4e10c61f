"""Decoders in closed form: ridge regression, and a Bayesian decoder of two Gaussian models.

Only training rows are read, and torch is not needed. Where training drops the concepts of the
test, cross-validation leaves whole concepts out too.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spikeline.bridge.aligned_member import AffineMap, AlignedMember
from spikeline.bridge.bayesian.fitting import fit_bayesian
from spikeline.bridge.decoder import Decoder
from spikeline.bridge.preprocessing import ResponseScaler, electrode_selection
from spikeline.bridge.ridge import fit_ridge
from spikeline.bridge.splits import left_out_together
from spikeline.bridge.targets import fit_target_space

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
        responses: training rows (rows, electrodes of the file).
        embeddings: of the image of each row (rows, dim).
        images, categories: str (rows,).
        electrodes: the electrode table.
        settings: resolved settings of a `ridge` entry.
        layer_dims: columns of each layer of the embeddings; none means one layer.
    """
    chosen = electrode_selection(
        electrodes, settings["regions"], settings["min_snr"], settings["min_reliability"]
    )
    scaler = ResponseScaler.fit(responses[:, chosen], settings["transform"])
    x = scaler.apply(responses[:, chosen])
    groups = left_out_together(images, categories, settings["drop_test_concepts"])
    space = fit_target_space(embeddings, images, settings, x, groups, layer_dims)
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
        responses: training rows (rows, electrodes of the file).
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
    groups = categories if settings["drop_test_concepts"] else None
    member = fit_bayesian(
        responses,
        embeddings,
        images,
        settings,
        gallery,
        groups=groups,
        electrodes=chosen,
        layer_dims=layer_dims,
    )
    return Decoder(responses.shape[1], (member,), {"settings": dict(settings)})
