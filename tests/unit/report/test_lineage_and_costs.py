"""Where an artifact came from, and what the jobs behind it cost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spikeline.artifacts import provenance
from spikeline.report.costs import ON_GPU, Measured, costs, total
from spikeline.report.lineage import Artifact, lineage
from spikeline.training import device

TRAIN = Measured(
    "train",
    ["results/decoders/{model}/seed{seed}.h5", "results/decoders/{model}/seed{seed}.tsv"],
    "logs/train/{model}/seed{seed}.tsv",
    "logs/train/{model}/seed{seed}.log",
)
FIT = Measured(
    "fit", TRAIN.outputs[:1], "logs/fit/{model}/seed{seed}.tsv", "logs/fit/{model}/seed{seed}.log"
)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(path: str, step: str, *inputs: str) -> str:
    """A file with a record of where it came from."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(path)
    provenance.write_beside(path, {"step": step, "inputs": dict.fromkeys(inputs, "0")})
    return path


def benchmark(path: str, s: object, cpu_time: object, log: str = "") -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(f"s\th:m:s\tcpu_time\n{s}\t0:00:00\t{cpu_time}\n")
    Path(path).with_suffix(".log").write_text(log)


def trained(model: str, step: str = "train", seed: int = 0) -> Artifact:
    return Artifact(f"results/decoders/{model}/seed{seed}.h5", {"step": step})


def test_every_file_behind_a_table_is_found_once_and_a_missing_one_ends_its_branch(folder):
    raw = made("raw.h5", "fetch")
    both = [made(f"{name}.h5", "train", raw, "void.h5") for name in ("a", "b")]
    table = made("table.tsv", "tabulate", *both)
    found = lineage([table])
    assert [one.path for one in found] == ["table.tsv", "a.h5", "b.h5", "raw.h5", "void.h5"]
    assert [one.step for one in found] == ["tabulate", "train", "train", "fetch", ""]


def test_a_job_counts_once_however_many_of_its_files_are_behind_a_table(folder):
    benchmark("logs/train/mlp/seed0.tsv", 10, 15)
    history = Artifact("results/decoders/mlp/seed0.tsv", {"step": "train"})
    (cost,) = costs([trained("mlp"), history], [TRAIN])
    assert (cost.step, cost.jobs, cost.measured, cost.wall_s, cost.cpu_s) == ("train", 1, 1, 10, 15)


def test_seconds_are_summed_by_step_and_a_file_is_charged_to_the_step_that_made_it(folder):
    benchmark("logs/train/mlp/seed0.tsv", 10, 15)
    benchmark("logs/train/mlp/seed1.tsv", 20, 30)
    benchmark("logs/fit/ridge/seed0.tsv", 1, 2)
    benchmark("logs/train/ridge/seed0.tsv", 1000, 1000)
    rows = costs([trained("mlp"), trained("mlp", seed=1), trained("ridge", "fit")], [TRAIN, FIT])
    assert [(row.step, row.jobs, row.cpu_s) for row in rows] == [("train", 2, 45), ("fit", 1, 2)]
    assert (total(rows).jobs, total(rows).wall_s, total(rows).cpu_s) == (3, 31, 47)


def test_gpu_seconds_are_those_of_jobs_whose_log_says_that_they_had_a_gpu(folder):
    benchmark("logs/train/mlp/seed0.tsv", 10, 15, log=f"INFO: {ON_GPU} Some Model\n")
    benchmark("logs/train/mlp/seed1.tsv", 20, 30, log="WARNING: no CUDA device\n")
    (cost,) = costs([trained("mlp"), trained("mlp", seed=1)], [TRAIN])
    assert (cost.gpu_s, cost.wall_s) == (10, 30)
    # What training logs, word for word.
    assert f'"{ON_GPU} %s"' in Path(device.__file__).read_text(encoding="utf-8")


@pytest.mark.parametrize("seconds", [None, "NA", ""])
def test_a_job_without_a_usable_benchmark_is_told_as_not_measured(folder, seconds):
    if seconds is not None:
        benchmark("logs/train/mlp/seed0.tsv", seconds, seconds)
    (cost,) = costs([trained("mlp")], [TRAIN])
    assert (cost.jobs, cost.measured, cost.cpu_s) == (1, 0, 0)


def test_a_record_that_is_damaged_ends_its_branch(folder):
    made("a.h5", "train", "b.h5")
    Path("a.h5.provenance.json").write_text(json.dumps({"step": "train"})[:-3])
    assert lineage(["a.h5"]) == [Artifact("a.h5", {})]
