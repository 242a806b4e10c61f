"""`write-page`, `summarise`, `compare-reported`, `write-overview`, `describe-run` by hand."""

from __future__ import annotations

import zipfile

import pandas as pd
import pytest
from PIL import Image

from spikeline.artifacts import provenance, tables
from spikeline.artifacts.tables import read
from spikeline.cli import main

ORIGIN = {"resources/twins/behaving/alf": {"name": "resources/twins/behaving/alf"}}
RECORD = {
    "step": "tabulate-wheel", "settings": {}, "inputs": {}, "origins": ORIGIN, "code": "c0de",
    "versions": {"spikeline": "0.1.0"},
}  # fmt: skip
PAGE = ("write-page", "--table", "poyo_wheel.tsv", "--figure", "poyo_wheel.png")


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """The table of the wheel, which has no caption of its own, with its figure."""
    monkeypatch.chdir(tmp_path)
    rows = [
        {"decoder": name, "behaviour": "wheel", "session": "one", "seeds": 1, "units": 9,
         "r2": r2, "r2_low": r2 - 0.1, "r2_high": r2 + 0.1}
        for name, r2 in (("poyo", 0.5), ("ridge", 0.4))
    ]  # fmt: skip
    tables.write("poyo_wheel.tsv", pd.DataFrame(rows), RECORD)
    Image.new("RGB", (40, 30)).save("poyo_wheel.png")
    return tmp_path


def run(*arguments: str) -> int:
    return main.main(list(arguments))


def test_a_table_without_a_caption_is_told_in_a_sentence_of_its_numbers(wheel):
    assert run(*PAGE, "--output", "page.html") == 0
    page = (wheel / "page.html").read_text()
    assert "ridge 0.400 [0.300, 0.500]; the other, poyo, 0.500 [0.400, 0.600]" in page
    assert "No benchmark of the jobs behind this table is at hand." in page
    assert "resources/twins/behaving/alf" in page and "c0de" in page
    assert "Training curves" not in page and "Gallery" not in page
    assert provenance.read(wheel / "page.html")["step"] == "write-page"


def test_the_first_page_is_made_of_the_tables_about_tables_and_its_front_has_no_script(wheel):
    assert run("summarise", "--tables", "poyo_wheel.tsv", "--output", "summary.tsv") == 0
    assert run("compare-reported", "--tables", "poyo_wheel.tsv", "--output", "reported.tsv") == 0
    arguments = ("--summary", "summary.tsv", "--tables", "poyo_wheel.tsv")
    more = ("--reported", "reported.tsv", "--front", "front.html", "--output", "page.html")
    assert run("write-overview", *arguments, *more) == 0
    page, front = ((wheel / name).read_text() for name in ("page.html", "front.html"))
    for text in (page, front):
        assert "poyo, 0.500 [0.400, 0.600], without a paired difference." in text
        assert "describe the simulator" in text
    assert "<script" in page and "<script" not in front and "<style" not in front
    assert "ours stand beside 0 of them" in page


def test_a_crate_holds_the_files_it_describes(wheel):
    files = ("poyo_wheel.tsv", "poyo_wheel.png")
    assert run("describe-run", "--files", *files, "--output", "run.crate.zip") == 0
    with zipfile.ZipFile(wheel / "run.crate.zip") as archive:
        assert set(archive.namelist()) == {*files, "ro-crate-metadata.json"}
        assert archive.read("poyo_wheel.tsv") == (wheel / "poyo_wheel.tsv").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("summarise", "--tables", "none.tsv"), "none.tsv"),
        (("describe-run", "--files", "none.tsv"), "none.tsv: no such file to describe"),
        (("write-page", "--table", "poyo_wheel.tsv", "--figure", "poyo_wheel.tsv"), "is no PNG"),
        (
            (*PAGE, "--measured", '[{"step": 1}]'),
            "--measured: no JSON list of rules",
        ),
        (("write-page", "--table", "bare.tsv", "--figure", "poyo_wheel.png"), "no provenance"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_file(wheel, capsys, arguments, message):
    (wheel / "bare.tsv").write_text("model\tsubject\trow\nmlp\ta\treference\n")
    assert run(*arguments, "--output", "made.html") == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (wheel / "made.html").exists()
    assert len(read("poyo_wheel.tsv")) == 2
