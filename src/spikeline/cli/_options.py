"""Options and start-up that several subcommands share."""

from __future__ import annotations

import argparse
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spikeline.errors import InputError

# Characters of a wrong setting that an error repeats.
SHOWN = 300


def add_settings(parser: argparse.ArgumentParser, step: str) -> None:
    """`--settings`, a JSON object or the path of a .json file that holds one.

    Args:
        step: the subcommand's name, as in `spikeline.settings.steps.STEPS`.
    """
    from spikeline.settings.steps import help_text

    # argparse formats help with %, which a default may hold.
    keys = help_text(step).replace("%", "%%")
    parser.add_argument(
        "--settings",
        default="{}",
        metavar="JSON",
        help=f"an object, or a file that holds it, of these keys (defaults): {keys}",
    )


def add_output(parser: argparse.ArgumentParser, help_text: str) -> None:
    """`--output`, the one file that the step makes."""
    parser.add_argument("--output", required=True, metavar="FILE", help=help_text)


def add_name(parser: argparse.ArgumentParser) -> None:
    """`--name` of the session that a conversion makes."""
    parser.add_argument("--name", help="of the session (default: that of the output)")


def name_of(options: argparse.Namespace) -> str:
    """The session's `--name`, or the name of its output without the ending."""
    return options.name or Path(options.output).stem


def settings_of(options: argparse.Namespace, step: str) -> dict[str, Any]:
    """The parsed `--settings` of a step, checked and filled with the schema's defaults.

    Args:
        step: the subcommand's name, as in `spikeline.settings.steps.STEPS`.

    Raises:
        InputError: neither a JSON object nor a file that holds one; an unknown key, a wrong type
            or range, or a key that is missing and has no default.
    """
    # Here: the clients' environments have no jsonschema, and take no settings.
    from spikeline.settings.steps import completed

    return completed(step, json_of(options.settings, "--settings"))


def json_of(text: str, option: str) -> dict[str, Any]:
    """The JSON object that an option gives, or the file of it that the option names.

    Raises:
        InputError: neither.
    """
    given = text
    try:
        if not given.lstrip().startswith("{"):
            given = Path(given).read_text(encoding="utf-8")
        return dict(json.loads(given, parse_constant=_no_constant).items())
    except (OSError, ValueError, AttributeError, RecursionError):
        shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
        raise InputError(f"{option}: {shown!r} is no JSON object or file") from None


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def start_log() -> None:
    """Plain log lines on stderr, where the rule's log file takes them."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")


def secret(variable: str | None) -> bytes | None:
    """A password from the environment; it is never a setting, so it enters no log or artifact."""
    value = os.environ.get(variable) if variable else None
    return value.encode() if value else None


def seeds_of(seeds: Sequence[int] | None, files: Sequence[str], what: str) -> list[int]:
    """The seed of each file: those given, or 0, 1, 2 ...

    Raises:
        InputError: not one of its own for each.
    """
    numbers = list(range(len(files))) if seeds is None else list(seeds)
    if len(numbers) != len(files) or len(set(numbers)) < len(numbers):
        raise InputError(
            f"--seeds: {numbers} for {len(files)} {what}s; give each {what} its own seed"
        )
    return numbers
