"""Options that the subcommands which collect tables share."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from spikeline.errors import InputError
from spikeline.statistics import RESAMPLES


def add_table(parser: argparse.ArgumentParser, title: str = "", *, resampled: bool = True) -> None:
    """What every table has: `--output`, `--figure` with its `--title`.

    Args:
        resampled: its intervals are of a bootstrap, with `--resamples`.
    """
    parser.add_argument("--title", default=title, help="of the figure")
    parser.add_argument("--output", required=True, metavar="FILE.tsv", help="table")
    parser.add_argument("--figure", required=True, metavar="FILE.png", help="figure")
    if resampled:
        parser.add_argument(
            "--resamples", type=int, default=RESAMPLES, help=f"of the bootstrap ({RESAMPLES})"
        )


def resamples_of(options: argparse.Namespace) -> int:
    """The checked `--resamples`.

    Raises:
        InputError: none.
    """
    if options.resamples < 1:
        raise InputError(f"--resamples: expected a whole number from 1, got {options.resamples}")
    return options.resamples


def add_conditions(parser: argparse.ArgumentParser, example: str) -> None:
    parser.add_argument(
        "--conditions",
        required=True,
        metavar="JSON",
        help=f"list in the order of what is collected, or a file that holds it: {example}",
    )


def conditions_of(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The conditions of a table.

    Raises:
        InputError: no JSON list of objects.
    """
    text = options.conditions
    try:
        if not text.lstrip().startswith("["):
            text = Path(text).read_text(encoding="utf-8")
        conditions = json.loads(text)
    except (OSError, ValueError):
        raise InputError("--conditions: no JSON list, nor a file that holds one") from None
    if not isinstance(conditions, list) or not all(isinstance(c, dict) for c in conditions):
        raise InputError("--conditions: expected a list of objects")
    return conditions
