"""Allen's presentations by the name of their image."""

from __future__ import annotations

import math

import pytest

from spikeline.sources.allen import image_name


@pytest.mark.parametrize(
    ("stimulus", "frame", "name"),
    [
        ("natural_scenes", 7.0, "natural_scenes/007.png"),
        ("natural_scenes", -1.0, ""),
        ("natural_scenes", math.nan, None),
        ("natural_movie_one", 0.0, "natural_movie_one/0000.png"),
        ("natural_movie_1", 899.0, "natural_movie_one/0899.png"),
        ("natural_movie_one_more_repeats", 3.0, "natural_movie_one/0003.png"),
        ("natural_movie_three", 3599.0, "natural_movie_three/3599.png"),
        ("natural_movie_one_shuffled", 3.0, None),
        ("drifting_gratings", math.nan, None),
        ("spontaneous", math.nan, None),
    ],
)
def test_a_presentation_is_named_by_its_image(stimulus, frame, name):
    assert image_name(stimulus, frame) == name
