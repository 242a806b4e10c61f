"""Null runs: of independent units and random behaviour no forecaster knows anything."""

from __future__ import annotations

import json

import numpy as np
import pytest
from defaults import blocks, settings
from forecaster_toys import SETTINGS, features_of

from spikeline.artifacts import counts as counts_artifact
from spikeline.artifacts import features as features_artifact
from spikeline.artifacts import forecasts
from spikeline.artifacts.counts import Counts
from spikeline.cli import main
from spikeline.horizon.baselines.rates import score_baselines
from spikeline.horizon.regression.checkpoint import SessionRegression
from spikeline.horizon.regression.fitting import fit_regression
from spikeline.horizon.scores.bits_per_spike import LOG2
from spikeline.horizon.scores.evaluation import RegressionForecaster, Session, evaluate
from spikeline.horizon.scores.leakage import check_forecaster
from spikeline.horizon.scores.windows import split_mask
from spikeline.horizon.sessions.binning import bin_domains
from spikeline.horizon.sessions.normalisation import fit as fit_normalisation

HORIZONS = (100, 500)
BIN_S, SECONDS, UNITS = 0.02, 400.0, 12


@pytest.fixture(scope="module")
def noise() -> Counts:
    """Poisson units of 2 to 20 Hz that follow nothing, next to a behaviour that means nothing."""
    rng = np.random.default_rng(11)
    bins = round(SECONDS / BIN_S)
    cut = blocks(SECONDS)
    return Counts(
        counts=rng.poisson(np.geomspace(2, 20, UNITS) * BIN_S, (bins, UNITS)).astype(np.uint8),
        unit_ids=np.array([f"u{k}" for k in range(UNITS)], object),
        regions=np.array([""] * UNITS, object),
        behaviour=np.cumsum(rng.normal(size=bins)).astype(np.float32) / 100,
        images=rng.integers(-1, 5, bins).astype(np.int32),
        image_names=np.array([f"image{k}.png" for k in range(5)], object),
        domains=bin_domains(cut.train, cut.valid, cut.test, bins, BIN_S),
        reference=(0, 3000),
        session="noise",
        source="arrays",
        behaviour_kind="wheel",
    )


def gained(sums) -> tuple[float, float]:
    """Bits per spike, and three standard errors of it over the seconds of the test blocks."""
    scored = sums.blocks["bins"] > 0
    bits = (sums.blocks["null_nll"] - sums.blocks["nll"])[scored] / LOG2
    spikes = sums.blocks["spikes"][scored]
    score = bits.sum() / spikes.sum()
    error = np.sqrt(len(bits) / (len(bits) - 1) * ((bits - score * spikes) ** 2).sum())
    return float(score), float(3 * error / spikes.sum())


# What was learnt from noise costs a little; on a minute of reference it costs more.
COST, COST_OF_REFERENCE = 0.004, 0.02


def test_every_baseline_sits_at_0(noise):
    scored = score_baselines(noise, HORIZONS)
    assert {"running_mean", "poisson_glm", "running_glm"} < set(scored.sums)
    for label, horizons in scored.sums.items():
        for ms in map(str, HORIZONS):
            score, error = gained(horizons[ms])
            assert score < error + 1e-9, (label, ms)
            assert score > -error - (COST_OF_REFERENCE if "reference" in label else COST), (
                label,
                ms,
            )


def test_a_sessions_regression_sits_at_0(noise):
    chosen = settings("fit-regression", kind="regression")
    fit = split_mask(noise.domains, "fit")
    one = SessionRegression(
        "noise", "seen", noise.unit_ids, chosen, fit_regression(noise.counts, fit, BIN_S, chosen)
    )
    forecaster = RegressionForecaster({"noise": one}, {"noise": "r"}, HORIZONS)
    sessions = [Session(noise, "seen", "noise.h5")]
    assert check_forecaster(forecaster, sessions, HORIZONS) == 3
    found = evaluate(forecaster, sessions)["noise"].forecasters
    for horizons in found.values():
        for ms in map(str, HORIZONS):
            score, error = gained(horizons[ms])
            assert -error - COST < score < error


def test_a_trained_network_with_behaviour_sits_at_0(noise, tmp_path):
    counts, features = str(tmp_path / "counts.h5"), str(tmp_path / "features.h5")
    counts_artifact.write(counts, noise, {})
    features_artifact.write(features, features_of(noise), {})
    normalisation = fit_normalisation([features_of(noise)])
    features_artifact.write_normalisation(tmp_path / "normalisation.h5", normalisation, {})
    chosen = {**SETTINGS, "modalities": ["behaviour"], "horizon_ms": 500, "warmup_epochs": 1}
    network, inputs = str(tmp_path / "x.safetensors"), ["--counts", counts, "--features", features]
    assert main.main([
        "train-forecaster", "--counts", counts,
        "--normalisation", str(tmp_path / "normalisation.h5"),
        "--settings", json.dumps(chosen), "--seed", "0", "--states", str(tmp_path / "states"),
        "--device", "cpu", "--output", network, "--history", str(tmp_path / "x.tsv"),
    ]) == 0  # fmt: skip
    assert main.main([
        "evaluate-forecaster", *inputs, "--roles", "seen", "--device", "cpu",
        "--forecasters", network, "--settings", json.dumps({"horizons_ms": HORIZONS}),
        "--output", str(tmp_path / "x.json"),
    ]) == 0  # fmt: skip
    found = forecasts.read(tmp_path / "x.json")
    assert found.facts["leakage_windows"] == 3
    for horizons in found.sessions["noise"].forecasters.values():
        for sums in horizons.values():
            score, error = gained(sums)
            assert -error - COST_OF_REFERENCE < score < error
