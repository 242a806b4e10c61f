"""Reference features against elephant, at the edges, and on one scale."""

from __future__ import annotations

import dataclasses

import neo
import numpy as np
import pytest
import quantities as pq
from defaults import blocks
from elephant.statistics import cv, fanofactor, isi, mean_firing_rate

from spikeline.artifacts import features as artifact
from spikeline.artifacts import sessions
from spikeline.artifacts.features import NAMES, Features
from spikeline.cli import main
from spikeline.errors import InputError
from spikeline.horizon.sessions import normalisation
from spikeline.horizon.sessions.reference_features import LOWEST_CV, reference_features

SHAPES = slice(2, 22)
LAGS = slice(22, 32)


def population(duration=200.0, units=12, seed=0):
    """Gamma renewal units from bursting to clock-like, 0.5 to 40 Hz."""
    rng = np.random.default_rng(seed)
    times, index = [], []
    for unit, (rate, shape) in enumerate(
        zip(np.geomspace(0.5, 40, units), np.geomspace(0.3, 8, units), strict=True)
    ):
        train = np.cumsum(rng.gamma(shape, 1 / (rate * shape), size=int(2 * rate * duration) + 20))
        train = train[train < duration]
        times.append(train)
        index.append(np.full(len(train), unit))
    times, index = np.concatenate(times), np.concatenate(index)
    order = np.argsort(times, kind="stable")
    return times[order], index[order]


def trains(times, index, units, start, end):
    for unit in range(units):
        own = times[(index == unit) & (times >= start) & (times < end)]
        yield neo.SpikeTrain(own * pq.s, t_start=start * pq.s, t_stop=end * pq.s)


def test_rate_cv_and_fano_are_those_of_elephant():
    times, index = population()
    values, valid, counts = reference_features(times, index, 12, 20.0, 80.0)
    assert valid.all()
    for unit, train in enumerate(trains(times, index, 12, 20.0, 80.0)):
        rate = mean_firing_rate(train).rescale("Hz").magnitude
        assert counts[unit] == len(train)
        assert np.exp(values[unit, 0]) == pytest.approx(rate + 0.5 / 60, rel=1e-5)
        assert values[unit, 1] == pytest.approx(np.log(cv(isi(train))), abs=1e-5)
        pieces = [train.time_slice((20 + k / 2) * pq.s, (20.5 + k / 2) * pq.s) for k in range(120)]
        assert values[unit, 32] == pytest.approx(fanofactor(pieces), rel=1e-4)


def test_intervals_fall_into_bins_of_equal_log_width_with_open_ends():
    times, index = population()
    values, _, _ = reference_features(times, index, 12, 20.0, 80.0)
    edges = np.geomspace(1e-3, 10, 21)
    for unit, train in enumerate(trains(times, index, 12, 20.0, 80.0)):
        gaps = np.clip(np.diff(train.magnitude), 1e-3, 9.999)
        expected = np.histogram(gaps, edges)[0] / len(gaps)
        np.testing.assert_allclose(values[unit, SHAPES], expected, atol=1e-6)
    np.testing.assert_allclose(values[:, SHAPES].sum(axis=1), 1, rtol=1e-5)


def test_autocorrelation_is_numpys_correlation_of_counts_with_later_counts(monkeypatch):
    # a few units at a time
    monkeypatch.setattr("spikeline.horizon.sessions.reference_features.CHUNK", 20_000)
    times, index = population()
    values, _, _ = reference_features(times, index, 12, 20.0, 80.0)
    for unit, train in enumerate(trains(times, index, 12, 20.0, 80.0)):
        binned = np.histogram(train.magnitude - 20.0, np.arange(6001) * 0.01)[0]
        for lag in range(1, 11):
            expected = np.corrcoef(binned[:-lag], binned[lag:])[0, 1]
            assert values[unit, 21 + lag] == pytest.approx(expected, abs=2e-3)


