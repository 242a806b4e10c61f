r"""Combine several forecasters of each session by weights from its valid blocks, and score that.

Candidates are the trained ones that are given, of which each network's first seed is enough, and
the plain forecasts of running_mean, poisson_glm and running_glm, which are fitted here. The weights
of each session and lead band are among the facts of what is written.

Example:
    spikeline combine-forecasters \
      --forecasters results/regressions/regression/ibl_01.safetensors \
      results/forecasters/idencoder/seed0.safetensors --candidates regression idencoder \
      --counts results/counts/ibl_01.h5 --features results/features/ibl_01.h5 --roles seen \
      --output combined.json
"""

from __future__ import annotations

import argparse

from spikeline.artifacts import forecasts, provenance
from spikeline.cli import _forecasters, _recordings
from spikeline.cli._options import add_output, add_settings, settings_of, start_log
from spikeline.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _recordings.add_arguments(parser)
    parser.add_argument(
        "--forecasters", nargs="*", default=[], metavar="FILE",
        help="networks, one of each; and regressions, one per session in the order of --counts",
    )  # fmt: skip
    parser.add_argument(
        "--candidates", nargs="*", default=[], metavar="NAME",
        help="the model that each of --forecasters is, in the same order",
    )  # fmt: skip
    _recordings.add_roles(parser)
    add_settings(parser, "combine-forecasters")
    add_output(parser, "forecasts, JSON")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "combine-forecasters")
    files = _files(options)
    from tqdm import tqdm

    from spikeline.horizon.combined.forecaster import CombinedForecaster
    from spikeline.horizon.scores.evaluation import evaluate
    from spikeline.horizon.scores.leakage import check_forecaster

    candidates, sessions = _forecasters.read_candidates(options, files, settings)
    combined = CombinedForecaster(candidates, sessions, settings["horizons_ms"])
    checked = check_forecaster(combined, sessions, settings["horizons_ms"])
    with tqdm(total=len(sessions), desc="combine", unit="session", mininterval=5.0) as bar:
        found = evaluate(combined, sessions, lambda _: bar.update())
    facts = {
        "parameters": combined.parameters,
        "leakage_windows": checked,
        "combination": combined.facts,
    }
    inputs = [*options.counts, *options.features, *options.embeddings, *options.forecasters]
    forecasts.write(
        options.output,
        forecasts.Forecasts(settings, found, facts),
        provenance.describe(__name__, settings, inputs, seeds=combined.seeds),
    )


def _files(options: argparse.Namespace) -> dict[str, list[str]]:
    """{candidate: its files}."""
    from spikeline.horizon.combined.candidates import PLAIN

    _recordings.check_roles(options)
    if len(options.candidates) != len(options.forecasters):
        raise InputError(
            f"--candidates: {len(options.candidates)} names for {len(options.forecasters)} of "
            "--forecasters; name the model of each"
        )
    files: dict[str, list[str]] = {}
    for name, path in zip(options.candidates, options.forecasters, strict=True):
        if name in PLAIN:
            raise InputError(f"--candidates: {name!r} always joins; leave its files out")
        files.setdefault(name, []).append(path)
    return files
