"""How a reconstructor draws is chosen on validation images, left out of its regressions.

Every combination of the listed guidances, strengths and start weights draws them; the one whose
images are most like the shown ones, in their pixels and in the embedding, is taken. The generator
itself has seen these images in training.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from diffusers import DiffusionPipeline

from spikeline.bridge.generators.sampling import Conditions
from spikeline.bridge.reconstruction.decoding import RESPONSES, Found, Shown, starts_of
from spikeline.bridge.reconstruction.drawing import Decoded, Embed, candidates, correlations, draw
from spikeline.bridge.reconstruction.reconstructor import Reconstructor

logger = logging.getLogger(__name__)


def choose(
    pipeline: DiffusionPipeline,
    conditions: Conditions,
    reconstructor: Reconstructor,
    found: Found,
    shown: Shown,
    seen: Shown,
    pixels: np.ndarray,
    *,
    judge: Embed | None,
    seed: int,
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """The best candidate, and all with their scores.

    Args:
        conditions: what the pipeline is told of the validation images.
        reconstructor: fitted without them; its settings list the candidates.
        found: what it decoded of their responses.
        shown, seen: validation images, and those among which a kind may look.
        pixels: the validation images (n, height, width, 3) uint8, at the size that is drawn.
        judge: the encoder of the embeddings; None compares pixels alone.
        seed: of the sampler.
    """
    settings = reconstructor.settings
    rows = []
    for choice in candidates(settings):
        starts = starts_of(replace(reconstructor, choices=choice), RESPONSES, found, seen)
        what = Decoded(conditions, starts=starts)
        drawn = draw(pipeline, what, choice, steps=settings["steps"], seed=seed)
        score = correlations(drawn, pixels).mean()
        if judge is not None:
            score += correlations(judge(drawn), shown.embeddings).mean()
        rows.append({**choice, "score": float(score)})
    best = max(rows, key=lambda row: row["score"])
    for row in rows:
        text = ", ".join(f"{name} {value:g}" for name, value in row.items())
        logger.info("%s%s", text, "  <- taken" if row is best else "")
    return {name: value for name, value in best.items() if name != "score"}, rows


def as_tsv(rows: Sequence[Mapping[str, Any]]) -> str:
    """The candidates as tab-separated text with a header line."""
    if not rows:
        return "nothing to choose\n"
    lines = ["\t".join(rows[0])]
    lines += ["\t".join(f"{value:.6g}" for value in row.values()) for row in rows]
    return "\n".join(lines) + "\n"
