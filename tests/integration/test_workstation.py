"""A machine with two GPUs, which are only names here: a job waits for one that is free."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow

DECODER = "results/decoders/mlp/monkeyF/seed1.safetensors"
LOG = "logs/train/mlp/monkeyF/seed1.log"
HOLDER = "from spikeline.machines import gpu_locks; gpu_locks.take(); input()"


def until(ready, *alive):
    """Wait until it is so; these processes must not end before."""
    deadline = time.monotonic() + 180
    while not ready():
        assert all(process.poll() is None for process in alive)
        assert time.monotonic() < deadline
        time.sleep(0.1)


def logged(workspace):
    log = workspace / LOG
    return log.read_text() if log.exists() else ""


def test_a_job_waits_for_a_gpu_and_takes_that_of_a_killed_process(copy_of_finished, tmp_path):
    workspace = copy_of_finished("workstation")
    locks = {"SPIKELINE_GPU_LOCKS": str(tmp_path / "locks")}
    environment = {**workspace.environment, **locks}
    environment.pop("SPIKELINE_GPUS", None)
    holders = [
        subprocess.Popen(
            [sys.executable, "-c", HOLDER],
            env={**environment, "SPIKELINE_GPUS": device},
            stdin=subprocess.PIPE,
        )
        for device in "01"
    ]
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/workstation"]
    run = None
    try:
        until(lambda: len(list(tmp_path.glob("locks/*"))) == 2, *holders)
        run = subprocess.Popen(
            [*command, "--", DECODER],
            cwd=workspace.folder, env=environment, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        until(lambda: "waiting for a GPU: 0, 1 are in use" in logged(workspace), run)
        assert not (workspace / DECODER).exists()
        holders[1].send_signal(signal.SIGKILL)
        _, text = run.communicate(timeout=300)
        assert run.returncode == 0, text[-3000:]
        assert "INFO: took GPU 1 of 0, 1\n" in logged(workspace)
    finally:
        for process in (*holders, *([run] if run else [])):
            process.kill()
            process.wait()
