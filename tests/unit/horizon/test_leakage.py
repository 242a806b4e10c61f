"""The leakage check: it passes what is causal, and catches futures planted in several places."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from defaults import settings
from forecaster_toys import (
    BIN_S,
    BOTH,
    SETTINGS,
    embeddings,
    features_of,
    forecaster,
    keys_of,
    session,
)

from spikeline.artifacts import counts as counts_artifact
from spikeline.artifacts.counts import Counts
from spikeline.cli import main
from spikeline.errors import InputError
from spikeline.horizon.forecaster.checkpoint import TrainedForecaster
from spikeline.horizon.regression import checkpoint
from spikeline.horizon.regression.checkpoint import SessionRegression
from spikeline.horizon.regression.covariates import Behaviour
from spikeline.horizon.regression.fitting import fit_regression
from spikeline.horizon.regression.model import Regression
from spikeline.horizon.scores import leakage
from spikeline.horizon.scores.evaluation import NetworkForecaster, Session
from spikeline.horizon.scores.leakage import check_causal, check_forecaster
from spikeline.horizon.scores.windows import forecast_starts, split_mask

COUNTS = session("a")
COUNTS = replace(COUNTS, position=np.stack([COUNTS.behaviour, COUNTS.behaviour], axis=1))
LENGTH = 10


def reading(read):
    """Forecasts of the mean of what `read(counts, start)` returns, (units,)."""

    def forecasts_of(counts: Counts):
        def forecast(starts, lengths):
            for row, (start, length) in enumerate(zip(starts, lengths, strict=True)):
                yield np.array([row]), np.tile(read(counts, start) * 1.0, (1, length, 1))

        return {"model": forecast}

    return forecasts_of


def test_forecasts_from_the_past_pass_and_are_counted():
    past = reading(lambda counts, start: counts.counts[start - 50 : start].mean(axis=0))
    assert check_causal(past, COUNTS, LENGTH, "here") == 3
    assert check_causal(past, COUNTS, LENGTH, "here", np.linspace(0, 1, 7)) == 7
    windows = len(forecast_starts(COUNTS.domains, "test", LENGTH)[0])
    assert check_causal(past, COUNTS, LENGTH, "here", np.linspace(0, 1, 1000)) == windows


@pytest.mark.parametrize(
    "read",
    [
        lambda counts, start: counts.counts[start - 50 : start + 1].mean(axis=0),
        lambda counts, start: counts.counts[start + LENGTH - 1],
        lambda counts, start: counts.counts[start + 2 * LENGTH],
        # one unit's one bin among all bins of the recording
        lambda counts, start: counts.counts[:, 3:4].mean(axis=0).repeat(12),
        lambda counts, start: np.full(12, counts.behaviour[start]),
        lambda counts, start: np.full(12, counts.position[start, 1]),
        lambda counts, start: np.full(12, 2 + counts.images[start + 3]),
    ],
    ids=[
        "this bin",
        "last bin",
        "beyond the window",
        "whole-session mean",
        "behaviour",
        "position",
        "images",
    ],
)
def test_a_future_planted_anywhere_is_caught(read):
    with pytest.raises(InputError, match=r"here: model: .*from bin 900 changes.*knows the future"):
        check_causal(reading(read), COUNTS, LENGTH, "here")


def test_what_is_known_of_the_reference_window_is_no_leak():
    """Also where test windows come before the reference window's end."""
    first, end = 950, 1150
    late = session("late", reference=(first, end))
    known = reading(lambda counts, start: counts.counts[first:end].mean(axis=0))
    assert check_causal(known, late, LENGTH, "here") == 3
    only = session("only", reference=(900, 1200))
    known = reading(lambda counts, start: counts.counts[900:1200].mean(axis=0))
    assert check_causal(known, only, LENGTH, "here") == 3


