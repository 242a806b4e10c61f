"""Options of the subcommands that put trained forecasters to use, and how these are read."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spikeline.cli import _recordings
from spikeline.cli._options import seeds_of
from spikeline.errors import InputError

if TYPE_CHECKING:
    from spikeline.horizon.scores.evaluation import EvaluatedForecaster, Session


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _recordings.add_arguments(parser)
    parser.add_argument(
        "--forecasters", required=True, nargs="+", metavar="FILE",
        help="networks, one per seed; or regressions, one per session in the order of --counts",
    )  # fmt: skip
    parser.add_argument("--seeds", nargs="+", type=int, help="of the networks (0, 1, 2 ...)")
    _recordings.add_roles(parser)


def read(
    options: argparse.Namespace, settings: dict[str, Any]
) -> tuple[EvaluatedForecaster, list[Session]]:
    """The forecaster, of any kind, and the sessions it is put to.

    Args:
        settings: of the step evaluate-forecaster.

    Raises:
        InputError: options that do not fit together, or a file that is not what it should be.
    """
    from spikeline.horizon.regression.checkpoint import recognises

    _recordings.check_roles(options)
    prepare = _regressions if recognises(options.forecasters[0]) else _networks
    return prepare(options, settings)


def read_candidates(
    options: argparse.Namespace, files: Mapping[str, list[str]], settings: dict[str, Any]
) -> tuple[dict[str, EvaluatedForecaster], list[Session]]:
    """Several forecasters of the same sessions, and these, with features if any were given.

    Args:
        files: {forecaster: its files}, as --forecasters of one alone.
        settings: of the step combine-forecasters.

    Raises:
        InputError: see `read`.
    """
    from spikeline.horizon.scores.evaluation import Session
    from spikeline.horizon.sessions.loading import read_counts

    settings = {"co_smoothing_groups": 0, "unit_mixture": True, **settings}
    found, sessions = {}, []
    for name, paths in files.items():
        one = argparse.Namespace(**{**vars(options), "forecasters": paths, "seeds": None})
        found[name], read_for_it = read(one, settings)
        if not sessions or read_for_it[0].features is not None:
            sessions = read_for_it
    if not sessions:
        counts, _ = read_counts(options.counts, options.budget_mb)
        sessions = list(map(Session, counts, options.roles, options.counts))
    return found, sessions


def _regressions(options: argparse.Namespace, settings: dict[str, Any]):
    """The regressions, and the sessions to score."""
    from spikeline.horizon.regression import checkpoint
    from spikeline.horizon.scores.evaluation import RegressionForecaster, Session
    from spikeline.horizon.sessions.loading import read_counts

    counts, _ = read_counts(options.counts, options.budget_mb)
    if len(options.forecasters) != len(counts):
        raise InputError(
            f"--forecasters: {len(options.forecasters)} regressions for {len(counts)} of --counts; "
            "give one for each session, in the same order"
        )
    if options.seeds is not None:
        raise InputError("--seeds: a regression has none; leave it out")
    fitted, files = {}, {}
    for path, session, where in zip(options.forecasters, counts, options.counts, strict=True):
        one = checkpoint.load(path)
        if one.session != session.session:
            raise InputError(
                f"{path}: was fitted on session {one.session}, but {where} is {session.session}; "
                "give the regressions in the order of --counts"
            )
        fitted[one.session], files[one.session] = one, path
    sessions = map(Session, counts, options.roles, options.counts)
    return RegressionForecaster(fitted, files, settings["horizons_ms"]), list(sessions)


def _networks(options: argparse.Namespace, settings: dict[str, Any]):
    """The networks, and the sessions to score."""
    from spikeline.horizon.forecaster import checkpoint
    from spikeline.horizon.scores.evaluation import NetworkForecaster, Session
    from spikeline.horizon.sessions.loading import read_sessions
    from spikeline.training.device import choose_device

    seeds = seeds_of(options.seeds, options.forecasters, "forecaster")
    device = choose_device(options.device)
    read = read_sessions(options.counts, options.features, options.embeddings, options.budget_mb)
    networks = [checkpoint.load(path, device) for path in options.forecasters]
    for one, seed, path in zip(networks, seeds, options.forecasters, strict=True):
        if one.seed != seed:
            raise InputError(f"{path}: was trained with seed {one.seed}, not {seed}; see --seeds")
    forecaster = NetworkForecaster(
        networks,
        options.forecasters,
        settings["horizons_ms"],
        co_smoothing_groups=settings["co_smoothing_groups"],
        unit_mixture=settings["unit_mixture"],
        embeddings=read.embeddings,
        mapped=read.mapped,
        device=device,
    )
    sessions = map(Session, read.counts, options.roles, options.counts, read.features)
    return forecaster, list(sessions)
