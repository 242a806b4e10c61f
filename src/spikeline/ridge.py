"""Ridge regression: all penalties and all targets from one spectral decomposition.

With X (rows, features) and Y (rows, targets), both centred where there is an intercept, which is
not penalised, and X'X = V diag(l) V', the coefficients of the penalty a are

    W(a) = V (V'X'Y) / (l + a)

With fewer rows than features V comes from the smaller XX' = U diag(l) U', as X'U / sqrt(l).
Products run in the precision of the input, in blocks that are summed in float64, and
decompositions in float64: a float32 sum over tens of thousands of rows would drown the small
eigenvalues that the penalty is there to judge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import scipy.linalg

from spikeline.errors import InputError

# Eigenvalues below this share of the largest are rounding.
NEGLIGIBLE = 1e-12
_BLOCK_ROWS = 4096
_GROUP_ROWS = 2048


@dataclass
class Moments:
    """Sums over rows, all that a fit takes; moments of disjoint sets of rows add and subtract.

    Attributes:
        rows: how many; x: (features,); y: (targets,), the sums of the columns.
        xx: (features, features) X'X; xy: (features, targets) X'Y; yy: (targets,) diagonal of Y'Y.
    """

    rows: int
    x: np.ndarray
    y: np.ndarray
    xx: np.ndarray
    xy: np.ndarray
    yy: np.ndarray

    @classmethod
    def zeros(cls, features: int, targets: int) -> Moments:
        shapes = (features, targets, (features, features), (features, targets), targets)
        return cls(0, *map(np.zeros, shapes))

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray) -> Moments:
        """Of x (rows, features) and y (rows, targets)."""
        moments = cls.zeros(x.shape[1], y.shape[1])
        moments.include(x, y)
        return moments

    def include(self, x: np.ndarray, y: np.ndarray) -> None:
        """Add further rows, in place."""
        for first in range(0, len(x), _BLOCK_ROWS):
            a, b = x[first : first + _BLOCK_ROWS], y[first : first + _BLOCK_ROWS]
            self.rows += len(a)
            self.x += a.sum(0, dtype=np.float64)
            self.y += b.sum(0, dtype=np.float64)
            self.xx += a.T @ a
            self.xy += a.T @ b
            self.yy += np.square(b).sum(0, dtype=np.float64)

    def __add__(self, other: Moments) -> Moments:
        return Moments(*(a + b for a, b in zip(self._parts(), other._parts(), strict=True)))

    def __sub__(self, other: Moments) -> Moments:
        return Moments(*(a - b for a, b in zip(self._parts(), other._parts(), strict=True)))

    def _parts(self) -> tuple:
        return tuple(getattr(self, field.name) for field in fields(self))

    def scaled(self, factors: np.ndarray) -> Moments:
        """Those of the features times these factors (features,)."""
        xx = factors[:, None] * self.xx
        xx *= factors
        return Moments(self.rows, factors * self.x, self.y, xx, factors[:, None] * self.xy, self.yy)

    def about(self, x_mean: np.ndarray, y_mean: np.ndarray) -> tuple[np.ndarray, ...]:
        """X'X, X'Y and the diagonal of Y'Y after subtracting these means from the rows."""
        xx = self.xx - np.outer(self.x, x_mean)
        xx -= np.outer(x_mean, self.x - self.rows * x_mean)
        xy = self.xy - np.outer(self.x, y_mean)
        xy -= np.outer(x_mean, self.y - self.rows * y_mean)
        return xx, xy, self.yy - 2 * y_mean * self.y + self.rows * y_mean**2


