"""Copies of the workflow in which Snakemake plans, and once runs, with steps that only pretend."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from plans import Plan

PARTS = ("Snakefile", "rules", "workflow", "src", "config", "profiles", "envs", "own")
CONFIG = Path(__file__).with_name("config.yaml")
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
        """The one line that says what is wrong with a target or the config."""
        plan = self.plan(*targets)
        assert plan.status != 0, plan.text[-1500:]
        said = [
            line.strip()
            for line in plan.text.splitlines()
            if re.match(r"\s*(\w+Error: )?(config|model|subject|target)\b.*: ", line)
        ]
        assert len(said) == 1, plan.text[-3000:]
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


@pytest.fixture(scope="session")
def planned(repository, tmp_path_factory) -> Workflow:
    """A copy that nobody has run, with the config beside this file; only for dry-runs."""
    workflow = copied(repository, tmp_path_factory.mktemp("planned"))
    shutil.copy(CONFIG, workflow.folder / "config/config.yaml")
    for name in SOURCES:
        (workflow.folder / name).parent.mkdir(exist_ok=True)
        (workflow.folder / name).write_text(name)
    pins = (repository / "envs/workflow.txt").read_text().splitlines()
    (pin,) = [line for line in pins if line.startswith(f"{STACK}==")]
    for name in ("ibl", "allen"):
        (workflow.folder / f"envs/{name}.txt").write_text(pin + "\n")
    return workflow


@pytest.fixture(scope="session")
def _finished(planned, tmp_path_factory) -> Workflow:
    workflow = copied(planned.folder, tmp_path_factory.mktemp("finished"))
    (workflow.folder / "src/spikeline/__main__.py").write_text(PRETENDED)
    done = workflow.snakemake("--cores", "2", "--quiet", "rules")
    assert done.status == 0, done.text[-3000:]
    return workflow


@pytest.fixture
def fresh(planned, tmp_path) -> Workflow:
    """A copy that nobody has run, to be changed by one test."""
    return copied(planned.folder, tmp_path)


@pytest.fixture
def finished(_finished, tmp_path) -> Workflow:
    """A copy in which every job of the config has run, to be changed by one test."""
    return copied(_finished.folder, tmp_path, "resources", "results", ".snakemake")
