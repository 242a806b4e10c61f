"""All measures of one seed's reconstructions, each beside those from other responses."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from spikeline.artifacts.images.reconstruction_scores import SeedScores
from spikeline.bridge.reconstruction.scores import extractors
from spikeline.bridge.reconstruction.scores import measures as scores
from spikeline.bridge.reconstruction.scores.extractors import (
    Extractor,
    Weights,
    WeightsMissingError,
)
from spikeline.errors import InputError

log = logging.getLogger(__name__)

PIXCORR, SSIM = "pixcorr", "ssim"
# {factor: level of each image, by name}.
Factors = Mapping[str, Mapping[str, str]]


@dataclass
class Scorer:
    """What scores images, once for all seeds of a model.

    Attributes:
        entries: the entries of `extractors` by name, resolved.
        loaded: those whose weights were found.
        missing: {measure: why not}.
        mispairings: other images that each is compared with, see `scores.mispairings`.
        size: side at which pixels and structure are compared; None is that of the images made.
        factors: the true factors of the images, where a classifier reads them.
    """

    entries: Mapping[str, Mapping[str, Any]]
    loaded: Mapping[str, Extractor]
    missing: dict[str, str]
    mispairings: int
    size: int | None = None
    factors: Factors = field(default_factory=dict)

    @classmethod
    def load(
        cls,
        entries: Mapping[str, Mapping[str, Any]],
        weights: Mapping[str, Weights],
        device: torch.device,
        encoders: Mapping[str, Mapping[str, Any]],
        mispairings: int,
        size: int | None = None,
        factors: Factors | None = None,
    ) -> Scorer:
        """With every extractor whose weights can be had.

        Raises:
            InputError: two entries give one measure, or see `extractors.load`.
        """
        owner: dict[str, str] = {PIXCORR: "", SSIM: ""}
        for name, entry in entries.items():
            for measure in _measures_of(entry):
                if measure in owner:
                    raise InputError(
                        f"extractors.{name}: {measure} is already a measure of "
                        f"{owner[measure] or 'the pixels'}; name it otherwise"
                    )
                owner[measure] = name
        loaded, missing = {}, {}
        for name, entry in entries.items():
            try:
                loaded[name] = extractors.load(
                    name, entry, weights.get(name, Weights()), device, encoders
                )
            except WeightsMissingError as error:
                reason = f"weights missing: {error}"
                log.warning("extractor %s: %s", name, reason)
                missing |= dict.fromkeys(_measures_of(entry), reason)
                continue
            if loaded[name].answer and not factors:
                reason = "factors missing: the stimuli name no table of them"
                missing |= dict.fromkeys(extractors.answers(entry).values(), reason)
        return cls(entries, loaded, missing, mispairings, size, factors or {})

    def measures(self) -> dict[str, str]:
        """{measure: family} of all entries, those that are missing too."""
        found = {PIXCORR: "pixels", SSIM: "pixels"}
        for entry in self.entries.values():
            found |= _measures_of(entry)
        return found

    def score(
        self, seed: int, images: Sequence[str], shown: np.ndarray, made: np.ndarray
    ) -> SeedScores:
        """Score one seed's images.

        Args:
            seed: of the decoder.
            images: (n,) names.
            shown, made: (n, side, side, 3) uint8, of one side.

        Raises:
            InputError: the features of an image are not finite, or its factors are not known.
        """
        pairings = scores.mispairings(len(images), self.mispairings, seed=0)
        found = _Found()
        pixels = [scores.resized(one, self.size or made.shape[1]) for one in (shown, made)]
        if pixels[0].shape[1] < scores.SSIM_WINDOW:
            raise InputError(
                f"images of {pixels[0].shape[1]} pixels are smaller than SSIM's window of "
                f"{scores.SSIM_WINDOW}; set evaluation.pixel_size"
            )
        for name, compare in (
            (PIXCORR, scores.pixel_correlation), (SSIM, scores.structural_similarity),
        ):  # fmt: skip
            found.scores[name] = compare(*pixels)
            others = [compare(pixels[0], pixels[1][pairing]) for pairing in pairings]
            found.others[name] = np.mean(others, axis=0)
        for name, extractor in self.loaded.items():
            features = [extractor.extract(one) for one in (shown, made)]
            for feature, families in extractors.measures(self.entries[name]).items():
                rows = [one[feature] for one in features]
                if not all(np.isfinite(values).all() for values in rows):
                    raise InputError(f"extractors.{name}: {feature} is not finite for some image")
                self._compare(found, families, *rows, pairings)
            if extractor.answer and self.factors:
                self._answers(found, name, extractor.answer(made), images, pairings)
        return SeedScores(
            seed, np.asarray(images, dtype=object), found.scores, found.others, found.sets
        )

    def _compare(
        self,
        found: _Found,
        families: Mapping[str, str],
        shown: np.ndarray,
        made: np.ndarray,
        pairings: Sequence[np.ndarray],
    ) -> None:
        correlations = scores.correlations(shown, made)
        cosines = scores.cosines(shown, made) if "similarity" in families else correlations
        for family, measure in families.items():
            if family == "frechet":
                images, dimensions = shown.shape
                if scores.enough_for_frechet(images, dimensions):
                    found.sets[measure] = scores.frechet_distance(shown, made)
                else:
                    self.missing[measure] = (
                        f"too few images: {images} for {dimensions} features, expected at least "
                        f"{scores.FRECHET_IMAGES * dimensions}"
                    )
                continue
            matrix = correlations if family in ("two_way", "distance") else cosines
            found.scores[measure] = _of_pairs(family, matrix)
            others = [_of_pairs(family, matrix[pairing]) for pairing in pairings]
            found.others[measure] = np.mean(others, axis=0)

    def _answers(
        self,
        found: _Found,
        name: str,
        answers: Mapping[str, np.ndarray],
        images: Sequence[str],
        pairings: Sequence[np.ndarray],
    ) -> None:
        """Whether each factor that is read in an image is that of the image shown."""
        for factor, measure in extractors.answers(self.entries[name]).items():
            if factor not in self.factors:
                raise InputError(
                    f"extractors.{name}.factors: the table of factors has no {factor!r}, only "
                    f"{', '.join(self.factors)}"
                )
            levels = self.factors[factor]
            unknown = [image for image in images if image not in levels]
            if unknown:
                raise InputError(
                    f"the table of factors lacks {unknown[0]!r} and {len(unknown) - 1} more of "
                    f"{len(images)} images; give the table of this image set"
                )
            true = np.asarray([levels[image] for image in images], dtype=object)
            seen = answers[factor]
            found.scores[measure] = (seen == true).astype(float)
            others = [(seen[pairing] == true).astype(float) for pairing in pairings]
            found.others[measure] = np.mean(others, axis=0)


@dataclass
class _Found:
    scores: dict[str, np.ndarray] = field(default_factory=dict)
    others: dict[str, np.ndarray] = field(default_factory=dict)
    sets: dict[str, float] = field(default_factory=dict)


def _of_pairs(family: str, matrix: np.ndarray) -> np.ndarray:
    """(n,) a measure from similarities of which row and column k are partners."""
    if family == "two_way":
        return scores.two_way(matrix)
    if family in ("top1", "top5"):
        return scores.identified(matrix, int(family.removeprefix("top")))
    partners = np.diagonal(matrix).astype(np.float64)
    return 1 - partners if family == "distance" else partners


def _measures_of(entry: Mapping[str, Any]) -> dict[str, str]:
    """{measure: family} of one entry."""
    found = {
        measure: family
        for families in extractors.measures(entry).values()
        for family, measure in families.items()
    }
    return found | dict.fromkeys(extractors.answers(entry).values(), "correct")
