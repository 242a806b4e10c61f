"""Ranks and top-k against loops, scikit-learn and random tie-breaking."""

import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score

from spikeline.bridge.retrieval import both_ways, positive_similarity, ranks


def random_similarity(queries=30, gallery=30, seed=0, levels=None):
    random = np.random.default_rng(seed)
    if levels:
        return random.integers(levels, size=(queries, gallery)).astype(float)
    return random.normal(size=(queries, gallery))


def test_without_ties_the_rank_counts_the_gallery_items_that_did_better():
    similarity = random_similarity(12, 40)
    truth = np.random.default_rng(1).integers(40, size=12)
    expected = []
    for row, true in zip(similarity, truth, strict=True):
        order = sorted(range(40), key=lambda column: -row[column])
        expected.append(order.index(true))
    found = ranks(similarity, truth)
    assert found.rank.tolist() == expected
    assert not found.tied.any()


@pytest.mark.parametrize("k", [1, 5, 10, 29])
def test_top_k_equals_that_of_scikit_learn(k):
    similarity = random_similarity() + np.eye(30)
    expected = top_k_accuracy_score(np.arange(30), similarity, k=k, labels=np.arange(30))
    assert ranks(similarity).hits(k).mean() == pytest.approx(expected)


def test_hits_among_ties_are_the_average_over_random_tie_breaking():
    similarity = random_similarity(8, 8, levels=3)
    random = np.random.default_rng(2)
    lots = [ranks(similarity + 1e-6 * random.random((8, 8))) for _ in range(4000)]
    found = ranks(similarity)
    assert found.tied.any()
    for k in (1, 3, 5):
        average = np.mean([lot.hits(k) for lot in lots], axis=0)
        np.testing.assert_allclose(found.hits(k), average, atol=0.04)
    np.testing.assert_allclose(found.rank, np.mean([lot.rank for lot in lots], axis=0), atol=0.15)


def test_a_decoder_without_an_opinion_scores_at_chance():
    found = ranks(np.zeros((50, 50)))
    for k in (1, 5, 10):
        assert found.hits(k).mean() == pytest.approx(k / 50)
    assert (found.rank == 24.5).all()
    assert (found.hits(50) == 1).all()


def test_image_to_neural_ranks_are_those_of_the_columns():
    similarity = random_similarity()
    found = both_ways(similarity)
    for image in range(30):
        better = sum(
            similarity[row, image] > similarity[image, image] for row in range(len(similarity))
        )
        assert found["image_to_neural"].rank[image] == better
    assert (found["neural_to_image"].rank != found["image_to_neural"].rank).any()


def test_positive_similarity_is_that_of_partners():
    similarity = random_similarity()
    assert positive_similarity(similarity).tolist() == [similarity[i, i] for i in range(30)]


def test_nan_and_wrong_shapes_raise():
    similarity = random_similarity()
    similarity[3, 4] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        ranks(similarity)
    with pytest.raises(ValueError, match="shape"):
        ranks(np.zeros(3))
    with pytest.raises(ValueError, match="truth"):
        ranks(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="truth"):
        ranks(np.zeros((3, 4)), np.array([0, 1, 4]))
