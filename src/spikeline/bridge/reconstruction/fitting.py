"""Fit what a reconstructor predicts to training rows, and choose how it draws on validation images.

The regressions are ridge, to the embedding that the generator is conditioned on and to the latents
of its autoencoder. For the choice they are fitted anew without the validation images; all training
rows enter the final fit.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spikeline.bridge.aligned_member import AffineMap
from spikeline.bridge.decoder import Decoder
from spikeline.bridge.preprocessing import ResponseScaler, electrode_selection
from spikeline.bridge.reconstruction.decoder_embeddings import predicted_embeddings
from spikeline.bridge.reconstruction.decoding import FOUND_KIND
from spikeline.bridge.reconstruction.factor_reader import FactorReader
from spikeline.bridge.reconstruction.reconstructor import Prediction, Reconstructor
from spikeline.bridge.reconstruction.standardising import Moments
from spikeline.bridge.ridge import fit_ridge, left_out_predictions
from spikeline.bridge.splits import left_out_together, validation_split_of
from spikeline.errors import InputError

logger = logging.getLogger(__name__)


def fit_reconstructor(
    responses: np.ndarray,
    targets: Mapping[str, np.ndarray],
    images: np.ndarray,
    categories: np.ndarray,
    electrodes: Mapping[str, np.ndarray],
    settings: Mapping[str, Any],
    latent_shape: Sequence[int],
    *,
    given: Mapping[str, Decoder] | None = None,
    levels: Mapping[str, np.ndarray] | None = None,
) -> Reconstructor:
    """Ridge from responses to each target, with the moments that bring its predictions to scale.

    Args:
        responses: training rows (rows, columns of the file).
        targets: {`EMBEDDING` or `LATENTS`: (rows, dim)}, flat.
        images, categories: str (rows,).
        electrodes: the electrode table.
        settings: resolved settings of an entry.
        latent_shape: (channels, height, width).
        given: decoders of the house, which predict some target in place of a regression.
        levels: {factor: (rows,)} of the images, of factors that responses are read for.
    """
    chosen = electrode_selection(
        electrodes, settings["regions"], settings["min_snr"], settings["min_reliability"]
    )
    groups = left_out_together(images, categories, settings["drop_test_concepts"])
    scaler = ResponseScaler.fit(responses[:, chosen], settings["transform"])
    features = scaler.apply(responses[:, chosen])
    first = np.unique(images, return_index=True)[1]
    predictions = {}
    for name, values in targets.items():
        moments = Moments.of(values[first])
        decoder = (given or {}).get(name)
        if decoder is not None:
            own = moments
            # Where images are only found by it, it need not predict.
            if settings["kind"] != FOUND_KIND:
                own = Moments.of(predicted_embeddings(decoder, responses))
            predictions[name] = Prediction(moments, own, None)
            continue
        fit = fit_ridge(features, values, settings["penalties"], groups=groups)
        logger.info("%s: penalty %g, R2 %.3f", name, fit.penalties[0], _r2(fit.r2))
        out = left_out_predictions(features, values, groups, fit.penalties[0])
        affine = AffineMap(fit.coefficients, fit.intercept)
        predictions[name] = Prediction(moments, Moments.of(out), affine)
    return Reconstructor(
        responses.shape[1],
        chosen,
        scaler,
        predictions,
        tuple(latent_shape),
        dict(settings),
        np.unique(images),
        factor_reader=FactorReader.fit(features, levels, groups) if levels else None,
    )


def validation_rows(
    settings: Mapping[str, Any],
    images: np.ndarray,
    categories: np.ndarray,
    gallery: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """(training rows, validation rows), disjoint in images, for the choice of how to draw."""
    split = validation_split_of(settings, images, categories, gallery, seed, fold=0)
    return split.train, split.galleries.ravel()


def unseen_rows(
    seen: np.ndarray, images: np.ndarray, count: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(rows seen, one row of each validation image), disjoint in images.

    Args:
        seen: (rows,) bool, what a decoder was trained on: of an image all rows, or none.
        images: str (rows,).
        count: validation images; fewer where the decoder saw all but so many.
        seed: of their draw.

    Raises:
        InputError: the decoder saw every image.
    """
    others = np.setdiff1d(images[~seen], images[seen])
    if not len(others):
        raise InputError(
            "--choosing-decoder: was trained on every training image, so that none is left to "
            "choose by; give one with a smaller training_fraction"
        )
    chosen = np.random.default_rng(seed).permutation(others)[:count]
    first = {name: row for row, name in reversed(list(enumerate(images)))}
    return np.flatnonzero(seen), np.array([first[name] for name in np.sort(chosen)])


def _r2(r2: np.ndarray) -> float:
    """Of the penalty taken; NaN where there was no choice."""
    return float(r2.mean(1).max()) if r2.size else float("nan")