def test_the_session_that_is_checked_stays_as_it_was():
    series = COUNTS.counts, COUNTS.behaviour, COUNTS.position, COUNTS.images
    before = [one.copy() for one in series]
    check_causal(reading(lambda counts, start: counts.counts[0]), COUNTS, LENGTH, "here")
    for one, other in zip(before, series, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("chosen", [SETTINGS, BOTH])
def test_networks_of_every_input_pass_and_one_that_looks_ahead_does_not(chosen, monkeypatch):
    model = forecaster(chosen)
    image = "image" in chosen["modalities"]
    one = TrainedForecaster(
        model, chosen, BIN_S, 0.2, ["a"], list(keys_of(COUNTS)), 6 if image else 0,
        "toy:0" if image else "", 0,
    )  # fmt: skip
    found = NetworkForecaster(
        [one], ["x.safetensors"], [100, 200], embeddings=[embeddings()] if image else (),
        device=torch.device("cpu"),
    )  # fmt: skip
    sessions = [Session(COUNTS, "seen", "a.h5", features_of(COUNTS))]
    assert check_forecaster(found, sessions, [100, 200], windows=5) == 5
    assert check_forecaster(found, sessions, [100, 200]) == 3

    from spikeline.horizon.forecaster import prediction

    honest = prediction.past_of

    def ahead(recording, starts, *others, **more):
        return honest(recording, starts + 1, *others, **more)

    monkeypatch.setattr(prediction, "past_of", ahead)
    with pytest.raises(InputError, match=r"a\.h5: seed0: .* knows the future"):
        check_forecaster(found, sessions, [100, 200])


def test_every_session_is_checked_once_by_its_first_seed_each_elsewhere(monkeypatch):
    sessions = [Session(replace(COUNTS, session=name), "seen", name) for name in "abcd"]
    places, asked = [], []
    monkeypatch.setattr(
        leakage, "check_causal",
        lambda forecasts, counts, length, where, own: (
            places.extend(own), forecasts(counts), len(own),
        )[2],
    )  # fmt: skip

    class Asked:
        def check(self, session):
            pass

        def forecasts_of(self, session, first_seed=False):
            asked.append((session.name, first_seed))
            return {}

    assert check_forecaster(Asked(), sessions, [100]) == 4
    np.testing.assert_allclose(places, [0, 1 / 3, 2 / 3, 1])
    assert asked == [(name, True) for name in "abcd"]
    assert check_forecaster(Asked(), sessions[:2], [100], windows=4) == 8
    assert asked[4:] == [("a", False), ("b", False)]


SMALL = settings(
    "fit-regression", lead_bins_ms=[20, 100, 200], reduced_ranks=[], rank_ridges=[],
    principal_components=3, folds=0,
)  # fmt: skip


def test_a_regression_of_an_animal_in_a_field_passes_whatever_it_does_later():
    """Its speed has one sign, and another future both: the regression's columns stay."""
    speed = np.abs(COUNTS.behaviour)
    counts = replace(COUNTS, behaviour=speed, behaviour_kind="position")
    fit = split_mask(counts.domains, "fit")
    chosen = {**SMALL, "behaviour": "always"}
    regression = fit_regression(counts.counts, fit, BIN_S, chosen, Behaviour.of(counts))
    assert len(regression.covariates.centres)

    def forecasts_of(changed):
        return {
            "model": partial(regression.forecasts, changed.counts, behaviour=Behaviour.of(changed))
        }

    assert check_causal(forecasts_of, counts, LENGTH, "here") == 3


@pytest.fixture
def fitted(tmp_path):
    """A session's counts and its regression, as files."""
    chosen = SMALL
    counts_artifact.write(tmp_path / "a.h5", COUNTS, {"step": "test"})
    regression = fit_regression(COUNTS.counts, split_mask(COUNTS.domains, "fit"), BIN_S, chosen)
    one = SessionRegression("a", "seen", COUNTS.unit_ids, chosen, regression)
    checkpoint.save(tmp_path / "a.safetensors", one, {"step": "test"})
    return [
        "--counts", str(tmp_path / "a.h5"), "--roles", "seen",
        "--forecasters", str(tmp_path / "a.safetensors"),
        "--settings", json.dumps({"horizons_ms": [100, 200]}),
    ]  # fmt: skip


def test_the_command_says_how_many_forecasts_it_compared(fitted, capsys):
    assert main.main(["validate-forecaster", *fitted, "--windows", "8"]) == 0
    assert "8 forecasts of 1 sessions: none knows the future" in capsys.readouterr().out
    assert main.main(["validate-forecaster", *fitted, "--windows", "0"]) == 1
    assert "--windows: is 0" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["validate-forecaster", "evaluate-forecaster"])
def test_a_regression_that_knows_the_future_is_refused(
    fitted, capsys, monkeypatch, tmp_path, command
):
    honest = Regression.log_ratios
    monkeypatch.setattr(
        Regression,
        "log_ratios",
        lambda self, counts, starts, *more: honest(self, counts, starts + 1, *more),
    )
    output = ["--output", str(tmp_path / "o.json")] if command == "evaluate-forecaster" else []
    assert main.main([command, *fitted, *output]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "a.h5: seed0: the forecast from bin 900" in said and "knows the future" in said
    assert not (tmp_path / "o.json").exists()
