"""The target space of a model: the directions of the embeddings it predicts, and their weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from spikeline.bridge.ridge import fit_ridge
from spikeline.bridge.targets import TargetSpace

logger = logging.getLogger(__name__)

# Penalties that judge how predictable each target component is, for `target_weighting`.
_PREDICTABILITY_PENALTIES = (1e1, 1e2, 1e3, 1e4, 1e5)


def fit_target_space(
    embeddings: np.ndarray,
    images: np.ndarray,
    settings: Mapping[str, Any],
    responses: np.ndarray,
    groups: np.ndarray | None = None,
) -> TargetSpace:
    """The target space of an entry's settings, fitted to training rows.

    Args:
        embeddings: (rows, dim); images: (rows,), their names: each image counts once.
        responses: standardised (rows, electrodes), to weigh components by how well a ridge
            regression predicts them in cross-validation (`target_weighting`, an exponent of the
            correlation).
        groups: (rows,) labels of rows that share a fold there; None: rows of one image.
    """
    unique = np.unique(images, return_index=True)[1]
    space = TargetSpace.fit(
        embeddings[unique],
        settings["target_components"],
        settings["target_whitening"],
        root=settings["target_transform"] == "sqrt",
        normalise=settings["target_normalise"],
    )
    exponent = settings["target_weighting"]
    if not exponent:
        return space
    groups = images if groups is None else groups
    targets = space.project(embeddings)
    r2 = fit_ridge(responses, targets, _PREDICTABILITY_PENALTIES, groups=groups).r2
    correlation = np.sqrt(np.maximum(r2.max(0), 0))
    if not correlation.any():
        logger.warning("target_weighting: no component is predictable; components stay unweighted")
        return space
    return space.weighted(correlation**exponent)
