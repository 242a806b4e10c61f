"""Why the jobs of this folder wait in Slurm's queue, in one line for all that wait alike.

Slurm takes a job that asks for more than any node has, and lets it wait for ever without a word;
so what a job asks for is said beside what the nodes of its partition have.
"""

from __future__ import annotations

import re
import subprocess
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

# Slurm's reasons of jobs that only wait for others to end; they are given a while.
TURN = {"None", "Resources", "Priority"}
MEMORY = "memory"
# What Slurm calls them.
NAMES = {"cpu": "CPUs", "mem": MEMORY, "gres/gpu": "GPUs"}


@dataclass(frozen=True)
class Waiting:
    """A pending job.

    Attributes:
        job: its number in Slurm.
        name: what its comment says: Snakemake's rule and wildcards.
        reason: Slurm's own word.
        partition: where it waits.
        since: when it was handed in.
    """

    job: str
    name: str
    reason: str
    partition: str
    since: datetime


def report(folder: Path, patience_s: float = 60) -> dict[tuple, str]:
    """A line for all jobs that wait alike, of those that were started in a folder.

    Args:
        folder: the working folder.
        patience_s: for how long a job may wait for its turn before it is named.

    Returns:
        By what they have in common: partition, reason, what they ask for. Empty where squeue does
        not answer.
    """
    alike = defaultdict(list)
    for job in _pending(folder):
        turn = job.reason in TURN
        if not turn or (datetime.now() - job.since).total_seconds() >= patience_s:
            reason = "its turn" if turn else job.reason
            alike[job.partition, reason, tuple(_asked_for(job.job).items())].append(job)
    return {key: _line(jobs, dict(key[2]), _largest(key[0])) for key, jobs in alike.items()}


def watch(folder: Path, every_s: float, say: Callable[[str], None]) -> threading.Event:
    """Say each line once, looking now and then, until this process ends or the event is set."""
    stop = threading.Event()

    def look() -> None:
        said: set[tuple] = set()
        while not stop.wait(every_s):
            lines = report(folder, patience_s=every_s)
            for key in lines.keys() - said:
                say(lines[key])
            said |= lines.keys()

    threading.Thread(target=look, name="waiting jobs", daemon=True).start()
    return stop


def _line(jobs: list[Waiting], asks: dict[str, float], largest: dict[str, float]) -> str:
    first, others = jobs[0], len(jobs) - 1
    wait = f"and {others} like it wait" if others else "waits"
    line = f"Slurm job {first.job} ({first.name}) {wait} in partition {first.partition}"
    line += f" ({first.reason}): asks for {_listed(asks)}"
    if largest:
        line += f"; the nodes have up to {_listed(largest)}"
    beyond = [name for name, amount in asks.items() if amount > largest.get(name, amount)]
    if beyond:
        line += f". No node has enough {' or '.join(beyond)}: it would wait for ever. Ask for less"
        line += " in the profile (gpu_threads, cores, set-resources) or name another partition"
    return line


def _listed(amounts: dict[str, float]) -> str:
    units = {MEMORY: " MB"}
    return ", ".join(f"{name} {value:g}{units.get(name, '')}" for name, value in amounts.items())


def _pending(folder: Path) -> list[Waiting]:
    found = []
    asked = "--format=%i|%r|%P|%V|%k|%Z"
    for line in _told("squeue", "--me", "--noheader", "--states=PENDING", asked):
        job, reason, partition, since, name, place = line.split("|", 5)
        if Path(place) == folder:
            found.append(Waiting(job, name, reason, partition, datetime.fromisoformat(since)))
    return found


def _asked_for(job: str) -> dict[str, float]:
    text = " ".join(_told("scontrol", "--oneliner", "show", "job", job))
    # Later versions of Slurm call it ReqTRES.
    asked = re.search(r"\b(?:Req)?TRES=(\S+)", text)
    amounts = dict(re.findall(r"([\w/]+)=([\d.]+[KMGT]?)", asked[1])) if asked else {}
    found = {name: _number(amounts[key]) for key, name in NAMES.items() if key in amounts}
    # Of --gpus and --gres, before they are granted.
    gpus = re.search(r"\bTresPer(?:Job|Node)=\S*?gpu(?::[^:,\s]+)??[:=](\d+)", text)
    return {**found, **({"GPUs": float(gpus[1])} if gpus else {})}


def _largest(partition: str) -> dict[str, float]:
    """The most that any of its nodes has, of each."""
    nodes = []
    for line in _told("sinfo", "--Node", "--noheader", f"--partition={partition}", "-o%c|%m|%G"):
        cpus, memory, gres = line.split("|", 2)
        gpus = sum(map(int, re.findall(r"gpu(?::[^:,(]+)??:(\d+)", gres)))
        nodes.append({"CPUs": float(cpus), MEMORY: float(memory), "GPUs": float(gpus)})
    return {name: max(node[name] for node in nodes) for name in nodes[0]} if nodes else {}


def _number(amount: str) -> float:
    """In MB where a unit is given."""
    units = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2}
    return float(amount[:-1]) * units[amount[-1]] if amount[-1] in units else float(amount)


def _told(*command: str) -> list[str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []
