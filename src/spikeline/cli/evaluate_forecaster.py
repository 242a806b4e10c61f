"""Score a forecaster, every seed or session of it, on test blocks of sessions seen and not."""

from __future__ import annotations

import argparse
from typing import Any

from spikeline.artifacts import forecasts, provenance
from spikeline.cli import _recordings
from spikeline.cli._options import add_output, add_settings, seeds_of, settings_of, start_log
from spikeline.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _recordings.add_arguments(parser)
    parser.add_argument(
        "--forecasters", required=True, nargs="+", metavar="FILE",
        help="networks, one per seed; or regressions, one per session in the order of --counts",
    )  # fmt: skip
    parser.add_argument("--seeds", nargs="+", type=int, help="of the networks (0, 1, 2 ...)")
    _recordings.add_roles(parser)
    add_settings(parser, "evaluate-forecaster")
    add_output(parser, "forecasts, JSON")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "evaluate-forecaster")
    _recordings.check_roles(options)
    from tqdm import tqdm

    from spikeline.horizon.regression.checkpoint import recognises
    from spikeline.horizon.scores.evaluation import evaluate

    prepare = _regressions if recognises(options.forecasters[0]) else _networks
    forecaster, sessions = prepare(options, settings)
    with tqdm(total=len(sessions), desc="evaluate", unit="session", mininterval=5.0) as bar:
        found = evaluate(forecaster, sessions, lambda _: bar.update())
    inputs = [*options.counts, *options.features, *options.embeddings, *options.forecasters]
    forecasts.write(
        options.output,
        forecasts.Forecasts(settings, found, {"parameters": forecaster.parameters}),
        provenance.describe(__name__, settings, inputs, seeds=forecaster.seeds),
    )


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
        embeddings=read.embeddings,
        mapped=read.mapped,
        device=device,
    )
    sessions = map(Session, read.counts, options.roles, options.counts, read.features)
    return forecaster, list(sessions)
