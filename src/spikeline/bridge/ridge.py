"""Closed-form ridge regression: all penalties and all targets from one eigendecomposition.

With centred X (rows, features) and Y (rows, targets), primal X'X = V diag(l) V' gives
``W(a) = V (V'X'Y) / (l + a)``; with fewer rows than features the dual XX' = U diag(l) U' gives
``W(a) = X'U (U'Y) / (l + a)``. The intercept is not penalised. Products run in the precision of the
input, in blocks that are summed in float64, and eigendecompositions in float64: a float32 sum over
tens of thousands of rows would drown the small eigenvalues that the penalty is there to judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.linalg

from spikeline.errors import InputError

_BLOCK_ROWS = 4096


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


@dataclass(frozen=True)
class _Moments:
    """Sums over rows, enough for a primal fit; moments of row sets add and subtract."""

    rows: int
    x: np.ndarray
    y: np.ndarray
    xx: np.ndarray
    xy: np.ndarray
    yy: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray) -> _Moments:
        blocks = [slice(i, i + _BLOCK_ROWS) for i in range(0, len(x), _BLOCK_ROWS)]
        xx = np.zeros((x.shape[1], x.shape[1]))
        xy = np.zeros((x.shape[1], y.shape[1]))
        for rows in blocks:
            xx += x[rows].T @ x[rows]
            xy += x[rows].T @ y[rows]
        sums = [a.sum(0, dtype=np.float64) for a in (x, y)]
        yy = sum(np.square(y[rows]).sum(0, dtype=np.float64) for rows in blocks)
        return cls(len(x), *sums, xx, xy, yy)

    def __add__(self, other: _Moments) -> _Moments:
        return _Moments(*(a + b for a, b in zip(self._parts(), other._parts(), strict=True)))

    def __sub__(self, other: _Moments) -> _Moments:
        return _Moments(*(a - b for a, b in zip(self._parts(), other._parts(), strict=True)))

    def _parts(self) -> tuple:
        return self.rows, self.x, self.y, self.xx, self.xy, self.yy

    def centred(self, x_mean: np.ndarray, y_mean: np.ndarray) -> tuple[np.ndarray, ...]:
        """X'X, X'Y and the diagonal of Y'Y after taking these means away."""
        xx = self.xx - np.outer(self.x, x_mean) - np.outer(x_mean, self.x)
        xx += self.rows * np.outer(x_mean, x_mean)
        xy = self.xy - np.outer(self.x, y_mean) - np.outer(x_mean, self.y)
        xy += self.rows * np.outer(x_mean, y_mean)
        yy = self.yy - 2 * y_mean * self.y + self.rows * y_mean**2
        return xx, xy, yy


