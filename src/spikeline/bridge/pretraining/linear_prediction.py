"""What a linear map makes of masking: ridge regression of hidden responses on the visible ones."""

from __future__ import annotations

import numpy as np

from spikeline.bridge.ridge import fit_ridge

_PENALTIES = (1e1, 1e2, 1e3, 1e4, 1e5)


def linear_error(
    train: np.ndarray, held_out: np.ndarray, hidden: np.ndarray, varying: np.ndarray
) -> float:
    """Mean squared error of ridge regression on the hidden responses of held-out rows.

    One regression for each distinct mask: on the columns that it leaves visible, of those that it
    hides, with one penalty chosen by cross-validation.

    Args:
        train: standardised responses (training rows, columns).
        held_out: (rows, columns); hidden: the mask of each, bool.
        varying: (columns,) bool; others do not count.
    """
    squared, count = 0.0, 0
    masks, mask_of_row = np.unique(hidden, axis=0, return_inverse=True)
    for number, mask in enumerate(masks):
        seen, wanted = ~mask & varying, mask & varying
        rows = mask_of_row.ravel() == number
        fit = fit_ridge(train[:, seen], train[:, wanted], _PENALTIES)
        error = fit.predict(held_out[rows][:, seen]) - held_out[rows][:, wanted]
        squared += float(np.square(error, dtype=np.float64).sum())
        count += error.size
    return squared / max(count, 1)
