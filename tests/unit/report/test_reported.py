"""Figures of others get one of ours beside them from the same recordings, and from no others."""

from __future__ import annotations

import pandas as pd
import pytest

from spikeline.artifacts import provenance, tables
from spikeline.plan.plan import Plan
from spikeline.report.reported import (
    COLUMNS,
    NO_ROW,
    NO_TABLE,
    NOT_COMPUTED,
    OTHER_DATA,
    OTHER_N,
    reported,
    reported_table,
)
from spikeline.settings.schema import load_yaml

TVSD = "https://gin.g-node.org/paolo_papale/TVSD"
IBL = "https://openalyx.internationalbrainlab.org session a7eba2cf-427f-4df9-879b-e53e962eae18"
# A table whose reference is what the first report trained.
ARCHITECTURE = "ablation_architecture"


@pytest.fixture
def made(tmp_path, monkeypatch):
    """{origin, gallery, subject} -> the path of a table made from recordings of that origin."""
    monkeypatch.chdir(tmp_path)

    def table(origin=TVSD, gallery=100, subject="monkeyF", model="capoyo_report"):
        evaluation = tmp_path / f"results/evaluations/{model}/{subject}.json"
        evaluation.parent.mkdir(parents=True)
        evaluation.write_text("{}")
        provenance.write_beside(evaluation, {"origins": {origin: {"name": origin}}})
        path = tmp_path / f"results/{ARCHITECTURE}.tsv"
        row = {
            "model": model, "subject": subject, "row": "model", "gallery": gallery,
            "neural_to_image_top1": 0.61, "neural_to_image_top1_low": 0.5,
            "neural_to_image_top1_high": 0.7,
        }  # fmt: skip
        tables.write(path, pd.DataFrame([row]), {"inputs": {str(evaluation): "0"}})
        return {ARCHITECTURE: path}

    return table


def beside(found: dict) -> dict:
    """The row of the first report's top-1 with augmentation."""
    table = reported_table(found)
    chosen = table["condition"].str.contains("dropout .15") & (table["reported"] == "0.49")
    (row,) = table[chosen].to_dict("records")
    return row


def test_a_figure_of_the_very_recordings_has_ours_beside_it_with_its_interval(made):
    row = beside(made())
    assert (row["ours"], row["ours_low"], row["ours_high"]) == ("0.6100", "0.5000", "0.7000")
    assert row["ours_from"].endswith("ablation_architecture.tsv: capoyo_report, monkeyF")
    assert row["why_empty"] == ""


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"origin": "/home/lab/resources/twins/ventral"}, OTHER_DATA),
        ({"origin": "https://elsewhere.org/copies/gin.g-node.org/paolo_papale/TVSD2"}, OTHER_DATA),
        ({"gallery": 20}, OTHER_N),
        ({"subject": "monkeyN"}, NO_ROW),
        ({"model": "mlp"}, NO_ROW),
    ],
)
def test_a_twin_another_monkey_model_or_gallery_leaves_the_cell_empty_and_says_why(
    made, change, why
):
    row = beside(made(**change))
    assert (row["ours"], row["ours_from"], row["why_empty"]) == ("", "", why)


def test_without_its_table_a_figure_stands_alone():
    row = beside({})
    assert (row["ours"], row["why_empty"]) == ("", NO_TABLE)


@pytest.mark.parametrize(
    ("origin", "ours"), [(IBL, "280"), (IBL.replace("a7eba2cf", "b7eba2cf"), "")]
)
def test_a_session_is_the_reports_only_if_it_has_its_identifier(tmp_path, origin, ours):
    session = tmp_path / "ibl_a7eba2cf.h5"
    session.write_text("")
    provenance.write_beside(session, {"origins": {origin: {"name": origin}}})
    path = tmp_path / "sessions.tsv"
    table = pd.DataFrame(
        [{"session": "ibl_a7eba2cf", "spikes": 5, "units": 280, "duration_s": 9.0}]
    )
    tables.write(path, table, {"inputs": {str(session): "0"}})
    rows = reported_table({"sessions": path})
    (row,) = rows[(rows["data"] == "IBL session a7eba2cf") & (rows["metric"] == "units")].to_dict(
        "records"
    )
    assert (row["reported"], row["ours"]) == ("302", ours)


def test_every_reported_figure_names_its_source_data_metric_and_definition():
    figures = reported()
    assert len(figures) > 150 and set(figures["system"]) == {"bridge", "horizon"}
    for name in ("source", "data", "condition", "metric", "definition", "reported"):
        assert (figures[name] != "").all(), name
    assert pd.to_numeric(figures["reported"]).notna().all()
    # A figure that may get one of ours says from which data, table, row and column.
    matched = figures[figures["table"] != ""]
    for name in ("origin", "row", "column"):
        assert (matched[name] != "").all(), name
    assert not figures.duplicated(["source", "data", "condition", "metric"]).any()
    assert list(reported_table({})) == list(COLUMNS)
    assert set(reported_table({})["why_empty"]) == {NO_TABLE, NOT_COMPUTED}


def test_the_tables_of_the_reports_monkeys_ask_for_rows_that_their_overlay_makes(repository):
    overlay = load_yaml(repository / "config/tvsd.yaml")
    plan = Plan.of(repository, overlay)
    figures = reported()
    figures = figures[figures["origin"].str.contains("TVSD")]
    named = figures[figures["row"].str.startswith("model=") & (figures["table"] != "")]
    assert len(named) > 20
    for table, row in set(zip(named["table"], named["row"], strict=True)):
        wanted = dict(part.split("=", 1) for part in row.split(";"))
        conditions = plan.ablations.conditions(plan.ablations.of_table(table))
        made = {(one["model"], one["subject"]) for one in conditions}
        assert (wanted["model"], wanted["subject"]) in made, (table, row)
