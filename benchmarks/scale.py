"""A year's work on paper: all tables of the Brain-Wide Map, Allen and TVSD, planned and counted.

    python benchmarks/scale.py [--sessions 459] [--seeds 5] [--measured RUN ...] [--step-s SECONDS]

Plans every Horizon table over the release's sessions and every Bridge table of both monkeys, and
prints jobs by rule, and the seconds and the memory that planning took; the goals are 10 s and 1 GB.

--measured names folders of finished runs (with results/ and logs/). Bytes are means of their files
of the same kind, hours those of their benchmark files, times the jobs here: measure at the size you
will run. --step-s is what a training step of a forecaster takes on your card, as
benchmarks/forecast_step.py prints it; its steps are counted. What nothing was measured for is said.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from spikeline.plan.config import merged
from spikeline.plan.plan import Plan
from spikeline.settings.schema import load_yaml

ROOT = Path(__file__).resolve().parents[1]
MOST_SECONDS, MOST_GIGABYTES = 10, 1
HELD_OUT = 20
OVERLAYS = ("tvsd", "horizon", "brain_wide_map")


@dataclass(frozen=True)
class Job:
    """A job of the plan: its rule, the files it makes, and whether it asks for a GPU."""

    rule: str
    outputs: tuple[str, ...]
    gpu: bool


def scaled_config(folder: Path, sessions: int, seeds: int) -> dict[str, Any]:
    """The overlays of the real data in one: each table with so many seeds, both monkeys.

    The release table is one of as many rows, written to `folder`: only names are planned with.
    """
    config: dict[str, Any] = {}
    for name in OVERLAYS:
        given = load_yaml(ROOT / f"config/{name}.yaml")
        tables = [*config.get("tables", []), *given["tables"]]
        config = {**merged(config, given), "tables": list(dict.fromkeys(tables))}
    table = folder / "release.csv"
    eids = [str(uuid.UUID(int=(k + 1) << 96)) for k in range(sessions)]
    rows = [{"eid": eid, "probe_name": "probe00"} for eid in eids]
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    config["session_tables"]["bwm"]["table"] = str(table)
    config["datasets"]["allen"]["cache"] = str(folder / "allen")
    held_out = [f"bwm-{eid[:8]}" for eid in eids[-HELD_OUT:]]
    allen = [name for name in config["sessions"] if name.startswith("allen_")]
    cohorts = config["cohorts"]
    cohorts["brain_wide_map"]["held_out"] = held_out
    cohorts["both"] = {"train": ["bwm", *allen[:-1]], "held_out": [*held_out, allen[-1]]}
    config["ablations"]["mixture"]["vary"]["cohort"] = ["brain_wide_map", "allen_only", "both"]
    sizes = config["ablations"]["scaling"]["vary"]["training_sessions"]
    fitting = [size for size in sizes if size < sessions - HELD_OUT]
    config["ablations"]["scaling"]["vary"]["training_sessions"] = fitting
    demo = load_yaml(ROOT / "config/config.yaml")["ablations"]
    for name in config["tables"]:
        if name == "poyo_wheel":
            config["wheel"]["seeds"] = seeds
            continue
        entry = config["ablations"].setdefault(name, {})
        entry["seeds"] = seeds
        if "subjects" in {**demo.get(name, {}), **entry}:
            entry["subjects"] = ["monkeyF", "monkeyN"]
    return config


def planned(folder: Path, config: Mapping[str, Any]) -> tuple[str, float, float, float]:
    """(what a dry-run prints, seconds, CPU seconds, peak gigabytes)."""
    path = folder / "scale.yaml"
    path.write_text(yaml.safe_dump(dict(config)))
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "2", "--directory", str(folder),
               "--snakefile", str(ROOT / "Snakefile"), "--configfile", str(path)]  # fmt: skip
    said = folder / "plan.txt"
    with said.open("w") as out:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
    text = said.read_text()
    if status:
        sys.exit(text[-2000:])
    # Linux counts kilobytes.
    return text, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e6


def jobs_of(text: str) -> list[Job]:
    """The jobs that a dry-run lists."""
    found = []
    for rule, block in re.findall(r"^(?:local)?rule (\w+):\n((?: {4}.*\n)*)", text, re.M):
        outputs = re.search(r"^    output: (.*)$", block, re.M)
        gpu = re.search(r"^    resources: .*\bgpu=([1-9])", block, re.M)
        found.append(Job(rule, tuple(outputs[1].split(", ")) if outputs else (), bool(gpu)))
    return found


def kind_of(path: str) -> tuple[str, str]:
    """What files of one kind share: the folder they lie in, and their ending."""
    return "/".join(path.split("/")[:2]), Path(path).suffix


def measured_bytes(runs: Sequence[Path], kinds: Iterable[tuple[str, str]]) -> dict[tuple, float]:
    """Mean size of the files, or folders, of each kind in the first run that has some."""
    found = {}
    for folder, suffix in kinds:
        for run in runs:
            paths = (run / folder).rglob(f"*{suffix}") if suffix else (run / folder).glob("*/")
            sizes = [_bytes(path) for path in paths if path.suffix == suffix]
            if sizes:
                found[folder, suffix] = sum(sizes) / len(sizes)
                break
    return found


def _bytes(path: Path) -> int:
    inside = path.rglob("*") if path.is_dir() else [path]
    return sum(one.stat().st_size for one in inside if one.is_file())


def measured_seconds(runs: Sequence[Path], rules: Iterable[str]) -> dict[str, float]:
    """Mean wall seconds of each rule's jobs, by the benchmark files of the first run with some."""
    found = {}
    for rule in rules:
        for run in runs:
            seconds = [
                float(row["s"])
                for path in (run / "logs" / rule).rglob("*.tsv")
                for row in csv.DictReader(path.open(), delimiter="\t")
            ]
            if seconds:
                found[rule] = sum(seconds) / len(seconds)
                break
    return found


