"""Predictions given the mean and spread of what they predict, dimension by dimension.

A regression shrinks what it cannot know towards the mean. A generator has never seen embeddings or
latents so close to their mean; brought back to the spread of real ones, they lie where it has been
trained (Ozcelik and VanRullen 2023).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# With fewer responses decoded together their own spread is a guess.
FEWEST_DECODED = 20


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of each dimension: (dim,) float32 each."""

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray) -> Moments:
        """Of rows (n, dim)."""
        rows = np.asarray(rows, dtype=np.float64)
        return cls(rows.mean(0).astype(np.float32), rows.std(0).astype(np.float32))


def standardised(
    predicted: np.ndarray, targets: Moments, training: Moments, method: str
) -> np.ndarray:
    """Predictions (n, dim) with the moments of their targets.

    Args:
        predicted: of the responses that are decoded together.
        targets: of the training images.
        training: of predictions of training rows that were left out.
        method: `decoded` measures the predictions' own moments on `predicted`, if there are at
            least `FEWEST_DECODED`, else as `training` does, on left-out training rows; `none`
            returns them as they are.
    """
    predicted = np.asarray(predicted, dtype=np.float32)
    if method == "none":
        return predicted
    decoded = method == "decoded" and len(predicted) >= FEWEST_DECODED
    own = Moments.of(predicted) if decoded else training
    scale = np.divide(targets.std, own.std, out=np.zeros_like(own.std), where=own.std > 0)
    return (predicted - own.mean) * scale + targets.mean