class _Path:
    """Ridge solutions of one set of rows along all penalties, in the eigenbasis of the features."""

    def __init__(self, x: np.ndarray, y: np.ndarray, moments: _Moments | None = None):
        if moments is not None:
            self.x_mean, self.y_mean = moments.x / moments.rows, moments.y / moments.rows
            xx, xy, _ = moments.centred(self.x_mean, self.y_mean)
            self.eigenvalues, self.basis = scipy.linalg.eigh(xx, driver="evd", check_finite=False)
            self.projected = self.basis.T @ xy
        else:
            self.x_mean, self.y_mean = x.mean(0, dtype=np.float64), y.mean(0, dtype=np.float64)
            centred = x - self.x_mean
            self.eigenvalues, left = scipy.linalg.eigh(centred @ centred.T, driver="evd")
            self.basis = centred.T @ left
            self.projected = left.T @ (y - self.y_mean)
        self.eigenvalues = np.maximum(self.eigenvalues, 0)

    def solution(self, penalty: float | np.ndarray) -> np.ndarray:
        """Coefficients in the eigenbasis for one penalty, or one per target: (rank, targets)."""
        return self.projected / (self.eigenvalues[:, None] + penalty)

    def coefficients(self, penalty: float | np.ndarray) -> np.ndarray:
        return self.basis @ self.solution(penalty)


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
        selection: how candidates are scored when there are several: `loo` (exact leave-one-out),
            `kfold` (random folds, mean over folds), or `auto` (loo up to 5,000 rows if none share
            a group, else kfold).
        folds: number of folds; fewer if there are fewer rows or groups.
        groups: labels (rows,); rows of one group share a fold. None: each row is its own.
        per_target: choose for each target its own penalty, instead of the best mean R2.
        seed: of the folds.

    Raises:
        InputError: penalties that are not positive, or a single group to choose one on.
    """
    x, y = _floating(x), _floating(y)
    penalties = np.asarray(penalties, dtype=np.float64)
    if penalties.ndim != 1 or len(penalties) == 0 or not (penalties > 0).all():
        raise InputError("penalties: a list of positive numbers is needed")
    if groups is not None and len(np.unique(groups)) == len(x):
        groups = None
    if selection == "auto":
        one_by_one = groups is None and len(x) <= 5000
        selection = "loo" if one_by_one else "kfold"
    if selection == "loo" and groups is not None:
        raise ValueError("selection 'loo' leaves single rows out; for groups use kfold")
    # products of values far from 0 would lose the digits that the centring is to bring out
    x_shift, y_shift = (a.mean(0, dtype=np.float64).astype(a.dtype) for a in (x, y))
    x, y = x - x_shift, y - y_shift
    primal = len(x) >= x.shape[1]
    fold_rows, fold_moments = [], None
    if selection == "kfold" and len(penalties) > 1:
        order, fold_rows = _folds(len(x), folds, groups, seed)
        x, y = x[order], y[order]
    if primal and fold_rows:
        fold_moments = [_Moments.of(x[rows], y[rows]) for rows in fold_rows]
        moments = sum(fold_moments[1:], fold_moments[0])
    else:
        moments = _Moments.of(x, y) if primal else None
    path = _Path(x, y, moments)
    if len(penalties) == 1:
        r2 = np.zeros((0, y.shape[1]))
    elif selection == "loo":
        r2 = _leave_one_out(path, x, y, penalties)
    elif selection == "kfold":
        r2 = _k_fold(x, y, penalties, fold_rows, moments, fold_moments)
    else:
        raise ValueError(f"selection {selection!r}: use auto, loo or kfold")
    if len(r2) == 0:
        chosen = np.full(y.shape[1], penalties[0])
    elif per_target:
        chosen = penalties[r2.argmax(0)]
    else:
        chosen = np.full(y.shape[1], penalties[r2.mean(1).argmax()])
    coefficients = path.coefficients(chosen)
    intercept = path.y_mean + y_shift - (path.x_mean + x_shift) @ coefficients
    return RidgeFit(coefficients.astype(np.float32), intercept.astype(np.float32), chosen, r2)


def _floating(array: np.ndarray) -> np.ndarray:
    array = np.asarray(array)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def _folds(
    rows: int, folds: int, groups: np.ndarray | None, seed: int
) -> tuple[np.ndarray, list[slice]]:
    """An order of the rows in which each fold is a slice, and the slices.

    Rows are dealt at random, for their order in a file may mean something. Groups go one by one,
    the largest first, to the fold with the fewest rows.
    """
    if groups is None:
        order = np.random.default_rng(seed).permutation(rows)
        edges = np.linspace(0, rows, min(folds, rows) + 1).astype(int)
    else:
        _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
        if len(sizes) == 1:
            raise InputError("penalties: one group of rows cannot choose among them; give one")
        filled = np.zeros(min(folds, len(sizes)), dtype=int)
        fold = np.zeros(len(sizes), dtype=int)
        dealt = np.random.default_rng(seed).permutation(len(sizes))
        for label in dealt[np.argsort(-sizes[dealt], kind="stable")]:
            fold[label] = filled.argmin()
            filled[fold[label]] += sizes[label]
        order = np.argsort(fold[group], kind="stable")
        edges = np.concatenate([[0], np.cumsum(filled)])
    return order, [slice(a, b) for a, b in pairwise(edges)]


def _explained(squared_error: np.ndarray, total: np.ndarray) -> np.ndarray:
    """1 - error / total per target; 0 for a target that does not vary."""
    return 1 - np.divide(squared_error, total, out=np.ones_like(squared_error), where=total > 0)


def _held_out(path: _Path, penalties: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    projected = (x - path.x_mean) @ path.basis
    centred = y - path.y_mean
    total = np.square(y - y.mean(0)).sum(0)
    return np.stack(
        [
            _explained(np.square(centred - projected @ path.solution(a)).sum(0), total)
            for a in penalties
        ]
    )


def _leave_one_out(path: _Path, x: np.ndarray, y: np.ndarray, penalties: np.ndarray) -> np.ndarray:
    """Residuals divided by one minus the leverage (Allen 1974, PRESS)."""
    projected = (x - path.x_mean) @ path.basis
    # basis = V in the primal form; in the dual form its columns carry the singular values
    length = np.square(path.basis).sum(0)
    squares = np.square(projected) / np.maximum(length, np.finfo(float).tiny)
    squares[:, length < 1e-12 * length.max()] = 0
    centred = y - path.y_mean
    total = np.square(centred).sum(0) * (len(x) / (len(x) - 1)) ** 2  # the left-out mean's errors
    scores = []
    for penalty in penalties:
        leverage = (squares / (path.eigenvalues + penalty)).sum(1) + 1 / len(x)
        left_out = (centred - projected @ path.solution(penalty)) / (1 - leverage)[:, None]
        scores.append(_explained(np.square(left_out).sum(0), total))
    return np.stack(scores)


def _k_fold(
    x: np.ndarray,
    y: np.ndarray,
    penalties: np.ndarray,
    folds: list[slice],
    moments: _Moments | None,
    fold_moments: list[_Moments] | None,
) -> np.ndarray:
    scores = []
    for index, rows in enumerate(folds):
        if moments is not None and moments.rows - (rows.stop - rows.start) >= x.shape[1]:
            scores.append(_fold_from_moments(moments, fold_moments[index], penalties))
            continue
        kept = np.ones(len(x), dtype=bool)
        kept[rows] = False
        scores.append(_held_out(_Path(x[kept], y[kept]), penalties, x[rows], y[rows]))
    return np.mean(scores, 0)


def _fold_from_moments(whole: _Moments, fold: _Moments, penalties: np.ndarray) -> np.ndarray:
    """R2 on one fold of the fit to the others, from sums alone: no pass over the rows.

    Squared error of W on the fold = diag(Y'Y - 2 W'X'Y + W'X'X W), in the fit's eigenbasis.
    """
    path = _Path(None, None, whole - fold)
    xx, xy, yy = fold.centred(path.x_mean, path.y_mean)
    xx = path.basis.T @ xx @ path.basis
    xy = path.basis.T @ xy
    total = fold.yy - fold.y**2 / fold.rows
    scores = []
    for penalty in penalties:
        solution = path.solution(penalty)
        error = yy - 2 * (solution * xy).sum(0) + (solution * (xx @ solution)).sum(0)
        scores.append(_explained(error, total))
    return np.stack(scores)
