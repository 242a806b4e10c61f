"""Which factors of an image responses tell: a Gaussian model of responses given all their levels.

The mean response to an image is the sum of one effect for each of its factors, such as its object's
shape; what is left is noise with a full covariance. Levels are likely where they explain the
response: with one factor this is Fisher's linear discriminant analysis, and with several each is
read with what the others do to the response taken off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from sklearn.covariance import ledoit_wolf

from spikeline.bridge.ridge import fit_ridge, left_out_predictions
from spikeline.errors import InputError

# Of the effects: so many further rows of each level that say nothing of it.
PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0)

# {factor: (n,) names of its levels}
Levels = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class FactorReader:
    """Effects of levels on responses, weighed by the precision of the noise.

    Attributes:
        levels: {factor: (levels,) names}, of the training images.
        mean: (levels of all factors,) their shares of the training rows.
        offset: (features,) what responses are without any effect.
        weights: (features, levels of all factors), S^-1 B' of effects B and noise covariance S.
        precision: (levels, levels) of all factors, B S^-1 B'.
    """

    levels: Levels
    mean: np.ndarray
    offset: np.ndarray
    weights: np.ndarray
    precision: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, levels: Levels, groups: np.ndarray) -> FactorReader:
        """Fit to standardised responses.

        Args:
            features: (rows, features).
            levels: {factor: (rows,)}, of each row's image.
            groups: (rows,) labels of rows that are left out together.

        The effects are ridge regressions on the levels, with the penalty of the least left-out
        error; the covariance of the left-out residuals is shrunk as by Ledoit and Wolf (2004).
        """
        known = {name: np.unique(np.asarray(own, str)) for name, own in levels.items()}
        codes = _one_hot(levels, known)
        mean = codes.mean(0)
        fit = fit_ridge(codes - mean, features, PENALTIES, groups=groups)
        out = left_out_predictions(codes - mean, features, groups, fit.penalties[0])
        covariance, _ = ledoit_wolf(features - out, assume_centered=True)
        effects = fit.coefficients.astype(np.float64)
        weights = np.linalg.solve(covariance, effects.T)
        return cls(
            known,
            mean.astype(np.float32),
            fit.intercept,
            weights.astype(np.float32),
            (effects @ weights).astype(np.float32),
        )

    def log_likelihood(self, features: np.ndarray, levels: Levels) -> np.ndarray:
        """Of each response, given the levels of each image, up to a constant of the response.

        Args:
            features: (n, features), as in `fit`.
            levels: {factor: (m,)}; a level that training never showed has no effect.

        Returns:
            (n, m)

        Raises:
            InputError: all levels of a factor are such.
        """
        codes = self._codes(levels)
        explained = (features - self.offset) @ self.weights @ codes.T
        return explained - 0.5 * ((codes @ self.precision) * codes).sum(1)

    def likeliest(self, features: np.ndarray, levels: Levels) -> np.ndarray:
        """Which images have the levels that are the likeliest among them, given a response.

        Returns:
            bool (n, m), true at least once in each row.
        """
        combinations, which = self._combinations(levels)
        best = self.log_likelihood(features, combinations).argmax(1)
        return which == best[:, None]

    def shared(self, shown: Levels, levels: Levels) -> np.ndarray:
        """As `likeliest`, of images whose levels are known: those that share the most levels."""
        count = sum(
            np.asarray(shown[name], str)[:, None] == np.asarray(levels[name], str)
            for name in self.levels
        )
        return count == count.max(1, keepdims=True)

    def _codes(self, levels: Levels) -> np.ndarray:
        one_hot = _one_hot(levels, self.levels)
        starts = np.cumsum([0, *(len(names) for names in self.levels.values())])
        for (name, known), (first, end) in zip(self.levels.items(), pairwise(starts), strict=True):
            unknown = ~one_hot[:, first:end].any(1)
            one_hot[unknown, first:end] = self.mean[first:end]
            if unknown.all():
                raise InputError(
                    f"factors: no image has a level of {name!r} that training images had, such as "
                    f"{str(known[0])!r}; name the levels of all images alike"
                )
        return one_hot - self.mean

    def _combinations(self, levels: Levels) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """The distinct combinations of levels, and which of them each image has (m,).

        Of many images few are distinct, and only these become codes.
        """
        names, numbers = zip(
            *(
                np.unique(np.asarray(levels[name], str), return_inverse=True)
                for name in self.levels
            ),
            strict=True,
        )
        distinct, which = np.unique(np.stack(numbers, axis=1), axis=0, return_inverse=True)
        columns = zip(self.levels, names, distinct.T, strict=True)
        return {factor: own[number] for factor, own, number in columns}, which.reshape(-1)

    def tensors(self) -> dict[str, np.ndarray]:
        """Its arrays; the names of the levels go beside them."""
        names = ("mean", "offset", "weights", "precision")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_tensors(
        cls, levels: Iterable[tuple[str, list[str]]], arrays: Mapping[str, np.ndarray]
    ) -> FactorReader:
        """What `tensors` gave, with the names of the levels."""
        return cls({name: np.asarray(own, str) for name, own in levels}, **arrays)


def _one_hot(levels: Levels, known: Levels) -> np.ndarray:
    """(n, levels of all factors) float32, 1 for the level that an image has of a factor."""
    columns = [np.asarray(levels[name], str)[:, None] == own for name, own in known.items()]
    return np.concatenate(columns, axis=1).astype(np.float32)
