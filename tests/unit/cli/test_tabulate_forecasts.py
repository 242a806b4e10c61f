"""The subcommand `tabulate-forecasts`: its files, its reference and bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spikeline.artifacts import forecasts, tables
from spikeline.cli import main
from spikeline.horizon.scores.bits_per_spike import score_sums

OUTPUTS = ("t.tsv", "t.tsv.provenance.json", "t.txt", "t.txt.provenance.json", "t.png")


@pytest.fixture
def command(tmp_path):
    """Arguments of two models and a baseline of one session with twelve test blocks of 2 s."""
    rng = np.random.default_rng(0)
    true = rng.gamma(2, 0.2, (24, 1, 3))
    counts = rng.poisson(np.broadcast_to(true, (24, 50, 3)))
    steps = np.arange(24) + np.repeat(np.arange(12), 2)

    def written(name, role, label, rates):
        sums = score_sums(rates, counts, np.full(3, 0.4), steps)
        one = forecasts.SessionForecasts(role, "ibl", 3, {label: {"1000": sums}})
        path = tmp_path / f"{name}.json"
        forecasts.write(path, forecasts.Forecasts({}, {"one": one}), {})
        return str(path)

    models = [
        written(name, "held_out", "seed0", true**power)
        for name, power in (("good", 1.0), ("poor", 0.5))
    ]
    plain = written("plain", "-", "running_mean", np.full_like(true, 0.42))
    conditions = [{"model": name, "varied": {}} for name in ("good", "poor")]
    return [
        *("tabulate-forecasts", "--forecasts", *models, "--baselines", plain),
        *("--conditions", json.dumps(conditions), "--output", str(tmp_path / "t.tsv")),
        *("--figure", str(tmp_path / "t.png")),
    ]


def test_table_figure_and_caption_are_written_with_their_provenance(command, tmp_path):
    assert main.main(command) == 0
    assert all((tmp_path / name).is_file() for name in OUTPUTS)
    table = tables.read(tmp_path / "t.tsv")
    assert set(table["row"]) == {"reference", "model", "baseline"}
    assert "running mean is lower by" in (tmp_path / "t.txt").read_text()


def test_the_reference_can_be_chosen(command, tmp_path):
    assert main.main([*command, "--reference", "running_mean"]) == 0
    table = tables.read(tmp_path / "t.tsv").set_index("model")
    assert set(table.loc[["running_mean"], "row"]) == {"reference"}
    assert (table.loc[["good"], "difference_low"] > 0).all()
    assert "good is higher by" in (tmp_path / "t.txt").read_text()


def test_an_unknown_reference_is_one_line_and_leaves_nothing(command, tmp_path, capsys):
    assert main.main([*command, "--reference", "best"]) != 0
    assert "reference: 'best'" in capsys.readouterr().err
    assert not (tmp_path / "t.tsv").exists()
