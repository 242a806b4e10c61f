"""Tell what would rerun for a target, and what changed since it was made.

Example:
    spikeline explain results/ablation_regions.tsv
"""

from __future__ import annotations

import argparse
from pathlib import Path

from spikeline.plan.reruns.changes import causes, unnoticed
from spikeline.plan.reruns.dry_run import dry_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "example: spikeline explain --configfile config/tvsd.yaml -- results/ablation_regions.tsv"
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="as for snakemake")
    parser.add_argument("--configfile", nargs="+", default=[], help="as for snakemake")
    parser.add_argument("--config", nargs="+", default=[], help="as for snakemake")
    parser.add_argument("--directory", default=".", help="as for snakemake")


def run(options: argparse.Namespace) -> None:
    passed = ["--directory", options.directory]
    for name in ("configfile", "config"):
        if given := getattr(options, name):
            passed += [f"--{name}", *given]
    folder = Path(options.directory)
    due = dry_run(passed, options.targets)
    for job in due:
        print(f"{job.outputs[0]} ({job.rule}): {'; '.join(causes(job, folder))}")
    expected = {job.outputs for job in due}
    whole = dry_run(passed, options.targets, whole=True)
    kept = [job for job in whole if job.outputs not in expected]
    for job in kept:
        if found := unnoticed(job, folder):
            print(
                f"{job.outputs[0]} ({job.rule}): would NOT rerun, but {'; '.join(found)}; Snakemake"
                " has no note of how it was made; remove it, and it is made again"
            )
    print(
        f"{len(due)} of {len(whole)} jobs would run"
        if due
        else f"none of {len(whole)} jobs would run"
    )
