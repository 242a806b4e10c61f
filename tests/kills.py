"""A small real run killed with -9 at random points, again and again, until it has its table.

    python tests/kills.py --kills 50

Each time the victim is drawn: Snakemake and all its jobs, Snakemake alone, whose jobs then go on as
orphans beside the next run, or one job. After each kill every file that bears its final name must
be, byte for byte, that of an unbroken run.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from small_run import TABLE, small_run
from workflow_copies import Workflow

MADE = ("results", "resources", "logs", ".snakemake")
RUN = ("--cores", "2", "--max-threads", "1", "--set-resources", "train:state_interval_s=0")
# How an orphan of an interrupted run shows in the run after it.
REFUSED = "changed while this process computed it"


def made_files(workflow: Workflow) -> dict[str, bytes]:
    """What lies under its final name; states of unfinished trainings are no results."""
    found = {}
    for folder in ("results", "resources"):
        for path in (workflow.folder / folder).rglob("*"):
            name = path.relative_to(workflow.folder).as_posix()
            if path.is_file() and "/." not in name:
                found[name] = path.read_bytes()
    return found


def make(workflow: Workflow) -> float:
    """An unbroken run; its seconds."""
    begun = time.monotonic()
    done = workflow.snakemake(*RUN, "--", TABLE)
    assert done.status == 0, done.text[-3000:]
    return time.monotonic() - begun


class KillLoop:
    """Runs, kills and checks; `counts` says what happened how often."""

    def __init__(self, workflow: Workflow, expected: dict[str, bytes], seconds: float, seed: int):
        self.workflow, self.expected, self.seconds = workflow, expected, seconds
        self.random = random.Random(seed)
        self.counts: collections.Counter[str] = collections.Counter()
        self.kills = 0

    def __call__(self, kills: int, attempts: int) -> None:
        """Kill so many times, in at most so many starts, then run to the end."""
        for _ in range(attempts):
            if self.kills == kills:
                break
            self._one()
            self._check()
            print(f"{self.kills} kills: {dict(self.counts)}", flush=True)
        assert self.kills == kills, f"only {self.kills} kills in {attempts} starts"
        self._finish()

    def _one(self) -> None:
        log = self.workflow.folder / "killed.log"
        with open(log, "w") as handle:
            started = subprocess.Popen(
                [sys.executable, "-m", "snakemake", *RUN, "--", TABLE],
                cwd=self.workflow.folder, env=self._environment(), stdout=handle, stderr=handle,
            )  # fmt: skip
        try:
            started.wait(timeout=self.random.uniform(0.1, self.seconds))
        except subprocess.TimeoutExpired:
            self._kill(started)
        else:
            self._ended(started.returncode, log.read_text())
        unlocked = self.workflow.snakemake("--unlock")
        assert unlocked.status == 0, unlocked.text

    def _environment(self) -> dict[str, str]:
        tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = {**os.environ, "PATH": tools}
        environment.pop("PYTHONPATH", None)
        return {**environment, "XDG_CACHE_HOME": str(self.workflow.folder / ".cache")}

    def _kill(self, started: subprocess.Popen) -> None:
        leader = psutil.Process(started.pid)
        below = leader.children(recursive=True)
        jobs = [one for one in below if _is_job(one)]
        kind = self.random.choice(["all", "snakemake", "job"])
        if kind == "job" and jobs:
            victims = [self.random.choice(jobs)]
        elif kind == "snakemake":
            victims = [leader]
        else:
            kind, victims = "all", [leader, *below]
        for victim in victims:
            try:
                victim.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                # It ended in this very moment.
                continue
        status = started.wait(timeout=300)
        if kind == "job" and status == 0:
            self.counts["too late"] += 1
            return
        self.kills += 1
        self.counts[kind] += 1
        self.counts["jobs orphaned"] += len(jobs) if kind == "snakemake" else 0

    def _ended(self, status: int, text: str) -> None:
        if status:
            logs = [path.read_text() for path in (self.workflow.folder / "logs").rglob("*.log")]
            assert any(REFUSED in log for log in [text, *logs]), text[-3000:]
            self.counts["orphan noticed"] += 1
            return
        self._finish(unlock=False)
        self.counts["ended"] += 1
        # Most starts should be killed, whatever else the machine does.
        self.seconds *= 0.7
        for part in MADE:
            shutil.rmtree(self.workflow.folder / part, ignore_errors=True)

    def _check(self) -> None:
        for name, content in made_files(self.workflow).items():
            assert content == self.expected[name], f"{name} is not that of the unbroken run"

    def _finish(self, unlock: bool = True) -> None:
        """The last run ends with the table, and nothing half written is left."""
        self._wait_for_orphans()
        if unlock:
            make(self.workflow)
        assert made_files(self.workflow) == self.expected
        subprocess.run(
            [sys.executable, "-m", "spikeline", "sweep", "results", "resources"],
            cwd=self.workflow.folder, check=True, stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(self.workflow.folder / "src")},
        )  # fmt: skip
        left = [path for path in (self.workflow.folder / "results").rglob(".*.*-*-*")]
        assert left == [], left

    def _wait_for_orphans(self) -> None:
        mine = str(self.workflow.folder)
        for process in psutil.process_iter(["pid"]):
            try:
                if _is_job(process) and process.cwd() == mine:
                    process.wait(timeout=120)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue


def _is_job(process: psutil.Process) -> bool:
    try:
        return process.cmdline()[1:3] == ["-m", "spikeline"]
    except psutil.Error:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="how many (50)")
    parser.add_argument("--seed", type=int, default=0, help="of the points and victims (0)")
    options = parser.parse_args()
    repository = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as folder:
        unbroken, killed = (Path(folder, name) for name in ("unbroken", "killed"))
        unbroken.mkdir()
        killed.mkdir()
        reference = small_run(repository, unbroken)
        seconds = make(reference)
        loop = KillLoop(small_run(repository, killed), made_files(reference), seconds, options.seed)
        loop(options.kills, attempts=4 * options.kills)
    print(
        f"{loop.kills} kills; after each, no partial and no wrong file; the same table in the end"
    )


if __name__ == "__main__":
    main()
