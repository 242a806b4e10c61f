r"""Score the plain forecasts of one session: means, rates, regressions and, if known, the truth.

Example:
    spikeline score-baselines --counts results/counts/ibl_01.h5 \
      --settings '{"horizons_ms": [100, 1000]}' --output ibl_01.json
"""

from __future__ import annotations

import argparse
import logging

from spikeline.artifacts import counts, forecasts, provenance
from spikeline.cli._options import add_output, add_settings, settings_of, start_log
from spikeline.errors import InputError
from spikeline.horizon.baselines.rates import score_baselines
from spikeline.horizon.scores.bits_per_spike import pooled_bits
from spikeline.horizon.sessions.loading import read_true_rates

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--counts", required=True, help="counts of a session, HDF5")
    parser.add_argument("--rates", help="its true rates, HDF5, where a simulation kept them")
    add_settings(parser, "score-baselines")
    add_output(parser, "forecasts, JSON")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "score-baselines")
    binned = counts.read(options.counts)
    rates = None if options.rates is None else read_true_rates(options.rates, binned)
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