@dataclass(frozen=True)
class RidgePath:
    """The ridge regressions of one set of rows along all penalties.

    Attributes:
        eigenvalues: (rank,) l; basis: (features, rank) V; projected: (rank, targets) V'X'Y.
        x_mean: (features,), y_mean: (targets,), subtracted from the rows; 0 without an intercept.
        intercept_leverage: of the intercept on each row: 1 / rows, or 0 without.
    """

    eigenvalues: np.ndarray
    basis: np.ndarray
    projected: np.ndarray
    x_mean: np.ndarray | float = 0.0
    y_mean: np.ndarray | float = 0.0
    intercept_leverage: float = 0.0

    @classmethod
    def of_rows(
        cls, x: np.ndarray, y: np.ndarray, intercept: bool = True, negligible: float = NEGLIGIBLE
    ) -> RidgePath:
        """Of x (rows, features) and y (rows, targets), from the smaller of X'X and XX'.

        Args:
            negligible: eigenvalues below this share of the largest are left out.
        """
        if len(x) >= x.shape[1]:
            return cls.of_moments(Moments.of(x, y), intercept, negligible)
        x_mean, y_mean = (a.mean(0, dtype=np.float64) * intercept for a in (x, y))
        centred = x - x_mean
        eigenvalues, left = spectrum(centred @ centred.T, negligible)
        root = np.sqrt(eigenvalues)
        projected = root[:, None] * (left.T @ (y - y_mean))
        basis = centred.T @ left / root
        return cls(eigenvalues, basis, projected, x_mean, y_mean, intercept / len(x))

    @classmethod
    def of_moments(
        cls, moments: Moments, intercept: bool = True, negligible: float = NEGLIGIBLE
    ) -> RidgePath:
        """As `of_rows`, from X'X; also where its rows do not fit in memory."""
        x_mean, y_mean = (a * (intercept / moments.rows) for a in (moments.x, moments.y))
        xx, xy, _ = moments.about(x_mean, y_mean)
        eigenvalues, basis = spectrum(xx, negligible)
        leverage = intercept / moments.rows
        return cls(eigenvalues, basis, basis.T @ xy, x_mean, y_mean, leverage)

    def solution(self, penalty: float | np.ndarray) -> np.ndarray:
        """(rank, targets) coefficients in the basis, of one penalty or one for each target."""
        return self.projected / (self.eigenvalues[:, None] + penalty)

    def coefficients(self, penalty: float | np.ndarray) -> np.ndarray:
        """(features, targets)."""
        return self.basis @ self.solution(penalty)

    def rotated(self, x: np.ndarray) -> np.ndarray:
        """(rows, features) to coordinates in the basis (rows, rank) float64."""
        return (x - self.x_mean) @ self.basis

    def left_out(
        self,
        rotated: np.ndarray,
        y: np.ndarray,
        penalties: Sequence[float] | np.ndarray,
        groups: np.ndarray | None = None,
    ) -> Iterator[np.ndarray]:
        """By how much each row is missed when its group is left out, penalty by penalty, exactly.

        With H the matrix from targets to predictions, a row misses by its residual over 1 - H_ii
        (Allen 1974, Technometrics 16), a group g by (I - H_gg)^-1 times its residuals. An infinite
        penalty leaves the intercept alone.

        Args:
            rotated: (rows, rank), the fitted rows; predictions are computed in its precision.
            y: (rows, targets), as fitted.
            groups: (rows,) labels of rows that are left out together; None: each row alone.

        Yields:
            (rows, targets) float64, target minus prediction.
        """
        y = y - self.y_mean
        penalties = np.asarray(penalties, dtype=np.float64)
        shrinkage = 1 / (self.eigenvalues[:, None] + penalties)
        leverage = np.full((len(y), len(penalties)), self.intercept_leverage)
        for first in range(0, len(y), _BLOCK_ROWS):
            rows = slice(first, first + _BLOCK_ROWS)
            leverage[rows] += np.square(rotated[rows]) @ shrinkage
        together = [] if groups is None else _rows_of_groups(groups)
        for index in range(len(penalties)):
            shrunk = shrinkage[:, index]
            solution = (shrunk[:, None] * self.projected).astype(rotated.dtype, copy=False)
            missed = y - rotated @ solution
            solved = [
                (rows, self._solved(rotated[rows], shrunk, missed[rows])) for rows in together
            ]
            missed /= 1 - leverage[:, index, None]
            for rows, block in solved:
                missed[rows] = block
            yield missed

    def _solved(self, u: np.ndarray, shrunk: np.ndarray, residuals: np.ndarray) -> np.ndarray:
        hat = (u * shrunk) @ u.transpose(0, 2, 1) + self.intercept_leverage
        return np.linalg.solve(np.eye(u.shape[1]) - hat, residuals)


def spectrum(matrix: np.ndarray, negligible: float) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues (rank,), ascending, and eigenvectors (n, rank) of a symmetric matrix (n, n).

    Those below the share `negligible` of the largest, or not positive, are left out.
    """
    eigenvalues, vectors = scipy.linalg.eigh(matrix, driver="evd", check_finite=False)
    kept = eigenvalues > max(negligible * eigenvalues[-1], 0)
    return eigenvalues[kept], vectors[:, kept]


def _rows_of_groups(groups: np.ndarray) -> list[np.ndarray]:
    """Row indices of the groups of several rows: arrays (groups, size) of bounded length."""
    _, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(inverse, kind="stable")
    starts = np.cumsum(counts) - counts
    blocks = []
    for size in np.unique(counts[counts > 1]):
        rows = order[starts[counts == size][:, None] + np.arange(size)]
        at_once = max(1, _GROUP_ROWS // size)
        blocks += [rows[i : i + at_once] for i in range(0, len(rows), at_once)]
    return blocks


def checked_penalties(penalties: Sequence[float] | np.ndarray) -> np.ndarray:
    """(penalties,) float64.

    Raises:
        InputError: none, or one that is not positive.
    """
    penalties = np.asarray(penalties, dtype=np.float64)
    if penalties.ndim != 1 or len(penalties) == 0 or not (penalties > 0).all():
        raise InputError("penalties: expected a list of positive numbers")
    return penalties
