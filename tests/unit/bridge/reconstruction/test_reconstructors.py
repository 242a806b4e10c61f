"""What a reconstructor predicts, at which scale, and what stands in for the responses."""

from __future__ import annotations

import numpy as np
import pytest
from planted_code import LATENT_SHAPE, electrodes, recording, settings
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_predict

from spikeline.bridge.reconstruction.decoding import decode, starts_of, targets_of
from spikeline.bridge.reconstruction.drawing import candidates, correlations
from spikeline.bridge.reconstruction.fitting import fit_reconstructor, unseen_rows
from spikeline.bridge.reconstruction.reconstructor import EMBEDDING, LATENTS, Reconstructor
from spikeline.bridge.reconstruction.standardising import Moments, standardised
from spikeline.bridge.ridge import left_out_predictions
from spikeline.errors import InputError

KINDS = ("unclip", "img2img", "ip_adapter", "low_level", "retrieval")


def fitted(recorded, kind="unclip", levels=None, **given):
    values, shown = recorded.part(test=False)
    images = recorded.images[: recorded.training]
    targets = {name: shown.flat(name) for name in targets_of(kind)}
    own = settings(kind, **given)
    table = electrodes()
    return fit_reconstructor(
        values, targets, images, images, table, own, LATENT_SHAPE, levels=levels
    )


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_learns_a_planted_linear_code(kind):
    recorded = recording(signal=1.0)
    values, shown = recorded.part(test=True)
    _, seen = recorded.part(test=False)
    found = decode(fitted(recorded, kind), "responses", values, shown, seen)
    for name, predicted in found.values.items():
        assert correlations(predicted.T, shown.flat(name).T).mean() > 0.9, name
    assert set(found.values) == set(targets_of(kind))
    assert (found.retrieved is not None) == (kind in ("img2img", "retrieval"))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_stays_at_chance_on_noise(kind):
    recorded = recording(signal=0.0)
    values, shown = recorded.part(test=True)
    _, seen = recorded.part(test=False)
    found = decode(fitted(recorded, kind), "responses", values, shown, seen)
    for name, predicted in found.values.items():
        assert abs(correlations(predicted.T, shown.flat(name).T).mean()) < 0.25, name


def test_left_out_predictions_are_those_of_scikit_learn_with_the_same_folds():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 5)), rng.standard_normal((40, 3))
    # Groups of one row each, whose folds the function draws as below.
    order = np.random.default_rng(0).permutation(40)
    folds = [(np.flatnonzero(order % 5 != k), np.flatnonzero(order % 5 == k)) for k in range(5)]
    assert sum(len(out) for _, out in folds) == 40
    expected = cross_val_predict(Ridge(alpha=2.0), x, y, cv=folds)
    np.testing.assert_allclose(left_out_predictions(x, y, np.arange(40), 2.0), expected, atol=1e-5)
    assert not np.allclose(cross_val_predict(Ridge(alpha=2.0), x, y, cv=KFold(5)), expected)


def test_rows_of_one_image_are_left_out_together():
    # Ten noisy copies of each of six images: a copy left in would tell the row left out.
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(6), 10)
    x = np.eye(6)[groups] + 0.01 * rng.standard_normal((60, 6))
    y = rng.standard_normal((6, 2))[groups]
    together = left_out_predictions(x, y, groups, 0.1)
    alone = left_out_predictions(x, y, np.arange(60), 0.1)
    assert np.abs(alone - y).mean() < 0.1 < np.abs(together - y).mean()


def test_validation_images_are_those_that_a_decoder_has_not_seen():
    images = np.array([f"{k // 2:02d}.png" for k in range(40)], object)
    seen = np.arange(40) < 24
    rows, chosen = unseen_rows(seen, images, 5, seed=1)
    np.testing.assert_array_equal(rows, np.arange(24))
    assert len(set(images[chosen])) == 5 and not np.isin(images[chosen], images[seen]).any()
    assert len(unseen_rows(seen, images, 100, seed=1)[1]) == 8
    with pytest.raises(InputError, match="choosing-decoder: was trained on every training image"):
        unseen_rows(np.ones(40, bool), images, 5, seed=1)


def test_standardised_predictions_have_the_moments_of_their_targets():
    rng = np.random.default_rng(2)
    targets = Moments.of(5 + 3 * rng.standard_normal((200, 4)))
    predicted = 1 + 0.2 * rng.standard_normal((50, 4)).astype(np.float32)
    unused = Moments.of(rng.standard_normal((9, 4)))
    own = Moments.of(standardised(predicted, targets, unused, "decoded"))
    np.testing.assert_allclose(own.mean, targets.mean, atol=1e-5)
    np.testing.assert_allclose(own.std, targets.std, rtol=1e-5)
    np.testing.assert_array_equal(standardised(predicted, targets, unused, "none"), predicted)


def test_few_responses_are_brought_to_scale_by_left_out_training_rows():
    training = Moments(np.array([1.0], np.float32), np.array([0.5], np.float32))
    targets = Moments(np.array([10.0], np.float32), np.array([4.0], np.float32))
    # By hand: (2 - 1) / 0.5 * 4 + 10.
    row = np.array([[2.0]], np.float32)
    for method in ("decoded", "training"):
        assert standardised(row, targets, training, method) == pytest.approx(18.0)


