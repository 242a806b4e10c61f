"""A training killed with -9 and run again ends with the files of an unbroken run."""

from __future__ import annotations

import re
import signal
import subprocess
import time

import psutil
import pytest

pytestmark = pytest.mark.slow

DECODER = "results/decoders/long/monkeyF/seed0.safetensors"
HISTORY = "results/decoders/long/monkeyF/seed0.tsv"
EVALUATION = "results/evaluations/long/monkeyF.json"
LOG = "logs/train/long/monkeyF/seed0.log"
# A state after each epoch.
EVERY_EPOCH = ("--set-resources", "train:state_interval_s=0")
# Early stopping must not end it before it is killed.
LONG = {
    "kind": "mlp", "hidden": 64, "epochs": 150, "patience": 150, "batch_size": 64,
    "validation_images": 20, "dropout": 0.5, "electrode_dropout": 0.2, "noise_std": 0.3,
}  # fmt: skip


def prepared(workspace):
    """With a model that trains for seconds."""
    config = workspace.config
    config["models"]["long"] = LONG
    workspace.configure(config)
    return workspace


def make(workspace):
    done = workspace.snakemake(*EVERY_EPOCH, "--", EVALUATION)
    assert done.status == 0, done.text[-4000:]


def states(workspace):
    # A name with a dot in front is a state that is being written.
    found = (workspace / "results/.states").glob("*.pt")
    return sorted(path for path in found if not path.name.startswith("."))


def kill_all(started: subprocess.Popen) -> None:
    """kill -9 of a process and of everything it has started."""
    leader = psutil.Process(started.pid)
    family = [leader, *leader.children(recursive=True)]
    assert any("spikeline" in " ".join(process.cmdline()) for process in family[1:])
    for process in family:
        process.send_signal(signal.SIGKILL)
    started.wait()
    psutil.wait_procs(family, timeout=10)
    assert not any(process.is_running() for process in family[1:])


def start_until_a_third_state(workspace) -> subprocess.Popen:
    with open(workspace / "killed.log", "w") as log:
        started = subprocess.Popen(
            workspace.command(*EVERY_EPOCH, "--", EVALUATION),
            cwd=workspace.folder, env=workspace.environment, stdout=log, stderr=log,
        )  # fmt: skip
    written = set()
    deadline = time.monotonic() + 120
    while len(written) < 3:
        written |= {path.stat().st_mtime_ns for path in states(workspace)}
        assert started.poll() is None, (workspace / "killed.log").read_text()[-3000:]
        assert time.monotonic() < deadline, "no state was written"
        time.sleep(0.01)
    return started


def test_a_training_killed_with_9_continues_to_the_files_of_an_unbroken_run(copy_of_finished):
    unbroken = prepared(copy_of_finished("unbroken"))
    make(unbroken)
    assert "resuming" not in (unbroken / LOG).read_text()

    killed = prepared(copy_of_finished("killed"))
    kill_all(start_until_a_third_state(killed))
    assert not (killed / DECODER).exists() and len(states(killed)) == 1
    # Snakemake's own lock outlives it; it says so, and how to remove it.
    assert "--unlock" in killed.snakemake("--", EVALUATION).text
    assert killed.snakemake("--unlock").status == 0
    make(killed)

    resumed = re.search(r"resuming after epoch (\d+)", (killed / LOG).read_text())
    assert 3 <= int(resumed[1]) < LONG["epochs"]
    assert states(killed) == states(unbroken) == []
    for path in (DECODER, HISTORY, EVALUATION):
        assert (killed / path).read_bytes() == (unbroken / path).read_bytes(), path
