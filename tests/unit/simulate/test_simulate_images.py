"""The simulated images: held-out combinations, captions, determinism."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from spikeline.simulate import images
from spikeline.simulate.backgrounds import BACKGROUNDS

FACTORS = ("shape", "colour", "texture", "size", "place", "background")


@pytest.fixture(scope="module")
def stimuli():
    return images.design_stimuli(concepts=100, images_per_concept=12, test_images=100, seed=0)


def test_test_images_combine_factors_as_no_training_image_does(stimuli):
    combinations = list(zip(*(getattr(stimuli, factor) for factor in FACTORS), strict=True))
    training = {c for c, test in zip(combinations, stimuli.test, strict=True) if not test}
    held_out = {c for c, test in zip(combinations, stimuli.test, strict=True) if test}
    assert len(training) == 1200 and len(held_out) == 100
    assert not training & held_out


def test_further_images_have_no_test_images_caption_and_every_level_as_often(stimuli):
    further = images.design_further(20_000, stimuli, seed=0)
    assert len(further) == 20_000 and not further.test.any()
    tested = {stimuli.caption(image) for image in np.flatnonzero(stimuli.test)}
    assert not tested & {further.caption(image) for image in range(len(further))}
    assert all(name.startswith("further/") for name in further.name)
    assert len(set(further.name)) == len(further)
    for factor in FACTORS:
        counts = np.bincount(getattr(further, factor))
        assert counts.min() > 0.85 * counts.mean() and counts.max() < 1.15 * counts.mean()
    again = images.design_further(20_000, stimuli, seed=0)
    assert (again.x == further.x).all() and (again.name == further.name).all()


def test_every_test_concept_has_twelve_training_images(stimuli):
    training = stimuli.concept[~stimuli.test].tolist()
    assert len(set(stimuli.concept[stimuli.test])) == 100
    assert all(training.count(concept) == 12 for concept in stimuli.concept[stimuli.test])


def test_names_are_unique_and_lie_in_their_concepts_folder(stimuli):
    assert len(set(stimuli.name)) == len(stimuli)
    for name, concept in zip(stimuli.name, stimuli.concept, strict=True):
        folder, file = name.split("/")
        assert folder == concept and file.startswith(f"{concept}_") and file.endswith(".jpg")


def test_a_caption_names_every_factor(stimuli):
    for i in (0, 700, 1299):
        caption = stimuli.caption(i)
        words = [
            images.SHAPES[stimuli.shape[i]],
            list(images.COLOURS)[stimuli.colour[i]],
            images.TEXTURES[stimuli.texture[i]],
            list(images.SIZES)[stimuli.size[i]],
            images.PLACES[stimuli.place[i]],
            BACKGROUNDS[stimuli.background[i]],
        ]
        assert all(word in caption for word in words)
        assert stimuli.concept[i] == "_".join([words[1], words[2], words[0]])


def test_levels_of_each_factor_occur_about_equally_often(stimuli):
    for factor, levels in (("shape", 12), ("colour", 10), ("texture", 5)):
        counts = np.bincount(getattr(stimuli, factor)[stimuli.test], minlength=levels)
        assert counts.min() >= 0.7 * 100 / levels and counts.max() <= 1.3 * 100 / levels


def test_the_same_seed_draws_the_same_pixels_and_another_seed_does_not():
    first, again, other = (images.design_stimuli(10, 2, 5, seed) for seed in (3, 3, 4))
    assert first.name.tolist() == again.name.tolist()
    pixels = [np.stack([images.render(s, i, 64) for i in range(6)]) for s in (first, again, other)]
    np.testing.assert_array_equal(pixels[0], pixels[1])
    assert (pixels[0] != pixels[2]).any()


def test_an_object_covers_the_place_its_factors_say(stimuli):
    # Independent of the drawing: images of one place differ from the mean image around that place.
    chosen = np.flatnonzero(~stimuli.test)[:400]
    drawn = np.stack([images.render(stimuli, i, 48) for i in chosen]).astype(float)
    for background in range(len(BACKGROUNDS)):
        rows = stimuli.background[chosen] == background
        drawn[rows] -= np.median(drawn[rows], axis=0)
    change = np.abs(drawn).mean(axis=3)
    axis = (np.arange(48) + 0.5) / 48
    for place, (x, y) in {0: (0.3, 0.3), 4: (0.5, 0.5), 8: (0.7, 0.7)}.items():
        mean = change[stimuli.place[chosen] == place].mean(axis=0)
        weights = np.clip(mean - np.median(mean), 0, None)
        weights /= weights.sum()
        assert abs((weights.sum(axis=0) @ axis) - x) < 0.08
        assert abs((weights.sum(axis=1) @ axis) - y) < 0.08


def test_jpeg_keeps_the_picture(stimuli):
    pixels = images.render(stimuli, 0, 96)
    decoded = np.asarray(Image.open(io.BytesIO(images.encode_jpeg(pixels))))
    assert decoded.shape == (96, 96, 3)
    assert np.abs(decoded.astype(float) - pixels).mean() < 5


def test_more_images_than_combinations_are_refused():
    with pytest.raises(ValueError, match="images_per_concept"):
        images.design_stimuli(2, 10**4, 2, 0)


def test_more_concepts_than_shapes_colours_and_textures_make_are_divided_objects():
    plain = images.design_stimuli(600, 1, 100, seed=0)
    assert len(set(plain.concept)) == 600 and not plain.division.any()
    many = images.design_stimuli(1854, 1, 100, seed=0)
    assert len(set(many.concept)) == 1854
    training = many.division[~many.test]
    assert np.abs(np.bincount(training) - 1854 / 4).max() < 2
    for i in np.flatnonzero(many.division)[:20]:
        division = images.DIVISIONS[many.division[i]]
        assert many.concept[i].startswith(f"{division}_") and f" {division} " in many.caption(i)


def test_in_one_half_of_a_halved_object_its_colours_change_places():
    drawn = images.design_stimuli(10, 2, 5, seed=3)
    level = replace(drawn, tilt=np.zeros(len(drawn)))
    halved = replace(level, division=np.ones(len(drawn), dtype=int))
    for i in range(len(drawn)):
        changed = np.abs(
            images.render(level, i, 96).astype(int) - images.render(halved, i, 96).astype(int)
        ).max(2)
        middle = round(drawn.y[i] * 96)
        assert changed[: middle - 1].max() == 0 and changed[middle + 2 :].max() > 30


def test_more_concepts_than_objects_are_refused():
    with pytest.raises(ValueError, match="concepts must be at most 2400"):
        images.design_stimuli(2401, 1, 2, 0)