def test_a_dimension_that_never_varies_in_prediction_becomes_the_mean():
    flat = Moments(np.zeros(1, np.float32), np.zeros(1, np.float32))
    targets = Moments(np.array([7.0], np.float32), np.array([2.0], np.float32))
    np.testing.assert_array_equal(
        standardised(np.zeros((30, 1)), targets, flat, "decoded"), np.full((30, 1), 7.0)
    )


def test_a_saved_reconstructor_predicts_the_same(tmp_path):
    recorded = recording(signal=1.0)
    values, _ = recorded.part(test=True)
    before = fitted(recorded)
    before.save(tmp_path / "r.safetensors", {"step": "fit-reconstructor"})
    after = Reconstructor.load(tmp_path / "r.safetensors")
    for name in (EMBEDDING, LATENTS):
        np.testing.assert_array_equal(after.predict(name, values), before.predict(name, values))
    assert (after.settings, after.latent_shape) == (before.settings, before.latent_shape)
    assert list(after.images) == list(before.images)


def test_a_damaged_reconstructor_is_refused_by_name(tmp_path):
    path = tmp_path / "r.safetensors"
    fitted(recording(signal=1.0)).save(path, {})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"r\.safetensors.*make it again"):
        Reconstructor.load(path)


def test_other_electrodes_than_in_training_are_refused():
    with pytest.raises(InputError, match="fitted to 40 electrodes"):
        fitted(recording(signal=1.0)).predict(EMBEDDING, np.zeros((3, 39), np.float32))


def test_the_shown_image_is_read_only_where_it_stands_in_for_the_responses():
    recorded = recording(signal=1.0)
    values, shown = recorded.part(test=True)
    _, seen = recorded.part(test=False)
    hidden = type(shown)(np.full_like(shown.embeddings, np.nan), shown.latents * np.nan)
    reconstructor = fitted(recorded)
    for source in ("responses", "mean", "random"):
        with_it = decode(reconstructor, source, values, shown, seen).values
        without = decode(reconstructor, source, values, hidden, seen).values
        for name in with_it:
            np.testing.assert_array_equal(with_it[name], without[name])
    found = decode(reconstructor, "image", values, shown, seen).values
    np.testing.assert_array_equal(found[EMBEDDING], shown.embeddings)


def test_random_and_mean_controls_have_the_moments_of_the_training_images():
    recorded = recording(signal=1.0, test=60)
    _, shown = recorded.part(test=True)
    _, seen = recorded.part(test=False)
    reconstructor = fitted(recorded)
    values = np.zeros((4000, 40), np.float32)
    targets = Moments.of(seen.embeddings)
    drawn = decode(reconstructor, "random", values, shown, seen).values[EMBEDDING]
    own = Moments.of(drawn)
    np.testing.assert_allclose(own.mean, targets.mean, atol=0.1 * targets.std.max())
    np.testing.assert_allclose(own.std, targets.std, rtol=0.1)
    mean = decode(reconstructor, "mean", values, shown, seen).values[EMBEDDING]
    np.testing.assert_allclose(mean, np.tile(targets.mean, (4000, 1)), rtol=1e-5)


def test_retrieval_finds_the_training_image_of_the_nearest_embedding():
    recorded = recording(signal=1.0)
    values, shown = recorded.part(test=True)
    _, seen = recorded.part(test=False)
    found = decode(fitted(recorded, "retrieval"), "image", values, shown, seen)
    # The plain slow way: standardise, then the largest cosine.
    mean, std = seen.embeddings.mean(0), seen.embeddings.std(0)
    for row, embedding in zip(found.retrieved, shown.embeddings, strict=True):
        one = (embedding - mean) / std
        cosines = [
            one @ other / np.linalg.norm(one) / np.linalg.norm(other)
            for other in (seen.embeddings - mean) / std
        ]
        assert row == int(np.argmax(cosines))


def test_drawing_starts_from_decoded_latents_or_from_those_of_the_retrieved_image():
    from dataclasses import replace

    recorded = recording(signal=1.0)
    values, shown = recorded.part(test=True)
    _, seen = recorded.part(test=False)
    unclip = replace(fitted(recorded), choices={"start_weight": 0.25})
    found = decode(unclip, "responses", values, shown, seen)
    starts = starts_of(unclip, "responses", found, seen)
    latents = found.values[LATENTS].reshape(-1, *LATENT_SHAPE)
    expected = 0.25 * latents + 0.75 * seen.latents.mean(0)
    np.testing.assert_allclose(starts, expected, rtol=1e-5, atol=1e-6)
    assert starts_of(unclip, "image", found, seen) is None
    img2img = fitted(recorded, "img2img")
    found = decode(img2img, "responses", values, shown, seen)
    np.testing.assert_array_equal(
        starts_of(img2img, "responses", found, seen), seen.latents[found.retrieved]
    )


def test_candidates_are_every_combination_of_the_listed_values():
    own = settings("unclip", guidance=[1, 3], strength=[0.5], start_weight=[0, 1])
    assert candidates(own) == [
        {"guidance": 1, "strength": 0.5, "start_weight": 0},
        {"guidance": 1, "strength": 0.5, "start_weight": 1},
        {"guidance": 3, "strength": 0.5, "start_weight": 0},
        {"guidance": 3, "strength": 0.5, "start_weight": 1},
    ]


def test_correlations_are_those_of_numpy_and_zero_for_a_constant():
    rng = np.random.default_rng(3)
    one, other = rng.random((4, 2, 3)), rng.random((4, 2, 3))
    expected = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(correlations(one, other), expected)
    assert correlations(np.ones((1, 5)), rng.random((1, 5))) == 0
