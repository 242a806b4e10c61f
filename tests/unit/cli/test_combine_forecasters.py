"""combine-forecasters: weights by session, scores like any forecaster's, and what it refuses."""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np
import pytest
from test_fit_regression import ROLES, SETTINGS, fit, refused, session

from spikeline.artifacts import counts as artifact
from spikeline.artifacts import forecasts
from spikeline.cli import main
from spikeline.errors import InputError
from spikeline.horizon.baselines.lead_bands import LeadBands
from spikeline.horizon.combined.candidates import PLAIN, plain_candidates, trained_candidate
from spikeline.horizon.combined.combination import Candidate, combine
from spikeline.horizon.combined.forecaster import CombinedForecaster
from spikeline.horizon.regression.checkpoint import SessionRegression
from spikeline.horizon.regression.fitting import fit_regression
from spikeline.horizon.scores.bits_per_spike import pooled_bits
from spikeline.horizon.scores.evaluation import RegressionForecaster, Session
from spikeline.horizon.scores.leakage import check_forecaster
from spikeline.horizon.scores.tiled import score_horizons
from spikeline.horizon.scores.windows import gather, split_mask

HORIZONS_MS = [100, 200]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with counts and regressions of sessions a (seen) and b, and their combination."""
    folder = tmp_path_factory.mktemp("combined")
    for seed, (name, role) in enumerate(ROLES.items()):
        artifact.write(folder / f"{name}.h5", session(name, seed), {"step": "test"})
        assert fit(folder, name, role) == 0
    assert combine_files(folder) == 0
    return folder


def combine_files(folder, names="ab", roles=("seen", "held_out"), candidates=None) -> int:
    candidates = ["fits"] * len(names) if candidates is None else candidates
    return main.main([
        "combine-forecasters", "--counts", *(str(folder / f"{name}.h5") for name in names),
        "--roles", *roles,
        "--forecasters", *(str(folder / f"{name}.safetensors") for name in names),
        "--candidates", *candidates, "--settings", '{"horizons_ms": [100, 200]}',
        "--output", str(folder / "combined.json"),
    ])  # fmt: skip


def test_a_combination_is_scored_like_any_forecaster_and_tells_its_weights(run):
    found = forecasts.read(run / "combined.json")
    assert found.facts["leakage_windows"] > 0
    for name, role in ROLES.items():
        one, told = found.sessions[name], found.facts["combination"][name]
        assert one.role == role and set(one.forecasters) == {"seed0", "shuffled:seed0"}
        assert list(told["weights"]) == ["20", "40", "100", "200"]
        for weights in told["weights"].values():
            assert set(weights) == {*PLAIN, "fits"} and min(weights.values()) >= 0
            assert max(weights.values()) > 0
        assert told["gained_nats"][told["rule"]] == max(told["gained_nats"].values()) >= 0
        for ms in ("100", "200"):
            assert pooled_bits(one.forecasters["seed0"][ms]) > 0
            assert pooled_bits(one.forecasters["shuffled:seed0"][ms]) < 0


def test_what_cannot_be_combined_is_refused_in_one_line(run, capsys):
    assert "1 names for 2 of --forecasters" in refused(
        capsys, combine_files(run, candidates=["fits"])
    )
    assert "'running_mean' always joins" in refused(
        capsys, combine_files(run, candidates=["running_mean"] * 2)
    )
    assert "2 for 1 sessions" in refused(capsys, combine_files(run, names="a"))
    assert "1 regressions for 2 of --counts" in refused(
        capsys, combine_files(run, candidates=["one", "other"])
    )
    assert "was fitted on it as seen" in refused(
        capsys, combine_files(run, roles=("held_out", "held_out"))
    )


def test_no_candidate_was_fitted_on_the_windows_that_weights_are_fitted_on():
    one = session("a", 0)
    last = int(np.flatnonzero(one.domains == 2)[-1])
    counts = one.counts.copy()
    counts[last - 400 : last + 1] = 9
    other = dataclasses.replace(one, counts=counts)
    # windows before what differs
    starts, lengths = np.arange(last - 600, last - 420, 20), np.full(9, 10)
    found = [everything(x) for x in (one, other)]
    for name in (*PLAIN, "fits"):
        mine, its = (rates(x[name].valid(one), starts, lengths) for x in found)
        if name == "fits":
            np.testing.assert_array_equal(mine, its)
        # valid chooses the penalties of the others, and no more
        assert its.mean() < 1.2 * mine.mean(), name
        mine, its = (rates(x[name].final(one), starts, lengths) for x in found)
        assert not np.array_equal(mine, its), name


def test_a_combination_of_the_truth_and_noise_forecasts_like_the_truth():
    one, other = session("a", 0), np.random.default_rng(3)
    smooth = np.exp(other.normal(0, 0.4, one.counts.shape))
    counts = other.poisson(0.3 * smooth).astype(np.uint8)
    one = dataclasses.replace(one, counts=counts)
    noise = 0.3 * np.exp(other.normal(0, 0.4, one.counts.shape))
    candidates = {
        name: Candidate(*[lambda _, values=values: of_array(values)] * 2)
        for name, values in (("noise", noise), ("truth", 0.3 * smooth))
    }
    found = combine(candidates, one, HORIZONS_MS)
    assert len(found.bands) == len(LeadBands([5, 10]))
    assert (found.weights.values[:, 1] > 0.9).all() and (found.weights.values[:, 0] < 0.1).all()
    given = {name: x.final(one) for name, x in candidates.items()}
    how = one.counts, one.domains, np.full(6, 0.3), HORIZONS_MS, one.bin_s
    mine = score_horizons(partial(found.forecast, given), *how)
    truth = score_horizons(given["truth"], *how)
    assert pooled_bits(mine["200"]) > 0.95 * pooled_bits(truth["200"]) > 0.01


def test_a_candidate_that_knows_the_future_is_caught():
    one = session("a", 0)
    combined = CombinedForecaster({"ahead": Ahead()}, [Session(one, "seen", "a.h5")], HORIZONS_MS)
    with pytest.raises(InputError, match="it knows the future"):
        check_forecaster(combined, combined.sessions.values(), HORIZONS_MS)


# --- the pieces -----------------------------------------------------------------------------------


class Ahead:
    """A forecaster that reads the counts it forecasts."""

    def check(self, session):
        pass

    def forecasts_of(self, session):
        return {"seed0": of_array(session.counts.counts + 0.01)}


def everything(counts):
    """All candidates of a session seen."""
    regression = fit_regression(
        counts.counts, split_mask(counts.domains, "fit"), counts.bin_s, SETTINGS
    )
    fitted = SessionRegression("a", "seen", list(counts.unit_ids), SETTINGS, regression)
    forecaster = RegressionForecaster({"a": fitted}, {"a": "a"}, HORIZONS_MS)
    found = plain_candidates(counts, HORIZONS_MS)
    return found | {"fits": trained_candidate(forecaster, Session(counts, "seen", "a"))}


def of_array(values):
    """Forecasts that are the rows of an array from each start."""

    def forecast(starts, lengths):
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            yield rows, gather(values, starts[rows], int(length)).astype(np.float32)

    return forecast


def rates(forecast, starts, lengths):
    """(windows, length, units) of windows of one length."""
    found = np.empty((len(starts), lengths[0], 6))
    for places, values in forecast(starts, lengths):
        found[places] = values
    return found
