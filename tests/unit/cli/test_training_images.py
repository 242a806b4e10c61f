"""Which images a generator learnt from, and that it is asked about no other."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spikeline.cli._images import check_unseen
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
