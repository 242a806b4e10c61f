"""How well responses to the same images repeat: `reliab` and `oracle`, defined as in TVSD.

An electrode that is constant or NaN in any repetition has no correlation there; its value is NaN.
"""

import numpy as np


def _unit_rows(values: np.ndarray) -> np.ndarray:
    """Centre over images (axis 1) and scale to unit length; constant rows become NaN."""
    values = np.asarray(values, dtype=np.float64)
    centred = values - values.mean(axis=1, keepdims=True)
    length = np.sqrt(np.square(centred).sum(axis=1, keepdims=True))
    # Rounding leaves a constant row a tiny length, which would give a spurious correlation.
    constant = values.max(axis=1, keepdims=True) == values.min(axis=1, keepdims=True)
    return centred / np.where(constant, np.nan, length)


def _check(repetitions: np.ndarray) -> None:
    if np.ndim(repetitions) != 3 or np.shape(repetitions)[0] < 2:
        raise ValueError(
            "expected repetitions of shape (repetitions >= 2, images, electrodes), "
            f"got {np.shape(repetitions)}"
        )


def pairwise_reliability(repetitions: np.ndarray) -> np.ndarray:
    """Correlation across images between every two repetitions.

    Args:
        repetitions: (repetitions, images, electrodes) responses.

    Returns:
        (pairs, electrodes) Pearson r, float64; pairs in the order (0, 1), (0, 2), ..., (1, 2), ...
    """
    _check(repetitions)
    units = np.moveaxis(_unit_rows(repetitions), 2, 0)
    correlations = units @ units.transpose(0, 2, 1)
    first, second = np.triu_indices(units.shape[1], k=1)
    return np.ascontiguousarray(correlations[:, first, second].T)


def leave_one_out_reliability(repetitions: np.ndarray) -> np.ndarray:
    """Mean over repetitions of the correlation with the mean of all other repetitions.

    Args:
        repetitions: (repetitions, images, electrodes) responses.

    Returns:
        (electrodes,) Pearson r, float64.
    """
    _check(repetitions)
    repetitions = np.asarray(repetitions, dtype=np.float64)
    others = (repetitions.sum(axis=0) - repetitions) / (len(repetitions) - 1)
    products = _unit_rows(repetitions) * _unit_rows(others)
    return products.sum(axis=1).mean(axis=0)
