"""Reconstructions and their scores: what is valid is read back, each breach is one line."""

import json
from dataclasses import replace

import numpy as np
import pytest
from artifact_examples import some_reconstructions

from spikeline.artifacts.images import reconstruction_scores, reconstructions
from spikeline.artifacts.images.reconstruction_scores import ReconstructionScores, SeedScores
from spikeline.errors import InputError

RECORD = {"step": "test", "origins": {}}


def some_scores(**changed):
    images = np.array(["a", "b", "c"], object)
    seeds = [
        SeedScores(
            seed=seed,
            images=images,
            scores={"pixcorr": np.array([0.1, -0.2, 0.3]), "clip": np.array([1.0, 0.5, 0.0])},
            others={"pixcorr": np.zeros(3), "clip": np.full(3, 0.5)},
            sets={"frechet_clip": 12.5},
        )
        for seed in (0, 1)
    ]
    given = {
        "settings": {"pixel_size": None},
        "measures": {
            "pixcorr": "pixels", "clip": "two_way", "swav": "distance", "frechet_clip": "frechet",
        },
        "seeds": seeds,
        "missing": {"swav": "weights missing: none are given"},
        "facts": {"generator": "tiny:0123"},
    }  # fmt: skip
    return ReconstructionScores(**{**given, **changed})


def test_reconstructions_are_read_back_with_their_settings(tmp_path):
    made = some_reconstructions()
    reconstructions.write(tmp_path / "r.h5", made, RECORD)
    found = reconstructions.read(tmp_path / "r.h5")
    for name in ("images", "pixels", "low_level", "retrieved"):
        np.testing.assert_array_equal(getattr(found, name), getattr(made, name))
    assert found.settings == made.settings and found.generator == made.generator


def test_low_level_and_retrieved_images_may_be_absent(tmp_path):
    made = some_reconstructions(low_level=None, retrieved=None)
    reconstructions.write(tmp_path / "r.h5", made, RECORD)
    found = reconstructions.read(tmp_path / "r.h5")
    assert found.low_level is None and found.retrieved is None


def test_pixels_are_mapped_so_that_a_gallery_reads_only_its_images(tmp_path):
    reconstructions.write(tmp_path / "r.h5", some_reconstructions(), RECORD)
    assert isinstance(reconstructions.read(tmp_path / "r.h5").pixels, np.memmap)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"images": np.array(["a", "a", "b", "c"], object)}, "field images holds 'a' more than"),
        ({"pixels": np.zeros((4, 16, 16, 3))}, "field pixels has dtype float64, expected uint8"),
        ({"pixels": np.zeros((4, 16, 16, 4), np.uint8)}, "field pixels has shape"),
        ({"low_level": np.zeros((4, 8, 8, 3), np.uint8)}, "field low_level has shape"),
        ({"retrieved": np.array(["x"], object)}, "field retrieved has shape"),
    ],
)
def test_a_breach_of_reconstructions_is_named(tmp_path, changed, said):
    with pytest.raises(InputError, match=said):
        reconstructions.write(tmp_path / "r.h5", some_reconstructions(**changed), RECORD)
    assert not (tmp_path / "r.h5").exists()


def test_one_image_or_settings_that_are_no_object_are_refused(tmp_path):
    values = reconstructions.stored(some_reconstructions())
    with pytest.raises(InputError, match="settings is no JSON object"):
        reconstructions.CONTRACT.check({**values, "settings": "[1"}, "r.h5")
    one = {key: value[:1] if np.ndim(value) else value for key, value in values.items()}
    with pytest.raises(InputError, match="has 1 name, expected two or more"):
        reconstructions.CONTRACT.check(one, "r.h5")


def test_scores_are_read_back(tmp_path):
    scores = some_scores()
    reconstruction_scores.write(tmp_path / "s.json", scores, RECORD)
    found = reconstruction_scores.read(tmp_path / "s.json")
    for name in ("settings", "measures", "missing", "facts"):
        assert getattr(found, name) == getattr(scores, name)
    for one, other in zip(found.seeds, scores.seeds, strict=True):
        assert one.seed == other.seed and one.sets == other.sets
        assert one.images.tolist() == other.images.tolist()
        for part in ("scores", "others"):
            for measure, values in getattr(other, part).items():
                np.testing.assert_array_equal(getattr(one, part)[measure], values)


def seed(**changed):
    return replace(some_scores().seeds[0], **changed)


CLIP = {"pixcorr": np.zeros(3)}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seeds": []}, "expected one or more different seeds"),
        ({"seeds": [seed(), seed()]}, "expected one or more different seeds"),
        ({"measures": {"pixcorr": "pixel"}}, "of unknown family 'pixel'"),
        ({"missing": {"lpips": "why"}}, "lpips is missing, but is none of its measures"),
        ({"missing": {"swav": ""}}, "does not say why swav is missing"),
        ({"missing": {}}, "scores: lacks swav"),
        ({"seeds": [seed(images=np.array(["a", "a", "b"], object))]}, "distinct names"),
        ({"seeds": [seed(scores={"pixcorr": np.zeros(3)})]}, "seed 0: scores: lacks clip"),
        ({"seeds": [seed(others=CLIP)]}, "seed 0: others: lacks clip"),
        ({"seeds": [seed(sets={})]}, "seed 0: sets: lacks frechet_clip"),
        ({"seeds": [seed(sets={"frechet_clip": np.nan})]}, "not all numbers are finite"),
        ({"seeds": [seed(scores={**CLIP, "clip": np.ones(2)})]}, "clip: expected 3 finite"),
        ({"seeds": [seed(scores={**CLIP, "clip": np.full(3, np.nan)})]}, "clip: expected 3 finite"),
        ({"seeds": [seed(scores={**CLIP, "clip": np.full(3, 1.1)})]}, "clip: expected shares"),
        ({"seeds": [seed(scores={**seed().scores, "x": CLIP["pixcorr"]})]}, "unknown measure x"),
    ],
)
def test_a_breach_of_scores_is_named(tmp_path, changed, said):
    with pytest.raises(InputError, match=said):
        reconstruction_scores.write(tmp_path / "s.json", some_scores(**changed), RECORD)
    assert not (tmp_path / "s.json").exists()


def test_a_damaged_file_of_scores_is_one_line(tmp_path):
    reconstruction_scores.write(tmp_path / "s.json", some_scores(), RECORD)
    whole = json.loads((tmp_path / "s.json").read_text())
    for broken in ({"seeds": None}, {"measures": 3}, {"contract": "evaluations/2"}):
        (tmp_path / "s.json").write_text(json.dumps({**whole, **broken}))
        with pytest.raises(InputError, match=r"s\.json: .*make it again"):
            reconstruction_scores.read(tmp_path / "s.json")
