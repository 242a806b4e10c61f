"""Weights of time bins by hand, and decoders of a recording whose information is late."""

import numpy as np
import pytest
from defaults import settings
from recording_in_time import BINS, LATE, REGIONS, averaged, recording

from spikeline.bridge.automatic.budget import Candidate
from spikeline.bridge.automatic.fitting import Fitter, fit_auto
from spikeline.bridge.decoder import Decoder
from spikeline.bridge.temporal_components import (
    TemporalComponents,
    best_gate,
    bin_covariances,
    fit_temporal_components,
    leading_filters,
)
from spikeline.errors import InputError
from spikeline.settings.candidates import completed_candidates
from spikeline.statistics import bootstrap_difference
from spikeline.training.device import make_fabric

DATA = {"encoder": "e", "regions": ["V1", "IT"]}
NETWORK = {
    "learning_rate": 0.002, "epochs": 30, "batch_size": 64, "members": 2, "noise_std": 0.2,
}  # fmt: skip
KINDS = {
    "ridge": {},
    "bayesian": {},
    "linear": NETWORK,
    "mlp": {**NETWORK, "hidden": 64, "depth": 1},
}


def complete(kind, **given):
    step = "fit" if kind in ("ridge", "bayesian") else "train"
    return settings(step, kind=kind, **DATA, **KINDS[kind], **given)


def fitter(one):
    return Fitter(one.table, 0, 100, make_fabric("cpu"))


def fitted(one, kind, **given):
    return fitter(one)(Candidate(kind, complete(kind, **given), 0.0), one.train, "all")


def found(decoder, one):
    """Which test images are identified among 100."""
    similarity = (
        decoder.embed_responses(one.test.responses) @ decoder.embed_images(one.test.embeddings).T
    )
    return (similarity.argmax(1) == np.arange(len(similarity))).astype(float)


def difference(one, decoder, reference):
    hits, others = found(decoder, one), found(reference, averaged(one))
    images = np.arange(len(hits))
    return bootstrap_difference(hits, others, images)


def test_filters_of_two_bins_are_those_worked_by_hand():
    # Signal in the second bin alone; noise of variance 1 in both, with correlation r = 0.6.
    # The first filter is N^-1 (0, 1)', in proportion to (-r, 1); the second has no signal, and is
    # uncorrelated with the first: T (-r, 1)' = (0, ...), so it is (1, 0).
    signal = np.array([[0.0, 0.0], [0.0, 4.0]])
    total = signal + np.array([[1.0, 0.6], [0.6, 1.0]])
    filters = leading_filters(signal, total, 2)
    np.testing.assert_allclose(filters[:, 0], np.array([-0.6, 1.0]) / np.hypot(0.6, 1), atol=2e-3)
    np.testing.assert_allclose(filters[:, 1], [1.0, 0.0], atol=2e-3)


def test_a_gate_of_two_bins_is_the_one_worked_by_hand():
    # Noise apart, of variance 1 and 4, and signal 1 and 2 times the same: w is in proportion to
    # signal / variance, (1, 1/2).
    course = np.array([1.0, 2.0])
    signal = np.outer(course, course)
    gate = best_gate(signal, signal + np.diag([1.0, 4.0]))
    np.testing.assert_allclose(gate, [2 / 3, 1 / 3], atol=2e-3)


def test_a_gate_does_not_subtract_where_a_free_filter_would():
    signal = np.array([[0.0, 0.0], [0.0, 4.0]])
    gate = best_gate(signal, signal + np.array([[1.0, 0.6], [0.6, 1.0]]))
    np.testing.assert_allclose(gate, [0.0, 1.0], atol=1e-3)


def test_a_gate_without_any_signal_is_finite():
    gate = best_gate(np.zeros((3, 3)), np.eye(3))
    np.testing.assert_allclose(gate.sum(), 1)
    assert (gate >= 0).all()


def test_signal_covariance_holds_none_of_the_noise():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((3000, 5))
    weights = rng.standard_normal((5, 40))
    course = np.array([0.0, 1.0, 2.0])
    noise = rng.standard_normal((3000, 1, 40)) + rng.standard_normal((3000, 3, 40))
    y = (features @ weights)[:, None] * course[:, None] + noise
    signal, total = bin_covariances(y, features / np.sqrt(5), np.arange(3000))
    # each electrode in units of its noise, whose variance is 2
    expected = np.outer(course, course) * np.square(weights).sum() / 2
    np.testing.assert_allclose(signal, expected, atol=0.05 * expected.max())
    np.testing.assert_allclose(total - signal, 40 * (np.eye(3) + 1) / 2, rtol=0.1, atol=1.5)


def test_components_are_weighted_sums_over_the_bins_of_each_electrode():
    rng = np.random.default_rng(0)
    filters = rng.standard_normal((2, 3, 2))
    area = np.array([0, 1, 1, 0])
    values = rng.standard_normal((5, 12)).astype(np.float16)
    out = TemporalComponents.of(filters, area).apply(values)
    assert out.shape == (5, 8)
    for row in range(5):
        for component in range(2):
            for electrode in range(4):
                expected = sum(
                    float(values[row, b * 4 + electrode]) * filters[area[electrode], b, component]
                    for b in range(3)
                )
                assert out[row, component * 4 + electrode] == pytest.approx(expected, abs=1e-5)
    kept = TemporalComponents.of(filters, area).take(np.array([6, 1]))
    np.testing.assert_array_equal(kept.apply(values), out[:, [6, 1]])


@pytest.mark.parametrize("time", ["gate", "low_rank"])
@pytest.mark.parametrize("kind", ["ridge", "bayesian", "mlp"])
def test_where_information_is_late_weighing_bins_beats_the_mean(kind, time):
    one = recording(late=True)
    reference = fitted(averaged(one), kind)
    better = difference(one, fitted(one, kind, time=time), reference)
    assert better.low > 0


