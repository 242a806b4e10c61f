"""Tables of forecasts: pooling, seeds, roles, baselines."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spikeline.artifacts import tables
from spikeline.artifacts.forecasts import Forecasts, SessionForecasts
from spikeline.errors import InputError
from spikeline.horizon.scores.bits_per_spike import bits_per_spike, score_sums
from spikeline.horizon.scores.figures import draw
from spikeline.horizon.scores.tables import forecast_table
from spikeline.statistics import bootstrap_mean, bootstrap_ratio

HORIZONS = {"100": 5, "1000": 50}


@pytest.fixture
def recordings():
    """{session: (counts (windows, 50, units), rates of two seeds, null)}."""
    random = np.random.default_rng(0)
    found = {}
    for name, units in (("a", 3), ("b", 5), ("c", 4)):
        rates = random.gamma(2, 0.2, (12, 1, units)) + np.zeros((12, 50, units))
        counts = random.poisson(rates)
        seeds = [rates * random.lognormal(0, 0.1, rates.shape) for _ in range(2)]
        found[name] = counts, seeds, counts.mean(axis=(0, 1)) * 1.1
    return found


def session(recordings, name, role, labels):
    counts, seeds, null = recordings[name]
    blocks = np.repeat(np.arange(4), 3)

    def sums(rates):
        return {
            h: score_sums(rates[:, :n], counts[:, :n], null, blocks) for h, n in HORIZONS.items()
        }

    rates = {"seed0": seeds[0], "seed1": seeds[1], "running_mean": np.full_like(seeds[0], 0.4)}
    rates["shuffled:seed0"] = rates["shuffled:seed1"] = seeds[0][::-1]
    return SessionForecasts(role, "ibl", counts.shape[2], {x: sums(rates[x]) for x in labels})


@pytest.fixture
def table(recordings):
    labels = ["seed0", "seed1", "shuffled:seed0", "shuffled:seed1"]
    model = Forecasts(
        {},
        {
            "a": session(recordings, "a", "seen", labels),
            "b": session(recordings, "b", "seen", labels),
            "c": session(recordings, "c", "held_out", labels),
        },
        {"parameters": 7},
    )
    plain = [Forecasts({}, {n: session(recordings, n, "-", ["running_mean"])}) for n in "abc"]
    conditions = [{"model": "net@identity=mean", "varied": {"identity": "mean"}}]
    return forecast_table([model], conditions, plain, resamples=50)


def only(table, **values):
    for column, value in values.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_a_pooled_row_is_the_sum_of_the_sessions_gains_over_the_sum_of_their_spikes(
    table, recordings
):
    row = only(table, model="net@identity=mean", role="seen", session="all", horizon_ms=1000)
    gain = spikes = 0.0
    for name in "ab":
        counts, seeds, null = recordings[name]
        for rates in seeds:
            gain += bits_per_spike(rates, counts, null) * counts.sum()
            spikes += counts.sum()
    assert row["bits_per_spike"] == pytest.approx(gain / spikes)
    assert row["sessions"] == 2 and row["units"] == 8 and row["seeds"] == 2
    assert row["bits_per_spike_low"] < row["bits_per_spike"] < row["bits_per_spike_high"]
    assert row["parameters"] == 7 and row["identity"] == "mean"


def test_each_session_and_horizon_has_its_row_with_the_shuffled_control_next_to_it(table):
    row = only(table, model="net@identity=mean", session="c", horizon_ms=100)
    assert row["role"] == "held_out"
    assert row["shuffled"] < row["bits_per_spike"]
    assert row["bits_per_spike_sd"] > 0


def test_baselines_take_the_role_of_the_session_and_have_no_seeds(table):
    row = only(table, model="running_mean", session="c", horizon_ms=100)
    assert row["role"] == "held_out" and row["seeds"] == 0 and row["identity"] == ""
    assert (
        only(table, model="running_mean", role="seen", session="all", horizon_ms=100)["units"] == 8
    )


def test_fewer_seeds_can_be_taken(recordings):
    one = Forecasts({}, {"c": session(recordings, "c", "held_out", ["seed0", "seed1"])})
    plain = [Forecasts({}, {"c": session(recordings, "c", "-", ["running_mean"])})]
    table = forecast_table([one], [{"model": "m", "varied": {}}], plain, seeds=1, resamples=10)
    counts, seeds, null = recordings["c"]
    row = only(table, model="m", session="c", horizon_ms=1000)
    assert row["bits_per_spike"] == pytest.approx(bits_per_spike(seeds[0], counts, null))
    assert row["bits_per_spike_sd"] is None


def test_a_session_without_baselines_is_named(recordings):
    one = Forecasts({}, {"c": session(recordings, "c", "held_out", ["seed0"])})
    with pytest.raises(InputError, match="none for session c"):
        forecast_table([one], [{"model": "m", "varied": {}}], [])


def test_a_table_reads_back_and_shows_its_pooled_rows(table, tmp_path):
    path = tmp_path / "ablation_x.tsv"
    tables.write(path, table, {})
    read = tables.read(path)
    assert tables.varied_columns(read) == ["identity"]
    assert np.allclose(read["bits_per_spike"], pd.to_numeric(table["bits_per_spike"]), atol=5e-5)
    shown = tables.as_text(read)
    assert "net@identity=mean" in shown and "running_mean" in shown
    assert len(shown.splitlines()) == 2 + (table["session"] == "all").sum() / len(HORIZONS)


@pytest.mark.parametrize("rows", ["conditions", "horizons", "sessions"])
def test_every_figure_draws_model_and_baseline(table, rows):
    figure = draw(table, rows, "A title")
    words = {text.get_text() for text in figure.legends[0].get_texts()}
    for axes in figure.axes:
        words |= {text.get_text() for text in axes.get_yticklabels()}
    assert {"mean", "running mean"} <= words


def test_the_ratio_of_sums_is_the_mean_where_each_denominator_is_one():
    values = np.random.default_rng(1).normal(size=40)
    clusters = np.arange(40) // 4
    assert bootstrap_ratio(values, np.ones(40), clusters) == pytest.approx(
        bootstrap_mean(values, clusters)
    )
