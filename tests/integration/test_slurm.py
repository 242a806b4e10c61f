"""A real ablation through a real Slurm of one node; profiles/slurm is filled in as by a user."""

from __future__ import annotations

import itertools
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import slurm_node

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(slurm_node.why_not() is not None, reason=str(slurm_node.why_not())),
]

# As a user fills in the profile for a node with 2 CPUs, and looks at the queue more often.
SITE = {
    "your_account": "lab",
    "your_cpu_partition": "cpu",
    "your_gpu_partition": "gpu",
    "gpu_threads: 4": "gpu_threads: 2",
    "cores: 4": "cores: 2",
    "report_waiting_s: 60": "report_waiting_s: 2",
    "# slurm-status-command": "slurm-status-command",
}
QUICKLY = (
    "--slurm-init-seconds-before-status-checks", "3", "--seconds-between-status-checks", "3",
    "--latency-wait", "5",
)  # fmt: skip
SHORT = {
    "kind": "mlp", "hidden": 16, "epochs": 5, "patience": 5, "batch_size": 64,
    "validation_images": 20,
}  # fmt: skip
# A second for each epoch; Slurm looks every half minute which jobs are over their first minute.
LONG = {**SHORT, "epochs": 95, "patience": 95}
ABLATION = {
    "title": "Which decoder?",
    "models": ["short", "long", "ridge@regions=V4", "ridge@regions=V1+V4"],
    "subjects": ["monkeyF"],
    "seeds": 1,
}
# In training/loop.py.
PAUSE = (
    "        if frozen is not None:\n",
    "        time.sleep(1)\n        if frozen is not None:\n",
)
TRAINING = "rule_train_wildcards_{}_monkeyF_0"
EMBEDDINGS = "results/embeddings/demo_clip/pictures.h5"
TABLE = "results/ablation_cluster.tsv"


@pytest.fixture
def node():
    # A socket's path is short; pytest's folders are not.
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        with slurm_node.running(Path(folder)) as found:
            yield found


def fill_in(workspace, more=()):
    """The profile with the site's names."""
    path = workspace / "profiles/slurm/profile.yaml"
    text = path.read_text()
    for old, new in {**SITE, **dict(more)}.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path.write_text(text)


@contextmanager
def snakemake(workspace, log, target):
    """A run in the background, interrupted as by Ctrl-C if it is left before its end."""
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/slurm", *QUICKLY]
    with open(log, "w") as out:
        run = subprocess.Popen(
            [*command, "--", target],
            cwd=workspace.folder, env=workspace.environment, stdout=out, stderr=out,
        )  # fmt: skip
    try:
        yield run
    finally:
        if run.poll() is None:
            run.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            run.wait(timeout=60)
        # A shell may start its background jobs with interrupts ignored.
        run.kill()
        run.wait()


def until(ready, run, log, seconds):
    """What `ready` finds, as soon as it finds it; Snakemake must not end before."""
    deadline = time.monotonic() + seconds
    while not (found := ready()):
        assert run.poll() is None and time.monotonic() < deadline, log.read_text()[-4000:]
        time.sleep(0.2)
    return found


def running(node, comment):
    """The job, if it runs."""
    mine = [job for job in node.jobs() if job["Comment"] == comment]
    return mine[0] if mine and mine[0]["JobState"] == "RUNNING" else None


