r"""Check that a forecaster does not know the future: with another one, forecasts stay the same.

Every count, image and behaviour at and after the start of some test windows is replaced by another.
A forecast that changes is an error; else the number of windows compared is printed.

Example:
    spikeline validate-forecaster --forecasters results/forecasters/idencoder/seed0.safetensors \
      --counts results/counts/ibl_05.h5 --features results/features/ibl_05.h5 --roles held_out \
      --windows 20
"""

from __future__ import annotations

import argparse

from spikeline.cli import _forecasters
from spikeline.cli._options import add_settings, settings_of, start_log
from spikeline.errors import InputError

WINDOWS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _forecasters.add_arguments(parser)
    parser.add_argument(
        "--windows", type=int, default=WINDOWS, help=f"to compare in each session ({WINDOWS})"
    )
    add_settings(parser, "evaluate-forecaster")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "evaluate-forecaster")
    if options.windows < 1:
        raise InputError(f"--windows: is {options.windows}; expected 1 or more")
    from spikeline.horizon.scores.leakage import check_forecaster

    forecaster, sessions = _forecasters.read(options, settings)
    found = check_forecaster(forecaster, sessions, settings["horizons_ms"], options.windows)
    print(f"{found} forecasts of {len(sessions)} sessions: none knows the future")
