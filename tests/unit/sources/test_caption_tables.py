"""Captions of images: tables, and names of classes in their place."""

import numpy as np
import pytest

from spikeline.errors import InputError
from spikeline.sources.captions import class_names, read_captions


def written(tmp_path, text):
    path = tmp_path / "captions.tsv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_gives_images_and_captions_in_its_order(tmp_path):
    path = written(tmp_path, 'things_path\tsplit\tcaption\nb/1.jpg\ttest\ta "ring\na.jpg\t\tµ\n')
    images, captions = read_captions(path)
    assert list(images) == ["b/1.jpg", "a.jpg"]
    assert list(captions) == ['a "ring', "µ"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("things_path\tsentence\na\tb\n", "needs the tab-separated columns"),
        ("", "needs the tab-separated columns"),
        ("things_path\tcaption\n", "has no rows"),
        ("things_path\tcaption\na\tb\nc\n", "line 3 lacks"),
    ],
)
def test_a_table_without_what_it_needs_is_one_line(tmp_path, text, said):
    with pytest.raises(InputError, match=said):
        read_captions(written(tmp_path, text))


def test_a_table_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_captions(tmp_path / "none.tsv")


def test_names_of_classes_have_spaces_and_stand_once_for_an_image():
    images = np.array(["a/1", "b/1", "a/1"], object)
    found, names = class_names(
        images, np.array(["aircraft_carrier", "bat", "aircraft_carrier"]), ""
    )
    assert list(found) == ["a/1", "b/1"]
    assert list(names) == ["aircraft carrier", "bat"]


def test_images_of_no_known_class_are_one_line():
    with pytest.raises(InputError, match="give a table of captions"):
        class_names(np.array(["a", "b"]), np.array(["", ""]), "r.h5")
