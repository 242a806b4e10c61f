"""The score at infinitely many repetitions, against simulated observers whose limit is known."""

from itertools import combinations

import numpy as np
import pytest

from spikeline.bridge.repetition_curve import (
    disjoint_choices,
    infinite_repetitions,
    limit,
    repetition_counts,
    tabulated_score,
)

COUNTS = (1, 2, 5, 10)


def simulated_score(sensitivity, gallery, k, queries=200_000):
    """Share of queries whose true item, of mean d', has fewer than k of the others above it."""
    random = np.random.default_rng(0)
    own = sensitivity + random.standard_normal(queries)
    others = random.standard_normal((queries, gallery - 1))
    return ((others > own[:, None]).sum(axis=1) < k).mean()


def score_at(sensitivity, gallery, k):
    return np.interp(sensitivity, np.linspace(-3, 12, 751), tabulated_score(gallery, k))


@pytest.mark.parametrize(("gallery", "k"), [(2, 1), (20, 1), (20, 5)])
@pytest.mark.parametrize("sensitivity", [0.0, 1.0, 2.5])
def test_the_score_of_a_sensitivity_is_that_of_simulated_queries(gallery, k, sensitivity):
    expected = simulated_score(sensitivity, gallery, k)
    assert score_at(sensitivity, gallery, k) == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize(("gallery", "k"), [(2, 1), (100, 1), (100, 5), (1200, 10)])
def test_no_sensitivity_is_chance(gallery, k):
    assert score_at(0.0, gallery, k) == pytest.approx(k / gallery, rel=1e-3)


@pytest.mark.parametrize("ratio", [0.05, 0.5, 4.0])
@pytest.mark.parametrize("sensitivity", [0.5, 2.0, 4.0])
@pytest.mark.parametrize("k", [1, 5])
def test_a_curve_of_the_model_itself_gives_its_limit(sensitivity, ratio, k):
    at_counts = sensitivity / np.sqrt(1 + ratio / np.array(COUNTS))
    curve = score_at(at_counts, 100, k)
    expected = score_at(sensitivity, 100, k)
    assert limit(COUNTS, curve[None], 100, k)[0] == pytest.approx(expected, abs=2e-3)


def test_many_curves_are_fitted_as_each_alone():
    curves = np.random.default_rng(0).uniform(0.1, 0.9, (40, 4))
    together = limit(COUNTS, curves, 100, 1)
    alone = [limit(COUNTS, curve[None], 100, 1)[0] for curve in curves]
    np.testing.assert_allclose(together, alone, atol=1e-9)


def observed(images, noise, repetitions, seed):
    """Shares of a linear decoder, and its score without noise.

    The decoder reads 30 coordinates of each image with an error of its own that repeats, and the
    noise of the repetitions: no part of this knows of d'.
    """
    random = np.random.default_rng(seed)
    gallery = random.standard_normal((images, 30))
    biased = gallery + 1.6 * random.standard_normal(gallery.shape)
    single = biased + noise * random.standard_normal((repetitions, *gallery.shape))

    def hits(responses):
        similarity = responses @ (gallery / np.linalg.norm(gallery, axis=1, keepdims=True)).T
        return (similarity > np.diagonal(similarity)[:, None]).sum(axis=1) < 1

    counts = repetition_counts(repetitions)
    shares = []
    for count in counts:
        chosen = disjoint_choices(repetitions, count, 10, np.random.default_rng([seed, count]))
        shares.append(np.mean([hits(single[each].mean(axis=0)) for each in chosen], axis=0))
    return counts, np.array(shares), hits(biased).mean()


def test_the_limit_is_nearer_to_the_noise_free_score_than_the_best_measured_one():
    scores, limits, truths, covered = [], [], [], []
    for seed in range(20):
        counts, shares, truth = observed(100, noise=3.0, repetitions=5, seed=seed)
        found = infinite_repetitions(counts, shares, 100, 1, resamples=300)
        scores.append(shares[-1].mean())
        limits.append(found.estimate)
        truths.append(truth)
        covered.append(found.low <= truth <= found.high)
    scores, limits, truths = map(np.array, (scores, limits, truths))
    assert (truths - scores).mean() > 0.1  # noise costs much here
    assert abs((limits - truths).mean()) < 0.03
    assert np.sqrt(np.square(limits - truths).mean()) < 0.5 * np.sqrt(
        np.square(scores - truths).mean()
    )
    assert np.mean(covered) >= 0.9


def test_a_curve_at_chance_has_a_limit_at_chance():
    random = np.random.default_rng(0)
    shares = random.random((4, 200)) < 0.05
    found = infinite_repetitions(COUNTS, shares.astype(float), 100, 5)
    assert found.low < 0.05 < found.high
    assert found.estimate < 0.08


def test_a_perfect_curve_has_a_perfect_limit():
    found = infinite_repetitions(COUNTS, np.ones((4, 50)), 100, 1)
    assert found.low > 0.99 and found.high <= 1
    assert infinite_repetitions(COUNTS, np.ones((4, 5)), 5, 5).estimate == 1


def test_counts_run_up_to_all_repetitions():
    assert repetition_counts(1) == [1]
    assert repetition_counts(5) == [1, 2, 5]
    assert repetition_counts(30) == [1, 2, 5, 10, 20, 30]
    assert repetition_counts(100) == [1, 2, 5, 10, 20, 50, 100]


def test_choices_of_one_permutation_are_disjoint_and_use_every_repetition_they_can():
    random = np.random.default_rng(0)
    choices = disjoint_choices(7, 2, 5, random)
    assert len(choices) == 6  # two permutations of three
    for three in (choices[:3], choices[3:]):
        for one, other in combinations(three, 2):
            assert not set(one) & set(other)
    assert {tuple(each) for each in disjoint_choices(4, 1, 4, random)} == {(0,), (1,), (2,), (3,)}
    (every,) = disjoint_choices(4, 4, 10, random)
    assert every.tolist() == [0, 1, 2, 3]
