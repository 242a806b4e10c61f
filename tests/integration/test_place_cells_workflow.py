"""Place cells from a simulated recording in plain arrays to a table with its oracle."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from spikeline.artifacts import counts, tables

pytestmark = pytest.mark.slow

CONFIG = Path(__file__).with_name("place_cells.yaml")
TABLE = "results/ablation_behaviour.tsv"


@pytest.fixture(scope="module")
def walked(repository, workspace_at, tmp_path_factory):
    workspace = workspace_at(repository, tmp_path_factory.mktemp("place_cells"))
    shutil.copy(CONFIG, workspace / "config/config.yaml")
    workspace.make(TABLE)
    return workspace


def test_where_the_animal_is_helps_and_the_truth_is_better_still(walked):
    table = tables.read(walked / TABLE)
    rows = table[(table["session"] == "walks") & (table["horizon_ms"] == 1000)]
    bits = rows.set_index("model")["bits_per_spike"]
    assert 0 < bits["regression@behaviour=never"] < bits["regression"] < bits["oracle"]


def test_the_counts_know_the_place_of_a_past_bin(walked):
    found = counts.read(walked / "results/counts/walks.h5")
    assert found.position.shape == (len(found.counts), 1)
    known = found.position[100:, 0]
    assert known.min() > -5 and known.max() < 205 and known.std() > 20


def test_then_there_is_nothing_to_do(walked):
    assert walked.plan(TABLE).nothing
