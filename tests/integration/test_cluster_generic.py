"""profiles/cluster as it is, with stand-ins of PBS's commands that run each job on this machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow

CLOSED_FORM = "results/decoders/ridge@regions=V4/monkeyF/seed0.safetensors"
NETWORK = "results/decoders/mlp/monkeyF/seed1.safetensors"

COMMANDS = {
    # The last word is the script; the number is the line of what was asked for.
    "qsub": """
echo "$@" >> QUEUE/asked
number=$(wc -l < QUEUE/asked)
script="${@: -1}"
setsid bash -c 'bash "$1"; echo $? > "$2.status"' job "$script" "QUEUE/$number" &> /dev/null &
echo $! > "QUEUE/$number.pid"
echo "$number.server"
""",
    "qstat": """
number="${3%.server}"
[ -e "QUEUE/$number.pid" ] || exit 153
echo "Job Id: $3"
if [ -e "QUEUE/$number.status" ]; then
    printf '    job_state = F\\n    Exit_status = %s\\n' "$(cat "QUEUE/$number.status")"
else
    printf '    job_state = R\\n'
fi
""",
    "qdel": """
number="${1%.server}"
kill -KILL -- "-$(cat "QUEUE/$number.pid")" && echo 271 > "QUEUE/$number.status"
""",
}


@pytest.fixture
def pbs(tmp_path):
    """The folder of the commands, and that of the queue."""
    commands, queue = tmp_path / "commands", tmp_path / "queue"
    commands.mkdir()
    queue.mkdir()
    for name, text in COMMANDS.items():
        path = commands / name
        path.write_text("#!/usr/bin/env bash" + text.replace("QUEUE", str(queue)))
        path.chmod(0o755)
    return commands, queue


def asked(queue):
    """Of each job in order: CPUs, memory, GPUs, seconds."""
    path = queue / "asked"
    text = path.read_text() if path.exists() else ""
    words = r"ncpus=(\d+):mem=(\d+)mb:ngpus=(\d+) -l walltime=(\d+)"
    return [tuple(map(int, found)) for found in re.findall(words, text)]


def closed_form(queue):
    """The number of the first job without a GPU, once it runs."""
    without = [at for at, job in enumerate(asked(queue), start=1) if not job[2]]
    return without[0] if without and (queue / f"{without[0]}.pid").exists() else None


def test_jobs_run_through_another_scheduler_and_one_it_kills_is_tried_with_more(
    copy_of_finished, pbs
):
    workspace = copy_of_finished("pbs")
    commands, queue = pbs
    environment = dict(workspace.environment)
    environment["PATH"] = f"{commands}{os.pathsep}{environment['PATH']}"
    command = [
        sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/cluster",
        "--latency-wait", "5", "--seconds-between-status-checks", "1",
    ]  # fmt: skip
    run = subprocess.Popen(
        [*command, "--", CLOSED_FORM, NETWORK],
        cwd=workspace.folder, env=environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while not (number := closed_form(queue)):
            assert run.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        subprocess.run(["qdel", f"{number}.server"], env=environment, check=True)
        _, text = run.communicate(timeout=300)
    finally:
        run.kill()
        run.wait()
    assert run.returncode == 0, text[-4000:]
    assert (workspace / CLOSED_FORM).exists() and (workspace / NETWORK).exists()
    # CPUs, memory, GPUs, seconds: of the network, and of the closed form twice.
    assert [job for job in asked(queue) if job[2]] == [(4, 4000, 1, 7200)]
    assert [job for job in asked(queue) if not job[2]] == [
        (1, 4000, 0, 1800),
        (1, 8000, 0, 3600),
    ]
