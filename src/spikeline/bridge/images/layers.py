"""Layers of an image network as targets: pooled over places, then cut to principal components."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spikeline.bridge.targets import TargetSpace, prepared
from spikeline.errors import InputError

if TYPE_CHECKING:
    import torch

# Where images and values both exceed this many times the components kept, they are found by
# random projection: exact decompositions take hours there.
_EXACT_UP_TO = 5


def pooled(maps: torch.Tensor, prefix: torch.Tensor | None, pool: str, grid: int) -> torch.Tensor:
    """One vector for each image from one layer's features.

    Args:
        maps: (images, channels, height, width).
        prefix: (images, tokens, channels), the tokens before those of the patches, or None.
        pool: `mean` over all places, `grid` (means over grid x grid cells, fewer where the map is
            smaller), or `class` (the first prefix token).

    Returns:
        (images, channels), or (images, channels x cells) for `grid`, channel by channel.

    Raises:
        InputError: `class`, and the network has no such token.
    """
    from torch.nn import functional

    if pool == "class":
        if prefix is None or not prefix.shape[1]:
            raise InputError("pool: the network has no class token; use mean or grid")
        return prefix[:, 0]
    height, width = maps.shape[2:]
    cells = (min(grid, height), min(grid, width)) if pool == "grid" else (1, 1)
    return functional.adaptive_avg_pool2d(maps.float(), cells).flatten(1)


def reduced(rows: np.ndarray, training: np.ndarray, transform: str, components: int) -> np.ndarray:
    """A layer of all images along the principal axes of the training images.

    Args:
        rows: (images, values); each image is scaled to length 1, after the transform.
        training: bool (images,), those that the axes are fitted to.
        transform: `none`, or `sqrt` for the signed square root, which suits rectified features.
        components: axes kept, fewer where the training images span fewer.

    Returns:
        (images, at most components) float32, centred on the training images.

    Raises:
        InputError: all training images have the same values.
    """
    root = transform == "sqrt"
    if min(training.sum(), rows.shape[1]) <= _EXACT_UP_TO * components:
        return TargetSpace.fit(rows[training], components, root=root).project(rows)
    from sklearn.decomposition import PCA

    rows = prepared(rows, root, normalise=True)
    axes = PCA(components, svd_solver="randomized", random_state=0).fit(rows[training])
    return np.asarray(axes.transform(rows), dtype=np.float32)
