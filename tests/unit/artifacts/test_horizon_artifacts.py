"""Counts, features, normalisations and forecasts: written, read back, and refused when broken."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from artifact_examples import some_counts, some_features, some_normalisation

from spikeline.artifacts import counts, features, forecasts, true_rates
from spikeline.artifacts.counts import Counts
from spikeline.artifacts.features import NAMES
from spikeline.errors import InputError
from spikeline.horizon.scores.bits_per_spike import pooled_bits, score_sums, unit_bits

RECORD = {"step": "test"}


def some_forecasts() -> forecasts.Forecasts:
    rng = np.random.default_rng(0)
    binned = rng.poisson(0.4, size=(8, 5, 3))
    binned[..., 2] = 0
    rates = rng.gamma(1, 0.4, size=binned.shape)
    sums = score_sums(rates, binned, np.full(3, 0.4), np.repeat([0, 1], 4))
    session = forecasts.SessionForecasts("held_out", "ibl", 3, {"seed0": {"100": sums}})
    return forecasts.Forecasts({"horizons": [100]}, {"one": session}, {"parameters": 7})


@pytest.mark.parametrize("mapped", [False, True])
def test_counts_come_back_as_they_were_written(tmp_path, mapped):
    written = some_counts()
    path = tmp_path / "counts.h5"
    counts.write(path, written, RECORD)
    found = counts.read(path, mapped=mapped)
    for field in dataclasses.fields(Counts):
        one, other = getattr(written, field.name), getattr(found, field.name)
        if isinstance(one, np.ndarray) and one.dtype != object:
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype
        else:
            assert list(one) == list(other) if np.ndim(one) else one == other
    assert isinstance(found.counts, np.memmap) is mapped
    assert found.counts.flags.c_contiguous


def test_a_session_without_images_or_behaviour_is_counts_too(tmp_path):
    bare = dataclasses.replace(
        some_counts(),
        behaviour=np.full(100, np.nan, np.float32),
        behaviour_kind="",
        images=np.full(100, -1, np.int32),
        image_names=np.zeros(0, object),
    )
    counts.write(tmp_path / "counts.h5", bare, RECORD)
    found = counts.read(tmp_path / "counts.h5")
    assert len(found.image_names) == 0 and found.behaviour_kind == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"counts": np.zeros((100, 4), np.int16)}, "dtype int16, expected uint8"),
        ({"domains": np.full(100, 4, np.uint8)}, "domains holds 4, expected 0 to 3"),
        ({"images": np.full(100, 2, np.int32)}, "images points outside the 2 image_names"),
        ({"images": np.full(100, -3, np.int32)}, "images points outside the 2 image_names"),
        ({"reference": (50, 101)}, "reference is bins 50 to 101"),
        ({"reference": (50, 50)}, "reference is bins 50 to 50"),
        ({"bin_s": 0.0}, r"bin_s is 0\.0, expected a positive number"),
    ],
)
def test_counts_in_breach_of_the_contract_are_refused_and_nothing_is_written(
    tmp_path, change, words
):
    with pytest.raises(InputError, match=words):
        counts.write(tmp_path / "c.h5", dataclasses.replace(some_counts(), **change), RECORD)
    assert not list(tmp_path.iterdir())


def test_truncated_counts_are_refused(tmp_path):
    path = tmp_path / "counts.h5"
    counts.write(path, some_counts(), RECORD)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    for mapped in (False, True):
        with pytest.raises(InputError, match="truncated"):
            counts.read(path, mapped)


def test_features_and_their_normalisation_come_back_as_they_were_written(tmp_path):
    written = some_features()
    features.write(tmp_path / "features.h5", written, RECORD)
    found = features.read(tmp_path / "features.h5")
    assert (found.values == written.values).all() and found.names == NAMES
    assert (found.valid == written.valid).all() and found.reference_s == 60.0
    assert (found.reference_counts == written.reference_counts).all()
    assert list(found.unit_ids) == list(written.unit_ids) and found.session == "one"

    fitted = some_normalisation()
    features.write_normalisation(tmp_path / "normalisation.h5", fitted, RECORD)
    again = features.read_normalisation(tmp_path / "normalisation.h5")
    assert (again.mean == fitted.mean).all() and again.sessions == ("one", "two")
    for one, other in zip(again.features, fitted.features, strict=True):
        assert (one.values == other.values).all() and one.reference == other.reference
        assert list(one.unit_ids) == list(other.unit_ids) and one.names == other.names
    with pytest.raises(InputError, match="holds 'features/1', expected 'normalisation/2'"):
        features.read_normalisation(tmp_path / "features.h5")


def test_features_that_are_not_finite_are_refused_by_unit(tmp_path):
    broken = some_features()
    broken.values[3, 7] = np.nan
    with pytest.raises(InputError, match=r"units 3 \('unit3'\), features 7 \('isi_05'\)"):
        features.write(tmp_path / "features.h5", broken, RECORD)


def test_a_reference_window_without_length_is_refused(tmp_path):
    empty = dataclasses.replace(some_features(), reference=(60.0, 60.0))
    with pytest.raises(InputError, match=r"reference is 60\.0 to 60\.0 s"):
        features.write(tmp_path / "features.h5", empty, RECORD)


def test_a_normalisation_without_spread_is_refused_by_feature(tmp_path):
    std = np.ones(33)
    std[2] = 0
    with pytest.raises(InputError, match=r"field std is 0\.0 for isi_00, expected positive"):
        broken = dataclasses.replace(some_normalisation(), std=std)
        features.write_normalisation(tmp_path / "n.h5", broken, RECORD)


def test_a_normalisation_of_a_session_without_units_is_refused(tmp_path):
    empty = dataclasses.replace(some_features(0), session="empty")
    broken = dataclasses.replace(some_normalisation(), features=(some_features(), empty))
    with pytest.raises(InputError, match="session_rows: expected rows of the 2 sessions in order"):
        features.write_normalisation(tmp_path / "n.h5", broken, RECORD)


def test_true_rates_below_zero_are_refused(tmp_path):
    with pytest.raises(InputError, match="field rates holds negative values"):
        true_rates.write(tmp_path / "r.h5", np.full((4, 2), -0.1), 0.02, RECORD)


def test_forecasts_come_back_with_their_scores(tmp_path):
    written = some_forecasts()
    path = tmp_path / "forecasts.json"
    forecasts.write(path, written, RECORD)
    found = forecasts.read(path)
    session = found.sessions["one"]
    assert (session.role, session.source, session.units) == ("held_out", "ibl", 3)
    assert found.facts == {"parameters": 7} and found.settings == {"horizons": [100]}
    one = written.sessions["one"].forecasters["seed0"]["100"]
    other = session.forecasters["seed0"]["100"]
    assert pooled_bits(other) == pytest.approx(pooled_bits(one), abs=1e-4)
    assert unit_bits(other) == pytest.approx(unit_bits(one), abs=1e-4, nan_ok=True)
    assert set(other.blocks) == set(one.blocks) == set(forecasts.STEPS)
    for key in forecasts.STEPS:
        np.testing.assert_allclose(other.blocks[key], one.blocks[key], atol=1e-4)
    assert other.r2 == pytest.approx(one.r2, abs=1e-4)
    assert np.isnan(other.units["correlation"][2])
    assert (other.windows, other.bins) == (8, 40)


def test_forecasts_that_are_not_finite_or_of_another_role_are_refused(tmp_path):
    written = some_forecasts()
    session = written.sessions["one"]
    session.forecasters["seed0"]["100"].units["nll"][0] = np.inf
    with pytest.raises(InputError, match="seed0 at 100 ms: units/nll is not finite"):
        forecasts.write(tmp_path / "f.json", written, RECORD)
    odd = dataclasses.replace(session, role="unseen")
    with pytest.raises(InputError, match="role"):
        forecasts.write(tmp_path / "f.json", forecasts.Forecasts({}, {"one": odd}), RECORD)


def test_a_file_that_is_no_forecast_is_refused(tmp_path):
    path = tmp_path / "f.json"
    for text, words in (("{", "not JSON"), ('{"contract": "evaluations/1"}', "forecasts/2")):
        path.write_text(text)
        with pytest.raises(InputError, match=words):
            forecasts.read(path)
    path.write_text('{"contract": "forecasts/2", "settings": {}, "facts": {}}')
    with pytest.raises(InputError, match="sessions"):
        forecasts.read(path)
