"""Shrinkage and weight of each Gaussian model, by N-way identification of held-out images.

The shrinkage of each model's residual covariance, the temperature of its scores and the share of
each of two models in their sum minimise the cross-validated log loss of the true image among N.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import hypergeom

from spikeline.bridge.bayesian.noise import Whitener
from spikeline.bridge.kernel_ridge import squared_distances

SHRINKAGES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8)
DECODING_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
FOLDS = 5
# More held-out images would cost further fits and hardly change the choice.
VALIDATION_IMAGES = 2000


@dataclass(frozen=True)
class Trials:
    """Responses, each with the image that evoked it.

    Attributes:
        values: (rows, electrodes); embeddings: (rows, dim), of each row's image.
        images: (rows,) labels 0..images-1.
        groups: (rows,) labels 0..groups-1 of rows that are left out together: those of an image,
            or of a concept.
    """

    values: np.ndarray
    embeddings: np.ndarray
    images: np.ndarray
    groups: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: np.ndarray) -> Trials:
        return Trials(
            self.values[rows], self.embeddings[rows], self.images[rows], self.groups[rows]
        )


class Models(Protocol):
    """The models of one fold; a side is `encoding` or `decoding`."""

    def vectors(
        self, side: str, values: np.ndarray, embeddings: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A vector for each response, one for each image, and each image's own term.

        The score is the image's term minus half the squared distance in residual-whitened space.
        """

    def whitener(self, side: str, shrinkage: float) -> Whitener:
        """Of the side's residuals, with their covariance shrunk towards its diagonal."""


@dataclass(frozen=True)
class Mixture:
    """Shrinkage and weight of each side in use."""

    shrinkages: dict[str, float]
    weights: dict[str, float]

    @property
    def sides(self) -> tuple[str, ...]:
        return tuple(self.weights)


def choose_mixture(
    fit: Callable[[Trials], Models], trials: Trials, sides: Sequence[str], gallery: int, seed: int
) -> tuple[Mixture, dict[str, Any]]:
    """Shrinkages, temperatures and share with the least cross-validated N-way log loss.

    Args:
        fit: models of a fold's training trials.
        sides: those that `fit` fits.
        gallery: N; less where a fold holds fewer groups out.
        seed: of folds and galleries.

    Returns:
        The mixture, and a record of what was chosen and how well it performs (JSON).
    """
    folds = folds_by_group(trials.images, trials.groups, seed)
    ways = max(2, min(gallery, *(len(np.unique(trials.groups[held])) for _, held in folds)))
    held_out = []
    for index, (train, held) in enumerate(folds):
        models, left_out = fit(trials.take(train)), trials.take(held)
        _, first, columns = np.unique(left_out.images, return_index=True, return_inverse=True)
        galleries = _galleries(columns, left_out.groups, ways, seed + index)
        each_once = left_out.embeddings[first], left_out.groups[first]
        held_out.append(_HeldOut(models, left_out.values, *each_once, galleries))

    shrinkages, temperatures, scores = {}, {}, {}
    report: dict[str, Any] = {}
    for side in sides:
        vectors = [h.models.vectors(side, h.values, h.embeddings) for h in held_out]
        least = np.inf
        for shrinkage in SHRINKAGES:
            trial = [h.scores(side, shrinkage, v) for h, v in zip(held_out, vectors, strict=True)]
            loss, temperature = _log_loss(_in_galleries(trial, held_out))
            if loss < least:
                least, scores[side] = loss, trial
                shrinkages[side], temperatures[side] = shrinkage, temperature
        report[side] = _figures(scores[side], held_out)

    shares = {sides[0]: 1.0}
    if len(sides) == 2:
        best, shares = np.inf, {}
        for share in DECODING_SHARES:
            trial = [
                (1 - share) * temperatures["encoding"] * e + share * temperatures["decoding"] * d
                for e, d in zip(scores["encoding"], scores["decoding"], strict=True)
            ]
            loss, _ = _log_loss(_in_galleries(trial, held_out))
            if loss < best:
                best, combined = loss, trial
                shares = {"encoding": 1 - share, "decoding": share}
        report["both"] = _figures(combined, held_out)
    weights = {side: share * temperatures[side] for side, share in shares.items() if share > 0}
    return Mixture(shrinkages, weights), {
        "shrinkages": shrinkages,
        "temperatures": {side: round(t, 6) for side, t in temperatures.items()},
        "decoding_share": shares.get("decoding", 0.0),
        "cross_validated": {"ways": ways, "images": sum(len(h.embeddings) for h in held_out)}
        | report,
    }


