"""Fit each session's own regression on recent history, a forecaster without a network.

A session of role seen is fitted on its train and valid domains, one of role held_out on its
reference window alone: what any forecaster may know of a session it never saw. Nothing is random.
"""

from __future__ import annotations

import argparse

import numpy as np

from spikeline.artifacts import provenance
from spikeline.artifacts.counts import Counts
from spikeline.cli import _recordings
from spikeline.cli._options import add_output, add_settings, settings_of, start_log
from spikeline.errors import InputError
from spikeline.horizon import regression_file
from spikeline.horizon.regression_file import Regressions, SessionRegression
from spikeline.horizon.regression_fitting import DEFAULTS, fit_regression
from spikeline.horizon.windows import split_mask


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--counts", required=True, nargs="+", metavar="FILE", help="one a session")
    _recordings.add_roles(parser)
    parser.add_argument("--seed", type=int, default=0, help="its name; every seed gives the same")
    add_settings(parser, f"the model's resolved settings: {', '.join(DEFAULTS)}")
    add_output(parser, "regressions, safetensors")


def run(options: argparse.Namespace) -> None:
    start_log()
    from tqdm import tqdm

    given = settings_of(options)
    settings = {key: given[key] for key in DEFAULTS}
    _recordings.check_roles(options)
    sessions, _ = _recordings.read_counts(options.counts, budget_mb=0)
    fitted = {}
    # closed before an error is printed, so that its line is its own
    with tqdm(total=len(sessions), desc="fit", unit="session", mininterval=5.0) as bar:
        for session, role, path in zip(sessions, options.roles, options.counts, strict=True):
            try:
                known = _known_bins(session, role)
                regression = fit_regression(session.counts, known, session.bin_s, settings)
            except InputError as error:
                raise InputError(f"{path}: {error}") from None
            fitted[session.session] = SessionRegression(role, list(session.unit_ids), regression)
            bar.update()
    record = provenance.describe(__name__, given, options.counts, seed=options.seed)
    regression_file.save(options.output, Regressions(given, options.seed, fitted), record)


def _known_bins(session: Counts, role: str) -> np.ndarray:
    """(bins,) bool: what may be learnt from."""
    if role == "seen":
        return split_mask(session.domains, "fit")
    known = np.zeros(len(session.domains), bool)
    known[slice(*session.reference)] = True
    return known
