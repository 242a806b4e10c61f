"""The identification ceiling against loops and cases with a known answer."""

import numpy as np
import pytest

from spikeline.bridge.noise_ceiling import noise_ceiling
from spikeline.errors import InputError

DRAWS = 20


def repetitions(noise, count=10, images=20, electrodes=40, seed=0):
    random = np.random.default_rng(seed)
    signal = random.normal(size=(images, electrodes)) * random.uniform(0.1, 5, electrodes) + 3
    return signal + noise * random.normal(size=(count, images, electrodes))


def test_it_equals_a_loop_over_splits_and_images():
    values = repetitions(noise=12)
    draws = 3
    random = np.random.default_rng(5)
    hits = []
    for _ in range(draws):
        order = random.permutation(10)
        a, b = values[order[:5]].mean(0), values[order[5:]].mean(0)
        a, b = (a - a.mean(0)) / a.std(0), (b - b.mean(0)) / b.std(0)
        for image in range(20):
            r = [np.corrcoef(a[image], b[other])[0, 1] for other in range(20)]
            hits.append(sorted(r, reverse=True).index(r[image]))
    found = noise_ceiling(values, None, draws, seed=5)
    assert 0 < found["top1"] < 1
    for k in (1, 5, 10):
        assert found[f"top{k}"] == pytest.approx(np.mean([hit < k for hit in hits]))


def test_without_noise_every_image_is_identified():
    found = noise_ceiling(repetitions(noise=0), None, DRAWS)
    assert found["top1"] == found["top10"] == 1


def test_without_signal_it_is_chance():
    noise = np.random.default_rng(0).normal(size=(10, 50, 30))
    found = noise_ceiling(noise, None, 100)
    assert found["top1"] == pytest.approx(1 / 50, abs=0.02)
    assert found["top5"] == pytest.approx(5 / 50, abs=0.03)


def test_a_query_of_fewer_repetitions_lowers_it():
    values = repetitions(noise=12)
    scores = [noise_ceiling(values, count, DRAWS)["top1"] for count in (1, 2, 5)]
    assert scores == sorted(scores)
    assert scores[0] < scores[-1]
    found = noise_ceiling(values, 2, DRAWS)
    assert (found["query_repetitions"], found["gallery_repetitions"]) == (2, 8)


def test_more_than_half_of_the_repetitions_means_half():
    values = repetitions(noise=12)
    half, *more = (noise_ceiling(values, count, DRAWS) for count in (5, 10, None))
    assert more == [half, half]


def test_an_electrode_that_never_varies_changes_nothing():
    values = repetitions(noise=12)
    dead = np.concatenate([values, np.full((10, 20, 1), 7.0)], axis=2)
    with_dead, without = (noise_ceiling(each, None, DRAWS)["top1"] for each in (dead, values))
    assert with_dead == pytest.approx(without, abs=0.03)


def test_it_is_not_available_without_two_repetitions():
    assert noise_ceiling(None, None, DRAWS) is None
    assert noise_ceiling(repetitions(noise=1, count=1), None, DRAWS) is None


def test_no_electrode_is_an_error():
    with pytest.raises(InputError, match="0 electrodes"):
        noise_ceiling(np.zeros((4, 5, 0)), None, DRAWS)