def folds_by_group(
    images: np.ndarray, groups: np.ndarray, seed: int = 0
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Row indices (training, held out) of the folds to run; no group is in both.

    Args:
        images, groups: (rows,) integer labels; see `Trials`.
    """
    n_images, n_groups = len(np.unique(images)), int(groups.max()) + 1
    folds = min(max(FOLDS, n_images // VALIDATION_IMAGES), n_groups // 2)
    fold = (np.random.default_rng(seed).permutation(n_groups) % folds)[groups]
    run = min(folds, -(-VALIDATION_IMAGES * folds // n_images))
    return [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(run)]


@dataclass(frozen=True)
class _HeldOut:
    """One fold: its models, the responses held out, and their images, each once."""

    models: Models
    values: np.ndarray
    embeddings: np.ndarray
    groups: np.ndarray  # of the images
    galleries: list[tuple[np.ndarray, np.ndarray]]  # (rows, images), of equal length each

    def scores(self, side: str, shrinkage: float, vectors: tuple[np.ndarray, ...]) -> np.ndarray:
        """(rows, images), up to a constant of each row."""
        w = self.models.whitener(side, shrinkage)
        responses, images, own = vectors
        return own - 0.5 * squared_distances(responses @ w, images @ w)


def _galleries(
    columns: np.ndarray, groups: np.ndarray, ways: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Two random partitions into galleries of `ways` rows, each of another group.

    Groups that do not fill a gallery are left out of that partition.

    Args:
        columns: (rows,) which image a row shows; groups: (rows,) its group.
    """
    rng = np.random.default_rng(seed)
    galleries = []
    for _ in range(2):
        order = rng.permutation(len(columns))
        rows = order[np.unique(groups[order], return_index=True)[1]]
        shuffled = rows[rng.permutation(len(rows))]
        for start in range(0, len(rows) - ways + 1, ways):
            chosen = shuffled[start : start + ways]
            galleries.append((chosen, columns[chosen]))
    return galleries


def _in_galleries(scores: Sequence[np.ndarray], held_out: Sequence[_HeldOut]) -> np.ndarray:
    """(galleries, ways, ways); the diagonal is the true image."""
    return np.stack(
        [
            fold[np.ix_(rows, columns)]
            for fold, h in zip(scores, held_out, strict=True)
            for rows, columns in h.galleries
        ]
    )


def _log_loss(scores: np.ndarray) -> tuple[float, float]:
    """Mean -log softmax of the true image at the best temperature, and that temperature."""

    def loss(log_temperature: float) -> float:
        logits = scores * np.exp(log_temperature)
        logits -= logits.max(2, keepdims=True)
        true = np.diagonal(logits, axis1=1, axis2=2)
        return float((np.log(np.exp(logits).sum(2)) - true).mean())

    spread = max(float(scores.std(2).mean()), np.finfo(float).tiny)
    bounds = np.log(0.1 / spread), np.log(20 / spread)
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 0.02})
    return float(best.fun), float(np.exp(best.x))


def _figures(scores: Sequence[np.ndarray], held_out: Sequence[_HeldOut]) -> dict[str, float]:
    """Expected top-1 and top-5 of N-way identification, and the log loss.

    Expected over galleries of the fold's images of other groups: with b of m better than the true
    one, the number of better ones among N - 1 drawn is hypergeometric.
    """
    top = []
    stacked = _in_galleries(scores, held_out)
    for fold, h in zip(scores, held_out, strict=True):
        rows, columns = (np.concatenate(part) for part in zip(*h.galleries, strict=True))
        true = fold[rows, columns]
        other = h.groups != h.groups[columns, None]
        better = ((fold[rows] > true[:, None]) & other).sum(1)
        drawn = hypergeom(other.sum(1), better, stacked.shape[1] - 1)
        top.append([drawn.cdf(0).mean(), drawn.cdf(4).mean()])
    top1, top5 = np.mean(top, 0).tolist()
    loss, _ = _log_loss(stacked)
    return {"top1": round(top1, 4), "top5": round(top5, 4), "log_loss": round(loss, 4)}