@pytest.mark.parametrize("kind", ["ridge", "bayesian", "mlp"])
def test_where_all_bins_hold_the_same_a_gate_is_level_with_the_mean(kind):
    one = recording(late=False)
    level = difference(one, fitted(one, kind, time="gate"), fitted(averaged(one), kind))
    assert level.low <= 0 <= level.high
    assert abs(level.estimate) < 0.06


def test_a_closed_form_weighs_the_late_bins_of_each_area():
    one = recording(late=True)
    (member,) = fitted(one, "ridge", time="gate").members
    filters = member.scaler.components.filters[:, :, 0]
    assert filters.shape == (2, BINS)
    assert (filters >= 0).all()
    np.testing.assert_allclose(filters.sum(1), 1, rtol=1e-5)
    assert (filters[:, LATE].sum(1) > 0.95).all()


def test_a_network_opens_its_gate_late():
    one = recording(late=True)
    decoder = fitted(one, "linear", time="gate")
    for member in decoder.members:
        gate = 1 / (1 + np.exp(-50 * member.map.state["time.logits"][0]))
        early = np.delete(gate, np.arange(BINS)[LATE], axis=1)
        assert gate[:, LATE].min() > 2 * early.max()


def test_information_in_one_area_alone_is_late_only_there():
    one = recording(late=True)
    values = one.train.responses.reshape(-1, BINS, len(REGIONS)).copy()
    flat = averaged(recording(late=False)).train.responses
    values[:, :, REGIONS == "V1"] = flat[:, None, REGIONS == "V1"]
    values += np.random.default_rng(3).standard_normal(values.shape).astype(np.float16)
    components = fit_temporal_components(
        values.reshape(len(values), -1), one.train.embeddings, one.train.images,
        one.train.images, REGIONS, BINS, complete("ridge", time="gate"),
    )  # fmt: skip
    it, v1 = components.filters[:, :, 0]  # in the order of their names
    assert it[LATE].sum() > 0.95
    assert v1[LATE].sum() < 0.6


@pytest.mark.parametrize(("kind", "time"), [("ridge", "low_rank"), ("bayesian", "gate"),
                                            ("mlp", "gate"), ("linear", "low_rank")])  # fmt: skip
def test_a_decoder_over_time_comes_back_from_its_file_the_same(kind, time, tmp_path):
    one = recording(late=True, train=150)
    given = {"epochs": 1, "validation_images": 20} if kind in ("mlp", "linear") else {}
    chosen = complete(kind, time=time) | given
    decoder = fitter(one)(Candidate(kind, chosen, 0.0), one.train, "all")
    decoder.save(tmp_path / "x.safetensors")
    again = Decoder.load(tmp_path / "x.safetensors")
    np.testing.assert_array_equal(
        again.embed_responses(one.test.responses), decoder.embed_responses(one.test.responses)
    )


def test_a_decoder_with_dead_electrodes_weighs_the_others():
    one = recording(late=True)
    dead = {}
    for name in ("train", "test"):
        rows = getattr(one, name)
        values = rows.responses.reshape(-1, BINS, len(REGIONS)).copy()
        values[:, :, [0, 15]] = 0
        dead[name] = type(rows)(
            values.reshape(len(values), -1), rows.embeddings, rows.images, rows.categories
        )
    spoilt = type(one)(dead["train"], dead["test"], one.table)
    for kind in ("ridge", "bayesian"):
        assert found(fitted(spoilt, kind, time="gate"), spoilt).mean() > 0.4


def test_few_factors_of_the_noise_identify_about_as_many_as_the_full_covariance():
    one = recording(late=True)
    full, few = (found(fitted(one, "bayesian", noise_rank=rank), one).mean() for rank in (0, 5))
    assert few > full - 0.1


def test_auto_mixes_candidates_that_weigh_time_differently():
    one = recording(late=True)
    auto = settings("fit-auto", **DATA, folds=1, validation_images=100)
    given = {
        "gate": {"kind": "bayesian", "time": "gate"},
        "mean": {"kind": "ridge", "time": "concatenated"},
    }
    mix = fit_auto(one.train, auto, completed_candidates(given, auto), fitter(one))
    assert found(mix, one).mean() > 0.6
    weights = {row["candidate"]: row["weight"] for row in mix.metadata["candidates"]}
    assert weights["gate"] > weights["mean"]


@pytest.mark.parametrize("kind", ["ridge", "bayesian", "linear"])
def test_weighing_bins_of_responses_without_bins_is_one_line_that_names_windows(kind):
    one = averaged(recording(late=True, train=60))
    with pytest.raises(InputError, match=r"time: gate weighs time bins.*setting windows") as said:
        fitted(one, kind, time="gate")
    assert "\n" not in str(said.value)


def test_more_filters_than_bins_are_refused():
    one = recording(late=True, train=60)
    with pytest.raises(InputError, match="time_rank: 9 filters of 8 time bins; give at most 8"):
        fitted(one, "ridge", time="low_rank", time_rank=9)


def test_a_selected_area_is_selected_in_every_bin():
    one = recording(late=True, train=150)
    decoder = fitter(one)(
        Candidate("ridge", complete("ridge", time="gate") | {"regions": ["IT"]}, 0.0),
        one.train,
        "all",
    )
    values = one.test.responses.copy()
    before = decoder.embed_responses(values)
    values.reshape(-1, BINS, len(REGIONS))[:, :, REGIONS == "V1"] = 7
    np.testing.assert_array_equal(decoder.embed_responses(values), before)
    assert len(decoder.members[0].electrodes) == BINS * 12
