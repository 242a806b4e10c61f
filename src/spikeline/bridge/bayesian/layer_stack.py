"""A learned mix of layers: one regression per layer, stacked with weights for each electrode.

Each layer predicts the responses on its own; an electrode's prediction is their sum, with the
non-negative weights that predict its left-out responses best (stacked regressions; Breiman 1996,
Machine Learning 24). So an electrode in V1 may read early layers and one in IT late ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from spikeline.bridge.kernel_ridge import fit_smoother
from spikeline.bridge.targets import TargetSpace


@dataclass(frozen=True)
class LayerStack:
    """Linear regressions of several layers and how they are weighted.

    Attributes:
        coefficients: (dim, outputs), from centred embeddings, all layers, weights included.
        weights: (layers, outputs), >= 0.
    """

    coefficients: np.ndarray
    weights: np.ndarray

    def predict(self, centred: np.ndarray) -> np.ndarray:
        """(rows, dim) to (rows, outputs) float64."""
        return np.asarray(centred, dtype=np.float64) @ self.coefficients


def fit_layer_stack(
    spaces: Sequence[TargetSpace],
    layers: Sequence[slice],
    embeddings: np.ndarray,
    y: np.ndarray,
    penalties: np.ndarray,
    groups: np.ndarray,
) -> tuple[LayerStack, np.ndarray]:
    """Fit each layer, then the weights on what each predicts for rows it was not fitted to.

    Args:
        spaces: of each layer's columns, the features of its regression.
        layers: those columns of the embeddings (rows, dim).
        y: (rows, outputs).
        penalties, groups: see `kernel_ridge.fit_smoother`.

    Returns:
        The stack, and its left-out predictions (rows, outputs).
    """
    coefficients = np.zeros((embeddings.shape[1], y.shape[1]))
    left_out = np.empty((len(spaces), *y.shape), dtype=np.float32)
    for number, (space, layer) in enumerate(zip(spaces, layers, strict=True)):
        features = space.project(embeddings[:, layer])
        smoother, left_out[number] = fit_smoother("linear", features, y, penalties, groups=groups)
        coefficients[layer] = space.matrix @ smoother.coefficients
    weights = stacking_weights(left_out, y)
    for number, layer in enumerate(layers):
        coefficients[layer] *= weights[number]
    return LayerStack(coefficients, weights), np.einsum("lno,lo->no", left_out, weights)


def stacking_weights(predictions: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Non-negative least squares of each output on its predictions.

    Args:
        predictions: (models, rows, outputs); y: (rows, outputs).

    Returns:
        (models, outputs).
    """
    weights = np.empty((len(predictions), y.shape[1]))
    for output in range(y.shape[1]):
        weights[:, output], _ = nnls(predictions[:, :, output].T.astype(np.float64), y[:, output])
    return weights
