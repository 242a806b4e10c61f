"""`spikeline explain` after real runs: a line for each job that would rerun, and what changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from small_run import TABLE, small_run
from workflow_copies import copied

pytestmark = pytest.mark.slow

DECODER = "results/decoders/mlp/mine/seed0.safetensors"
MLP = f"{DECODER} (train): "


@pytest.fixture(scope="module")
def made(repository, tmp_path_factory):
    workflow = small_run(repository, tmp_path_factory.mktemp("made"))
    done = workflow.snakemake("--cores", "2", "--max-threads", "1", "--", TABLE)
    assert done.status == 0, done.text[-3000:]
    return workflow


@pytest.fixture
def another(made, tmp_path):
    return copied(made.folder, tmp_path, "results", "resources", ".snakemake")


def explain(workflow, *arguments):
    """The lines that it prints."""
    environment = {**os.environ, "PYTHONPATH": str(workflow.folder / "src")}
    done = subprocess.run(
        [sys.executable, "-m", "spikeline", "explain", *arguments],
        cwd=workflow.folder, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return (done.stdout or done.stderr).splitlines()


def changed_setting(workflow):
    config = workflow.config
    config["models"]["mlp"]["noise_std"] = 0.25
    workflow.configure(config)


def test_after_a_run_nothing_would_rerun(made):
    assert explain(made, "--", TABLE) == ["none of 10 jobs would run"]


def test_a_setting_and_an_edited_module_are_told_and_what_follows_from_them(another):
    changed_setting(another)
    module = another.folder / "src/spikeline/bridge/kernel_ridge.py"
    module.write_text(module.read_text(encoding="utf-8") + "\nEDITED = 1\n", encoding="utf-8")
    edited = "module spikeline.bridge.kernel_ridge edited"
    lines = explain(another, "--", TABLE)
    assert MLP + f"{edited}; setting noise_std 0.1 -> 0.25" in lines
    assert f"results/decoders/ridge/mine/seed0.safetensors (fit): {edited}" in lines
    assert any(
        line.startswith(f"results/evaluations/mlp/mine.json (evaluate): follows from {DECODER}")
        for line in lines
    )
    assert lines[-1] == "7 of 10 jobs would run" and len(lines) == 8


def test_a_replaced_input_is_told(another):
    path = another.folder / "own/responses.npy"
    np.save(path, np.load(path) + 1)
    lines = explain(another, "--", TABLE)
    told = "input own/responses.npy has other content"
    assert lines[0] == f"results/responses/mine.h5 (convert_arrays): {told}"
    assert lines[-1] == "8 of 10 jobs would run"


def test_a_new_seed_is_told(another):
    config = another.config
    config["ablations"]["decoders"]["seeds"] = 2
    another.configure(config)
    lines = explain(another, "--", TABLE)
    assert "results/decoders/mlp/mine/seed1.safetensors (train): not made yet" in lines
    (line,) = [line for line in lines if line.startswith("results/evaluations/mlp/mine.json")]
    assert "+results/decoders/mlp/mine/seed1.safetensors" in line
    assert line.endswith("; --seeds [0] -> [0, 1]")


def test_of_results_copied_without_snakemakes_notes_it_tells_what_did_not_change(another):
    shutil.rmtree(another.folder / ".snakemake")
    os.utime(another.folder / "own/responses.npy")
    lines = explain(another, "--", TABLE)
    assert lines[0] == (
        "results/responses/mine.h5 (convert_arrays): "
        "nothing changed but the time stamp of own/responses.npy"
    )


def test_of_results_copied_without_snakemakes_notes_it_tells_what_goes_unnoticed(another):
    shutil.rmtree(another.folder / ".snakemake")
    changed_setting(another)
    told, last = explain(another, "--directory", ".", "--", TABLE)
    assert told.startswith(
        MLP + "would NOT rerun, but setting noise_std 0.1 -> 0.25; Snakemake has no note"
    )
    assert last == "none of 10 jobs would run"


def test_a_target_that_there_is_not_is_told_in_one_line(made):
    assert explain(made, "--", "results/ablation_nope.tsv") == [
        "spikeline explain: config: unknown ablation 'nope': known are ['decoders']"
    ]
