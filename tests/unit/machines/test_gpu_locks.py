"""Each process takes a GPU of its own, of two that are only names."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spikeline.errors import InputError
from spikeline.machines import gpu_locks

SOURCE = Path(gpu_locks.__file__).parents[2]
# Says what it took, and keeps it until its input is closed.
TAKER = """
import os, sys
from spikeline.machines import gpu_locks
gpu_locks.take(int(sys.argv[1]), lambda line: print(line, flush=True), pause_s=0.05)
print("sees", os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path):
    """Start processes that take so many devices; none is left over."""
    started = []
    environment = {
        **os.environ,
        "PYTHONPATH": str(SOURCE),
        "SPIKELINE_GPUS": "0,1",
        "SPIKELINE_GPU_LOCKS": str(tmp_path / "locks"),
    }

    def one(count: int = 1, **more: str) -> subprocess.Popen:
        command = [sys.executable, "-c", TAKER, str(count)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, env={**environment, **more}, **pipes))
        return started[-1]

    yield one
    for process in started:
        with process:
            process.kill()


def lines(process: subprocess.Popen, count: int) -> list[str]:
    return [process.stdout.readline().strip() for _ in range(count)]


def test_two_jobs_get_different_gpus_and_a_third_waits_for_one_that_is_killed(start):
    first, second = start(), start()
    sees = [lines(process, 2)[1] for process in (first, second)]
    assert sorted(sees) == ["sees 0", "sees 1"]
    third = start()
    assert lines(third, 1)[0].startswith("waiting for a GPU: 0, 1 are in use")
    second.send_signal(signal.SIGKILL)
    assert lines(third, 2)[1] == sees[1]


def test_a_job_of_two_processes_takes_two_gpus_at_once_and_its_children_share_them(start):
    one = start()
    assert lines(one, 2) == ["took GPU 0 of 0, 1", "sees 0"]
    two = start(2)
    assert lines(two, 1)[0].startswith("waiting")
    # The free one is not kept while it waits.
    other = start()
    assert lines(other, 2)[1] == "sees 1"
    one.stdin.close()
    other.stdin.close()
    assert lines(two, 2) == ["took GPU 0,1 of 0, 1", "sees 0,1"]
    child = start(2, SPIKELINE_GPUS_TAKEN="0,1", CUDA_VISIBLE_DEVICES="0,1")
    assert lines(child, 1) == ["sees 0,1"]


def test_without_a_list_of_gpus_nothing_is_taken(monkeypatch):
    monkeypatch.delenv("SPIKELINE_GPUS", raising=False)
    assert gpu_locks.take() == []


@pytest.mark.parametrize("listed", ["0,0", "0;1", "../0"])
def test_a_list_of_gpus_that_is_none_is_said(monkeypatch, tmp_path, listed):
    monkeypatch.setenv("SPIKELINE_GPUS", listed)
    monkeypatch.setenv("SPIKELINE_GPU_LOCKS", str(tmp_path))
    with pytest.raises(InputError, match="write device numbers once each"):
        gpu_locks.take()


def test_more_gpus_than_the_machine_lists_are_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("SPIKELINE_GPUS", "0,1")
    monkeypatch.setenv("SPIKELINE_GPU_LOCKS", str(tmp_path))
    with pytest.raises(InputError, match="3 GPUs are asked for"):
        gpu_locks.take(3)


def test_a_folder_for_locks_that_cannot_be_made_is_said(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPIKELINE_GPUS", "0")
    monkeypatch.setenv("SPIKELINE_GPU_LOCKS", str(tmp_path / "file/locks"))
    with pytest.raises(InputError, match="set SPIKELINE_GPU_LOCKS to another"):
        gpu_locks.take()
