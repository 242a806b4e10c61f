"""Tables of categories: both forms, several categories of one image, and what is refused."""

import numpy as np
import pytest

from spikeline.errors import InputError
from spikeline.sources.categories import read_categories

# The head of THINGSplus's long table.
THINGS = (
    "category\tWord\tuniqueID\nanimal\taardvark\taardvark\nfood\tbat\tbat1\nanimal\tbat\tbat1\n"
)
IMAGES = np.array(["bat1/bat1_01b.jpg", "axe/axe_01b.jpg"], object)
CONCEPTS = np.array(["bat1", "axe"], object)


def table(tmp_path, text):
    path = tmp_path / "categories.tsv"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_long_table_of_thingsplus_is_read_by_concept(tmp_path):
    found = read_categories(table(tmp_path, THINGS))
    assert found.of_images(IMAGES, CONCEPTS) == [("food", "animal"), ()]


def test_a_table_may_name_images_instead(tmp_path):
    text = "things_path\tcategory\naxe/axe_01b.jpg\ttool\naxe/axe_01b.jpg\ttool\n"
    found = read_categories(table(tmp_path, text))
    assert found.of_images(IMAGES, CONCEPTS) == [(), ("tool",)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("uniqueID\tanimal\tfood\nbat1\t1\t0\n", "got uniqueID, animal, food; of THINGS, take the"),
        ("concept\tcategory\nbat1\tanimal\n", "one of uniqueID and things_path"),
        ("", "got none"),
        ("uniqueID\tcategory\nbat1\n", "line 2 lacks"),
        ("uniqueID\tcategory\n\tanimal\n", "line 2 lacks"),
    ],
)
def test_what_is_no_such_table_is_one_line(tmp_path, text, words):
    with pytest.raises(InputError, match=r"categories\.tsv: ") as said:
        read_categories(table(tmp_path, text))
    assert words in str(said.value) and "\n" not in str(said.value)


def test_a_missing_file_or_one_of_other_images_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.tsv: no such file"):
        read_categories(tmp_path / "none.tsv")
    found = read_categories(table(tmp_path, THINGS))
    with pytest.raises(InputError, match=r"categories\.tsv: has none of the 1 test images"):
        found.of_images(IMAGES[1:], CONCEPTS[1:])
