"""Score the plain forecasts of one session: means, rates, regressions and, if known, the truth."""

from __future__ import annotations

import argparse
import logging

import numpy as np

from spikeline.artifacts import counts, forecasts, provenance
from spikeline.artifacts.counts import Counts
from spikeline.artifacts.hdf5 import numbers, opened, require
from spikeline.cli._options import add_output, add_settings, settings_of, start_log
from spikeline.errors import InputError
from spikeline.horizon.baselines.rates import score_baselines
from spikeline.horizon.scores.bits_per_spike import pooled_bits

log = logging.getLogger(__name__)
# Correlation over units of true rate and mean count: that of the right order is above 0.99.
LEAST_AGREEMENT = 0.9


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--counts", required=True, help="counts of a session, HDF5")
    parser.add_argument("--rates", help="its true rates, HDF5, where a simulation kept them")
    add_settings(parser, "score-baselines")
    add_output(parser, "forecasts, JSON")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "score-baselines")
    binned = counts.read(options.counts)
    rates = None if options.rates is None else _true_rates(options.rates, binned)
    try:
        scored = score_baselines(
            binned, settings["horizons_ms"], rates, lambda label: log.info("%s", label)
        )
    except InputError as error:
        raise InputError(f"{options.counts}: {error}") from None
    for label, horizons in scored.sums.items():
        bits = "  ".join(f"{ms} ms {pooled_bits(sums):+.4f}" for ms, sums in horizons.items())
        log.info("%-22s %s bits/spike", label, bits)
    units = binned.counts.shape[1]
    session = forecasts.SessionForecasts("-", binned.source, units, scored.sums)
    inputs = [options.counts, *([] if options.rates is None else [options.rates])]
    forecasts.write(
        options.output,
        forecasts.Forecasts(settings, {binned.session: session}, scored.facts),
        provenance.describe(__name__, settings, inputs),
    )


def _true_rates(path: str, binned: Counts) -> np.ndarray:
    """(bins, units) true expected counts in the bins of the counts."""
    with opened(path) as handle:
        require(handle, ["rates"], path)
        rates = numbers(handle["rates"])
    bins, units = binned.counts.shape
    first = round(binned.origin_s / binned.bin_s)
    if rates.ndim != 2 or rates.shape[1] != units or len(rates) < first + bins:
        raise InputError(
            f"{path}: rates have shape {rates.shape}; expected at least {first + bins} bins of "
            f"{units} units; are they of another session?"
        )
    rates = rates[first : first + bins]
    if not np.isfinite(rates).all() or (rates < 0).any():
        raise InputError(f"{path}: rates are negative or not finite; simulate them again")
    agreement = np.corrcoef(rates.mean(axis=0), binned.counts.mean(axis=0))[0, 1]
    if agreement < LEAST_AGREEMENT:
        raise InputError(
            f"{path}: rates and counts agree at r = {agreement:.2f} over units; the units are in "
            "another order"
        )
    return rates
