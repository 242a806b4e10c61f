"""Scoring one seed: every measure beside that of other responses, and what is missing."""

import numpy as np
import pytest
import torch

from spikeline.artifacts.images import reconstruction_scores
from spikeline.artifacts.images.reconstruction_scores import ReconstructionScores
from spikeline.bridge.reconstruction.scores import measures as scores
from spikeline.bridge.reconstruction.scores import scoring
from spikeline.bridge.reconstruction.scores.extractors import Extractor
from spikeline.bridge.reconstruction.scores.scoring import Scorer
from spikeline.errors import InputError

CPU = torch.device("cpu")
IMAGES = [f"i{k}.jpg" for k in range(12)]
CLIP = {"kind": "encoder", "encoder": "demo", "measure": "clip", "frechet": True}
CLASSIFIER = {"kind": "demo_classifier", "factors": ["shape"]}
SHAPES = {name: "star" if k % 3 else "ring" for k, name in enumerate(IMAGES)}


def pictures(noise=0.0):
    random = np.random.default_rng(0)
    shown = random.integers(0, 256, (len(IMAGES), 16, 16, 3))
    made = (1 - noise) * shown + noise * random.integers(0, 256, shown.shape)
    return shown.astype(np.uint8), made.astype(np.uint8)


def means(pixels):
    return {"clip": pixels.reshape(len(pixels), 16, 4, 4, 3).mean((2, 3)).reshape(len(pixels), -1)}


def scorer(loaded=None, mispairings=5, entries=None, **more):
    loaded = {"clip": Extractor(means)} if loaded is None else loaded
    entries = entries or {"clip": CLIP}
    return Scorer(entries, loaded, {}, mispairings=mispairings, **more)


def test_every_measure_is_beside_that_of_images_made_from_other_responses():
    shown, made = pictures(noise=0.7)
    found = scorer().score(3, IMAGES, shown, made)
    assert found.seed == 3 and found.images.tolist() == IMAGES
    pairings = scores.mispairings(len(IMAGES), 5, seed=0)
    expected = [scores.pixel_correlation(shown, made[pairing]) for pairing in pairings]
    np.testing.assert_allclose(found.others["pixcorr"], np.mean(expected, axis=0))
    assert found.scores["pixcorr"].mean() > found.others["pixcorr"].mean() + 0.2
    assert found.scores["clip"].mean() > 0.8
    assert found.others["clip"].mean() == pytest.approx(0.5, abs=0.1)
    assert set(found.scores) == {
        "pixcorr", "ssim", "clip", "clip_similarity", "clip_top1", "clip_top5",
    }  # fmt: skip


def test_others_of_identification_score_the_features_of_another_image():
    shown, made = pictures(noise=0.7)
    found = scorer().score(0, IMAGES, shown, made)
    features = [means(pixels)["clip"] for pixels in (shown, made)]
    expected = []
    for pairing in scores.mispairings(len(IMAGES), 5, seed=0):
        table = scores.correlations(features[0], features[1][pairing])
        expected.append(scores.two_way(table))
    np.testing.assert_allclose(found.others["clip"], np.mean(expected, axis=0), atol=1e-6)


def test_a_perfect_reconstruction_has_the_best_score_of_every_measure():
    shown, _ = pictures()
    found = scorer().score(0, IMAGES, shown, shown)
    for measure in ("pixcorr", "ssim", "clip", "clip_similarity", "clip_top1"):
        np.testing.assert_allclose(found.scores[measure], 1, atol=1e-6)


def test_too_few_images_for_a_frechet_distance_are_told_with_both_numbers():
    one = scorer()
    found = one.score(0, IMAGES, *pictures())
    assert found.sets == {}
    assert one.missing == {
        "frechet_clip": "too few images: 12 for 48 features, expected at least 480"
    }


