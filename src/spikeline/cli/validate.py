r"""Check a session: one verdict per file; a failed check is one line and a non-zero exit.

A workflow deletes the output of a failed job; `--report` names a file where the verdict stays.

Example:
    spikeline validate --session results/sessions/ibl_01.h5 --settings '{"min_units": 20}' \
      --output verdict.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from spikeline.artifacts import provenance, sessions
from spikeline.artifacts.files import write_text
from spikeline.cli._options import add_output, add_settings, settings_of, start_log
from spikeline.errors import InputError
from spikeline.horizon.sessions.validation import refused, summary, validate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--session", required=True, metavar="FILE", help="session, HDF5")
    parser.add_argument("--report", metavar="FILE", help="a second copy, kept when a check fails")
    add_settings(parser, "validate")
    add_output(parser, "verdict, JSON")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "validate")
    verdict = _verdict(options.session, settings["min_units"])
    record = provenance.describe(
        __name__, settings, [path for path in [options.session] if Path(path).is_file()]
    )
    text = json.dumps({**verdict, provenance.KEY: record}, indent=1) + "\n"
    write_text(options.output, text)
    if options.report:
        write_text(options.report, text)
    if not verdict["valid"]:
        kept = f"; see {options.report or options.output}"
        raise InputError(f"{options.session}: {summary(verdict)}{kept}")


def _verdict(path: str, min_units: int) -> dict[str, Any]:
    try:
        with sessions.opened(path) as data:
            return validate(data, min_units)
    except InputError as error:
        return refused(Path(path).stem, str(error))
