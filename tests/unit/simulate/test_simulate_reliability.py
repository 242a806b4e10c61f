"""Reliability and oracle against a slow reckoning with numpy.corrcoef."""

from itertools import combinations

import numpy as np
import pytest

from spikeline.reliability import leave_one_out_reliability, pairwise_reliability


@pytest.fixture
def repetitions():
    rng = np.random.default_rng(0)
    return rng.standard_normal((20, 4)) + 0.8 * rng.standard_normal((6, 20, 4)) + 3.0


def test_pairwise_reliability_is_the_correlation_of_every_two_repetitions(repetitions):
    expected = [
        [np.corrcoef(repetitions[a, :, e], repetitions[b, :, e])[0, 1] for e in range(4)]
        for a, b in combinations(range(6), 2)
    ]
    np.testing.assert_allclose(pairwise_reliability(repetitions), expected, atol=1e-12)


def test_oracle_is_the_mean_correlation_with_the_other_repetitions_mean(repetitions):
    expected = [
        np.mean(
            [
                np.corrcoef(
                    repetitions[k, :, e], np.delete(repetitions, k, axis=0)[:, :, e].mean(axis=0)
                )[0, 1]
                for k in range(6)
            ]
        )
        for e in range(4)
    ]
    np.testing.assert_allclose(leave_one_out_reliability(repetitions), expected, atol=1e-12)


def test_constant_and_missing_electrodes_have_no_reliability(repetitions):
    repetitions[:, :, 1] = 0.1
    repetitions[:, :, 2] = np.nan
    for values in (pairwise_reliability(repetitions)[0], leave_one_out_reliability(repetitions)):
        assert np.isnan(values[[1, 2]]).all() and np.isfinite(values[[0, 3]]).all()


def test_one_repetition_is_refused(repetitions):
    with pytest.raises(ValueError, match="repetitions"):
        pairwise_reliability(repetitions[:1])
    with pytest.raises(ValueError, match="repetitions"):
        leave_one_out_reliability(repetitions[0])
