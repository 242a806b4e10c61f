"""How well images can be identified from responses alone, given the noise of repetitions."""

from __future__ import annotations

import numpy as np

from spikeline.bridge.retrieval import ranks
from spikeline.errors import InputError

TOP = (1, 5, 10)


def noise_ceiling(
    repetitions: np.ndarray | None,
    query_repetitions: int | None,
    draws: int,
    seed: int = 0,
) -> dict[str, float | int] | None:
    """Identification of each image's mean response among the means of other repetitions.

    The repetitions are split at random into queries and gallery. In each part every electrode of
    the mean response is z-scored over images; a query is then identified among the gallery by its
    correlation over electrodes, and the scores are averaged over draws.

    It bounds retrieval by templates: a decoder that predicted the embedding as well as if it
    had measured each image's response itself, and compared it by plain correlation, would score
    this much with that many repetitions. It does not bound other decoders: one
    that weights electrodes by their reliability or removes correlated noise can exceed it, since
    correlation counts every electrode alike; and both parts are noisier than the mean of all
    repetitions that decoders are given when `query_repetitions` is None. A decoder near or above it
    is limited by the recording's noise; a decoder far below it by itself or by the embedding.

    Args:
        repetitions: (repetitions, images, electrodes) of the electrodes in use, or None.
        query_repetitions: averaged in the query; the gallery averages all others. None, or more
            than half of those available, means half.
        draws: random splits.
        seed: of the splits.

    Returns:
        {"query_repetitions", "gallery_repetitions", "draws": counts; "top1", "top5", "top10":
        shares 0..1}, or None where fewer than two repetitions are known.

    Raises:
        InputError: fewer than two images or no electrode.
    """
    if repetitions is None or len(repetitions) < 2:
        return None
    available, images, electrodes = repetitions.shape
    if images < 2 or electrodes < 1:
        raise InputError(
            f"noise ceiling: {images} images and {electrodes} electrodes; "
            "expected at least two images and one electrode"
        )
    queries = min(query_repetitions or available, available // 2)
    random = np.random.default_rng(seed)
    hits = np.zeros(len(TOP))
    for _ in range(draws):
        order = random.permutation(available)
        found = ranks(
            _correlations(
                repetitions[order[:queries]].mean(axis=0, dtype=np.float64),
                repetitions[order[queries:]].mean(axis=0, dtype=np.float64),
            )
        )
        hits += [found.hits(k).mean() / draws for k in TOP]
    return {
        "query_repetitions": queries,
        "gallery_repetitions": available - queries,
        "draws": draws,
        **{f"top{k}": min(float(hit), 1.0) for k, hit in zip(TOP, hits, strict=True)},
    }


def _correlations(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """(images, images) Pearson r over electrodes, after z-scoring each electrode over images."""
    queries, gallery = (_scaled(_scaled(part, axis=0), axis=1) for part in (queries, gallery))
    return queries @ gallery.T / queries.shape[1]


def _scaled(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean 0 and standard deviation 1 along `axis`; 0 where nothing varies."""
    centred = values - values.mean(axis=axis, keepdims=True)
    std = centred.std(axis=axis, keepdims=True)
    return np.divide(centred, std, out=np.zeros_like(centred), where=std > 1e-12)
