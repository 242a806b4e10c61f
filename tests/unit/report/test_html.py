"""Pages: what a table's cells become, and that no name in it becomes markup."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from spikeline.errors import InputError
from spikeline.report import html

HOSTILE = '<script>alert("x")</script>&\'"'


def test_an_interval_stands_in_the_cell_of_its_number_which_keeps_its_exact_value():
    table = pd.DataFrame({"model": ["a"], "top1": [0.12345], "top1_low": [0.1], "top1_high": [0.2]})
    text = html.sortable(table, ["model"])
    assert text.count("<th ") == 2
    assert 'data-value="0.12345">0.123 <span class="interval">[0.100, 0.200]</span>' in text


def test_an_empty_cell_has_no_value_and_an_empty_column_is_left_out():
    table = pd.DataFrame({"model": ["a", "b"], "top1": [np.nan, 1.0], "sd": [np.nan, np.nan]})
    text = html.sortable(table, ["model"])
    assert '<td class="number"></td>' in text and "sd" not in text


def test_columns_that_are_not_the_main_ones_are_there_but_hidden_until_asked_for():
    table = pd.DataFrame({"model": ["a"], "top1": [0.5], "images": [100.0]})
    text = html.sortable(table, ["model"], ["model", "top1"])
    assert re.search(r'<th scope="col" class="number further">.*images', text)
    assert "all 3 columns" in text and 'class="number further" data-value="100.0">100<' in text


def test_names_from_files_are_text_wherever_they_stand(tmp_path):
    table = pd.DataFrame({HOSTILE: [HOSTILE], "top1": [0.5]})
    picture = tmp_path / "figure.png"
    picture.write_bytes(b"\x89PNG")
    body = html.sortable(table, [HOSTILE]) + html.paragraphs(HOSTILE)
    body += html.section(HOSTILE, html.picture(picture, HOSTILE))
    page = html.page(HOSTILE, body)
    own = html.asset("sort.js")
    assert "<script>" not in page.replace(f"<script>\n{own}</script>", "")
    (alternative,) = re.findall(r'alt="([^"]*)"', page)
    assert alternative == html.escape(HOSTILE)


def test_only_a_png_becomes_a_picture(tmp_path):
    (tmp_path / "figure.png").write_bytes(b"<svg onload=alert(1)>")
    with pytest.raises(InputError, match="is no PNG"):
        html.picture(tmp_path / "figure.png", "x")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(100.0, "100"), (31200000.0, "31,200,000"), (0.55, "0.550"), (-0.0678, "-0.068"),
     (1234.56, "1,234.6"), (0.0, "0")],
)  # fmt: skip
def test_numbers_are_written_as_people_read_them(value, shown):
    assert html.number(value) == shown
