"""Sessions as forecasters read them: counts, features and embeddings from their files, checked."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from spikeline.artifacts import counts as counts_artifact
from spikeline.artifacts import embeddings as embeddings_artifact
from spikeline.artifacts import features as features_artifact
from spikeline.artifacts import true_rates
from spikeline.artifacts.counts import Counts
from spikeline.artifacts.embeddings import Embeddings
from spikeline.artifacts.features import Features
from spikeline.errors import InputError

logger = logging.getLogger(__name__)

# Correlation over units of true rate and mean count: that of the right order is above 0.99.
LEAST_AGREEMENT = 0.9


class Sessions(NamedTuple):
    """Counts and features of each session, image embeddings, and whether counts stay on disk."""

    counts: list[Counts]
    features: list[Features]
    embeddings: list[Embeddings]
    mapped: bool


def read_sessions(
    counts: Sequence[str], features: Sequence[str], embeddings: Sequence[str], budget_mb: int
) -> Sessions:
    """What networks read.

    Args:
        counts, features: paths, one of each per session, in the same order.
        embeddings: paths, of the images shown.
        budget_mb: see `read_counts`.

    Raises:
        InputError: lists of different length, a session given twice, bins of different length.
    """
    if len(counts) != len(features):
        raise InputError(
            f"--features: {len(features)} files for {len(counts)} of --counts; "
            "give one for each session, in the same order"
        )
    found, mapped = read_counts(counts, budget_mb)
    described = [features_artifact.read(path) for path in features]
    return Sessions(found, described, read_embeddings(embeddings), mapped)


def read_embeddings(paths: Sequence[str]) -> list[Embeddings]:
    """Embeddings of the images shown."""
    return [embeddings_artifact.read(path) for path in paths]


def read_counts(paths: Sequence[str], budget_mb: int) -> tuple[list[Counts], bool]:
    """Counts of each session, and whether they stay on disk.

    Args:
        paths: one per session.
        budget_mb: counts that are larger than this together are mapped into memory, not read.

    Raises:
        InputError: a session given twice, bins of different length.
    """
    mapped = [counts_artifact.read(path, mapped=True) for path in paths]
    total = sum(one.counts.size for one in mapped)
    on_disk = total > budget_mb * 1_000_000
    if on_disk:
        logger.info("counts stay on disk: over %d MB (--budget-mb)", budget_mb)
    counts = mapped if on_disk else [counts_artifact.read(path) for path in paths]
    names = [one.session for one in counts]
    for name, path in zip(names, paths, strict=True):
        if names.count(name) > 1:
            raise InputError(f"{path}: session {name} is given twice; give each session once")
    for one, path in zip(counts, paths, strict=True):
        if one.bin_s != counts[0].bin_s:
            raise InputError(
                f"{path}: bins of {one.bin_s} s, but {paths[0]} has bins of {counts[0].bin_s} s; "
                "bin all sessions alike"
            )
    return counts, on_disk


def image_facts(embeddings: Sequence[Embeddings]) -> tuple[int, str]:
    """Length of the embeddings and their encoder; 0 and '' where there are none.

    Raises:
        InputError: of several encoders.
    """
    if not embeddings:
        return 0, ""
    encoders = sorted({one.encoder for one in embeddings})
    if len(encoders) > 1:
        raise InputError(f"--embeddings: of encoders {encoders}; embed all images with one")
    (output,) = embeddings[0].columns_of(())
    return len(output), encoders[0]


def read_true_rates(path: str, counts: Counts) -> np.ndarray:
    """(bins, units) true expected counts in the bins of the counts, where a simulation kept them.

    Raises:
        InputError: missing, damaged, of another session or of units in another order.
    """
    rates = true_rates.read(path)
    bins, units = counts.counts.shape
    first = round(counts.origin_s / counts.bin_s)
    if rates.shape[1] != units or len(rates) < first + bins:
        raise InputError(
            f"{path}: rates have shape {rates.shape}, expected at least {first + bins} bins of "
            f"{units} units; give the rates of the same session"
        )
    rates = rates[first : first + bins]
    agreement = np.corrcoef(rates.mean(axis=0), counts.counts.mean(axis=0))[0, 1]
    if agreement < LEAST_AGREEMENT:
        raise InputError(
            f"{path}: rates and counts agree at r = {agreement:.2f} over units; give rates of the "
            "same session, with its units in the same order"
        )
    return rates
