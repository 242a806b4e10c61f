"""A plan over the config of the DAG tests, in a folder that has the files it names."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest

from spikeline.plan.plan import Plan
from spikeline.settings.schema import load_yaml

SOURCES = (
    "public.npy", "lab.npy", "lab_test.npy", "images.zip", "embeddings.npy", "times.npy",
    "clusters.npy",
)  # fmt: skip


@pytest.fixture
def given(repository, tmp_path, monkeypatch) -> dict:
    """The config as written, to be changed by one test; its files are below the working folder."""
    monkeypatch.chdir(tmp_path)
    Path("own").mkdir()
    for name in SOURCES:
        Path("own", name).touch()
    return copy.deepcopy(load_yaml(repository / "tests/dag/config.yaml"))


@pytest.fixture
def plan(given) -> Plan:
    return Plan(given)


@pytest.fixture
def planned(given) -> Callable[[dict], Plan]:
    """The plan of the config with some keys of its sections replaced."""

    def changed(changes: dict) -> Plan:
        for section, entries in changes.items():
            given[section] = {**given[section], **entries}
        return Plan(given)

    return changed
