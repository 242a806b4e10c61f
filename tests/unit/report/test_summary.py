"""The table of tables: which rows it compares, and how it words them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spikeline.errors import InputError
from spikeline.report.summary import HIGHER, LOWER, UNCLEAR, sentence, summary_row, summary_table


def retrieval(model, row, top1, difference=None, target="embedding", subject="monkeyF"):
    low, high = (np.nan, np.nan) if difference is None else (difference - 0.05, difference + 0.05)
    return {
        "model": model, "subject": subject, "row": row, "gallery": 100.0, "target": target,
        "neural_to_image_top1": top1, "neural_to_image_top1_low": top1 - 0.1,
        "neural_to_image_top1_high": top1 + 0.1,
        "difference_top1": np.nan if difference is None else difference,
        "difference_top1_low": low, "difference_top1_high": high,
    }  # fmt: skip


def forecast(model, row, role, bits, difference=None, horizon=1000.0, session="all", known=True):
    half = 0.05 if known else np.nan
    difference = np.nan if difference is None else difference
    return {
        "model": model, "session": session, "role": role, "row": row, "horizon_ms": horizon,
        "sessions": 2.0, "units": 20.0, "bits_per_spike": bits, "bits_per_spike_low": bits - half,
        "bits_per_spike_high": bits + half, "difference": difference,
        "difference_low": difference - half, "difference_high": difference + half,
    }  # fmt: skip


def summarised(*rows, name="ablation_x", title="Which?"):
    table = summary_table([summary_row(name, title, pd.DataFrame(rows))])
    return table.to_dict("records")[0]


def test_the_best_of_the_other_models_stands_beside_the_reference_never_a_control():
    row = summarised(
        retrieval("mlp", "reference", 0.5),
        retrieval("linear", "model", 0.4, -0.1),
        retrieval("auto", "model", 0.7, 0.2),
        retrieval("mlp@shuffle_responses=true", "control", 0.9),
        retrieval("truth", "ceiling", 1.0),
    )
    assert (row["reference_model"], row["reference"]) == ("mlp", 0.5)
    assert (row["best_model"], row["best"], row["best_of"]) == ("auto", 0.7, 2)
    assert row["difference"] == 0.2 and row["N"] == 100
    assert (row["rows"], row["title"]) == (5, "Which?")


@pytest.mark.parametrize(
    ("difference", "verdict", "word"),
    [(0.2, HIGHER, "is higher"), (-0.2, LOWER, "is lower"), (0.01, UNCLEAR, "includes zero")],
)
def test_only_a_difference_whose_interval_excludes_zero_is_told_as_one(difference, verdict, word):
    row = summarised(
        retrieval("a", "reference", 0.5), retrieval("b", "model", 0.5 + difference, difference)
    )
    assert row["verdict"] == verdict
    assert word in sentence(row) and f"{difference:+.3f}" in sentence(row)


def test_a_difference_without_an_interval_is_told_as_unknown():
    row = summarised(
        forecast("a", "reference", "seen", 0.2),
        forecast("b", "model", "seen", 0.3, 0.1, known=False),
    )
    assert row["verdict"] == UNCLEAR and "is not known" in sentence(row)


def test_identification_by_layers_is_no_rival_of_retrieval_in_the_output_space():
    row = summarised(
        retrieval("a", "reference", 0.5),
        retrieval("a@target_layers=layer4", "model", 0.9, 0.4, target="layer4"),
    )
    assert row["best_model"] == "" and "no other model" in sentence(row)


def test_only_rows_of_the_first_subject_are_compared_and_a_joined_one_is_named():
    first = retrieval("a", "reference", 0.5), retrieval("a", "model", 0.6, 0.1, subject="both")
    other = retrieval("c", "model", 0.9, 0.4, subject="monkeyN")
    assert summarised(*first, other)["best_model"] == ""
    grouped = [{**row, "group": 1.0} for row in first] + [{**other, "group": 2.0}]
    assert summarised(*grouped)["best_model"] == "a on both"


def test_forecasts_are_compared_at_the_longest_horizon_pooled_over_sessions_never_seen():
    row = summarised(
        forecast("a", "reference", "held_out", 0.2),
        forecast("b", "model", "held_out", 0.3, 0.1),
        forecast("b", "model", "held_out", 0.9, 0.7, horizon=100.0),
        forecast("b", "model", "held_out", 0.8, 0.6, session="one"),
        forecast("b", "model", "seen", 0.7, 0.5),
        forecast("oracle", "baseline", "held_out", 0.9, 0.7),
    )
    assert (row["best_model"], row["best"]) == ("b", 0.3)
    assert row["metric"] == "bits per spike at 1000 ms"
    assert row["subject"] == "2 sessions never seen"


def test_folds_of_a_recording_are_no_sessions_that_were_seen_or_not():
    rows = forecast("a", "reference", "fold", 0.2), forecast("b", "model", "fold", 0.3, 0.1)
    assert summarised(*rows)["subject"] == "2 folds"


def test_sessions_seen_are_taken_where_those_never_seen_are_too_few_for_an_interval():
    row = summarised(
        forecast("a", "reference", "held_out", 0.2, known=False),
        forecast("b", "model", "held_out", 0.3, 0.1, known=False),
        forecast("a", "reference", "seen", 0.4),
        forecast("b", "model", "seen", 0.6, 0.2),
    )
    assert (row["subject"], row["reference"], row["verdict"]) == ("2 sessions seen", 0.4, HIGHER)


def test_the_wheel_is_summarised_against_ridge_without_a_paired_difference():
    wheel = [
        {"decoder": name, "behaviour": "wheel", "session": "one", "units": 9.0, "r2": r2}
        for name, r2 in (("poyo", 0.5), ("poyo_shuffled", 0.9), ("ridge", 0.4))
    ]
    row = summarised(*wheel)
    assert (row["reference_model"], row["best_model"], row["best_of"]) == ("ridge", "poyo", 1)
    assert "without a paired difference" in sentence(row)


def test_a_table_of_another_kind_is_refused():
    with pytest.raises(InputError, match="no known kind"):
        summary_row("x", "x", pd.DataFrame({"subject": ["a"], "height": [1.0]}))
