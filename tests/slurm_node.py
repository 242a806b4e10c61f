"""A whole Slurm of one node on loopback, with one GPU that is only a file: for tests.

Snakemake's plugin drops SLURM_* variables, so the configuration must lie in /etc/slurm; everything
else lies in a folder of the test's.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock

ETC = Path("/etc/slurm")
TOOLS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
SYSTEM = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])

# Four CPUs, whatever the machine has: what a job asks for, not what it needs, decides who waits.
CONFIGURATION = """# Written by a test.
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldParameters=enable_configless
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=5,bf_interval=5,batch_sched_delay=1
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/completed.txt
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
MinJobAge=3600
KillWait=2
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=64000 Gres=gpu:1 State=UNKNOWN
PartitionName=cpu Nodes={host} MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={host} MaxTime=INFINITE State=UP
"""


def why_not() -> str | None:
    """Why no Slurm can be started here, or None if one can."""
    missing = [tool for tool in TOOLS if shutil.which(tool, path=SYSTEM) is None]
    if missing:
        return f"no Slurm here: {', '.join(missing)} not found (Debian: slurmctld slurmd munge)"
    if os.geteuid() != 0:
        return "starting Slurm's daemons needs root"
    written = ETC / "slurm.conf"
    if written.exists() and not written.read_text().startswith(CONFIGURATION[:20]):
        return f"{ETC}/slurm.conf: this machine has a Slurm of its own, which a test leaves alone"
    return None


class Node:
    """The running node; each question is asked of Slurm's own commands."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.daemons: list[subprocess.Popen] = []

    def start(self) -> None:
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        # munge refuses folders that others may write to.
        self.folder.chmod(0o755)
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        ETC.mkdir(exist_ok=True)
        (ETC / "slurm.conf").write_text(
            CONFIGURATION.format(
                folder=self.folder,
                host=socket.gethostname().partition(".")[0],
                controller=_free_port(),
                daemon=_free_port(),
            )
        )
        (ETC / "gres.conf").write_text("Name=gpu File=/dev/null\n")
        socket_file = self.folder / "munge.socket"
        private = [f"--{name}-file={self.folder}/munge.{name}" for name in ("key", "pid", "seed")]
        self._launch(
            "munged", "--foreground", "--force", f"--socket={socket_file}", *private,
            f"--log-file={self.folder}/munge.log",
        )  # fmt: skip
        self._wait(socket_file.exists, "munged gave no socket")
        self._launch("slurmctld", "-D", "-i")
        self._wait(lambda: "UP" in self.asked("scontrol", "ping"), "slurmctld does not answer")
        self._launch("slurmd", "-D")
        self._wait(lambda: "idle" in self.asked("sinfo", "-h", "-o", "%T"), "the node is not idle")

    def stop(self) -> None:
        self.asked("scancel", "--user=root")
        for daemon in reversed(self.daemons):
            daemon.terminate()
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for name in ("slurm.conf", "gres.conf"):
            (ETC / name).unlink(missing_ok=True)

    def asked(self, *command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        return done.stdout + done.stderr

    def jobs(self) -> list[dict[str, str]]:
        """What `scontrol show job` says of each, finished ones too; `rule` from the comment."""
        found = []
        for line in self.asked("scontrol", "--oneliner", "--details", "show", "job").splitlines():
            job = dict(re.findall(r"(\w+(?:/\w+)?)=(\S*)", line))
            if "JobId" in job:
                # What the plugin says of a job; of a group, rule_GROUP_RULE.
                comment = job.get("Comment", "")
                named = re.match(r"rule_(\w+?)(?:_wildcards_.*)?$", comment)
                found.append({**job, "Comment": comment, "rule": named[1] if named else ""})
        return found

    def _launch(self, *command: str) -> None:
        with open(self.folder / f"{command[0]}.out", "w") as out:
            self.daemons.append(
                subprocess.Popen(
                    command, env={**os.environ, "PATH": SYSTEM}, stdout=out, stderr=out
                )
            )

    def _wait(self, ready, otherwise: str) -> None:
        deadline = time.monotonic() + 30
        while not ready():
            if time.monotonic() > deadline:
                logs = [path.read_text()[-1500:] for path in sorted(self.folder.glob("*.out"))]
                raise RuntimeError("\n".join([otherwise, *logs]))
            time.sleep(0.1)


@contextmanager
def running(folder: Path) -> Iterator[Node]:
    """A node that runs, and is gone afterwards.

    Args:
        folder: for its state and logs; short, since a socket's path has at most 107 characters.
    """
    node = Node(folder)
    # There is one /etc/slurm for all who run tests here.
    with FileLock(Path(tempfile.gettempdir()) / "slurm-of-tests.lock", mode=0o666):
        try:
            node.start()
            yield node
        finally:
            node.stop()


def span(job: dict[str, str]) -> tuple[datetime, datetime]:
    """When a job ran."""
    return datetime.fromisoformat(job["StartTime"]), datetime.fromisoformat(job["EndTime"])


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
