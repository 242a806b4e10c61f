"""Collect the forecasts of an ablation in a table (TSV) and a figure (PNG), next to baselines."""

from __future__ import annotations

import argparse

from spikeline import plotting
from spikeline.artifacts import forecasts, provenance, tables
from spikeline.cli._options import start_log
from spikeline.cli._tables import add_conditions, add_table, conditions_of, resamples_of
from spikeline.horizon.scores.figures import draw
from spikeline.horizon.scores.tables import forecast_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--forecasts", required=True, nargs="+", metavar="FILE", help="JSON")
    parser.add_argument(
        "--baselines", required=True, nargs="+", metavar="FILE", help="JSON, of every session"
    )
    add_conditions(parser, '[{"model": "idencoder", "varied": {"identity": "mean"}}, ...]')
    parser.add_argument(
        "--rows",
        choices=["conditions", "horizons", "sessions"],
        default="conditions",
        help="what the figure sets side by side",
    )
    parser.add_argument("--seeds", type=int, metavar="N", help="take the first N of a model (all)")
    add_table(parser)


def run(options: argparse.Namespace) -> None:
    start_log()
    conditions = conditions_of(options)
    resamples = resamples_of(options)
    table = forecast_table(
        [forecasts.read(path) for path in options.forecasts],
        conditions,
        [forecasts.read(path) for path in options.baselines],
        options.seeds,
        resamples,
    )
    settings = {
        "conditions": conditions,
        "rows": options.rows,
        "title": options.title,
        "resamples": resamples,
        "seeds": options.seeds,
    }
    record = provenance.describe(__name__, settings, [*options.forecasts, *options.baselines])
    figure = draw(table, options.rows, options.title)
    tables.write(options.output, table, record)
    plotting.save(options.figure, figure, record)
