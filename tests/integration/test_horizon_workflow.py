"""The Horizon from simulated origins through both real clients to its tables."""

from __future__ import annotations

import json

import pytest

from spikeline.artifacts import tables

pytestmark = pytest.mark.slow

TABLE, WHEEL = "results/ablation_horizons.tsv", "results/poyo_wheel.tsv"


@pytest.fixture(scope="module")
def forecast(behaving):
    """The copy of the behaving twin, in which both tables of its config were made."""
    behaving.make(TABLE, WHEEL)
    return behaving


def pooled(table, model, role, horizon=100):
    rows = table[(table["model"] == model) & (table["role"] == role)]
    rows = rows[(rows["session"] == "all") & (rows["horizon_ms"] == horizon)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_the_table_puts_every_forecaster_between_the_training_mean_and_the_oracle(forecast):
    table = tables.read(forecast / TABLE)
    for role, sessions in (("seen", 2), ("held_out", 1)):
        assert pooled(table, "training_mean", role)["bits_per_spike"] == 0
        oracle = pooled(table, "oracle", role)["bits_per_spike"]
        assert oracle > 0.05
        for model in ("units", "regression", "running_mean", "poisson_glm"):
            row = pooled(table, model, role)
            assert row["sessions"] == sessions
            assert -0.5 < row["bits_per_spike"] < oracle, (model, role)
    assert pooled(table, "units", "seen")["seeds"] == 2
    assert pooled(table, "regression", "seen")["shuffled"] < 0.05
    assert (forecast / "results/ablation_horizons.png").is_file()


def test_the_wheel_is_decoded_beside_its_controls(forecast):
    table = tables.read(forecast / WHEEL)
    names = ("poyo", "poyo_joint", "ridge")
    assert set(table["decoder"]) == {*names, *(f"{name}_shuffled" for name in names)}
    assert table["r2"].notna().all()
    joint = table[table["decoder"] == "poyo_joint"]
    assert list(joint["session"]) == ["ibl_01", "ibl_02", "all"]
    assert (joint["trained_on"] == 2).all() and joint["difference"].notna().all()


def test_every_file_says_which_session_it_came_from(forecast):
    shown = forecast.spikeline("show", "--provenance", "results/forecasts/units.json")
    assert shown.returncode == 0
    record = json.loads(shown.stdout)
    assert any("ibl_02" in path for path in record["inputs"])


def test_then_there_is_nothing_to_do(forecast):
    assert forecast.plan(TABLE, WHEEL).nothing


def test_a_session_with_too_few_units_fails_by_name_and_stops_no_other(
    forecast, workspace_at, tmp_path
):
    workspace = workspace_at(forecast.folder, tmp_path, made=True)
    (workspace / "results/validations/ibl_01.json").unlink()
    done = workspace.snakemake("--keep-going", "--", "validations")
    assert done.status != 0
    assert (workspace / "results/validations/ibl_01.json").is_file()
    assert not (workspace / "results/sessions/ibl_03.h5").exists()
    listed = (workspace / "logs/failures.tsv").read_text().splitlines()
    assert len(listed) == 2 and "session ibl_03: 3 good units" in listed[1]
