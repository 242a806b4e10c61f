"""What people look at: which tables get a page, and what goes into it."""

from __future__ import annotations

import re

import pytest

from spikeline.plan.ablations import WHEEL
from spikeline.plan.plan import Plan


@pytest.fixture
def demo(repository) -> Plan:
    """The plan of the demo, which has tables of every kind."""
    return Plan.of(repository, {})


def test_every_table_that_the_config_asks_for_has_a_page(demo):
    overview = demo.overview
    assert len(overview.tables()) == len(demo.ablations.wanted()) > 5
    assert [
        page.removeprefix("results/pages/").removesuffix(".html") for page in overview.pages()
    ] == [table.removeprefix("results/").removesuffix(".tsv") for table in overview.tables()]


def test_a_page_can_be_asked_for_of_every_table_and_of_nothing_else(demo):
    names = [demo.ablations.table(name) for name in demo.config["ablations"]]
    for name in (*names, WHEEL):
        assert re.fullmatch(demo.overview.known, name), name
    for name in ("summary", "ablation_none", f"{names[0]}.categories"):
        assert not re.fullmatch(demo.overview.known, name), name


def test_a_table_of_images_given_back_has_its_gallery_and_that_of_the_wheel_no_caption(demo):
    overview = demo.overview
    assert overview.gallery_arguments("reconstruction") == [
        "--gallery", "results/reconstruction.gallery.png",
    ]  # fmt: skip
    assert overview.gallery_arguments("ablation_regions") == []
    assert overview.caption_arguments("ablation_regions") == [
        "--caption", "results/ablation_regions.txt",
    ]  # fmt: skip
    assert overview.caption_arguments(WHEEL) == []
    assert overview.category(WHEEL) == "Horizon" and overview.category("reconstruction") == "Bridge"
    assert overview.labels("ablation_regions")["ablation"] == "regions"


def test_sessions_are_listed_only_where_a_table_is_about_them(repository):
    for tables, listed in ((["regions"], []), (["regions", WHEEL], ["results/sessions.tsv"])):
        assert Plan.of(repository, {"tables": tables}).overview.listed_sessions() == listed
