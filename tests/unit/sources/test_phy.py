"""Phy's cluster tables: good units, and which tables name every cluster."""

from __future__ import annotations

import numpy as np
import pytest

from spikeline.errors import InputError
from spikeline.sources.phy import read_clusters


def write(tmp_path, text, name="cluster_info.tsv"):
    (tmp_path / name).write_text(text)
    return tmp_path / name


def test_labels_regions_and_depths_are_read_in_order_of_cluster(tmp_path):
    text = "cluster_id\tgroup\tdepth\tregion\n5\tmua\t20\tCA1\n2\tgood\t\tDG\n"
    table, every = read_clusters(write(tmp_path, text), "good")
    assert list(table["cluster"]) == [2, 5] and list(table["id"]) == ["2", "5"]
    assert list(table["good"]) == [True, False] and list(table["region"]) == ["DG", "CA1"]
    np.testing.assert_array_equal(table["depth"], [np.nan, 20])
    assert every


def test_a_table_of_labels_alone_leaves_out_unlabelled_clusters(tmp_path):
    _, every = read_clusters(write(tmp_path, "cluster_id\tgroup\n1\tgood\n"), "good")
    assert not every


def test_another_label_may_be_the_good_one(tmp_path):
    path = write(tmp_path, "id,KSLabel\n1,sua\n2,good\n", "a.csv")
    assert list(read_clusters(path, good="sua")[0]["good"]) == [True, False]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("unit\tgroup\n1\tgood\n", "one of .*cluster_id"),
        ("", "one of .*cluster_id"),
        ("cluster_id\tgroup\nx\tgood\n", "no whole numbers"),
        ("cluster_id\tgroup\n1\tgood\n1\tmua\n", "repeated"),
        ("cluster_id\tgroup\n-1\tgood\n", "negative"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path, text, words):
    with pytest.raises(InputError, match=words):
        read_clusters(write(tmp_path, text), "good")