def forecaster_steps(jobs: Sequence[Job], plan: Plan) -> int:
    """Training steps of all networks of the Horizon, at their whole schedule."""
    names = [job.outputs[0].split("/")[2] for job in jobs if job.rule == "train_forecaster"]
    every = [plan.config.models.settings(name) for name in names]
    return sum(one["epochs"] * one["steps_per_epoch"] for one in every if "dim" in one)


def report(jobs: Sequence[Job], runs: Sequence[Path], steps: int, step_s: float | None) -> None:
    """Print jobs, bytes and hours by rule, and what was not measured."""
    sizes = measured_bytes(runs, {kind_of(path) for job in jobs for path in job.outputs})
    seconds = measured_seconds(runs, {job.rule for job in jobs})
    counts, on_gpu = Counter(job.rule for job in jobs), Counter(j.rule for j in jobs if j.gpu)
    total = {"bytes": 0.0, "CPU": 0.0, "GPU": 0.0}
    lacking: dict[str, list[str]] = {"bytes": [], "CPU": [], "GPU": []}
    print(f"{'rule':26}{'jobs':>7}{'GPU':>6}{'GB':>10}{'hours':>10}")
    for rule, count in sorted(counts.items(), key=lambda item: -item[1]):
        paths = [path for job in jobs if job.rule == rule for path in job.outputs]
        known = all(kind_of(path) in sizes for path in paths)
        held = sum(sizes[kind_of(path)] for path in paths) if known else None
        hours = count * seconds[rule] / 3600 if rule in seconds else None
        if rule == "train_forecaster" and step_s is not None:
            hours = steps * step_s / 3600
        kind = "GPU" if on_gpu[rule] else "CPU"
        for name, value in (("bytes", held), (kind, hours)):
            if value is None:
                lacking[name].append(rule)
            else:
                total[name] += value
        gigabytes = "-" if held is None else f"{held / 1e9:.3f}"
        hours = "-" if hours is None else f"{hours:.2f}"
        print(f"{rule:26}{count:7}{on_gpu[rule] or '':>6}{gigabytes:>10}{hours:>10}")
    print(f"{'all':26}{len(jobs):7}{sum(on_gpu.values()):6}")
    print(f"steps of forecasters, counted: {steps}")
    print(f"disk {total['bytes'] / 1e9:.1f} GB, not measured: {_list(lacking['bytes'])}")
    print(f"CPU jobs {total['CPU']:.1f} h, not measured: {_list(lacking['CPU'])}")
    print(f"GPU jobs {total['GPU']:.1f} h, not measured: {_list(lacking['GPU'])}")


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=459, help="of the release (459)")
    parser.add_argument("--seeds", type=int, default=5, help="of every table (5)")
    parser.add_argument("--measured", nargs="*", type=Path, default=[], metavar="RUN")
    parser.add_argument("--step-s", type=float, help="of a forecaster, on the card")
    options = parser.parse_args()
    os.environ.setdefault("SPIKELINE_DATA", ".")
    with tempfile.TemporaryDirectory() as folder:
        config = scaled_config(Path(folder), options.sessions, options.seeds)
        text, seconds, cpu, gigabytes = planned(Path(folder), config)
        jobs = jobs_of(text)
        steps = forecaster_steps(jobs, Plan.of(ROOT, config))
    print(f"{options.sessions} sessions, {options.seeds} seeds, {len(config['tables'])} tables")
    report(jobs, options.measured, steps, options.step_s)
    print(f"planning {seconds:.1f} s (CPU {cpu:.1f} s; goal {MOST_SECONDS}), "
          f"{gigabytes:.2f} GB (goal {MOST_GIGABYTES})")  # fmt: skip


if __name__ == "__main__":
    main()
