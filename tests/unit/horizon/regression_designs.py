"""The design matrix of a Poisson regression written out, for slow references."""

from __future__ import annotations

import numpy as np


def design(own: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """(rows, units, 1 + own + shared) float64."""
    units = own.shape[2]
    parts = [
        np.ones((len(shared), units, 1)),
        own.transpose(1, 2, 0),
        np.repeat(shared[:, None], units, axis=1),
    ]
    return np.concatenate(parts, axis=2).astype(np.float64)
