r"""Take responses from presentations in time: means over windows by area, or time bins.

Example:
    spikeline window-responses --trials results/trials/monkeyF.h5 \
      --responses results/responses/monkeyF.h5 --settings '{"window": [0, 200], "bin_ms": 25}' \
      --output bins_25.h5
"""

from __future__ import annotations

import argparse

from spikeline.artifacts import provenance, responses, trials
from spikeline.cli._options import add_output, add_settings, settings_of, start_log
from spikeline.sources.windows import over_windows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trials", required=True, help="presentations in time, HDF5")
    parser.add_argument(
        "--responses", required=True, help="of the same subject: rows, images, electrodes; HDF5"
    )
    add_settings(parser, "window-responses")
    add_output(parser, "responses, HDF5")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "window-responses")
    plain = responses.read(options.responses)
    windowed = over_windows(trials.read(options.trials), plain, settings, options.trials)
    record = provenance.describe(__name__, settings, [options.trials, options.responses])
    responses.write(options.output, windowed, record)
