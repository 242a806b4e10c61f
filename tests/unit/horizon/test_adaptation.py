"""What a session teaches about its own units: against a plain ridge, and never from the future."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from forecaster_toys import BIN_S, geometry_of, recording_of, session
from sklearn.linear_model import Ridge

from spikeline.horizon.forecaster.adaptation import (
    BANDS,
    GROWTH,
    PENALTIES,
    SURPRISES,
    bands,
    gains,
    learn_updates,
)
from spikeline.horizon.forecaster.shared_glm import SharedGlm
from spikeline.horizon.forecaster.starting import with_updates

EDGES = np.array([0, 1, 3, 6])


def learned(counts, z, reference_end=100, log_rate=-1.0):
    def read(starts):
        return z[starts], torch.full((len(starts), 3, counts.shape[1]), log_rate)

    return learn_updates(read, counts, EDGES, reference_end, BIN_S)


def test_an_update_is_the_ridge_regression_of_surprises_on_all_that_was_seen():
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.4, (400, 3)).astype(np.uint8)
    z = torch.from_numpy(rng.standard_normal((400, 3, 2)).astype(np.float32))
    updates = learned(counts, z)
    update = 4
    end = int(updates.ends[update])
    starts = np.concatenate(
        [
            np.arange(max(0, first - 6), last - 6, 5)
            for first, last in pairwise([0, *updates.ends[: update + 1]])
        ]
    )
    assert starts.max() + 6 <= end
    design = z[starts].mT.flatten(1).numpy().astype(float)
    seen = len(starts)
    for p, penalty in enumerate(PENALTIES):
        share = penalty * 3 * 60 / (seen * 5 * BIN_S)
        ridge = share * (design**2).sum(0).mean() / seen
        for band, part in enumerate(bands(3, BANDS)):
            first, last = EDGES[part.start], EDGES[part.stop]
            expected = np.exp(-1.0) * (last - first)
            future = np.stack([counts[s + first : s + last].sum(0) for s in starts])
            surprise = np.clip((future - expected) / np.sqrt(expected + 0.1), -5, 5)
            reference = Ridge(alpha=ridge * seen, fit_intercept=False).fit(design, surprise)
            columns = slice(3 * (p * BANDS + band), 3 * (p * BANDS + band + 1))
            np.testing.assert_allclose(
                updates.weights[update][:, columns], reference.coef_.T, rtol=1e-3, atol=1e-5
            )


def test_updates_begin_behind_the_reference_and_come_ever_further_apart():
    ends = learned(np.zeros((1000, 2), np.uint8), torch.zeros(1000, 2, 1)).ends
    assert ends[0] == 100
    assert np.diff(ends).min() >= 1
    assert (ends[1:] <= np.ceil(ends[:-1] * GROWTH)).all()
    assert ends[-1] < 1000


def test_a_forecast_uses_the_last_update_before_it_and_none_before_the_first():
    rng = np.random.default_rng(1)
    counts = rng.poisson(0.4, (400, 3)).astype(np.uint8)
    z = torch.from_numpy(rng.standard_normal((400, 3, 2)).astype(np.float32))
    updates = learned(counts, z)
    starts = np.array([50, 100, int(updates.ends[2]), int(updates.ends[3]) - 1])
    found = updates.surprises(z[starts], starts, first_only=False)
    assert found.shape == (4, 3, SURPRISES)
    assert (found[0] == 0).all()
    plain = [
        z[s].T.flatten() @ updates.weights[u] for s, u in zip(starts[1:], (0, 2, 2), strict=True)
    ]
    torch.testing.assert_close(found[1:], torch.stack(plain).reshape(3, SURPRISES, 3).mT)
    only = updates.surprises(z[starts], starts, first_only=True)
    torch.testing.assert_close(only[1], found[1])
    torch.testing.assert_close(
        only[2], (z[starts[2]].T.flatten() @ updates.weights[0]).reshape(SURPRISES, 3).T
    )


def test_nothing_at_or_after_an_updates_end_changes_it():
    counts, geometry = session("a"), geometry_of()
    shared = SharedGlm(geometry.traces_s, 5)
    other = counts.counts.copy()
    other[700:] = 5
    before = with_updates(recording_of(counts), shared, geometry).updates
    after = with_updates(recording_of(replace(counts, counts=other)), shared, geometry).updates
    early = before.ends <= 700
    assert 2 < early.sum() < len(early)
    torch.testing.assert_close(before.weights[early], after.weights[early])
    assert (before.weights[~early] - after.weights[~early]).abs().max() > 1e-3


def test_units_that_lead_others_are_found_and_noise_is_not():
    rng = np.random.default_rng(2)
    counts = rng.poisson(0.3, (6000, 4)).astype(np.uint8)
    counts[1:, 1] = rng.poisson(0.1 + 0.8 * counts[:-1, 0])  # unit 1 follows unit 0
    z = torch.from_numpy(np.concatenate([np.zeros((1, 4)), counts[:-1]])[..., None]).float()
    z -= z.mean(0)
    weights = learned(counts, z, log_rate=float(np.log(0.33))).weights[-1][:, :4]
    assert weights[0, 1] > 0.5
    others = weights.clone()
    others[0, 1] = 0
    assert others.abs().max() < 0.2


def test_a_gain_is_the_newton_step_of_a_surprise():
    surprises = torch.zeros(1, 1, SURPRISES)
    surprises[0, 0, 1] = 0.5  # the first penalty, the second band
    rates = torch.tensor([[[1.0], [3.9], [8.0]]])
    found = gains(surprises, rates)
    assert abs(found[0, 0, 1].item() - 0.5 / np.sqrt(4.0)) < 1e-6
    assert found.abs().sum() == found[0, 0, 1].abs()


def test_a_recording_shorter_than_its_reference_teaches_nothing():
    updates = learned(np.zeros((6, 2), np.uint8), torch.zeros(6, 2, 1), reference_end=5)
    assert (updates.surprises(torch.ones(1, 2, 1), np.array([5]), False) == 0).all()