def test_a_rhythm_shows_at_its_lag():
    rng = np.random.default_rng(0)
    times = np.arange(0, 60, 0.05) + rng.normal(0, 0.001, size=1200).clip(-0.004, 0.004) + 0.005
    values, _, _ = reference_features(times, np.zeros(1200, int), 1, 0.0, 60.0)
    assert values[0, LAGS].argmax() == 4 and values[0, 26] > 0.9
    assert values[0, 1] < -2 and values[0, 32] < 0.1


@pytest.mark.parametrize("spikes", [0, 1, 2, 3, 11])
def test_every_feature_is_finite_for_silent_units_and_a_few_spikes(spikes):
    times = np.sort(np.random.default_rng(spikes).uniform(0, 60, size=spikes))
    values, valid, counts = reference_features(times, np.zeros(spikes, int), 2, 0.0, 60.0)
    assert np.isfinite(values).all()
    assert counts.tolist() == [spikes, 0] and valid.tolist() == [spikes > 10, False]
    assert values[1, 0] == pytest.approx(np.log(0.5 / 60), rel=1e-5)
    assert (values[1, 1:-1] == 0).all() and values[1, -1] == 1


@pytest.mark.parametrize("window", [0.005, 0.02, 0.3, 0.9, 7.77])
def test_every_feature_is_finite_in_short_and_odd_windows(window):
    times, index = population()
    values, _, _ = reference_features(times, index, 12, 20.0, 20.0 + window)
    assert np.isfinite(values).all()


def test_spikes_at_one_time_and_equal_intervals_are_finite_too():
    times = np.array([1.0] * 12 + list(np.arange(2, 40, 1.0)))
    index = np.array([0] * 12 + [1] * 38)
    values, _, _ = reference_features(times, index, 2, 0.0, 60.0)
    assert np.isfinite(values).all()
    assert values[1, 1] == pytest.approx(np.log(LOWEST_CV))


def test_a_window_of_the_whole_session_is_the_window_alone():
    times, index = population()
    inside = (times >= 20) & (times < 80)
    whole = reference_features(times, index, 12, 20.0, 80.0)
    alone = reference_features(times[inside], index[inside], 12, 20.0, 80.0)
    for one, other in zip(whole, alone, strict=True):
        np.testing.assert_array_equal(one, other)


def described(session="one", units=50, seed=0) -> Features:
    rng = np.random.default_rng(seed)
    values = rng.normal(3.0, 2.0, size=(units, len(NAMES))).astype(np.float32)
    valid = rng.random(units) < 0.7
    values[~valid, 1:] = 0
    ids = np.array([f"u{k}" for k in range(units)], object)
    return Features(values, ids, valid, np.arange(units), session, (0.0, 60.0))


def scaled(features: Features, fitted) -> np.ndarray:
    """Z-scores; features that are not valid take the mean, 0."""
    scores = (features.values - fitted.mean) / fitted.std
    scores[~features.valid, 1:] = 0
    return scores


def test_normalised_features_have_mean_0_and_deviation_1_over_valid_units():
    pair = [described("one", seed=0), described("two", seed=1)]
    fitted = normalisation.fit(pair)
    assert fitted.sessions == ("one", "two")
    scores = np.concatenate([scaled(one, fitted) for one in pair])
    valid = np.concatenate([one.valid for one in pair])
    np.testing.assert_allclose(scores[valid].mean(axis=0)[1:], 0, atol=1e-5)
    np.testing.assert_allclose(scores[valid].std(axis=0)[1:], 1, atol=1e-5)
    assert scores[:, 0].std() == pytest.approx(1, abs=1e-5)
    assert (scores[~valid, 1:] == 0).all() and (scores[~valid, 0] != 0).all()


def test_a_feature_without_spread_and_a_session_without_valid_units_have_a_finite_scale():
    one = described()
    one.values[:, 5] = 2.0
    assert np.abs(scaled(one, normalisation.fit([one]))[:, 5]).max() <= 2
    silent = dataclasses.replace(one, valid=np.zeros(50, bool))
    assert np.isfinite(normalisation.fit([silent]).mean).all()


