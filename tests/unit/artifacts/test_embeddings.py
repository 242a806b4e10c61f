"""Embeddings: looked up by image name, and refused when they do not say who made them."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from artifact_examples import some_embeddings

from spikeline.artifacts import embeddings
from spikeline.artifacts.embeddings import Embeddings
from spikeline.errors import InputError

RECORD = {"step": "test", "origins": {}}


def test_what_is_written_is_read_back(tmp_path):
    embeddings.write(tmp_path / "a.h5", some_embeddings(), RECORD)
    found = embeddings.read(tmp_path / "a.h5")
    np.testing.assert_array_equal(found.values, some_embeddings().values)
    assert list(found.images) == list(some_embeddings().images) and found.encoder == "clip:0123"


def test_rows_are_looked_up_by_name_in_the_order_asked_and_as_often():
    rows = some_embeddings().rows_of(np.array(["b/µ.jpg", "a/1.jpg", "b/µ.jpg"], object))
    np.testing.assert_array_equal(rows, some_embeddings().values[[2, 0, 2]])


def test_an_image_without_embedding_is_named_and_the_missing_are_counted():
    asked = np.array(["a/1.jpg", "c/7.jpg", "c/8.jpg"], object)
    with pytest.raises(InputError) as caught:
        some_embeddings().rows_of(asked, "results/e.h5")
    text = str(caught.value)
    assert text.startswith("results/e.h5: ") and "\n" not in text
    assert "'c/7.jpg'" in text and "1 more of 3 images" in text


def test_embeddings_of_an_unnamed_encoder_are_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(InputError, match=r"a\.h5: attribute encoder is empty"):
        embeddings.write(tmp_path / "a.h5", some_embeddings(encoder=""), RECORD)
    assert list(tmp_path.iterdir()) == []


def test_an_embedding_that_is_not_finite_is_named_by_its_image(tmp_path):
    values = some_embeddings().values.copy()
    values[1, 2] = np.nan
    with pytest.raises(InputError, match=r"first at images 1 \('a/2\.jpg'\), dim 2"):
        embeddings.write(tmp_path / "a.h5", some_embeddings(values=values), RECORD)


def test_another_contract_is_refused(tmp_path):
    embeddings.write(tmp_path / "a.h5", some_embeddings(), RECORD)
    with h5py.File(tmp_path / "a.h5", "r+") as handle:
        handle.attrs["contract"] = "responses/1"
    said = r"a\.h5: holds 'responses/1', expected 'embeddings/2'; make it again"
    with pytest.raises(InputError, match=said):
        embeddings.read(tmp_path / "a.h5")


def test_a_truncated_file_is_refused(tmp_path):
    embeddings.write(tmp_path / "a.h5", some_embeddings(), RECORD)
    content = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"a\.h5: truncated"):
        embeddings.read(tmp_path / "a.h5")


def test_a_full_disk_leaves_no_file(tiny_disk):
    names = np.array([str(i) for i in range(1000)], object)
    large = Embeddings(np.ones((1000, 50), np.float32), names, "clip")
    with pytest.raises(OSError, match="No space left"):
        embeddings.write(tiny_disk / "a.h5", large, RECORD)
    assert list(tiny_disk.iterdir()) == []


def test_layers_are_the_columns_of_their_names_and_none_means_the_output():
    one = some_embeddings()  # embedding: three columns, layer2: one
    np.testing.assert_array_equal(one.rows_of(one.images, layers=[]), one.values[:, :3])
    both = one.rows_of(one.images, layers=["layer2", "embedding"])
    np.testing.assert_array_equal(both, one.values[:, [3, 0, 1, 2]])
    assert one.columns_of(["layer2"]) == [range(3, 4)]


def test_a_layer_that_is_not_there_is_answered_with_those_that_are():
    with pytest.raises(InputError, match=r"e\.h5: has no layer 'layer9', only embedding, layer2"):
        some_embeddings().columns_of(["layer9"], "e.h5")


def test_reduced_layers_are_those_of_the_seeds_split(tmp_path):
    first = some_embeddings()
    second = some_embeddings(values=first.values + 1)
    embeddings.write_reduced(tmp_path / "a.h5", [first, second], RECORD)
    for seed, expected in enumerate([first, second, first]):
        found = embeddings.read(tmp_path / "a.h5", seed)
        np.testing.assert_array_equal(found.values, expected.values)
        assert found.layers == {"embedding": 3, "layer2": 1}


def test_layers_that_do_not_add_up_are_refused(tmp_path):
    wrong = some_embeddings(layers={"embedding": 3, "layer2": 2})
    with pytest.raises(InputError, match="layer_dims sums to 5, expected 4 as in values"):
        embeddings.write(tmp_path / "a.h5", wrong, RECORD)
