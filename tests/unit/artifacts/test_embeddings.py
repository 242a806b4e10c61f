"""The contract of an embeddings file, on write and on read."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from spikeline.artifacts import embeddings
from spikeline.artifacts.embeddings import Embeddings
from spikeline.errors import InputError

RECORD = {"step": "test", "origins": {}}
NAMES = np.array(["a/1.jpg", "a/2.jpg", "b/µ.jpg"], object)


def example(**changed) -> Embeddings:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    return Embeddings(**{"values": values, "images": NAMES, "encoder": "clip:0123", **changed})


def test_what_is_written_is_read_back(tmp_path):
    embeddings.write(tmp_path / "a.h5", example(), RECORD)
    found = embeddings.read(tmp_path / "a.h5")
    np.testing.assert_array_equal(found.values, example().values)
    assert found.values.dtype == np.float32
    assert list(found.images) == list(NAMES) and found.encoder == "clip:0123"


def test_rows_are_looked_up_by_name_in_the_order_asked_and_as_often():
    rows = example().rows_of(np.array(["b/µ.jpg", "a/1.jpg", "b/µ.jpg"], object))
    np.testing.assert_array_equal(rows, example().values[[2, 0, 2]])


def test_an_image_without_embedding_is_named_and_the_missing_are_counted():
    asked = np.array(["a/1.jpg", "c/7.jpg", "c/8.jpg"], object)
    with pytest.raises(InputError) as caught:
        example().rows_of(asked, "results/e.h5")
    text = str(caught.value)
    assert text.startswith("results/e.h5: ") and "\n" not in text
    assert "'c/7.jpg'" in text and "1 more of 3 images" in text


BREACHES = {
    "another number of images": (dict(images=NAMES[:2]), "2 images"),
    "one axis": (dict(values=np.ones(3, np.float32)), "values have shape (3,)"),
    "no dimensions": (dict(values=np.ones((3, 0), np.float32)), "values have shape (3, 0)"),
    "an image twice": (dict(images=NAMES[[0, 0, 1]]), "not distinct"),
    "NaN": (dict(values=np.array([[1, 1], [np.nan, 1], [1, 1]])), "'a/2.jpg' is not finite"),
    "no encoder": (dict(encoder=""), "encoder"),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_is_refused_on_write_naming_file_and_field(tmp_path, breach):
    changed, said = BREACHES[breach]
    with pytest.raises(InputError) as caught:
        embeddings.write(tmp_path / "a.h5", example(**changed), RECORD)
    text = str(caught.value)
    assert str(tmp_path / "a.h5") in text and said in text and "\n" not in text
    assert list(tmp_path.iterdir()) == []


def refusal(path):
    with pytest.raises(InputError) as caught:
        embeddings.read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


def edited(tmp_path, edit):
    embeddings.write(tmp_path / "a.h5", example(), RECORD)
    with h5py.File(tmp_path / "a.h5", "r+") as handle:
        edit(handle)
    return tmp_path / "a.h5"


@pytest.mark.parametrize("field", ["values", "images"])
def test_a_missing_field_is_named_on_read(tmp_path, field):
    path = edited(tmp_path, lambda handle: handle.__delitem__(field))
    assert f"field {field} is missing" in refusal(path)


def test_a_missing_encoder_is_named_on_read(tmp_path):
    path = edited(tmp_path, lambda handle: handle.attrs.__delitem__("encoder"))
    assert "encoder" in refusal(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [("values", np.array([["a"]] * 3, "S1")), ("values", 1.0), ("images", np.arange(3))],
)
def test_a_field_of_another_type_is_named_on_read(tmp_path, field, value):
    def edit(handle):
        del handle[field]
        handle[field] = value

    assert field in refusal(edited(tmp_path, edit))


def test_another_contract_is_refused(tmp_path):
    path = edited(tmp_path, lambda handle: handle.attrs.__setitem__("contract", "responses/1"))
    assert "'responses/1' where 'embeddings/1' is due" in refusal(path)


def test_a_truncated_file_is_refused(tmp_path):
    embeddings.write(tmp_path / "a.h5", example(), RECORD)
    content = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(content[: len(content) // 2])
    assert "truncated" in refusal(tmp_path / "a.h5")


def test_a_full_disk_leaves_no_file(tiny_disk):
    names = np.array([str(i) for i in range(1000)], object)
    large = Embeddings(np.ones((1000, 50), np.float32), names, "clip")
    with pytest.raises(OSError, match="No space left"):
        embeddings.write(tiny_disk / "a.h5", large, RECORD)
    assert list(tiny_disk.iterdir()) == []
