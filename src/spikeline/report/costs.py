"""What a table cost: processor and GPU time of the jobs behind it, from Snakemake's benchmarks.

Which benchmark belongs to a file is said by patterns, those of the rules: an output's path with its
wildcards in braces, and the paths of benchmark and log with the same wildcards. Whether a job had a
GPU is said by its log, not by what the rule asked for.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spikeline.report.lineage import Artifact

WILDCARD = re.compile(r"\{(\w+)\}")


# What spikeline.training.device logs of a job that found a GPU.
ON_GPU = "running on the GPU"


@dataclass(frozen=True)
class Measured:
    """A rule whose jobs are measured: its subcommand, and patterns of paths."""

    step: str
    outputs: Sequence[str]
    benchmark: str
    log: str


@dataclass(frozen=True)
class Cost:
    """The jobs of one step behind a table, in seconds summed over those that were measured.

    Attributes:
        wall_s: from start to end; cpu_s: of all threads; gpu_s: wall time of jobs on a GPU.
    """

    step: str
    jobs: int
    measured: int
    wall_s: float
    cpu_s: float
    gpu_s: float


def costs(artifacts: Iterable[Artifact], rules: Sequence[Measured]) -> list[Cost]:
    """The cost of the jobs that made these artifacts, one for each step, the dearest first.

    A job counts once, however many of its outputs are among the artifacts; jobs of rules without a
    benchmark are not counted.
    """
    jobs: dict[str, set[tuple[str, str]]] = {}
    patterns = [(rule, _regex(output)) for rule in rules for output in rule.outputs]
    for artifact in artifacts:
        for rule, pattern in patterns:
            match = pattern.fullmatch(artifact.path) if rule.step == artifact.step else None
            if match:
                files = [_filled(path, match.groupdict()) for path in (rule.benchmark, rule.log)]
                jobs.setdefault(rule.step, set()).add(tuple(files))
                break
    found = [_of_step(step, files) for step, files in jobs.items()]
    return sorted(found, key=lambda cost: (-cost.cpu_s, cost.step))


def total(rows: Sequence[Cost]) -> Cost:
    """The sum over steps."""
    return Cost(
        "all",
        sum(row.jobs for row in rows),
        sum(row.measured for row in rows),
        sum(row.wall_s for row in rows),
        sum(row.cpu_s for row in rows),
        sum(row.gpu_s for row in rows),
    )


def _of_step(step: str, files: Iterable[tuple[str, str]]) -> Cost:
    wall = cpu = gpu = 0.0
    jobs = measured = 0
    for benchmark, log in sorted(files):
        jobs += 1
        row = _row(Path(benchmark))
        if row is not None:
            measured += 1
            wall += row["s"]
            cpu += row["cpu_time"]
            gpu += row["s"] * _on_gpu(Path(log))
    return Cost(step, jobs, measured, wall, cpu, gpu)


def _on_gpu(log: Path) -> bool:
    try:
        return ON_GPU in log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _row(path: Path) -> dict[str, float] | None:
    """The seconds of a benchmark; None where there is none, as of a job that ran elsewhere."""
    try:
        with open(path, encoding="utf-8", newline="") as handle:
            rows = list(csv.DictReader(handle, delimiter="\t"))
    except (OSError, UnicodeDecodeError):
        return None
    try:
        return {name: float(rows[-1][name]) for name in ("s", "cpu_time")}
    except (IndexError, KeyError, TypeError, ValueError):
        return None  # "NA": the job ended before it was measured


def _regex(pattern: str) -> re.Pattern[str]:
    parts = WILDCARD.split(pattern)
    text, seen = "", set()
    for index, part in enumerate(parts):
        if index % 2 == 0:
            text += re.escape(part)
        elif part in seen:
            text += f"(?P={part})"
        else:
            seen.add(part)
            text += rf"(?P<{part}>[^/]+)"
    return re.compile(text)


def _filled(pattern: str, values: Mapping[str, str]) -> str:
    return WILDCARD.sub(lambda match: values[match[1]], pattern)
