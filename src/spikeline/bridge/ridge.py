"""Ridge regression whose penalty is chosen by cross-validation, for all targets or for each.

Rows of one group, such as the repeats of an image or the images of a concept, are left out
together. Up to 5,000 rows each group is left out once, exactly; beyond, random folds are, from
sums over rows alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikeline.errors import InputError
from spikeline.ridge import Moments, RidgePath, checked_penalties

# Leave-one-out passes over all rows for each penalty; up to here that is cheap.
EXACT_ROWS = 5000
# Of `left_out_predictions`.
LEFT_OUT_FOLDS = 5


@dataclass(frozen=True)
class RidgeFit:
    """A fitted ridge regression: predictions are ``x @ coefficients + intercept``.

    Attributes:
        coefficients: (features, targets) float32; intercept: (targets,) float32.
        penalties: the penalty chosen for each target (targets,).
        r2: cross-validated share of variance explained, (penalties tried, targets); empty when
            only one penalty was given.
    """

    coefficients: np.ndarray
    intercept: np.ndarray
    penalties: np.ndarray
    r2: np.ndarray

    def predict(self, features: np.ndarray) -> np.ndarray:
        """(rows, features) to (rows, targets) float32."""
        return features @ self.coefficients + self.intercept


def fit_ridge(
    x: np.ndarray,
    y: np.ndarray,
    penalties: Sequence[float],
    *,
    selection: str = "auto",
    folds: int = 5,
    groups: np.ndarray | None = None,
    per_target: bool = False,
    seed: int = 0,
) -> RidgeFit:
    """Fit ridge regression with the best of several penalties.

    Args:
        x: features (rows, features); y: targets (rows, targets).
        penalties: candidates, positive, in the scale of the summed squares of x.
        selection: how candidates are scored when there are several: `loo` (exact leave-one-out of
            groups), `kfold` (random folds, mean over folds), or `auto` (loo up to 5,000 rows,
            else kfold).
        folds: number of folds; fewer if there are fewer groups.
        groups: labels (rows,); rows of one group are left out together. None: each row alone.
        per_target: choose for each target its own penalty, instead of the best mean R2.
        seed: of the folds.

    Raises:
        InputError: penalties that are not positive, or a single group to choose one on.
    """
    x, y = _floating(x), _floating(y)
    penalties = checked_penalties(penalties)
    if selection == "auto":
        selection = "loo" if len(x) <= EXACT_ROWS else "kfold"
    if selection not in ("loo", "kfold"):
        raise ValueError(f"selection {selection!r}: use auto, loo or kfold")
    groups = np.arange(len(x)) if groups is None else np.unique(groups, return_inverse=True)[1]
    if len(penalties) > 1 and groups.max() == 0:
        raise InputError("penalties: cannot choose among several with one group of rows; give one")
    # products of values far from 0 would lose the digits that the centring is to bring out
    x_shift, y_shift = (a.mean(0, dtype=np.float64).astype(a.dtype) for a in (x, y))
    x, y = x - x_shift, y - y_shift
    r2 = np.zeros((0, y.shape[1]))
    if len(penalties) == 1:
        path = RidgePath.of_rows(x, y)
    elif selection == "loo":
        path = RidgePath.of_rows(x, y)
        r2 = _leave_one_out(path, x, y, penalties, groups)
    else:
        order, starts = _folds(groups, folds, seed)
        held_out = [Moments.of(x[rows], y[rows]) for rows in np.split(order, starts)]
        whole = sum(held_out[1:], held_out[0])
        path = RidgePath.of_moments(whole)
        r2 = np.mean([_held_out(whole - fold, fold, penalties) for fold in held_out], axis=0)
    if len(penalties) == 1:
        chosen = np.full(y.shape[1], penalties[0])
    elif per_target:
        chosen = penalties[r2.argmax(0)]
    else:
        chosen = np.full(y.shape[1], penalties[r2.mean(1).argmax()])
    coefficients = path.coefficients(chosen)
    intercept = path.y_mean + y_shift - (path.x_mean + x_shift) @ coefficients
    return RidgeFit(coefficients.astype(np.float32), intercept.astype(np.float32), chosen, r2)


def left_out_predictions(
    features: np.ndarray, targets: np.ndarray, groups: np.ndarray, penalty: float, seed: int = 0
) -> np.ndarray:
    """Ridge predictions (rows, dim) of each row by regressions that did not see its group."""
    labels = np.unique(groups, return_inverse=True)[1]
    order = np.random.default_rng(seed).permutation(labels.max() + 1)
    fold = (order % min(LEFT_OUT_FOLDS, len(order)))[labels]
    predicted = np.zeros(targets.shape, dtype=np.float32)
    for number in np.unique(fold):
        kept, out = fold != number, fold == number
        fit = fit_ridge(features[kept], targets[kept], [penalty])
        predicted[out] = fit.predict(features[out])
    return predicted


def _floating(array: np.ndarray) -> np.ndarray:
    array = np.asarray(array)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def _folds(groups: np.ndarray, folds: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """An order of the rows in which each fold is contiguous, and where all but the first begin.

    Rows are assigned at random, for their order in a file may mean something. Groups of several
    rows go one by one, the largest first, to the fold with the fewest rows.
    """
    sizes = np.bincount(groups)
    rng = np.random.default_rng(seed)
    if sizes.max() == 1:
        edges = np.linspace(0, len(groups), min(folds, len(groups)) + 1).astype(int)
        return rng.permutation(len(groups)), edges[1:-1]
    filled = np.zeros(min(folds, len(sizes)), dtype=int)
    fold = np.zeros(len(sizes), dtype=int)
    drawn = rng.permutation(len(sizes))
    for label in drawn[np.argsort(-sizes[drawn], kind="stable")]:
        fold[label] = filled.argmin()
        filled[fold[label]] += sizes[label]
    return np.argsort(fold[groups], kind="stable"), np.cumsum(filled)[:-1]


def _explained(squared_error: np.ndarray, total: np.ndarray) -> np.ndarray:
    """1 - error / total per target; 0 for a target that does not vary."""
    return 1 - np.divide(squared_error, total, out=np.ones_like(squared_error), where=total > 0)


def _leave_one_out(
    path: RidgePath, x: np.ndarray, y: np.ndarray, penalties: np.ndarray, groups: np.ndarray
) -> np.ndarray:
    """R2 (penalties, targets), where the total are the errors of the left-out mean."""
    candidates = [*penalties, np.inf]
    missed = path.left_out(path.rotated(x), y, candidates, groups)
    *errors, total = (np.square(residuals).sum(0) for residuals in missed)
    return np.stack([_explained(error, total) for error in errors])


def _held_out(others: Moments, fold: Moments, penalties: np.ndarray) -> np.ndarray:
    """R2 (penalties, targets) on one fold of the fit to the others, without a pass over the rows.

    Squared error of W on the fold = diag(Y'Y - 2 W'X'Y + W'X'X W), in the fit's eigenbasis.
    """
    path = RidgePath.of_moments(others)
    xx, xy, yy = fold.about(path.x_mean, path.y_mean)
    xx = path.basis.T @ xx @ path.basis
    xy = path.basis.T @ xy
    total = fold.yy - fold.y**2 / fold.rows
    scores = []
    for penalty in penalties:
        solution = path.solution(penalty)
        error = yy - 2 * (solution * xy).sum(0) + (solution * (xx @ solution)).sum(0)
        scores.append(_explained(error, total))
    return np.stack(scores)
