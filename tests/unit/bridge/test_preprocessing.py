"""Scaling and selection of electrodes."""

import numpy as np
import pytest

from spikeline.bridge.preprocessing import ResponseScaler, electrode_selection, stabilised
from spikeline.errors import InputError

TABLE = {
    "region": np.array(["V1", "V1", "V4", "IT"]),
    "snr": np.array([2.0, np.nan, 5.0, 1.0], dtype=np.float32),
    "reliability": np.array([0.9, 0.8, 0.2, 0.5], dtype=np.float32),
}


def test_training_rows_end_with_mean_0_and_standard_deviation_1():
    values = np.random.default_rng(0).gamma(2, 3, (200, 5)).astype(np.float32)
    scaled = ResponseScaler.fit(values).apply(values)
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(0), 1, atol=1e-5)


def test_electrodes_that_never_vary_or_are_missing_contribute_nothing():
    values = np.array([[1.0, 3.0, np.nan], [2.0, 3.0, np.nan], [4.0, 3.0, np.nan]])
    scaler = ResponseScaler.fit(values)
    scaled = scaler.apply(np.array([[np.nan, 7.0, 1.0], [2.0, np.inf, np.nan]]))
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled[:, 1:], 0)
    assert scaled[0, 0] == 0


def test_a_missing_value_does_not_enter_the_mean():
    assert ResponseScaler.fit(np.array([[1.0], [np.nan], [3.0]])).mean[0] == 2


def test_anscombe_makes_the_variance_of_poisson_counts_one():
    counts = np.random.default_rng(0).poisson([4.0, 20.0, 100.0], (20_000, 3))
    np.testing.assert_allclose(stabilised(counts, "anscombe").std(0), 1, atol=0.05)
    np.testing.assert_allclose(stabilised(counts, "sqrt"), np.sqrt(counts), rtol=1e-6)


def test_a_transform_of_counts_refuses_negative_responses():
    with pytest.raises(InputError, match="transform"):
        ResponseScaler.fit(np.array([[-1.0], [2.0]]), "sqrt")
    with pytest.raises(InputError, match="none, sqrt, anscombe"):
        stabilised(np.ones((2, 2)), "log")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [0, 1, 2, 3]),
        ({"regions": ["IT", "V1"]}, [0, 1, 3]),
        ({"regions": "V4+IT"}, [2, 3]),
        ({"min_snr": 1.5}, [0, 2]),
        ({"min_reliability": 0.5}, [0, 1, 3]),
        ({"regions": ["V1"], "min_snr": 1.0}, [0]),
    ],
)
def test_selection_follows_regions_and_thresholds(arguments, expected):
    assert electrode_selection(TABLE, **arguments).tolist() == expected


def test_an_unknown_region_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="V2 is not a region of this subject; known: IT, V1, V4"):
        electrode_selection(TABLE, ["V2", "V1"])


def test_selecting_nothing_is_an_error():
    with pytest.raises(InputError, match="no electrode is left"):
        electrode_selection(TABLE, min_snr=100.0)


def test_a_threshold_on_a_measure_nobody_took_is_an_error():
    table = {**TABLE, "snr": np.full(4, np.nan)}
    with pytest.raises(InputError, match="have no snr"):
        electrode_selection(table, min_snr=1.0)
