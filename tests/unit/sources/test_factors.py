"""Tables of the factors of simulated images: read, and each fault in one line."""

import numpy as np
import pytest

from spikeline.errors import InputError
from spikeline.sources.factors import read_factors

GOOD = "things_path\tsplit\tshape\tplace\na/1.jpg\ttrain\tstar\ttop\na/2.jpg\ttest\tring\tleft\n"


def test_a_table_gives_the_levels_of_each_factor_by_image(tmp_path):
    (tmp_path / "f.tsv").write_text(GOOD)
    table = read_factors(tmp_path / "f.tsv", with_split=True)
    assert table.images.tolist() == ["a/1.jpg", "a/2.jpg"]
    assert table.test.tolist() == [False, True]
    assert table.by_image() == {
        "shape": {"a/1.jpg": "star", "a/2.jpg": "ring"},
        "place": {"a/1.jpg": "top", "a/2.jpg": "left"},
    }


def test_levels_of_named_images_come_in_their_order(tmp_path):
    (tmp_path / "f.tsv").write_text(GOOD)
    table = read_factors(tmp_path / "f.tsv").only(["place"], "f.tsv")
    assert set(table.levels) == {"place"}
    found = table.of(np.array(["a/2.jpg", "a/1.jpg", "a/2.jpg"], object), "f.tsv")
    assert found["place"].tolist() == ["left", "top", "left"]
    with pytest.raises(InputError, match=r"f\.tsv: has no column 'hue', only place; correct"):
        table.only(["place", "hue"], "f.tsv")
    with pytest.raises(InputError, match=r"f\.tsv: lacks 1 of the images, 'b' among them; add"):
        table.of(np.array(["a/1.jpg", "b"], object), "f.tsv")


def test_without_a_split_the_other_columns_are_the_factors(tmp_path):
    (tmp_path / "f.tsv").write_text("things_path\tshape\na/1.jpg\tstar\n")
    table = read_factors(tmp_path / "f.tsv")
    assert table.test is None and table.levels["shape"].tolist() == ["star"]
    (tmp_path / "f.tsv").write_text(GOOD.replace("train", ""))
    assert set(read_factors(tmp_path / "f.tsv").levels) == {"shape", "place"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("split", "part"), "expected tab-separated columns things_path, split"),
        ("things_path\tsplit\na\ttrain\nb\ttest\n", "and a factor"),
        ("", "got none"),
        (GOOD.replace("star", ""), "line 2 lacks a value"),
        (GOOD.replace("ring\tleft", "ring"), "line 3 lacks a value"),
        (GOOD.replace("train", "fit"), "line 2 has an unknown split"),
        (GOOD.splitlines()[0] + "\n", "has no row"),
        (GOOD.replace("a/2", "a/1"), "names an image twice"),
        (GOOD.replace("train", "test"), "expected images of both splits"),
    ],
)
def test_a_fault_in_the_table_is_one_line(tmp_path, text, said):
    (tmp_path / "f.tsv").write_text(text)
    with pytest.raises(InputError) as caught:
        read_factors(tmp_path / "f.tsv", with_split=True)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_is_missing_or_no_text_is_named(tmp_path):
    with pytest.raises(InputError, match=r"f\.tsv: no such file"):
        read_factors(tmp_path / "f.tsv")
    (tmp_path / "f.tsv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"f\.tsv: is not UTF-8"):
        read_factors(tmp_path / "f.tsv")
