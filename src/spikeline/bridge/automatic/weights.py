"""Weights of candidates in a sum of their similarities, by the N-way log loss on validation images.

With s_c(y, z) the similarity of response y and image z by candidate c, the mix identifies the image
that was shown among N with probability

    p(z | y) = softmax_z sum_c w_c s_c(y, z),  w_c >= 0

and the mean of -log p(true image | y) is convex in w.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from spikeline.bridge.retrieval import ranks

# How strongly calibrated weights are pulled together; see `fit_weights`. Chosen on validation
# images of macaque V4 and of the twin: from 0 to 0.03 it hardly matters, and equal weights lose to
# the best candidate alone.
EQUALITY = 0.01
# A candidate with a smaller share of the mix is not worth its fit.
LEAST_SHARE = 0.02


def log_loss(weights: np.ndarray, scores: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean -log p of the true image, and its gradient.

    Args:
        weights: (candidates,).
        scores: (candidates, galleries, N, N), responses by images; the diagonal is the true image.
    """
    log_p = log_softmax(np.tensordot(weights, scores, 1), axis=-1)
    loss = -np.diagonal(log_p, axis1=1, axis2=2).mean()
    expected = (np.exp(log_p) * scores).sum(-1)
    true = np.diagonal(scores, axis1=2, axis2=3)
    return float(loss), (expected - true).mean((1, 2))


def fit_weights(scores: np.ndarray, equality: float = EQUALITY) -> np.ndarray:
    """Weights (candidates,) from 0 with the least log loss, pulled together.

    Each candidate is first calibrated: multiplied by the weight t_c that it would have alone. Of
    the calibrated weights u the variance is penalised,

        min over u >= 0 of  log loss(t u) + equality * sum_c (u_c - mean u)^2

    so that few validation images decide between candidates only as far as they tell them apart.
    Where no candidate tells images apart, all have the same weight.

    Args:
        scores: as `log_loss` takes them, of similar spread.
        equality: 0 fits the weights alone; a large one gives calibrated candidates the same weight.
    """
    calibration = np.array([_minimised(one[None], 0.0)[0] for one in scores])
    if not calibration.any():
        return np.full(len(scores), 1 / len(scores))
    return calibration * _minimised(scores * calibration[:, None, None, None], equality)


def _minimised(scores: np.ndarray, equality: float) -> np.ndarray:
    def objective(weights: np.ndarray) -> tuple[float, np.ndarray]:
        loss, gradient = log_loss(weights, scores)
        apart = weights - weights.mean()
        return loss + equality * apart @ apart, gradient + 2 * equality * apart

    start = np.full(len(scores), 1 / len(scores))
    bounds = [(0, None)] * len(scores)
    return minimize(objective, start, jac=True, bounds=bounds, method="L-BFGS-B").x


def fit_shares(scores: np.ndarray) -> np.ndarray:
    """Weights (candidates,) that sum to 1, without those of less than `LEAST_SHARE`."""
    weights = fit_weights(scores)
    weights = np.where(weights < LEAST_SHARE * weights.sum(), 0, weights)
    return weights / weights.sum()


def cross_fitted(scores: np.ndarray) -> np.ndarray:
    """(galleries, N, N) of the mix whose weights are fitted to the other galleries.

    Args:
        scores: as `log_loss` takes them; of a single gallery the weights are fitted to itself.
    """
    mixed = []
    for gallery in range(scores.shape[1]):
        others = np.delete(scores, gallery, 1) if scores.shape[1] > 1 else scores
        mixed.append(np.tensordot(fit_shares(others), scores[:, gallery], 1))
    return np.stack(mixed)


def figures(scores: np.ndarray) -> dict[str, float]:
    """Top-1 and top-5 of N-way identification and the log loss at the best scale of the scores.

    Args:
        scores: (galleries, N, N), the diagonal is the true image.
    """
    found = [ranks(gallery) for gallery in scores]
    scale = _minimised(scores[None], 0.0)
    return {
        "top1": float(np.mean([each.hits(1) for each in found])),
        "top5": float(np.mean([each.hits(5) for each in found])),
        "log_loss": log_loss(scale, scores[None])[0],
    }
