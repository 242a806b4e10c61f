"""The report that people look at: complete, offline, sortable, and a crate that validates."""

from __future__ import annotations

import csv
import json
import re
import zipfile

import browser
import pytest

pytestmark = pytest.mark.slow

TABLES = ("ablation_regions", "ablation_architecture")
ASKED = ("--config", 'tables=["regions","architecture"]')
needs_chromium = pytest.mark.skipif(
    browser.chromium() is None, reason="no Chromium on PATH (Debian: chromium)"
)
# Snakemake's own page warns about the style sheet that it carries.
ITS_OWN = "cdn.tailwindcss.com should not be used in production"


@pytest.fixture(scope="module")
def reported(finished, workspace_at, tmp_path_factory):
    """A copy of the finished workflow with pages, first page, crate and Snakemake's report."""
    folder = tmp_path_factory.mktemp("reported") / "copy"
    workspace = workspace_at(finished.folder, folder, made=True)
    for arguments in (
        (*ASKED, "--", "overview"),
        ("--report", "report.html", *ASKED, "--", "overview"),
    ):
        done = workspace.snakemake(*arguments)
        assert done.status == 0, done.text[-4000:]
    return workspace


def rows(workspace, name: str) -> list[dict[str, str]]:
    with open(workspace / f"results/{name}.tsv", encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def test_the_pages_are_made_without_training_or_tabulating_anything_again(reported):
    done = reported.snakemake("-n", *ASKED, "--", "overview")
    assert "Nothing to be done" in done.text
    for name in TABLES:
        # Made before the copy, and not touched since.
        table, page = reported / f"results/{name}.tsv", reported / f"results/pages/{name}.html"
        assert table.stat().st_mtime < page.stat().st_mtime


def test_the_summary_has_a_line_for_each_table_with_the_numbers_of_its_rows(reported):
    summary = {row["table"]: row for row in rows(reported, "summary")}
    assert tuple(summary) == TABLES
    for name, row in summary.items():
        table = {(one["model"], one["row"]): one for one in rows(reported, name)}
        reference = table[row["reference_model"], "reference"]
        best = table[row["best_model"], "model"]
        assert row["reference"] == reference["neural_to_image_top1"]
        assert row["best"] == best["neural_to_image_top1"]
        for end in ("", "_low", "_high"):
            assert row[f"difference{end}"] == best[f"difference_top1{end}"]


def test_no_figure_of_the_reports_stands_beside_one_of_the_twin(reported):
    figures = rows(reported, "reported")
    assert len(figures) > 150
    assert {row["ours"] for row in figures} == {""}
    assert "other data" in {row["why_empty"] for row in figures}


def test_a_page_says_what_the_jobs_behind_its_table_cost(reported):
    page = (reported / "results/pages/ablation_architecture.html").read_text()
    cost = page[page.index("<h2>Cost</h2>") :]
    found = re.findall(r"<td>([a-z-]+)</td><td class=\"number\" data-value=\"([\d.]+)\">", cost)
    jobs = {step: float(count) for step, count in found if step in ("train", "fit", "fit-auto")}
    # mlp, capoyo and both's own; ridge, bayesian and the controls; auto.
    history = reported / "results/decoders/mlp/monkeyF/seed0.tsv"
    assert history.is_file() and jobs["train"] >= 2 and jobs["fit"] >= 2 and jobs["fit-auto"] == 1
    for title in ("Training curves", "Data", "Settings", "Files and digests", "Versions"):
        assert f"<h2>{title}</h2>" in page


def test_no_page_asks_for_anything_from_elsewhere(reported):
    for path in (*(reported / "results/pages").glob("*.html"), reported / "results/overview.html"):
        text = path.read_text(encoding="utf-8")
        for address in re.findall(r"""(?:src|href)=["']([^"']*)""", text):
            assert address.startswith("data:"), f"{path}: {address[:80]}"
        assert "@import" not in text and "url(" not in text


@needs_chromium
@pytest.mark.parametrize("width", [1300, 480])
def test_a_page_draws_its_figures_sorts_filters_and_stays_silent(reported, tmp_path, width):
    question = """(async () => {
      const table = document.querySelector("table.sortable");
      const box = table.closest("div.table");
      const shown = () => Array.from(table.tBodies[0].rows).filter((row) => !row.hidden);
      const heads = Array.from(table.tHead.rows[0].cells);
      const column = heads.findIndex((head) => head.textContent === "neural to image top1");
      const values = () => shown().map((row) => row.cells[column].dataset.value ?? "");
      const click = () => heads[column].querySelector("button").click();
      const told = { before: values() };
      click(); told.down = values(); told.order = heads[column].getAttribute("aria-sort");
      click(); told.up = values();
      const model = heads.findIndex((head) => head.textContent === "model");
      heads[model].querySelector("button").click();
      told.models = shown().map((row) => row.cells[model].textContent);
      const visible = () => heads.filter((head) => head.offsetWidth).length;
      told.few = visible(); box.querySelector("input.more").click(); told.all = visible();
      const field = box.querySelector("input[type=search]");
      field.value = "RIDGE"; field.dispatchEvent(new Event("input"));
      told.filtered = shown().map((row) => row.cells[model].textContent);
      told.pictures = Array.from(document.images).map((image) => image.naturalWidth);
      told.names = Array.from(document.images).every((image) => image.alt.length > 10);
      told.sideways = document.documentElement.scrollWidth - innerWidth;
      return told;
    })()"""
    page = reported / "results/pages/ablation_architecture.html"
    answer = browser.ask(page, question, tmp_path, width)
    told, table = answer.value, rows(reported, "ablation_architecture")
    scores = [float(row["neural_to_image_top1"]) for row in table]
    assert [float(value) for value in told["before"]] == scores
    assert [float(value) for value in told["down"]] == sorted(scores, reverse=True)
    assert told["order"] == "descending"
    assert [float(value) for value in told["up"]] == sorted(scores)
    assert told["models"] == sorted(row["model"] for row in table)
    assert told["few"] < told["all"] > 20
    assert told["filtered"] and all("ridge" in name for name in told["filtered"])
    # The table's figure and the training curves.
    assert len(told["pictures"]) == 2 and min(told["pictures"]) > 300 and told["names"]
    assert told["sideways"] <= 0
    assert answer.console == []


@needs_chromium
def test_the_first_page_says_what_was_run_and_stays_silent(reported, tmp_path):
    question = """({
      text: document.body.innerText,
      items: document.querySelectorAll("li").length,
    })"""
    answer = browser.ask(reported / "results/overview.html", question, tmp_path)
    assert answer.console == [] and answer.value["items"] == len(TABLES)
    for words in ("Which areas carry the image?", "paired difference", "describe the simulator"):
        assert words in answer.value["text"]


@needs_chromium
def test_snakemakes_report_opens_with_the_findings_and_shows_every_figure_and_page(
    reported, tmp_path
):
    question = """(async () => {
      const wait = (ms) => new Promise((done) => setTimeout(done, ms));
      await wait(2000);
      const told = { front: document.body.innerText, pictures: {}, pages: [] };
      for (const [path, result] of Object.entries(results)) {
        if (path.endsWith(".png")) {
          const image = new Image();
          const drawn = new Promise((done) => { image.onload = image.onerror = done; });
          image.src = result.data_uri;
          await drawn;
          told.pictures[path] = image.naturalWidth;
        }
        if (path.endsWith(".html")) {
          app.setView({ content: "html", contentPath: result.data_uri, resultPath: path });
          await wait(200);
          const frame = document.querySelector("iframe");
          if (frame && frame.src === result.data_uri) told.pages.push(path);
        }
      }
      app.showCategory("Bridge"); await wait(200);
      told.menu = document.body.innerText;
      return told;
    })()"""
    answer = browser.ask(reported / "report.html", question, tmp_path)
    told = answer.value
    for words in ("Which areas carry the image?", "Which decoder?", "CPU seconds", "simulator"):
        assert words in told["front"], words
    assert sorted(told["pictures"]) == sorted(f"results/{name}.png" for name in TABLES)
    assert min(told["pictures"].values()) > 300
    pages = {f"results/pages/{name}.html" for name in TABLES} | {"results/overview.html"}
    assert set(told["pages"]) == pages
    assert "architecture" in told["menu"] and "page" in told["menu"]
    assert [line for line in answer.console if ITS_OWN not in line] == []


# --- the crate ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crate(reported, tmp_path_factory):
    """The unpacked RO-Crate of the run."""
    folder = tmp_path_factory.mktemp("crate")
    with zipfile.ZipFile(reported / "results/run.crate.zip") as archive:
        archive.extractall(folder)
    return folder


def test_the_crate_leads_from_each_table_to_the_commit_of_its_recording(reported, crate):
    graph = json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]
    entities = {one["@id"]: one for one in graph}
    made = {one["result"]["@id"]: one for one in graph if one["@type"] == "CreateAction"}
    for name in TABLES:
        assert (crate / f"results/{name}.tsv").read_bytes() == (
            reported / f"results/{name}.tsv"
        ).read_bytes()
        waiting, commits, steps = [f"results/{name}.tsv"], set(), set()
        while waiting:
            identifier = waiting.pop()
            entity = entities[identifier]
            origins = entity.get("isBasedOn", [])
            origins = origins if isinstance(origins, list) else [origins]
            commits |= {entities[one["@id"]].get("version") for one in origins}
            if identifier in made:
                action = made[identifier]
                steps.add(entities[action["instrument"]["@id"]]["name"])
                objects = action["object"]
                objects = objects if isinstance(objects, list) else [objects]
                waiting += [one["@id"] for one in objects]
        assert {"spikeline tabulate", "spikeline evaluate", "spikeline fit"} <= steps
        assert any(commit and re.fullmatch("[0-9a-f]{40}", commit) for commit in commits)


