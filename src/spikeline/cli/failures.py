r"""List the jobs of a run that failed, one line each with the reason.

Example:
    spikeline failures .snakemake/log/2030-01-05T120000.000000.snakemake.log \
      --output logs/failures.tsv
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from spikeline.artifacts.files import write_text
from spikeline.errors import InputError

HEADER = ("rule", "output", "reason", "log")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("log", help="Snakemake's own log of the run, under .snakemake/log")
    parser.add_argument("--output", metavar="FILE.tsv", help="write the list there as well")


def run(options: argparse.Namespace) -> None:
    try:
        text = Path(options.log).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{options.log}: {error.strerror}") from None
    failures = failed_jobs(text)
    if options.output:
        rows = [HEADER, *failures]
        write_text(options.output, "".join("\t".join(row) + "\n" for row in rows))
    for rule, output, reason, _ in failures:
        print(f"failed: {output} ({rule}): {reason}")
    if options.output and failures:
        print(f"{len(failures)} failed: {options.output}")


def failed_jobs(text: str) -> list[tuple[str, str, str, str]]:
    """(rule, output, reason, log) of each job that failed, as Snakemake's log tells it.

    The reason is the last line of the job's own log. A job that was tried again is listed once.
    """
    found = {}
    for block in re.split(r"^Error in rule ", text, flags=re.MULTILINE)[1:]:
        fields = dict(
            re.findall(r"^    (output|log): (.+?)(?: \(check log.*)?$", block, re.MULTILINE)
        )
        rule = block.partition(":")[0]
        output = fields.get("output", "").partition(",")[0]
        log = fields.get("log", "")
        found[rule, output] = (rule, output, _last_line(log), log)
    return list(found.values())


def _last_line(log: str) -> str:
    try:
        lines = Path(log).read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return "no log"
    spoken = [line.rpartition("\r")[2].strip() for line in lines]
    spoken = [line.replace("\t", " ") for line in spoken if line]
    return spoken[-1] if spoken else "its log is empty"
