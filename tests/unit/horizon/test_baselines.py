"""Baselines: in the order they must come, on a simulation and on a real recording."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from defaults import blocks

from spikeline.artifacts import counts as artifact
from spikeline.artifacts import forecasts, true_rates
from spikeline.artifacts.counts import BIN_S, Counts
from spikeline.cli import main
from spikeline.errors import InputError
from spikeline.horizon.baselines.glm import PENALTIES
from spikeline.horizon.baselines.rates import (
    Baselines,
    reference_rate,
    score_baselines,
)
from spikeline.horizon.baselines.running import DRAWS, RunningMean
from spikeline.horizon.scores.bits_per_spike import pooled_bits
from spikeline.horizon.sessions.binning import bin_counts, bin_domains

# Of the real recording, bits/spike: of a Poisson regression for each lead band, fitted again on all
# of the fit, and of the best running mean of one window and no other part.
REFERENCE = {"100": 0.234, "200": 0.183, "500": 0.118, "1000": 0.083}
SINGLE_WINDOW = {"100": 0.106, "200": 0.077, "500": 0.043, "1000": 0.036}


def session(values: np.ndarray, cut, reference: tuple[int, int], name: str = "one") -> Counts:
    bins, units = values.shape
    return Counts(
        counts=values,
        unit_ids=np.array([f"u{k}" for k in range(units)], object),
        regions=np.array([""] * units, object),
        behaviour=np.full(bins, np.nan, np.float32),
        images=np.full(bins, -1, np.int32),
        image_names=np.zeros(0, object),
        domains=bin_domains(cut.train, cut.valid, cut.test, bins, 0.02),
        reference=reference,
        session=name,
        source="arrays",
    )


@pytest.fixture(scope="module")
def drifting() -> tuple[Counts, np.ndarray]:
    """240 s of 10 units whose common latent drifts over seconds, and their true rates."""
    rng = np.random.default_rng(3)
    bins, units = 12_000, 10
    latent = np.zeros(bins)
    for k in range(1, bins):
        latent[k] = 0.98 * latent[k - 1] + 0.2 * rng.normal()
    loads = rng.choice([-0.5, 0.5], size=units)
    rates = np.geomspace(3, 20, units) * 0.02 * np.exp(np.outer(latent, loads))
    values = rng.poisson(rates).astype(np.uint8)
    cut = blocks(240.0)
    return session(values, cut, (0, 3000)), rates.astype(np.float32)


@pytest.fixture(scope="module")
def scored(drifting) -> Baselines:
    return score_baselines(drifting[0], (100, 1000), drifting[1])


def test_the_oracle_is_above_the_regression_above_the_running_mean_above_the_null(scored):
    found = {label: pooled_bits(sums["100"]) for label, sums in scored.sums.items()}
    assert found["oracle"] > found["poisson_glm"] > found["running_mean"] > 0
    assert found["oracle"] > found["running_glm"] > found["running_mean"]
    assert found["training_mean"] == pooled_bits(scored.sums["training_mean"]["1000"]) == 0
    assert found["poisson_glm_reference"] < found["poisson_glm"]
    assert found["poisson_glm_shuffled"] < 0.01
    assert found["reference_rate"] < found["running_mean"]


def test_farther_horizons_are_harder_for_all_but_the_oracle(scored):
    for label in ("poisson_glm", "running_mean"):
        assert pooled_bits(scored.sums[label]["1000"]) < pooled_bits(scored.sums[label]["100"])
    far, near = (pooled_bits(scored.sums["oracle"][ms]) for ms in ("1000", "100"))
    assert far == pytest.approx(near, abs=0.01)


def test_what_validation_chose_is_among_the_facts(scored):
    facts = scored.facts
    assert facts["running_mean_draw_20"] in DRAWS and facts["running_mean_draw_1000"] in DRAWS
    assert (
        0.02 < facts["running_mean_age_s_20"] < 150 and 0 < facts["running_mean_fit_weight_20"] < 1
    )
    for label in ("poisson_glm", "running_glm", "poisson_glm_reference", "poisson_glm_shuffled"):
        assert facts[f"{label}_penalty_20"] in PENALTIES
        assert facts[f"{label}_longest_s_1000"] in (5, 10, 100)


def test_the_reference_rate_is_drawn_to_the_population_and_positive_for_silent_units():
    values = np.zeros((100, 3), np.uint8)
    values[:50, 0], values[:50:5, 1] = 2, 1
    rates = reference_rate(values, (0, 50))
    mu = 110 / 3 / 50
    np.testing.assert_allclose(rates, (np.array([100, 10, 0]) + 0.5) / (50 + 0.5 / mu))
    assert (reference_rate(values[50:], (0, 50)) > 0).all()


def test_forecasts_of_every_baseline_but_controls_were_checked_for_leaks(scored):
    # three windows each of two means, the running mean and three regressions
    assert scored.facts["leakage_windows"] == 3 * 6


def test_a_baseline_that_knows_the_future_is_an_error(drifting, monkeypatch):
    honest = RunningMean.rates

    def leaking(self, counts, starts):
        return honest(self, counts, starts) + 0.001 * counts[starts]

    monkeypatch.setattr(RunningMean, "rates", leaking)
    with pytest.raises(InputError, match=r"one: running_mean: .* it knows the future"):
        score_baselines(drifting[0], (100,))


def test_what_the_test_domain_holds_changes_no_choice_and_no_fit(drifting):
    """Of the control alone, whose history comes from anywhere."""
    counts = drifting[0]
    cut = blocks(240.0, kind="chronological")
    first = session(counts.counts, cut, (0, 3000))
    values = counts.counts.copy()
    values[first.domains == 3] += 2
    found, other = (
        score_baselines(one, (100,)) for one in (first, session(values, cut, (0, 3000)))
    )
    chosen, again = (
        {key: value for key, value in one.facts.items() if "shuffled" not in key}
        for one in (found, other)
    )
    assert chosen == again and len(chosen) > 20
    for label in ("reference_rate", "running_mean", "poisson_glm", "running_glm"):
        scores = [pooled_bits(one.sums[label]["100"]) for one in (found, other)]
        assert scores[0] != scores[1]


def test_a_session_that_is_nearly_silent_is_scored_without_infinities():
    rng = np.random.default_rng(0)
    values = (rng.random((6000, 4)) < 0.001).astype(np.uint8)
    values[:, 0] = 0
    values[:5000, 1] = 0
    quiet = session(values, blocks(120.0, reference_s=30.0), (0, 1500))
    found = score_baselines(quiet, (100,))
    for sums in found.sums.values():
        assert np.isfinite(sums["100"].units["nll"]).all()


def test_scores_of_a_counts_file_are_a_forecasts_file(tmp_path, drifting, capsys):
    counts, rates = drifting
    later = dataclasses.replace(counts, origin_s=2.0)
    artifact.write(tmp_path / "c.h5", later, {"step": "test"})
    whole = np.concatenate([np.full((100, 10), 9, np.float32), rates])
    true_rates.write(tmp_path / "r.h5", whole, BIN_S, {"step": "test"})
    arguments = ["score-baselines", "--counts", str(tmp_path / "c.h5")]
    arguments += ["--settings", '{"horizons_ms": [200]}', "--output", str(tmp_path / "b.json")]
    assert main.main([*arguments, "--rates", str(tmp_path / "r.h5")]) == 0
    (found,) = forecasts.read(tmp_path / "b.json").sessions.values()
    assert found.role == "-" and found.units == 10 and found.source == "arrays"
    assert list(found.forecasters) == [
        "training_mean", "reference_rate", "running_mean", "poisson_glm", "running_glm",
        "poisson_glm_reference", "poisson_glm_shuffled", "oracle",
    ]  # fmt: skip
    # Two seconds late on the simulation's clock, and still the truth of these bins.
    assert pooled_bits(found.forecasters["oracle"]["200"]) > 0.05
    assert pooled_bits(found.forecasters["training_mean"]["200"]) == 0

    true_rates.write(tmp_path / "r.h5", rates[:, 1:], BIN_S, {"step": "test"})
    (tmp_path / "b.json").unlink()
    capsys.readouterr()
    assert main.main([*arguments, "--rates", str(tmp_path / "r.h5")]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "r.h5" in said and "rates of the same session" in said
    assert not (tmp_path / "b.json").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ('{"horizons_ms": []}', "--settings.horizons_ms"),
        ('{"horizons_ms": [100, 100]}', "--settings.horizons_ms"),
        ('{"horizons": [100]}', "did you mean 'horizons_ms'"),
        ('{"horizons_ms": [110]}', "110 is not a multiple of 20"),
        ('{"horizons_ms": [60000]}', "the session is short"),
    ],
)
def test_horizons_that_make_no_sense_are_refused(tmp_path, drifting, capsys, settings, words):
    artifact.write(tmp_path / "c.h5", drifting[0], {"step": "test"})
    arguments = ["score-baselines", "--counts", str(tmp_path / "c.h5"), "--settings", settings]
    assert main.main([*arguments, "--output", str(tmp_path / "b.json")]) == 1
    assert words in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "b.json").exists()


def test_counts_without_a_validation_domain_are_refused(drifting):
    counts = drifting[0]
    domains = np.where(counts.domains == 2, 0, counts.domains)
    with pytest.raises(InputError, match="valid domain"):
        score_baselines(dataclasses.replace(counts, domains=domains), (100,))


def test_a_real_recording_gives_the_reference_table(real_data):
    """120 s of Neuropixels: first 70 % to fit, the last 36 s to score, units at 1 Hz or more."""
    folder = real_data / "ibl_spikes"
    times = np.load(folder / "spikes.times.npy")
    ids, index = np.unique(np.load(folder / "spikes.clusters.npy"), return_inverse=True)
    values = bin_counts(times, index, ids, 6000, 0.02)
    values = np.ascontiguousarray(values[:, np.bincount(index) >= 120])
    assert values.shape[1] == 144
    found = score_baselines(
        session(values, blocks(120.0, kind="chronological"), (0, 3000)), tuple(map(int, REFERENCE))
    )
    bits = {
        label: {ms: pooled_bits(sums) for ms, sums in horizons.items()}
        for label, horizons in found.sums.items()
    }
    for ms, least in REFERENCE.items():
        assert bits["poisson_glm"][ms] > least - 0.002
        assert bits["poisson_glm"][ms] > bits["running_mean"][ms] > SINGLE_WINDOW[ms]
        assert bits["running_glm"][ms] > bits["poisson_glm"][ms]
        # rates of 30 s of reference would go anywhere without bounds
        assert bits["poisson_glm_reference"][ms] > -0.1
    assert max(bits["poisson_glm_shuffled"].values()) < 0.01