def test_every_entity_that_the_crate_names_is_in_it(crate):
    from rocrate.rocrate import ROCrate

    opened = ROCrate(crate)
    assert opened.root_dataset["conformsTo"].id.startswith("https://w3id.org/ro/wfrun/process/")
    graph = json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]
    known = {one["@id"] for one in graph} | {"https://w3id.org/ro/crate/1.1"}
    named = set(re.findall(r'"@id": "([^"]+)"', json.dumps(graph)))
    assert named <= known
    assert len(opened.data_entities) >= 2 * len(TABLES)
    for entity in opened.data_entities:
        assert (crate / entity.id).is_file()


@pytest.mark.parametrize("profile", ["ro-crate-1.1", "process-run-crate-0.5"])
def test_the_crate_meets_every_requirement_of_its_profile(crate, profile, monkeypatch):
    services = pytest.importorskip(
        "rocrate_validator.services", reason="no roc-validator (pip install roc-validator)"
    )
    from importlib.resources import files
    from io import BytesIO

    import requests

    # The vocabulary that it would fetch; the same names lie in the rocrate package.
    context = (files("rocrate") / "data" / "ro-crate.jsonld").read_bytes()

    def answered(session, method, url, **options):
        response = requests.Response()
        response.status_code, response._content, response.url = 200, context, url
        response.headers["Content-Type"] = "application/ld+json"
        return response

    class Body(BytesIO):
        def __init__(self, request):
            super().__init__(context)
            self.headers = {"Content-Type": "application/ld+json"}
            self.url = getattr(request, "full_url", request)

        def info(self):
            return self.headers

        def geturl(self):
            return self.url

    monkeypatch.setattr(requests.Session, "request", answered)
    monkeypatch.setattr("rdflib.parser._urlopen", Body)
    settings = services.ValidationSettings(rocrate_uri=str(crate), profile_identifier=profile)
    issues = services.validate(settings).get_issues()
    assert [f"{issue.check.identifier} {issue.message}" for issue in issues] == []
