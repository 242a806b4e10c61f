"""The regression that all units share: against scikit-learn, on its own, and through the file."""

from dataclasses import replace

import numpy as np
import torch
from forecaster_toys import BIN_S, geometry_of, recording_of, session
from sklearn.linear_model import PoissonRegressor

from spikeline.horizon.forecaster import checkpoint
from spikeline.horizon.forecaster.batches import past_of
from spikeline.horizon.forecaster.prediction import forecast
from spikeline.horizon.forecaster.shared_glm import PENALTIES, SharedGlm
from spikeline.horizon.forecaster.starting import fit_shared
from spikeline.horizon.forecaster.training import fit_shared_forecaster
from spikeline.horizon.forecaster.unit_state import feature_count
from spikeline.horizon.scores.bits_per_spike import bits_per_spike, training_mean
from spikeline.settings.steps import completed

TRACES_S = (0.1, 1.0)
SETTINGS = completed(
    "train-forecaster",
    {"kind": "shared_glm", "traces_s": [0.04, 0.5, 5], "horizon_ms": 200, "lead_bins": 5},
)


def rows(count, seed):
    """Features and counts whose log rate is 0.4 of the first feature, above levels that vary."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((count, feature_count(TRACES_S))).astype(np.float32)
    levels = rng.uniform(-1, 0, count).astype(np.float32)
    rates = np.exp(levels + 0.4 * features[:, 0])
    counts = np.stack([rng.poisson(rates), rng.poisson(3 * rates)], 1).astype(np.float32)
    return torch.from_numpy(features), torch.from_numpy(levels), torch.from_numpy(counts)


def test_it_agrees_with_scikit_learn_on_the_same_terms():
    shared, given, lengths = SharedGlm(TRACES_S, 2), rows(4000, 0), torch.tensor([1.0, 3.0])
    penalty = shared.fit(given, None, lengths)
    assert penalty == PENALTIES[1]
    features, levels, counts = given
    terms = shared.terms(shared.standardised(features)).numpy()[:, 1:]
    for place, length in enumerate((1, 3)):
        # its penalty is on half the squares of the mean loss, and a weight stands for an offset
        exposure = np.exp(levels.numpy()) * length
        reference = PoissonRegressor(alpha=penalty / exposure.mean(), tol=1e-9, max_iter=2000)
        reference.fit(terms, counts[:, place].numpy() / exposure, sample_weight=exposure)
        np.testing.assert_allclose(shared.weights[1:, place], reference.coef_, atol=2e-3)
        np.testing.assert_allclose(shared.weights[0, place], reference.intercept_, atol=2e-3)


def test_validation_chooses_the_strongest_penalty_where_there_is_nothing_to_learn():
    def noise(count, seed):
        features, levels, counts = rows(count, seed)
        return features, levels, counts[torch.randperm(count)] * 0 + (levels.exp() > 0.6)[:, None]

    train, valid = noise(300, 1), noise(3000, 2)
    shuffled = torch.randperm(300, generator=torch.Generator().manual_seed(0))
    train = (train[0][shuffled], *train[1:])
    assert SharedGlm(TRACES_S, 2).fit(train, valid, torch.ones(2)) == max(PENALTIES)


def test_log_rates_keep_to_their_bound_however_odd_the_state():
    shared = SharedGlm(TRACES_S, 2)
    shared.fit(rows(2000, 0), None, torch.ones(2))
    shared.weights.mul_(100)
    recording, geometry = recording_of(session("a")), geometry_of()
    state = past_of(recording, np.array([400]), geometry).state
    odd = replace(state, features=1e6 * torch.randn(1, 12, feature_count(TRACES_S)))
    assert (shared(odd) - odd.level[:, None]).abs().max() <= 6 + 1e-5


def test_a_session_never_seen_is_forecast_better_than_its_mean():
    recordings = [recording_of(session(name, seed)) for seed, name in enumerate("abc")]
    geometry = geometry_of()
    model = checkpoint.build(SETTINGS, BIN_S, torch.zeros(1), torch.ones(1), 0, 0)
    history = fit_shared_forecaster(model, recordings, geometry, SETTINGS, seed=0)
    assert history[0]["score"] > 0.05
    counts = session("new", 9)
    starts = np.arange(900, 1190, 10)
    found = np.concatenate(
        [
            rates
            for _, rates in forecast(
                model, recording_of(counts), geometry, starts, np.full(len(starts), 10)
            )
        ]
    )
    seen = counts.counts[starts[:, None] + np.arange(10)]
    assert bits_per_spike(found, seen, training_mean(counts.counts, counts.domains)) > 0.05


def test_fitted_on_pasts_of_other_windows_it_knows_nothing():
    recordings = [recording_of(session(name, seed)) for seed, name in enumerate("abc")]
    control = {**SETTINGS, "shuffle_history": True}
    model = checkpoint.build(control, BIN_S, torch.zeros(1), torch.ones(1), 0, 0)
    history = fit_shared_forecaster(model, recordings, geometry_of(), control, seed=0)
    assert history[0]["score"] < 0.02


def test_the_same_seed_draws_the_same_rows():
    recordings, geometry = [recording_of(session("a"))], geometry_of()
    found = []
    for seed in (0, 0, 1):
        shared = SharedGlm(geometry.traces_s, 5)
        fit_shared(shared, recordings, geometry, most_rows=1000, seed=seed)
        found.append(shared.weights)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
