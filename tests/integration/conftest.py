"""Copies of the workflow in which every step really runs, on a recording of a few seconds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from plans import Plan

CONFIG = Path(__file__).with_name("config.yaml")
BEHAVING = Path(__file__).with_name("horizon.yaml")
WORKFLOW = ("Snakefile", "rules", "workflow", "src", "config", "profiles", "envs")
MADE = ("resources", "results", "logs", ".snakemake")
ENVIRONMENTS = [f"resources/environments/{name}" for name in ("ibl", "allen")]
FORMATS = [f"resources/twins/behaving/{name}" for name in ("alf", "nwb")]
TABLES = [f"results/ablation_{name}.tsv" for name in ("regions", "architecture", "repetitions")]


@dataclass
class Workspace:
    """A working folder with its own copy of the workflow and its own config."""

    folder: Path

    def __truediv__(self, path: str) -> Path:
        return self.folder / path

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        more = {
            "PATH": path,
            # The copy's own code runs, not that of this checkout.
            "PYTHONPATH": str(self.folder / "src"),
            "XDG_CACHE_HOME": str(self.folder / ".cache"),
            # A wheel that was downloaded once is linked from then on.
            "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR") or str(caches / "uv"),
        }
        return {**os.environ, **more}

    def command(self, *arguments: str) -> list[str]:
        """The README's command: two cores, one GPU or none."""
        options = ["--cores", "2", "--resources", "gpu=1"]
        # For data this small, two threads on a busy machine mostly wait for each other.
        options += ["--max-threads", "1"]
        return [sys.executable, "-m", "snakemake", *options, *arguments]

    def snakemake(self, *arguments: str, **environment: str) -> Plan:
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=400,
        )
        return Plan(done.returncode, done.stdout)

    def make(self, *targets: str) -> Plan:
        """Run the targets' jobs; they must succeed."""
        done = self.snakemake("--", *targets)
        assert done.status == 0, done.text[-4000:]
        return done

    def plan(self, *targets: str) -> Plan:
        done = self.snakemake("-n", "--", *targets)
        assert done.status == 0, done.text[-4000:]
        return done

    def spikeline(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """`python -m spikeline ARGUMENTS...` by hand, in this folder."""
        return subprocess.run(
            [sys.executable, "-m", "spikeline", *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    @property
    def config(self) -> dict:
        return yaml.safe_load((self / "config/config.yaml").read_text())

    def configure(self, config: dict) -> None:
        (self / "config/config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))

    def edit(self, module: str, old: str, new: str) -> None:
        """Change the copy's code, e.g. a pause that a test need not wait for."""
        path = self / f"src/spikeline/{module}"
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{module} no longer says {old!r} once"
        path.write_text(text.replace(old, new), encoding="utf-8")


def copied(source: Path, folder: Path, *parts: str) -> Workspace:
    folder.mkdir(parents=True, exist_ok=True)
    for part in parts:
        if (source / part).is_dir():
            # Client environments are large, and no step changes one.
            ignore = shutil.ignore_patterns("__pycache__", "environments")
            shutil.copytree(source / part, folder / part, symlinks=True, ignore=ignore)
            if (source / part / "environments").is_dir():
                (folder / part / "environments").symlink_to(source / part / "environments")
        elif (source / part).exists():
            shutil.copy2(source / part, folder / part)
    return Workspace(folder)


@pytest.fixture(scope="session")
def workspace_at() -> Callable[..., Workspace]:
    """(source, folder, made=False): a copy of the workflow, with what was made on request."""
    return lambda source, folder, made=False: copied(
        source, folder, *WORKFLOW, *(MADE if made else ())
    )


@pytest.fixture
def untouched(repository, tmp_path) -> Workspace:
    """A copy of the workflow as it is in the repository, in which nothing has run."""
    return copied(repository, tmp_path, *WORKFLOW)


@pytest.fixture(scope="session")
def finished(repository, tmp_path_factory) -> Workspace:
    """A copy in which every table of this folder's config was made; not to be changed."""
    workspace = copied(repository, tmp_path_factory.mktemp("finished"), *WORKFLOW)
    shutil.copy(CONFIG, workspace / "config/config.yaml")
    workspace.make(*TABLES)
    return workspace


@pytest.fixture(scope="session")
def behaving(repository, tmp_path_factory) -> Workspace:
    """A copy in which both client environments were built and the behaving twin was written."""
    workspace = copied(repository, tmp_path_factory.mktemp("behaving"), *WORKFLOW)
    shutil.copy(BEHAVING, workspace / "config/config.yaml")
    workspace.make(*ENVIRONMENTS, *FORMATS)
    return workspace


@pytest.fixture
def copy_of_finished(finished, tmp_path) -> Callable[[str], Workspace]:
    """Make copies of the finished one, each to be changed by one test."""
    return lambda name: copied(finished.folder, tmp_path / name, *WORKFLOW, *MADE)


@pytest.fixture
def another(copy_of_finished) -> Workspace:
    """A copy of the finished one, to be changed by one test."""
    return copy_of_finished("another")
