"""The simulated electrodes: file fields, normalisation, region order."""

from dataclasses import replace
from functools import cache
from itertools import combinations

import numpy as np
import pytest
from defaults import settings
from sklearn.linear_model import RidgeClassifier

from spikeline.simulate import filters
from spikeline.simulate.electrodes import FILTER_SIZE, V4Maps
from spikeline.simulate.images import design_stimuli, render
from spikeline.simulate.presentations import WINDOWS, sample_times, window_weights
from spikeline.simulate.recording import noise_free_responses, record
from spikeline.simulate.settings import Subject, TwinSettings

SETTINGS = TwinSettings.of(
    settings(
        "simulate-ventral",
        concepts=60,
        test_images=60,
        images_per_concept=8,
        repetitions=6,
        image_size=48,
        subjects={
            "monkeyF": {"regions": {"V1": [[0, 80]], "IT": [[80, 160]], "V4": [[160, 240]]}},
            "monkeyN": {"regions": {"V1": [[0, 80]], "V4": [[80, 160]], "IT": [[160, 240]]}},
        },
    )
)


@cache
def draw():
    stimuli = design_stimuli(SETTINGS.concepts, SETTINGS.images_per_concept, 60, SETTINGS.seed)
    drawn = np.stack([render(stimuli, i, SETTINGS.image_size) for i in range(len(stimuli))])
    return stimuli, filters.shrink(drawn, FILTER_SIZE)


def simulate(subject):
    stimuli, small = draw()
    rng = np.random.default_rng(0)
    monkey = SETTINGS.subjects[subject]
    responses = noise_free_responses(stimuli, small, V4Maps(small), monkey, SETTINGS, rng)
    return stimuli, record(responses, stimuli.test, monkey, SETTINGS, rng, stimuli.shape)


def in_time(recording):
    """(samples, presentations, electrodes) of the time-resolved file, channels mapped."""
    recorded = np.concatenate(list(recording.trials["ALLMUA"].blocks()), axis=1)
    return recorded[..., recording.mapping - 1]


@pytest.fixture(scope="module", params=["monkeyF", "monkeyN"])
def twin(request):
    stimuli, recording = simulate(request.param)
    regions = np.array(SETTINGS.subjects[request.param].region_of_electrode())
    return stimuli, recording, regions


def test_fields_have_the_shapes_of_the_real_file(twin):
    shapes = {name: value.shape for name, value in twin[1].normalised.items()}
    assert shapes == {
        "train_MUA": (480, 240),
        "test_MUA": (60, 240),
        "test_MUA_reps": (6, 60, 240),
        "SNR": (4, 240),
        "SNR_max": (240, 1),
        "lats": (4, 240),
        "reliab": (15, 240),
        "oracle": (240, 1),
        "tb": (300, 1),
    }
    assert twin[1].normalised["train_MUA"].dtype == np.float64


def test_reliab_and_oracle_equal_those_of_the_repetitions(twin):
    fields = twin[1].normalised
    repetitions = fields["test_MUA_reps"]
    for electrode in range(0, 240, 7):
        values = repetitions[:, :, electrode]
        if np.isnan(values).any() or np.ptp(values) == 0:
            assert np.isnan(fields["oracle"][electrode, 0])
            continue
        matrix = np.corrcoef(values)
        pairs = [matrix[a, b] for a, b in combinations(range(6), 2)]
        np.testing.assert_allclose(fields["reliab"][:, electrode], pairs, atol=1e-10)
        left_out = [
            np.corrcoef(values[k], np.delete(values, k, axis=0).mean(axis=0))[0, 1]
            for k in range(6)
        ]
        np.testing.assert_allclose(fields["oracle"][electrode, 0], np.mean(left_out), atol=1e-10)


def test_test_responses_are_the_mean_of_the_repetitions(twin):
    fields = twin[1].normalised
    np.testing.assert_allclose(fields["test_MUA"], fields["test_MUA_reps"].mean(axis=0))


def test_noise_free_responses_are_what_repetitions_scatter_around(twin):
    fields, clean = twin[1].normalised, twin[1].noise_free
    repetitions = fields["test_MUA_reps"]
    alive = np.isfinite(clean[0]) & (np.ptp(clean, axis=0) > 0)
    assert alive.sum() == 240 - SETTINGS.dead_electrodes - SETTINGS.nan_electrodes
    error = fields["test_MUA"][:, alive] - clean[:, alive]
    # Of the mean of six, a sixth of the variance of one around it; days differ in gain by little.
    single = (repetitions[:, :, alive] - clean[:, alive]).var(axis=0).mean() * 6 / 5
    assert error.var() == pytest.approx(single / 6, rel=0.1)
    assert abs(error.mean()) < 4 * error.std() / error.size**0.5


