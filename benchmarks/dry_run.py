"""Dry-run of 3,000 jobs, against a bare Snakefile of as many jobs that reads no config.

    python benchmarks/dry_run.py [--models 300] [--repeats 3]

Prints seconds and the ratio; the goals are 8 seconds on two cores and a ratio of 1.5.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("Snakefile", "rules", "workflow", "src", "config", "profiles", "envs")
SEEDS = 9  # of each model: with its evaluation, ten jobs a model

BARE = """
rule all:
    input: "all.txt"

rule collect:
    input: expand("evaluations/{{model}}.txt", model=range({models}))
    output: "all.txt"
    shell: "cat {{input}} > {{output}}"

rule evaluate:
    input: expand("decoders/{{{{model}}}}/{{seed}}.txt", seed=range({seeds}))
    output: "evaluations/{{model}}.txt"
    shell: "cat {{input}} > {{output}}"

rule train:
    output: "decoders/{{model}}/{{seed}}.txt"
    shell: "echo > {{output}}"
"""


def dry_run(folder: Path, target: str) -> tuple[float, int]:
    """Seconds and number of jobs of a dry-run in `folder`."""
    command = [sys.executable, "-m", "snakemake", "-n", "-c2", "--quiet", "rules", "--", target]
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    return seconds, int(re.search(r"^total\s+(\d+)", done.stdout + done.stderr, re.M)[1])


def our_workflow(folder: Path, models: int) -> None:
    """This workflow with an ablation that varies one number over `models` values."""
    for part in PARTS:
        source = ROOT / part
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / part)
    path = folder / "config/config.yaml"
    config = yaml.safe_load(path.read_text())
    config["ablations"] = {
        "many": {
            "base": "mlp",
            "vary": {"noise_std": [round(0.001 * k, 3) for k in range(1, models + 1)]},
            "subjects": ["monkeyF"],
            "seeds": SEEDS,
        }
    }
    path.write_text(yaml.safe_dump(config))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", type=int, default=300, help="ten jobs each (300)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each; the best counts (3)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        ours, bare = Path(temporary, "ours"), Path(temporary, "bare")
        ours.mkdir()
        bare.mkdir()
        our_workflow(ours, options.models)
        (bare / "Snakefile").write_text(BARE.format(models=options.models, seeds=SEEDS))
        best = {"ours": (float("inf"), 0), "bare": (float("inf"), 0)}
        for _ in range(options.repeats):
            best["ours"] = min(best["ours"], dry_run(ours, "results/ablation_many.tsv"))
            best["bare"] = min(best["bare"], dry_run(bare, "all.txt"))
    for name, (seconds, jobs) in best.items():
        print(f"{name:5s} {jobs:5d} jobs  {seconds:6.2f} s")
    print(f"ratio ours / bare Snakemake  {best['ours'][0] / best['bare'][0]:.2f}")


if __name__ == "__main__":
    main()
