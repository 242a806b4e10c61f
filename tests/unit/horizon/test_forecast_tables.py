"""Tables of forecasts: pooling, seeds, roles, baselines, pairs, captions and figures."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from spikeline.artifacts import tables
from spikeline.artifacts.forecasts import Forecasts, SessionForecasts
from spikeline.errors import InputError
from spikeline.horizon.scores.bits_per_spike import bits_per_spike, score_sums
from spikeline.horizon.scores.captions import caption
from spikeline.horizon.scores.figures import draw
from spikeline.horizon.scores.tables import forecast_table
from spikeline.statistics import bootstrap_mean, bootstrap_ratio

BLOCKS, WINDOWS = 12, 3
HORIZONS = {"100": 5, "1000": 50}


@pytest.fixture
def recordings():
    """{session: (counts (windows, 50, units), rates of two seeds, null)}."""
    random = np.random.default_rng(0)
    found = {}
    for name, units in (("a", 3), ("b", 5), ("c", 4)):
        windows = BLOCKS * WINDOWS
        rates = random.gamma(2, 0.2, (windows, 1, units)) + np.zeros((windows, 50, units))
        counts = random.poisson(rates)
        seeds = [rates * random.lognormal(0, 0.1, rates.shape) for _ in range(2)]
        found[name] = counts, seeds, counts.mean(axis=(0, 1)) * 1.1
    return found


def session(recordings, name, role, labels, blocks=BLOCKS):
    counts, seeds, null = recordings[name]
    windows = blocks * WINDOWS
    counts, seeds = counts[:windows], [rates[:windows] for rates in seeds]
    # An empty step between blocks.
    steps = np.arange(windows) + np.repeat(np.arange(blocks), WINDOWS)

    def sums(rates):
        return {
            h: score_sums(rates[:, :n], counts[:, :n], null, steps) for h, n in HORIZONS.items()
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
    return forecast_table([model], conditions, plain)


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
    table = forecast_table([one], [{"model": "m", "varied": {}}], plain, seeds=1)
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


def test_a_table_with_two_models_compares_both_and_the_baselines_with_the_first(recordings):
    table = two_models(recordings)
    first, second, mean = (
        only(table, model=name, session="c", horizon_ms=1000)
        for name in ("first", "second", "running_mean")
    )
    assert [row["row"] for row in (first, second, mean)] == ["reference", "model", "baseline"]
    assert first["difference"] is None
    for row in (second, mean):
        expected = row["bits_per_spike"] - first["bits_per_spike"]
        assert row["difference"] == pytest.approx(expected)
        assert row["difference_low"] < expected < row["difference_high"]
    assert mean["difference_high"] < 0
    assert second["pieces"] == second["difference_pieces"] == BLOCKS
    assert second["piece_s"] == WINDOWS


def test_the_reference_may_be_a_baseline(recordings):
    table = two_models(recordings, reference="running_mean")
    row = only(table, model="running_mean", session="c", horizon_ms=1000)
    assert row["row"] == "reference" and row["difference"] is None
    first = only(table, model="first", session="c", horizon_ms=1000)
    assert first["row"] == "model" and first["difference_low"] > 0


def test_an_unknown_reference_is_refused_with_those_that_there_are(recordings):
    with pytest.raises(InputError, match=r"reference: 'third'.*first, second, running_mean"):
        two_models(recordings, reference="third")


def test_a_short_test_has_scores_and_differences_without_intervals(recordings):
    table = two_models(recordings, blocks=9)
    for column in ("bits_per_spike", "difference", "r2"):
        row = only(table, model="second", session="c", horizon_ms=1000)
        assert row[column] is not None
        assert row[f"{column}_low"] is None and row[f"{column}_high"] is None
    assert row["pieces"] == 9
    text = caption(table)
    assert "too short for an interval" in text and "[" not in text
    figure = draw(table, "conditions", "A title", text)
    legend = {entry.get_text() for entry in figure.legends[0].get_texts()}
    assert "interval includes zero, or there is none" in legend


def test_the_other_null_stands_beside_the_score_and_its_interval(table):
    columns = list(table.columns)
    place = columns.index("bits_per_spike")
    assert columns[place : place + 4] == [
        "bits_per_spike",
        "bits_per_spike_low",
        "bits_per_spike_high",
        "bits_per_spike_test_null",
    ]


def test_the_caption_tells_who_is_lower_only_where_the_interval_excludes_zero(recordings):
    table = two_models(recordings)
    row = only(table, model="running_mean", session="all", horizon_ms=1000)
    numbers = (
        f"{-row['difference']:.3f} [{row['difference_low']:.3f}, {row['difference_high']:.3f}]"
    )
    text = caption(table)
    assert "running mean is lower by" in text and f"{numbers} at 1000 ms" in text
    unclear = table.assign(difference_high=0.01)
    assert "lower" not in caption(unclear) and "no interval excludes zero" in caption(unclear)


def test_with_many_forecasters_the_caption_counts_them(recordings):
    table = two_models(recordings)
    rows = table[table["model"] == "running_mean"]
    more = [rows.assign(model=f"mean_{k}", difference=rows["difference"] - k) for k in range(5)]
    text = caption(pd.concat([table, *more]))
    assert "of 7 others" in text and "6 are lower (most: mean 4, by" in text


def test_the_caption_tells_of_drift_where_the_test_is_one_stretch(recordings):
    table = two_models(recordings)
    table["bits_per_spike_test_null"] = table["bits_per_spike"] - 0.05
    assert "drift" not in caption(table)
    assert "drift" not in caption(table.assign(blocks=table["sessions"]))
    late = table.assign(blocks=table["sessions"], windows=60_000 // table["horizon_ms"])
    assert "rates drift until then" in caption(late)
    # What follows a fold's test was fitted too.
    folds = caption(late.assign(role="fold"))
    assert "drift" not in folds and re.match(r"Folds, each .* \(\d folds?\), ", folds)
    late["bits_per_spike_test_null"] = late["bits_per_spike"] - 0.019
    assert "drift" not in caption(late)


@pytest.mark.parametrize("rows", ["conditions", "horizons", "sessions"])
def test_every_figure_has_a_panel_of_paired_differences(recordings, rows):
    table = two_models(recordings)
    labels = {axes.get_xlabel() + axes.get_ylabel() for axes in draw(table, rows, "T").axes}
    assert any("difference from reference" in label for label in labels)


@pytest.mark.parametrize("rows", ["conditions", "horizons", "sessions"])
def test_a_figure_keeps_to_scores_worth_reading_and_points_to_the_others(recordings, rows):
    table = two_models(recordings)
    bad = table["model"] == "running_mean"
    for end in ("", "_low", "_high"):
        for name in ("bits_per_spike", "difference"):
            table.loc[bad, f"{name}{end}"] = -1.3e13
    figure = draw(table, rows, "A title")
    for axes in figure.axes:
        assert min(*axes.get_xlim(), *axes.get_ylim()) > -20
    arrows = [text for axes in figure.axes for text in axes.texts if "-1.3e+13" in text.get_text()]
    assert arrows


def two_models(recordings, reference=None, blocks=BLOCKS):
    forecasts = [
        Forecasts({}, {"c": session(recordings, "c", "held_out", [label], blocks)})
        for label in ("seed0", "seed1")
    ]
    forecasts[1] = Forecasts({}, {"c": renamed(forecasts[1].sessions["c"], {"seed1": "seed0"})})
    plain = [Forecasts({}, {"c": session(recordings, "c", "-", ["running_mean"], blocks)})]
    conditions = [{"model": name, "varied": {}} for name in ("first", "second")]
    return forecast_table(forecasts, conditions, plain, reference=reference)


def renamed(one, labels):
    return SessionForecasts(
        one.role, one.source, one.units, {labels[k]: v for k, v in one.forecasters.items()}
    )


def test_the_ratio_of_sums_is_the_mean_where_each_denominator_is_one():
    values = np.random.default_rng(1).normal(size=40)
    clusters = np.arange(40) // 4
    assert bootstrap_ratio(values, np.ones(40), clusters) == pytest.approx(
        bootstrap_mean(values, clusters)
    )