def test_the_noise_free_response_is_linear_in_the_electrodes_drive():
    # One day, so one gain: each electrode's is a line through what it was simulated from.
    stimuli, small = draw()
    monkey = replace(SETTINGS.subjects["monkeyF"], days=1)
    rng = np.random.default_rng(0)
    drive = noise_free_responses(stimuli, small, V4Maps(small), monkey, SETTINGS, rng)
    clean = record(drive, stimuli.test, monkey, SETTINGS, rng, stimuli.shape).noise_free
    alive = np.isfinite(clean[0]) & (np.ptp(clean, axis=0) > 0)
    for electrode in np.flatnonzero(alive)[::10]:
        r = np.corrcoef(drive[stimuli.test, electrode], clean[:, electrode])[0, 1]
        assert r == pytest.approx(1, abs=1e-9)


def test_each_day_is_scaled_by_its_test_presentations(twin):
    # Six repetitions over four days: day of repetition k = 4 k // 6.
    repetitions = twin[1].normalised["test_MUA_reps"]
    alive = np.isfinite(repetitions[0, 0]) & (np.ptp(repetitions, axis=(0, 1)) > 0)
    for day in range(4):
        rows = [k for k in range(6) if 4 * k // 6 == day]
        values = repetitions[rows][:, :, alive].reshape(-1, alive.sum())
        np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-10)
        np.testing.assert_allclose(values.std(axis=0, ddof=1), 1, atol=1e-10)
    assert np.abs(twin[1].normalised["train_MUA"][:, alive].mean(axis=0)).max() > 0.02


def test_a_few_electrodes_are_dead_and_a_few_have_no_value(twin):
    train = twin[1].normalised["train_MUA"]
    assert np.isnan(train).all(axis=0).sum() == SETTINGS.nan_electrodes
    assert np.isnan(train).any(axis=0).sum() == SETTINGS.nan_electrodes
    assert (np.ptp(train, axis=0) == 0).sum() == SETTINGS.dead_electrodes


def test_regions_differ_in_latency_as_the_region_map_says(twin):
    _, recording, regions = twin
    latency = recording.normalised["lats"][0]
    mean = {region: np.nanmean(latency[regions == region]) for region in ("V1", "V4", "IT")}
    assert 35 < mean["V1"] < 46 < mean["V4"] < 70 < mean["IT"] < 95


def test_window_means_of_the_trials_scale_to_the_normalised_responses(twin):
    _, recording, regions = twin
    fields, trials = recording.normalised, recording.trials
    table = trials["ALLMAT"].astype(int)
    assert trials["ALLMUA"].shape == (300, SETTINGS.trials, 240)
    assert ((table[1] > 0) != (table[2] > 0)).all()
    physical = in_time(recording)
    times = sample_times(1)
    normalised = np.stack(
        [
            fields["train_MUA"][train - 1] if train else fields["test_MUA_reps"][rep - 1, test - 1]
            for train, test, rep in table[1:4].T
        ]
    )
    alive = np.isfinite(fields["oracle"][:, 0])
    for region, (first, end) in WINDOWS.items():
        rows = np.flatnonzero(alive & (regions == region))
        window = (first <= times) & (end > times)
        mean = physical[window][..., rows].mean(axis=0)
        for day in np.unique(table[5]):
            shown = np.flatnonzero(table[5] == day)
            if len(shown) < 3:
                continue
            for column, electrode in enumerate(rows):
                r = np.corrcoef(mean[shown, column], normalised[shown, electrode])[0, 1]
                assert r > 0.999


def test_object_factors_are_read_best_from_it_then_v4_then_v1():
    # Same number of electrodes, no noise and nothing private: what the tuning itself makes linear.
    regions = {"V1": ((0, 200),), "V4": ((200, 400),), "IT": ((400, 600),)}
    monkey = Subject(regions, days=4, dead_arrays=(), coarse_to_fine=False)
    settings = replace(SETTINGS, idiosyncrasy={"V1": 0.0, "V4": 0.0, "IT": 0.0})
    stimuli, small = draw()
    rng = np.random.default_rng(1)
    responses = noise_free_responses(stimuli, small, V4Maps(small), monkey, settings, rng)
    score = {}
    for region, first in (("V1", 0), ("V4", 200), ("IT", 400)):
        values = responses[:, first : first + 200]
        values = values + 0.5 * rng.standard_normal(values.shape)
        hits = []
        for factor in ("shape", "colour", "texture"):
            levels = getattr(stimuli, factor)
            reader = RidgeClassifier(alpha=100).fit(values[~stimuli.test], levels[~stimuli.test])
            hits.append(reader.score(values[stimuli.test], levels[stimuli.test]))
        score[region] = np.mean(hits)
    assert score["IT"] > score["V4"] + 0.1
    assert score["V4"] > score["V1"] + 0.03


def test_the_same_seed_records_the_same_responses(twin):
    again = simulate("monkeyF" if twin[2][100] == "IT" else "monkeyN")[1]
    for name, value in twin[1].normalised.items():
        np.testing.assert_array_equal(again.normalised[name], value)
    np.testing.assert_array_equal(in_time(again), in_time(twin[1]))


