"""Cluster bootstrap against SciPy, explicit resampling and simulated coverage."""

import numpy as np
import pytest
from scipy import stats

from spikeline.statistics import (
    bootstrap_difference,
    bootstrap_mean,
    bootstrap_median,
    bootstrap_ratio,
)


@pytest.mark.parametrize(
    ("ours", "statistic"), [(bootstrap_mean, np.mean), (bootstrap_median, np.median)]
)
def test_without_clusters_the_interval_is_that_of_scipy(ours, statistic):
    values = np.random.default_rng(0).gamma(2, size=101)
    theirs = stats.bootstrap(
        (values,),
        statistic,
        n_resamples=20_000,
        method="percentile",
        random_state=np.random.default_rng(1),
    ).confidence_interval
    found = ours(values, resamples=20_000)
    assert found.estimate == pytest.approx(statistic(values))
    width = theirs.high - theirs.low
    assert found.low == pytest.approx(theirs.low, abs=0.05 * width)
    assert found.high == pytest.approx(theirs.high, abs=0.05 * width)


@pytest.mark.parametrize(
    ("ours", "statistic"), [(bootstrap_mean, np.mean), (bootstrap_median, np.median)]
)
def test_whole_clusters_are_resampled(ours, statistic):
    random = np.random.default_rng(3)
    clusters = np.repeat(list("abcdefghij"), random.integers(1, 6, size=10))
    values = random.integers(0, 9, size=len(clusters)).astype(float)
    # The same draws, spelt out: cluster i occurs weights[i] times in a resample.
    weights = np.random.default_rng(7).multinomial(10, np.full(10, 0.1), size=300)
    members = [values[clusters == name] for name in "abcdefghij"]
    resampled = [
        statistic(np.concatenate([m for m, w in zip(members, row, strict=True) for _ in range(w)]))
        for row in weights
    ]
    found = ours(values, clusters, resamples=300, seed=7)
    assert found.estimate == pytest.approx(statistic(values))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(resampled, [0.025, 0.975])))


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says():
    random = np.random.default_rng(0)
    images, seeds, runs = 60, 4, 400
    covered = clustered_width = naive_width = 0
    for _ in range(runs):
        # Each image is easy or hard for all seeds alike; the true share of hits is 0.4.
        easiness = random.beta(1, 1.5, size=images)
        hits = (random.random((seeds, images)) < easiness).astype(float).ravel()
        names = np.tile(np.arange(images), seeds)
        found = bootstrap_mean(hits, names, resamples=400)
        naive = bootstrap_mean(hits, resamples=400)
        covered += found.low <= 0.4 <= found.high
        clustered_width += found.high - found.low
        naive_width += naive.high - naive.low
    assert 0.91 <= covered / runs <= 0.98
    assert clustered_width > 1.2 * naive_width


def test_copies_of_the_same_observations_do_not_narrow_the_interval():
    values = np.random.default_rng(0).normal(size=40)
    names = np.arange(40)
    for statistic in (bootstrap_mean, bootstrap_median):
        once = statistic(values, names)
        thrice = statistic(np.tile(values, 3), np.tile(names, 3))
        assert thrice == pytest.approx(once)


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(0).normal(size=30)
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1)
    assert bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)


def test_a_ratio_without_any_denominator_is_nan_with_its_interval():
    assert np.isnan(bootstrap_ratio(np.ones(4), np.zeros(4))).all()


def test_nan_no_values_and_missing_labels_raise():
    with pytest.raises(ValueError, match="finite"):
        bootstrap_mean([1.0, np.nan])
    with pytest.raises(ValueError, match="finite"):
        bootstrap_median([])
    with pytest.raises(ValueError, match="labels"):
        bootstrap_mean([1.0, 2.0], ["a"])


def test_an_interval_of_many_clusters_is_drawn_part_by_part_and_stays_the_same(monkeypatch):
    from spikeline import statistics

    values = np.random.default_rng(0).gamma(2, size=300)
    whole = statistics.bootstrap_mean(values), statistics.bootstrap_median(values)
    monkeypatch.setattr(statistics, "_KEPT", 7 * 300 + 5)
    parts = statistics.bootstrap_mean(values), statistics.bootstrap_median(values)
    np.testing.assert_allclose(parts, whole, rtol=1e-12)


