"""States of captions as a file."""

from dataclasses import replace

import numpy as np
import pytest
from artifact_examples import some_prompts

from spikeline.artifacts.images import prompts
from spikeline.errors import InputError


def test_prompts_read_back_as_they_were_written(tmp_path):
    written = some_prompts()
    prompts.write(tmp_path / "x.h5", written, {"step": "test"})
    found = prompts.read(tmp_path / "x.h5")
    for name, value in vars(written).items():
        np.testing.assert_array_equal(getattr(found, name), value)
    assert isinstance(found.states, np.memmap)


def test_rows_follow_the_order_of_the_images_asked_for():
    written = some_prompts()
    assert list(written.rows_of(np.array(["b/µ.jpg", "a/1.jpg", "b/µ.jpg"], object))) == [1, 0, 1]
    with pytest.raises(InputError, match=r"has no prompt of 'c.jpg' and 0 more of 2"):
        written.rows_of(np.array(["a/1.jpg", "c.jpg"], object))


def test_an_index_outside_the_prompts_is_refused(tmp_path):
    for wrong in (-1, 2):
        broken = replace(some_prompts(), prompt=np.array([0, 1, wrong], np.int32))
        with pytest.raises(InputError, match=f"field prompt holds {wrong}"):
            prompts.write(tmp_path / "x.h5", broken, {})
