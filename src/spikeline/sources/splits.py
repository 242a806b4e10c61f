"""Random test splits for recordings that come without a test set of their own."""

from __future__ import annotations

import numpy as np

from spikeline.errors import InputError


def random_splits(images: np.ndarray, splits: int, test_images: int, where: str) -> np.ndarray:
    """(splits, rows) bool: in split k, `test_images` images drawn with seed k are test rows.

    Rows that show the same image go to the same side.
    """
    names, first, image_of_row = np.unique(
        images.astype(str), return_index=True, return_inverse=True
    )
    if not 0 < test_images < len(names):
        raise InputError(
            f"{where}: {test_images} test images requested of {len(names)}; "
            "set test_images to less than the number of images"
        )
    # Drawn in order of first appearance, so a split does not depend on how names sort.
    appearance = np.argsort(first)
    masks = []
    for split in range(splits):
        chosen = np.random.default_rng(split).permutation(len(names))[:test_images]
        masks.append(np.isin(image_of_row, appearance[chosen]))
    return np.stack(masks)
