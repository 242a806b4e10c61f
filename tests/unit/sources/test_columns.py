"""Tables between environments: no digit is lost, and damage is named."""

from __future__ import annotations

import numpy as np
import pytest

from spikeline.errors import InputError
from spikeline.sources.columns import read_columns, write_columns


def test_numbers_read_back_the_same(tmp_path):
    values = np.array([0.1 + 0.2, 1e-300, -1.0, np.nan, np.inf])
    write_columns(tmp_path / "a.tsv", {"x": values, "name": np.array(["a", "b c", "µ", "", "1"])})
    back = read_columns(tmp_path / "a.tsv")
    np.testing.assert_array_equal(back["x"], values)
    assert list(back["name"]) == ["a", "b c", "µ", "", "1"]


def test_an_empty_table_keeps_its_columns(tmp_path):
    write_columns(tmp_path / "a.tsv", {"x": np.array([]), "y": np.array([])})
    assert {name: len(values) for name, values in read_columns(tmp_path / "a.tsv").items()} == {
        "x": 0,
        "y": 0,
    }


def test_a_cut_table_is_refused(tmp_path):
    (tmp_path / "a.tsv").write_text("x\ty\n1\t2\n3")
    with pytest.raises(InputError, match=r"a\.tsv: has rows of different length"):
        read_columns(tmp_path / "a.tsv")
    with pytest.raises(InputError, match="no such file"):
        read_columns(tmp_path / "b.tsv")
