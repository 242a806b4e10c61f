"""Why jobs wait, from what Slurm 22.05 printed of a node with 4 CPUs and one GPU."""

from __future__ import annotations

import os
import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from spikeline.machines import waiting_jobs

JOB = (
    "JobId={job} JobName=x UserId=root(0) JobState=PENDING Reason={reason} Dependency=(null) "
    "NumNodes=1-1 NumCPUs={cpus} NumTasks=1 CPUs/Task={cpus} "
    "TRES=cpu={cpus},mem=4G,node=1,billing={cpus} MinMemoryNode=4G {gpu}Command=(null)"
)
# In place of Slurm's commands: each prints what lies in the file of its name, by its last word.
TOLD = '#!/bin/sh\nfor last; do :; done\ncat "$0.$last" 2>/dev/null || cat "$0.txt"\n'


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Fill Slurm's queue with (job, reason, CPUs, GPU words, seconds waited, folder)."""
    commands = tmp_path / "commands"
    commands.mkdir()
    for name in ("squeue", "scontrol", "sinfo"):
        (commands / name).write_text(TOLD)
        (commands / name).chmod(0o755)
    (commands / "sinfo.txt").write_text("2|32000|(null)\n4|64000|gpu:a100:1(S:0)\n")
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")

    def queue(*jobs):
        lines = []
        for job, reason, cpus, gpu, waited, folder in jobs:
            since = (datetime.now() - timedelta(seconds=waited)).isoformat(timespec="seconds")
            lines.append(f"{job}|{reason}|gpu|{since}|rule_train_wildcards_it|{folder}\n")
            text = JOB.format(job=job, reason=reason, cpus=cpus, gpu=gpu)
            (commands / f"scontrol.{job}").write_text(text)
        (commands / "squeue.txt").write_text("".join(lines))

    return queue


HERE = Path("/data/lab|project")
GPU = "TresPerJob=gres:gpu:1 "


def test_a_job_with_more_threads_than_any_node_has_is_named_at_once(slurm):
    slurm((3, "PartitionConfig", 8, GPU, 0, HERE))
    (line,) = waiting_jobs.report(HERE).values()
    assert line == (
        "Slurm job 3 (rule_train_wildcards_it) waits in partition gpu (PartitionConfig): asks for "
        "CPUs 8, memory 4096 MB, GPUs 1; the nodes have up to CPUs 4, memory 64000 MB, GPUs 1. "
        "No node has enough CPUs: it would wait for ever. Ask for less in the profile "
        "(gpu_threads, cores, set-resources) or name another partition"
    )


def test_jobs_that_wait_their_turn_are_named_together_after_a_while(slurm):
    slurm(
        (4, "Resources", 2, "TresPerNode=gres:gpu:a100:1 ", 90, HERE),
        (5, "Priority", 2, GPU, 80, HERE),
        (6, "Priority", 2, GPU, 5, HERE),
    )
    (line,) = waiting_jobs.report(HERE, patience_s=60).values()
    assert line.startswith("Slurm job 4 (rule_train_wildcards_it) and 1 like it wait")
    assert "GPUs 1; " in line and "No node" not in line
    assert waiting_jobs.report(HERE, patience_s=100) == {}


def test_jobs_of_another_folder_are_not_this_runs(slurm):
    slurm((7, "PartitionConfig", 8, "", 500, "/data/other"))
    assert waiting_jobs.report(HERE) == {}


def test_a_queue_that_does_not_answer_is_no_error(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert waiting_jobs.report(HERE) == {}


def test_a_line_is_said_once(slurm):
    slurm((8, "PartitionConfig", 8, "", 0, HERE))
    said, twice = [], threading.Event()

    def say(line):
        said.append(line)
        if len(said) == 1:
            slurm((8, "PartitionConfig", 8, "", 0, HERE), (9, "BadConstraints", 1, "", 0, HERE))
        else:
            twice.set()

    stop = waiting_jobs.watch(HERE, every_s=0.05, say=say)
    assert twice.wait(timeout=30)
    stop.set()
    assert ["(PartitionConfig)" in said[0], "(BadConstraints)" in said[1]] == [True, True]
