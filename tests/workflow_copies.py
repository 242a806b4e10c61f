"""Copies of the workflow in which Snakemake plans, and once runs, with steps that only pretend.

What the plan says is tested without Snakemake, in tests/unit/plan.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml
from plans import Plan

PARTS = ("Snakefile", "rules", "workflow", "src", "config", "profiles", "envs", "own")
CONFIG = Path(__file__).with_name("dag") / "config.yaml"
SOURCES = (
    "own/public.npy",
    "own/lab.npy",
    "own/lab_test.npy",
    "own/images.zip",
    "own/embeddings.npy",
    "own/times.npy",
    "own/clusters.npy",
)
# In place of a client's stack, which steps that only pretend do not need.
STACK = "idna"

# In place of src/spikeline/__main__.py: makes every output that the command line names.
PRETENDED = """
import sys
from pathlib import Path

for word in sys.argv[2:]:
    path = Path(word)
    if word.startswith(("results/", "resources/")) and not path.exists():
        folder = path if not path.suffix or path.name.startswith(".") else path.parent
        folder.mkdir(parents=True, exist_ok=True)
        if folder != path:
            path.write_text(" ".join(sys.argv[1:]))
"""


@dataclass
class Workflow:
    """A working folder with its own copy of the workflow."""

    folder: Path

    def snakemake(self, *arguments: str) -> Plan:
        tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = {**os.environ, "PATH": tools, "XDG_CACHE_HOME": str(self.folder / ".cache")}
        # The copy's own code is imported, not that of this checkout.
        environment.pop("PYTHONPATH", None)
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        return Plan(done.returncode, done.stdout)

    def plan(self, *targets: str) -> Plan:
        return self.snakemake("-n", "--", *targets)

    def refusal(self, *targets: str) -> str:
        """The one line that says what is wrong with a target or the config, with no traceback."""
        plan = self.plan(*targets)
        assert plan.status != 0, plan.text[-1500:]
        said = [
            line.strip()
            for line in plan.text.splitlines()
            if re.match(r"error: |config\b.*: ", line)
        ]
        assert len(said) == 1 and "Traceback" not in plan.text, plan.text[-3000:]
        return said[0]

    @property
    def config(self) -> dict:
        return yaml.safe_load((self.folder / "config/config.yaml").read_text())

    def configure(self, config: dict) -> None:
        text = yaml.safe_dump(config, sort_keys=False)
        (self.folder / "config/config.yaml").write_text(text)

    def modules(self) -> list[Path]:
        return sorted(
            path for path in (self.folder / "src").rglob("*.py") if path.name != "__main__.py"
        )


def copied(source: Path, folder: Path, *more: str) -> Workflow:
    for part in (*PARTS, *more):
        if (source / part).is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source / part, folder / part, symlinks=True, ignore=ignore)
        elif (source / part).exists():
            shutil.copy2(source / part, folder / part)
    return Workflow(folder)