def test_electrodes_of_a_dead_array_are_constant_and_no_others():
    monkey = Subject({"V1": ((0, 150),)}, days=4, dead_arrays=(1,), coarse_to_fine=False)
    settings = replace(SETTINGS, dead_electrodes=0, nan_electrodes=0)
    stimuli, _ = draw()
    responses = np.random.default_rng(0).standard_normal((len(stimuli), 150))
    rng = np.random.default_rng(1)
    fields = record(responses, stimuli.test, monkey, settings, rng, stimuli.shape).normalised
    assert np.flatnonzero(np.ptp(fields["train_MUA"], axis=0) == 0).tolist() == list(range(64, 128))
    assert np.isfinite(fields["train_MUA"]).all()


def test_images_measured_in_blocks_have_the_same_maps(monkeypatch):
    stimuli, small = draw()
    pixels = np.stack([render(stimuli, i, 60) for i in range(10)])
    together = filters.shrink(pixels, FILTER_SIZE), V4Maps(small[:10]).maps
    monkeypatch.setattr(filters, "BLOCK_IMAGES", 4)
    np.testing.assert_allclose(filters.shrink(pixels, FILTER_SIZE), together[0], atol=1e-6)
    np.testing.assert_allclose(V4Maps(small[:10]).maps, together[1], rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module", params=[False, True])
def all_in_time(request):
    """A monkey with every presentation kept at 5 ms, its detail late or not."""
    stimuli, small = draw()
    settings = replace(SETTINGS, trials=0, sample_ms=5)
    monkey = replace(settings.subjects["monkeyF"], coarse_to_fine=request.param)
    rng = np.random.default_rng(0)
    drive = noise_free_responses(stimuli, small, V4Maps(small), monkey, settings, rng)
    recording = record(drive, stimuli.test, monkey, settings, rng, stimuli.shape)
    return stimuli, drive, recording, np.array(monkey.region_of_electrode())


def test_window_means_scaled_by_the_days_test_trials_are_the_normalised_responses(all_in_time):
    _, _, recording, regions = all_in_time
    trials, fields = recording.trials, recording.normalised
    _, train, test, repetition, _, day = trials["ALLMAT"].astype(int)
    weights = window_weights(regions, trials["tb"][:, 0])
    means = np.einsum("tpe,te->pe", in_time(recording).astype(float), weights)
    alive = np.isfinite(fields["oracle"][:, 0])
    scaled = np.empty_like(means)
    for one in np.unique(day):
        shown = means[(day == one) & (test > 0)]
        own = day == one
        with np.errstate(invalid="ignore"):  # of dead electrodes
            scaled[own] = (means[own] - shown.mean(axis=0)) / shown.std(axis=0, ddof=1)
    expected = np.where(
        train[:, None] > 0,
        fields["train_MUA"][train - 1],
        fields["test_MUA_reps"][repetition - 1, test - 1],
    )
    np.testing.assert_allclose(scaled[:, alive], expected[:, alive], atol=2e-5)
    assert sorted(train[train > 0]) == list(range(1, 481)) and len(train) == 480 + 60 * 6


def test_what_sets_an_image_apart_from_its_shape_comes_late_where_it_is_asked_for(
    all_in_time, request
):
    stimuli, drive, recording, regions = all_in_time
    trials = recording.trials
    train = trials["ALLMAT"][1].astype(int)
    image = np.flatnonzero(~stimuli.test)[train[train > 0] - 1]
    coarse = np.empty_like(drive)
    for shape in np.unique(stimuli.shape):
        coarse[stimuli.shape == shape] = drive[stimuli.shape == shape].mean(axis=0)
    fine = drive - coarse
    physical, times = in_time(recording)[:, train > 0], trials["tb"][:, 0]
    early, late = ((times >= start) & (times < start + 30) for start in (45, 110))
    rows = np.flatnonzero(np.isfinite(recording.normalised["oracle"][:, 0]) & (regions == "V1"))

    def explained(window, part):
        response = physical[window].mean(axis=0)[:, rows]
        return np.mean([np.corrcoef(response[:, k], part[:, e])[0, 1] for k, e in enumerate(rows)])

    def weight(part):
        """How much of it the responses hold, early and late."""
        return np.array([explained(early, part[image]), explained(late, part[image])])

    by_shape, by_image = weight(coarse), weight(fine)
    if "True" in request.node.name:
        assert by_image[1] > 4 * by_image[0] and by_image[1] > 0.5
        assert by_shape[0] > 1.5 * by_shape[1]
    else:
        np.testing.assert_allclose(np.diff([by_shape, by_image], axis=1), 0, atol=0.1)
        assert by_image.min() > 0.3


def test_blocks_of_presentations_join_to_one_array_that_is_the_same_each_time(
    all_in_time, monkeypatch
):
    from spikeline.simulate import presentations

    recording = all_in_time[2]
    whole = recording.trials["ALLMUA"]
    monkeypatch.setattr(presentations, "_BLOCK_BYTES", 60 * 240 * 4 * 100)
    assert [block.shape[1] for block in whole.blocks()] == [100] * 8 + [40]
    np.testing.assert_array_equal(in_time(recording), in_time(recording))
    assert whole.shape == (60, 840, 240)
