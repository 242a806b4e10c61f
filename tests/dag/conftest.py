"""Copies of the workflow: one that nobody has run, one in which every job has run."""

from __future__ import annotations

import shutil

import pytest
from workflow_copies import CONFIG, PRETENDED, SOURCES, STACK, Workflow, copied


@pytest.fixture(scope="session")
def planned(repository, tmp_path_factory) -> Workflow:
    """A copy that nobody has run, with the config of this folder; only for dry-runs."""
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
