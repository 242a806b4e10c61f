"""Options of the subcommands that train by gradient descent, and the run that they ask for."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spikeline.settings.code_digest import code_digest

if TYPE_CHECKING:
    from spikeline.training.runner import Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--states` and `--state-interval`, for resuming."""
    parser.add_argument("--states", required=True, metavar="DIR", help="where resume state is kept")
    parser.add_argument(
        "--state-interval",
        type=float,
        default=20.0,
        metavar="SECONDS",
        help="least time between two states; 0 writes one after each epoch (20)",
    )


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """`--history` and `--processes`, for one model that is an artifact."""
    parser.add_argument("--history", required=True, metavar="FILE", help="one row per epoch, TSV")
    parser.add_argument(
        "--processes",
        type=int,
        default=1,
        metavar="N",
        help="one per GPU, or any number on a CPU; a step takes N batches (1)",
    )


def run_of(options: argparse.Namespace, settings: Mapping[str, Any], module: str) -> Run:
    """The run of a subcommand's module; nothing is started yet.

    Raises:
        InputError: an unknown device, or a number of processes or an interval out of range.
    """
    from spikeline.training.device import make_fabric
    from spikeline.training.runner import Run

    key = [settings, options.seed, code_digest(module), options.output]
    fabric = make_fabric(options.device, getattr(options, "processes", 1))
    return Run(fabric, options.states, key, options.state_interval)