def test_with_enough_images_there_is_a_frechet_distance():
    one = scorer({"clip": Extractor(lambda p: {"clip": p.mean((1, 2, 3))[:, None]})})
    shown, made = pictures(noise=1)
    found = one.score(0, IMAGES, shown, made)
    assert one.missing == {}
    first, second = (pixels.mean((1, 2, 3)) for pixels in (shown, made))
    expected = (first.mean() - second.mean()) ** 2 + (first.std(ddof=1) - second.std(ddof=1)) ** 2
    assert found.sets["frechet_clip"] == pytest.approx(expected)


def reads(right):
    """A classifier that reads the shape of the first `right` images and nothing after them."""
    seen = np.array([SHAPES[name] if k < right else "?" for k, name in enumerate(IMAGES)], object)

    def features(pixels):
        return {"classifier_early": means(pixels)["clip"], "classifier_late": means(pixels)["clip"]}

    return Extractor(features, lambda pixels: {"shape": seen})


def test_a_factor_is_right_where_the_classifier_reads_that_of_the_shown_image():
    one = scorer({"c": reads(8)}, entries={"c": CLASSIFIER}, factors={"shape": SHAPES})
    found = one.score(0, IMAGES, *pictures())
    assert found.scores["shape_correct"].tolist() == [1] * 8 + [0] * 4
    # Two thirds are stars: that is what other images' answers give.
    assert 0 < found.others["shape_correct"].mean() < 0.6
    assert one.measures()["shape_correct"] == "correct"


def test_factors_that_are_not_known_are_said():
    one = scorer({"c": reads(8)}, entries={"c": CLASSIFIER}, factors={"colour": {}})
    with pytest.raises(InputError, match="has no 'shape', only colour"):
        one.score(0, IMAGES, *pictures())
    one = scorer({"c": reads(8)}, entries={"c": CLASSIFIER}, factors={"shape": {"i0.jpg": "star"}})
    with pytest.raises(InputError, match=r"lacks 'i1\.jpg' and 10 more of 12"):
        one.score(0, IMAGES, *pictures())


def test_features_that_are_not_finite_are_refused():
    one = scorer({"clip": Extractor(lambda p: {"clip": np.full((len(p), 3), np.nan)})})
    with pytest.raises(InputError, match=r"extractors\.clip: clip is not finite"):
        one.score(0, IMAGES, *pictures())


def test_pixels_may_be_compared_at_another_size_but_not_below_the_window():
    shown, made = pictures(noise=0.5)
    found = scorer(size=12).score(0, IMAGES, shown, made)
    small = [scores.resized(pixels, 12) for pixels in (shown, made)]
    np.testing.assert_allclose(found.scores["ssim"], scores.structural_similarity(*small))
    with pytest.raises(InputError, match=r"smaller than SSIM's window of 11"):
        scorer().score(0, IMAGES, shown[:, :8, :8], made[:, :8, :8])


def test_two_extractors_of_one_measure_are_refused():
    for entries in ({"a": CLIP, "b": CLIP}, {"a": {**CLIP, "measure": "ssim"}}):
        with pytest.raises(InputError, match="is already a measure of"):
            Scorer.load(entries, {}, CPU, {}, mispairings=1)


def test_an_extractor_without_weights_leaves_its_measures_missing_and_the_others_whole(caplog):
    swav = {"kind": "swav", "frechet": False, "size": 64, "weights": None, "batch_size": 2}
    one = Scorer.load({"swav": swav}, {}, CPU, {}, mispairings=2)
    assert one.missing["swav"].startswith("weights missing: none are given; name a .safetensors")
    assert "extractor swav: weights missing" in caplog.text
    found = one.score(0, IMAGES, *pictures())
    assert set(found.scores) == {"pixcorr", "ssim"}
    whole = ReconstructionScores({}, one.measures(), [found], one.missing)
    reconstruction_scores.check(whole, "scores")
    assert whole.measures["swav"] == "distance"


def test_a_distance_is_one_less_the_correlation_of_the_pair():
    matrix = np.array([[0.9, 0.1], [0.3, 0.4]])
    np.testing.assert_allclose(scoring._of_pairs("distance", matrix), [0.1, 0.6])
