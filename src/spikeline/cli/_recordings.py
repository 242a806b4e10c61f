"""What fitting, training and evaluating forecasters read: sessions as counts and features."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from spikeline.artifacts import counts as counts_artifact
from spikeline.artifacts import embeddings as embeddings_artifact
from spikeline.artifacts import features as features_artifact
from spikeline.errors import InputError

if TYPE_CHECKING:
    from spikeline.artifacts.counts import Counts
    from spikeline.artifacts.embeddings import Embeddings
    from spikeline.artifacts.features import Features

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--counts", required=True, nargs="+", metavar="FILE", help="one a session")
    parser.add_argument(
        "--features", nargs="*", default=[], metavar="FILE", help="in the same order; networks only"
    )
    parser.add_argument(
        "--embeddings", nargs="*", default=[], metavar="FILE", help="of the images shown, HDF5"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    parser.add_argument(
        "--budget-mb",
        type=int,
        default=20_000,
        help="counts larger than this in all stay on disk, mapped into memory (20000)",
    )


def read(
    options: argparse.Namespace,
) -> tuple[list[Counts], list[Features], list[Embeddings], bool]:
    """Counts and features of each session, embeddings, and whether the counts stay on disk.

    Raises:
        InputError: lists of different length, a session given twice, bins of different length.
    """
    if len(options.counts) != len(options.features):
        raise InputError(
            f"--features: {len(options.features)} files for {len(options.counts)} of --counts; "
            "give one for each session, in the same order"
        )
    counts, on_disk = read_counts(options.counts, options.budget_mb)
    if on_disk:
        logger.info("counts stay on disk: over %d MB (--budget-mb)", options.budget_mb)
    features = [features_artifact.read(path) for path in options.features]
    return counts, features, [embeddings_artifact.read(p) for p in options.embeddings], on_disk


def read_counts(paths: Sequence[str], budget_mb: int) -> tuple[list[Counts], bool]:
    """Counts of each session, and whether they stay on disk, as they do above the budget.

    Raises:
        InputError: a session given twice, bins of different length.
    """
    mapped = [counts_artifact.read(path, mapped=True) for path in paths]
    total = sum(one.counts.size for one in mapped)
    on_disk = total > budget_mb * 1_000_000
    counts = mapped if on_disk else [counts_artifact.read(path) for path in paths]
    names = [one.session for one in counts]
    for name, path in zip(names, paths, strict=True):
        if names.count(name) > 1:
            raise InputError(f"{path}: session {name} is given twice")
    for one, path in zip(counts, paths, strict=True):
        if one.bin_s != counts[0].bin_s:
            raise InputError(
                f"{path}: bins of {one.bin_s} s beside {counts[0].bin_s} s; bin all sessions alike"
            )
    return counts, on_disk


def add_roles(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--roles", required=True, nargs="+", help="seen or held_out, one for each session"
    )


def check_roles(options: argparse.Namespace) -> None:
    """Raise InputError where the roles are not one for each session."""
    if len(options.roles) != len(options.counts):
        raise InputError(f"--roles: {len(options.roles)} for {len(options.counts)} sessions")
    unknown = sorted(set(options.roles) - {"seen", "held_out"})
    if unknown:
        raise InputError(f"--roles: {unknown[0]!r}; seen or held_out is due")


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
    return embeddings[0].values.shape[1], encoders[0]
