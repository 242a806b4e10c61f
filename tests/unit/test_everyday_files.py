"""The files around the code: generated pages, citation, hooks and the container's recipe."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import spikeline
from spikeline.cli.show import contracts


def test_the_page_of_artifacts_is_what_the_contracts_say(repository, environment):
    done = subprocess.run(
        [sys.executable, "docs/artifacts.py"],
        cwd=repository, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (repository / "docs/artifacts.md").read_text() == done.stdout, "run `make docs`"


def test_the_page_of_artifacts_has_every_contract_and_every_field(repository):
    page = (repository / "docs/artifacts.md").read_text()
    for name, contract in contracts().items():
        section = page.partition(f"### {name}\n")[2].partition("\n### ")[0]
        missing = [one.name for one in contract.fields if f"| `{one.name}` |" not in section]
        assert section and not missing, name
    source = repository / "src/spikeline"
    texts = (path.read_text() for path in source.rglob("*.py"))
    named = {name for text in texts for name in re.findall(r'^CONTRACT = "(.+/\d+)"$', text, re.M)}
    assert len(named) > 8
    assert [name for name in sorted(named) if f"### {name}\n" not in page] == []


def test_the_page_of_artifacts_has_every_file_that_rules_say_they_produce(repository):
    page = (repository / "docs/artifacts.md").read_text()
    for path in (repository / "rules").glob("*.smk"):
        produced = path.read_text().partition("# PRODUCES")[2].partition("\n#\n")[0]
        for where in re.findall(r"(?:results|resources)/\S+", produced.partition("\n\n")[0]):
            assert f"`{where.rstrip(',')}" in page, path


def test_citation_licence_and_changelog_are_of_this_version(repository):
    citation = yaml.safe_load((repository / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "type"} <= set(citation)
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    assert citation["license"] == project["license"]
    assert citation["version"] == spikeline.__version__
    assert re.search(
        rf"^## {re.escape(spikeline.__version__)}\b",
        (repository / "CHANGELOG.md").read_text(),
        re.M,
    )
    (holder,) = citation["authors"]
    licence = (repository / "LICENSE").read_text()
    assert licence.startswith("BSD 3-Clause") and holder["name"].removeprefix("The ") in licence


def test_the_hooks_are_the_checks_of_make_lint(repository):
    config = yaml.safe_load((repository / ".pre-commit-config.yaml").read_text())
    hooks = [hook["entry"] for repo in config["repos"] for hook in repo["hooks"]]
    lint = (repository / "Makefile").read_text().partition("lint:")[2].partition("\n\n")[0]
    commands = re.findall(r"\$\(BIN\)/(\w+.*)", lint)
    assert len(hooks) == len(commands)
    for hook, command in zip(hooks, commands, strict=True):
        words = hook.removeprefix(".venv/bin/").split()
        assert command.split()[: len(words)] == words
        assert shutil.which(words[0], path=Path(sys.executable).parent)


@pytest.fixture
def recipe(repository) -> list[tuple[str, str]]:
    """(instruction, its text) of the Dockerfile, in order."""
    text = (repository / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


def copied_by(recipe, repository: Path, folder: Path) -> None:
    """What the recipe copies, as it lies in the image."""
    for instruction, text in recipe:
        if instruction != "COPY":
            continue
        *sources, target = text.split()
        for source in sources:
            path = repository / source
            assert path.exists(), source
            if path.is_dir():
                ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
                shutil.copytree(path, folder / target, ignore=ignore)
            else:
                shutil.copy(path, folder / target)


def test_what_the_recipe_of_the_container_copies_and_makes_is_there(recipe, repository, tmp_path):
    copied_by(recipe, repository, tmp_path)
    built = [text for instruction, text in recipe if instruction == "RUN" and "make " in text]
    (target,) = re.findall(r"^make (\S+)", built[-1])
    planned = subprocess.run(
        ["make", "--dry-run", target], cwd=tmp_path, capture_output=True, text=True
    )
    assert planned.returncode == 0, planned.stderr
    assert "pip sync" in planned.stdout and "envs/workflow.txt" in planned.stdout
    # Whatever the project names of its own files is among them.
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
    for name in (project["readme"], *project["license-files"]):
        assert (tmp_path / name).exists(), name


def test_the_containers_python_is_one_that_the_project_takes(recipe, repository):
    base = dict(recipe)["FROM"]
    version = tuple(map(int, re.match(r"python:(\d+)\.(\d+)-", base).groups()))
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    least = tuple(map(int, project["requires-python"].removeprefix(">=").split(".")))
    assert version >= least
    assert f"--python-version {version[0]}.{version[1]}" in (repository / "Makefile").read_text()


def test_the_container_plans_the_demo_with_what_is_copied(recipe, repository, tmp_path):
    image, runs = tmp_path / "image", tmp_path / "runs"
    image.mkdir()
    copied_by(recipe, repository, image)
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", image / "Snakefile", "--directory", runs,
         "-n", "-c1", "-q", "rules", "--", "results/ablation_regions.tsv"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(r"^tabulate +1$", done.stdout + done.stderr, re.M)


def test_nothing_that_the_recipe_copies_is_ignored(recipe, repository):
    kept = {
        line.removeprefix("!")
        for line in (repository / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = {
        source
        for instruction, text in recipe
        if instruction == "COPY"
        for source in text.split()[:-1]
    }
    assert copied == kept
