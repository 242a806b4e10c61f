r"""Fit a session's own regression on recent history, a forecaster without a network.

A session of role seen is fitted on its train and valid domains, one of role held_out on its
reference window alone: what any forecaster may know of a session it never saw. Nothing is random.

Example:
    spikeline fit-regression --counts results/counts/ibl_01.h5 --role seen \
      --settings '{"online_gain": "never"}' --output ibl_01.safetensors
"""

from __future__ import annotations

import argparse

import numpy as np

from spikeline.artifacts import counts as counts_artifact
from spikeline.artifacts import provenance
from spikeline.artifacts.counts import Counts
from spikeline.cli._options import add_output, add_settings, settings_of, start_log
from spikeline.errors import InputError
from spikeline.horizon.regression import checkpoint
from spikeline.horizon.regression.covariates import Behaviour
from spikeline.horizon.regression.fitting import fit_regression
from spikeline.horizon.scores.windows import split_mask


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--counts", required=True, metavar="FILE", help="of the session, HDF5")
    parser.add_argument(
        "--role", required=True, choices=("seen", "held_out"), help="what may be learnt from"
    )
    add_settings(parser, "fit-regression")
    add_output(parser, "regression, safetensors")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "fit-regression")
    session = counts_artifact.read(options.counts, mapped=True)
    try:
        known = _known_bins(session, options.role)
        regression = fit_regression(
            session.counts, known, session.bin_s, settings, Behaviour.of(session)
        )
    except InputError as error:
        raise InputError(f"{options.counts}: {error}") from None
    fitted = checkpoint.SessionRegression(
        session.session, options.role, list(session.unit_ids), settings, regression
    )
    record = provenance.describe(__name__, settings, [options.counts])
    checkpoint.save(options.output, fitted, record)


def _known_bins(session: Counts, role: str) -> np.ndarray:
    """(bins,) bool: what may be learnt from."""
    if role == "seen":
        return split_mask(session.domains, "fit")
    known = np.zeros(len(session.domains), bool)
    known[slice(*session.reference)] = True
    return known