def test_a_session_given_twice_and_another_session_list_are_refused_by_name():
    pair = [described("one"), described("two")]
    with pytest.raises(InputError, match="session one is given twice"):
        normalisation.fit([*pair, described("one")])
    fitted = normalisation.fit(pair, "--features")
    assert [one.session for one in normalisation.features_of(fitted, ["two", "one"])] == [
        "two",
        "one",
    ]
    with pytest.raises(InputError, match="is of another session list: three was not among"):
        normalisation.features_of(fitted, ["one", "two", "three"], "n.h5")
    with pytest.raises(InputError, match="two was among"):
        normalisation.features_of(fitted, ["one"])
    other = dataclasses.replace(pair[0], values=pair[0].values[:, 1:], names=NAMES[1:])
    with pytest.raises(InputError, match="other features"):
        normalisation.fit([pair[1], other])


def save_session(path, duration=200.0, name="one", reference=None):
    times, index = population(duration)
    cut = blocks(duration)
    ids = [f"u{k}" for k in range(12)]
    data = sessions.build(
        times,
        index,
        {"id": ids, "region": ["CA1"] * 12, "depth": np.zeros(12)},
        duration,
        {
            "train": cut.train,
            "valid": cut.valid,
            "test": cut.test,
            "reference": reference or cut.reference,
        },
        {"id": name, "source": "arrays", "subject": "mouse", "origin_s": 0.0},
    )
    sessions.save(path, data, {"step": "test", "origins": {}})
    return times, index


def test_sessions_become_features_and_these_a_normalisation(tmp_path):
    for name in ("one", "two"):
        times, index = save_session(tmp_path / f"{name}.h5", name=name)
        arguments = ["reference-features", "--session", str(tmp_path / f"{name}.h5")]
        assert main.main([*arguments, "--output", str(tmp_path / f"{name}_f.h5")]) == 0
    found = artifact.read(tmp_path / "one_f.h5")
    expected = reference_features(times, index, 12, 0.0, 60.0)
    np.testing.assert_array_equal(found.values, expected[0])
    assert found.reference == (0.0, 60.0) and found.session == "one"
    files = [str(tmp_path / f"{name}_f.h5") for name in ("one", "two")]
    arguments = ["normalise-features", "--features", *files]
    assert main.main([*arguments, "--output", str(tmp_path / "n.h5")]) == 0
    assert artifact.read_normalisation(tmp_path / "n.h5").sessions == ("one", "two")


def test_a_window_up_to_the_sessions_end_misses_no_spike(tmp_path):
    times, index = save_session(tmp_path / "s.h5", duration=199.5)
    arguments = ["reference-features", "--session", str(tmp_path / "s.h5")]
    arguments += ["--reference", "150.25", "199.5", "--output", str(tmp_path / "f.h5")]
    assert main.main(arguments) == 0
    found = artifact.read(tmp_path / "f.h5")
    inside = times >= 150.25
    np.testing.assert_array_equal(found.reference_counts, np.bincount(index[inside], minlength=12))


@pytest.mark.parametrize(
    ("reference", "given", "words"),
    [
        ((0.0, 260.0), [], "longer than the session of 200 s"),
        ((0.0, 0.0), [], "reference window runs from 0 to 0 s"),
        (None, ["--reference", "0", "1e4"], "longer than the session"),
        (None, ["--reference", "9", "3"], "reference window runs from 9 to 3 s"),
    ],
)
def test_a_reference_window_beyond_the_session_or_without_length_is_refused(
    tmp_path, capsys, reference, given, words
):
    save_session(tmp_path / "s.h5", reference=reference)
    arguments = ["reference-features", "--session", str(tmp_path / "s.h5"), *given]
    assert main.main([*arguments, "--output", str(tmp_path / "f.h5")]) == 1
    said = capsys.readouterr().err
    assert words in said and "s.h5" in said and len(said.splitlines()) == 1
    assert not (tmp_path / "f.h5").exists()
