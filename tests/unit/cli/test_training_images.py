"""Which images a generator learnt from, and that it is asked about no other."""

from __future__ import annotations

import json

import numpy as np
import pytest
from artifact_examples import some_responses

from spikeline.artifacts import responses
from spikeline.cli._images import check_unseen, some_of
from spikeline.cli.main import main
from spikeline.errors import InputError

IMAGES = np.array(["a/1.jpg", "a/2.jpg"], object)


def test_a_folder_that_learnt_a_test_image_is_refused_with_that_image(tmp_path):
    record = {"training_images": ["a/2.jpg", "b/1.jpg"]}
    (tmp_path / "provenance.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"trained on 1 of the test images .*'a/2\.jpg'"):
        check_unseen(str(tmp_path), IMAGES, "responses.h5")


def test_a_folder_that_learnt_other_images_or_does_not_say_is_taken(tmp_path):
    check_unseen(str(tmp_path), IMAGES, "responses.h5")
    (tmp_path / "provenance.json").write_text(json.dumps({"training_images": ["b/1.jpg"]}))
    check_unseen(str(tmp_path), IMAGES, "responses.h5")


MANY = np.array([f"a/{k:02d}.jpg" for k in range(40)], object)


def test_a_training_takes_as_many_images_as_it_is_told_in_their_order():
    taken = some_of(MANY, {"images": 10, "seed": 0}, "responses.h5")
    assert len(set(taken)) == 10 and set(taken) < set(MANY)
    assert list(taken) == sorted(taken)


def test_which_images_are_taken_is_the_seeds_alone():
    first, again, other = (
        list(some_of(MANY, {"images": 10, "seed": seed}, "responses.h5")) for seed in (3, 3, 4)
    )
    assert first == again != other


def test_without_a_number_all_images_are_taken():
    assert some_of(MANY, {"images": None, "seed": 0}, "responses.h5") is MANY


def test_more_images_than_there_are_is_refused_with_their_number():
    with pytest.raises(InputError, match=r"responses\.h5: has 40 training images.*asks for 41"):
        some_of(MANY, {"images": 41, "seed": 0}, "responses.h5")


def test_a_generator_takes_no_more_images_than_there_are(tmp_path, capsys):
    path = tmp_path / "r.h5"
    responses.write(path, some_responses(), {})
    asked = [
        "train-generator", "--responses", str(path), "--latents", "none.h5",
        "--autoencoder", "none", "--embeddings", "none.h5", "--settings",
        '{"conditioning": "image", "images": 9999}',
        "--states", str(tmp_path / "states"), "--output", str(tmp_path / "g"),
        "--history", str(tmp_path / "g.tsv"), "--device", "cpu",
    ]  # fmt: skip
    assert main(asked) == 1
    assert "the training asks for 9999" in capsys.readouterr().err
    assert not (tmp_path / "g").exists()