def devices_of(job):
    """The GPUs that the processes of a running job see."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            environment = process.environ()
            mine = environment.get("SLURM_JOB_ID") == job["JobId"]
            if mine and "CUDA_VISIBLE_DEVICES" in environment:
                return environment["CUDA_VISIBLE_DEVICES"]
    return None


def tried(jobs, comment):
    """The end of each try of a job, and the minutes it was granted."""
    mine = [job for job in jobs if job["Comment"] == comment]
    return [job["JobState"] for job in mine], [minutes(job) for job in mine]


def with_the_ablation(workspace):
    """Its trainings wait a second before each epoch, save each, and get a minute at first."""
    config = workspace.config
    config["models"].update(short=SHORT, long=LONG)
    config["ablations"]["cluster"] = ABLATION
    workspace.configure(config)
    fill_in(workspace)
    workspace.edit("training/loop.py", *PAUSE)
    rules = workspace / "rules/decoders.smk"
    text = rules.read_text().replace("runtime=minutes(120)", "runtime=minutes(1)")
    rules.write_text(text.replace("state_interval_s=20", "state_interval_s=0"))
    return workspace, workspace / "slurm.log"


def minutes(job):
    days, hours, rest = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+):\d+", job["TimeLimit"]).groups()
    return (int(days or 0) * 24 + int(hours)) * 60 + int(rest)


def test_an_ablation_on_slurm_outlives_a_cancelled_job_and_its_wall_time_on_the_only_gpu(
    node, copy_of_finished
):
    workspace, log = with_the_ablation(copy_of_finished("cluster"))
    with snakemake(workspace, log, TABLE) as run:
        cancelled = until(lambda: running(node, TRAINING.format("short")), run, log, 180)
        seen = until(lambda: devices_of(cancelled), run, log, 30)
        assert cancelled["GRES"] == "gpu:1(IDX:0)" and seen == "0", cancelled
        node.asked("scancel", cancelled["JobId"])
        assert run.wait(timeout=600) == 0, log.read_text()[-6000:]
    # A header, and the control with shuffled responses.
    assert (workspace / TABLE).read_text().count("\n") == 2 + len(ABLATION["models"])

    jobs = node.jobs()
    tries = {comment: tried(jobs, comment) for comment in {job["Comment"] for job in jobs}}
    for states, granted in tries.values():
        # On a busy machine, more than one may be over its first minute.
        assert set(states[:-1]) <= {"CANCELLED", "TIMEOUT"} and states[-1] == "COMPLETED"
        assert [b / a for a, b in itertools.pairwise(granted)] == [2] * (len(granted) - 1)
    assert tries[TRAINING.format("short")][0][0] == "CANCELLED"
    assert tries[TRAINING.format("long")][0][0] == "TIMEOUT"
    trained = (workspace / "logs/train/long/monkeyF/seed0.log").read_text()
    resumed = re.search(r"resuming after epoch (\d+)", trained)
    assert 0 < int(resumed[1]) < LONG["epochs"]

    with_gpu = [job for job in jobs if job["Partition"] == "gpu"]
    assert {job["rule"] for job in with_gpu} == {"train"}
    assert all(job["TresPerJob"] == "gres:gpu:1" and job["NumCPUs"] == "2" for job in with_gpu)
    spans = sorted(slurm_node.span(job) for job in with_gpu)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans)), spans
    without = [job for job in jobs if job["Partition"] == "cpu"]
    # The closed-form fits share a Slurm job, and so do the evaluations.
    assert sorted(job["rule"] for job in without) == [
        "evaluations_evaluate",
        "fits_fit",
        "tabulate",
    ]
    assert "TresPerJob" not in str(without) and "TresPerNode" not in str(without)
    assert re.search(r"^Slurm job \d+ \(rule_train.* in partition gpu \(", log.read_text(), re.M)


def test_a_gpu_is_asked_for_by_gres_and_a_job_too_large_for_any_node_is_named(
    node, copy_of_finished
):
    workspace = copy_of_finished("gres")
    log = workspace / "slurm.log"
    fill_in(workspace, {"gpu_request: gpus": "gpu_request: gres"})
    (workspace / EMBEDDINGS).unlink()
    with snakemake(workspace, log, EMBEDDINGS) as run:
        assert run.wait(timeout=300) == 0, log.read_text()[-6000:]
    (embed,) = node.jobs()
    assert embed["TresPerNode"] == "gres:gpu:1" and "TresPerJob" not in embed, embed

    profile = workspace / "profiles/slurm/profile.yaml"
    text = profile.read_text().replace("gpu_threads: 2", "gpu_threads: 8")
    profile.write_text(text.replace("cores: 2", "cores: 8"))
    (workspace / EMBEDDINGS).unlink()
    with snakemake(workspace, log, EMBEDDINGS) as run:
        (said,) = until(lambda: re.findall(r"^Slurm job .*$", log.read_text(), re.M), run, log, 180)
    assert "(PartitionConfig): asks for CPUs 8, " in said
    assert "the nodes have up to CPUs 4, " in said and "No node has enough CPUs" in said
