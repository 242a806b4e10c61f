r"""Simulate half an hour of place cells that drift, as plain arrays, with the true rates aside.

Example:
    spikeline simulate-place-cells --settings '{"arena": "track", "place_cells": 60}' \
      --output place_cells
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from spikeline.artifacts import provenance, true_rates
from spikeline.artifacts.files import atomic_path
from spikeline.cli._options import add_settings, settings_of, start_log
from spikeline.simulate.place_cells import settings as names
from spikeline.simulate.place_cells.recording import simulate
from spikeline.simulate.place_cells.settings import PlaceCellSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    add_settings(parser, "simulate-place-cells")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder of the arrays"
    )


def run(options: argparse.Namespace) -> None:
    """Write spikes, tracking and true rates into the folder, each file whole or not at all."""
    start_log()
    settings = PlaceCellSettings(**settings_of(options, "simulate-place-cells"))
    record = provenance.describe(
        __name__,
        dataclasses.asdict(settings),
        origin={"name": f"simulated place cells, seed {settings.seed}"},
    )
    made = simulate(settings)
    arrays = {
        names.TIMES: made.times,
        names.CLUSTERS: made.cluster.astype(np.int32),
        names.TIMESTAMPS: made.walk.timestamps,
        names.POSITION: made.walk.tracked,
    }
    options.output.mkdir(parents=True, exist_ok=True)
    for name, values in arrays.items():
        with atomic_path(options.output / name) as temporary, open(temporary, "wb") as handle:
            np.save(handle, values)
    true_rates.write(options.output / names.RATES, made.rates, names.BIN_S, record)
