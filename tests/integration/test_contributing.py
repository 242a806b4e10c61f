"""CONTRIBUTING.md: each change that it describes applies, and what it adds is planned and runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from workflow_copies import Workflow, copied

IMAGES, ELECTRODES, DIMENSIONS = 60, 20, 12
LAB = {
    "subjects": {"lab": {"kind": "npz", "recording": "lab.npz", "stimuli": "lab", "splits": 1,
                         "test_images": 20}},
    "stimuli": {"lab": {"kind": "archive", "images": "images"}},
    "encoders": {"given": {"kind": "precomputed", "files": {"lab": "embeddings.npy"}}},
    "models": {"pls": {"encoder": "given", "regions": ["all"]}},
}  # fmt: skip


def changes(repository: Path) -> dict[str, str]:
    """The diff of each section of the page, by its heading."""
    page = (repository / "CONTRIBUTING.md").read_text()
    return dict(re.findall(r"^## (.+)\n(?:(?!^## )[\s\S])*?^```diff\n([\s\S]*?)^```$", page, re.M))


def apply(change: str, folder: Path) -> None:
    done = subprocess.run(
        ["git", "apply", "--verbose", "-"], cwd=folder, input=change, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def changed(repository, tmp_path_factory) -> Workflow:
    """A copy of the workflow with all changes of the page, one after the other."""
    workflow = copied(repository, tmp_path_factory.mktemp("changed"))
    for change in changes(repository).values():
        apply(change, workflow.folder)
    write_recording(workflow.folder)
    return workflow


def write_recording(folder: Path) -> None:
    """A recording of the source that the page adds, in which responses tell the image."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    names = [f"image_{k:02d}.png" for k in range(IMAGES)]
    for name in names:
        pixels = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / name)
    embeddings = rng.normal(size=(IMAGES, DIMENSIONS))
    np.save(folder / "embeddings.npy", embeddings)
    noise = 0.1 * rng.normal(size=(IMAGES, ELECTRODES))
    responses = embeddings @ rng.normal(size=(DIMENSIONS, ELECTRODES)) + noise
    order = rng.permutation(IMAGES)
    np.savez(folder / "lab.npz", responses=responses[order], images=np.array(names)[order])


def test_each_change_applies_to_the_repository_by_itself(repository, tmp_path):
    found = changes(repository)
    assert list(found) == ["An ablation", "A model", "A source"]
    for name, change in found.items():
        (folder := tmp_path / name).mkdir()
        apply(change, copied(repository, folder).folder)


def test_the_added_code_is_in_the_style_of_the_house(changed, repository):
    tools = Path(sys.executable).parent
    for command in (
        ["ruff", "check", "--config", repository / "pyproject.toml", "src"],
        ["ruff", "format", "--check", "--config", repository / "pyproject.toml", "src"],
        ["snakefmt", "--check", "--config", repository / "pyproject.toml", "rules/responses.smk"],
    ):
        command[0] = tools / command[0]
        done = subprocess.run(command, cwd=changed.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_added_is_planned_from_the_recording_to_the_tables(changed):
    (changed.folder / "lab.yaml").write_text(yaml.safe_dump(LAB))
    targets = ("results/ablation_whitening.tsv", "results/evaluations/pls/lab.json")
    plan = changed.snakemake("-n", "--configfile", "lab.yaml", "--", *targets)
    assert plan.status == 0, plan.text[-3000:]
    # Three models and a control; and that of the lab.
    assert plan.rules["evaluate"] == 4 + 1 and plan.rules["tabulate"] == 1
    assert plan.jobs["results/responses/lab.h5"] == "convert_npz"
    assert plan.jobs["results/decoders/pls/lab/seed0.safetensors"] == "fit"


def test_the_added_model_decodes_a_recording_of_the_added_source(changed, environment):
    """In one process: each start of Python takes longer than all steps."""
    settings = {"kind": "pls", "encoder": "given", "regions": ["all"], "components": DIMENSIONS}
    given = ["--stimuli", "images.zip"]
    steps = [
        ["pack-stimuli", "--images", "images", "--output", "images.zip"],
        ["convert-npz", "--recording", "lab.npz", *given, "--output", "responses.h5",
         "--settings", json.dumps({"splits": 1, "test_images": 20})],
        ["import-embeddings", "--values", "embeddings.npy", *given, "--encoder", "given",
         "--output", "embeddings.h5"],
        ["fit", "--responses", "responses.h5", "--embeddings", "embeddings.h5", "--seed", "0",
         "--settings", json.dumps(settings), "--output", "decoder.safetensors"],
        ["evaluate", "--responses", "responses.h5", "--embeddings", "embeddings.h5",
         "--decoders", "decoder.safetensors", "--output", "evaluation.json"],
    ]  # fmt: skip
    code = (
        "import json, sys\n"
        "from spikeline.cli.main import main\n"
        "sys.exit(any(main(step) for step in json.loads(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(steps)],
        cwd=changed.folder, env={**environment, "PYTHONPATH": str(changed.folder / "src")},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (seed,) = json.loads((changed.folder / "evaluation.json").read_text())["seeds"]
    ranks = np.array(seed["draws"][0]["neural_to_image"]["rank"])
    assert len(ranks) == 20 and (ranks == 0).mean() > 0.9