# --- paired differences ---------------------------------------------------------------------------


def hits_of_two_decoders(random, shares, images, seeds, alike):
    """(2, seeds, images) hits; an image's difficulty is the same for both to the share `alike`."""
    common, own = random.normal(size=images), random.normal(size=(2, images))
    difficulty = np.sqrt(alike) * common + np.sqrt(1 - alike) * own
    single = random.normal(size=(2, seeds, images))
    latent = np.sqrt(0.7) * difficulty[:, None] + np.sqrt(0.3) * single
    return latent < stats.norm.ppf(shares)[:, None, None]


@pytest.mark.parametrize(
    ("shares", "seeds"),
    # Apart, alike, at the ceiling, and a control against its model.
    [((0.6, 0.7), 1), ((0.7, 0.7), 3), ((0.97, 0.98), 1), ((0.97, 0.98), 10), ((0.01, 0.7), 3)],
)
def test_a_paired_interval_covers_the_true_difference_about_as_often_as_it_says(shares, seeds):
    random = np.random.default_rng(0)
    covered, runs = 0, 500
    for _ in range(runs):
        hits = hits_of_two_decoders(random, shares, images=100, seeds=seeds, alike=0.7)
        values, reference = hits.mean(axis=1)
        found = bootstrap_difference(values, reference, scores=seeds)
        assert found.estimate == pytest.approx(values.mean() - reference.mean())
        covered += found.low <= shares[0] - shares[1] <= found.high
    # The error of a coverage is .01. Where one image of a hundred differs it cannot be met closely.
    assert 0.93 <= covered / runs <= (0.97 if max(shares) < 0.9 else 0.99)


def test_a_paired_interval_is_narrower_than_that_of_rows_resampled_apart():
    random = np.random.default_rng(0)
    paired = apart = 0
    for _ in range(50):
        hits = hits_of_two_decoders(random, (0.6, 0.7), images=100, seeds=1, alike=0.7)
        values, reference = hits.mean(axis=1)
        found = bootstrap_difference(values, reference, resamples=400)
        paired += found.high - found.low
        each = [bootstrap_mean(one, resamples=400) for one in (values, reference)]
        apart += np.hypot(*(one.high - one.low for one in each))
    assert paired < 0.9 * apart


def test_rows_that_agree_on_every_image_have_an_interval_of_some_width():
    hits = np.ones(100)
    found = bootstrap_difference(hits, hits)
    assert found.estimate == 0
    # Two images more, each won by another row: 1 / 102 for each time that one is drawn.
    assert found.low == pytest.approx(-found.high, abs=1 / 102) and 0.01 < found.high < 0.04


def test_whole_images_are_resampled_with_both_rows():
    random = np.random.default_rng(1)
    images = np.repeat(np.arange(8), random.integers(1, 5, size=8))
    values, reference = random.random((2, len(images)))
    found = bootstrap_difference(values, reference, images, scores=3, resamples=300, seed=7)
    # The same draws, spelt out, of eight images and of one more for each row.
    trials = len(images) / 8
    sums = [(values - reference)[images == image].sum() for image in range(8)]
    sums += [trials / np.sqrt(3 * trials), -trials / np.sqrt(3 * trials)]
    counts = [*np.bincount(images), trials, trials]
    weights = np.random.default_rng(7).multinomial(10, np.full(10, 0.1), size=300)
    resampled = [
        sum(w * s for w, s in zip(row, sums, strict=True))
        / sum(w * n for w, n in zip(row, counts, strict=True))
        for row in weights
    ]
    assert found.estimate == pytest.approx((values - reference).mean())
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(resampled, [0.025, 0.975])))


def test_trials_that_do_not_pair_raise():
    with pytest.raises(ValueError, match="2 values for 3"):
        bootstrap_difference([0.0, 1.0], [0.0, 1.0, 1.0])
