"""The table of reruns: a kind of change, and every job that it makes run again."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable

import pytest
from workflow_copies import Workflow, copied


def configured(change: Callable[[dict], None]) -> Callable[[Workflow], None]:
    def do(workflow: Workflow) -> None:
        config = workflow.config
        change(config)
        workflow.configure(config)

    return do


def touched(workflow: Workflow) -> None:
    later = time.time() + 100
    paths = [workflow.folder / "Snakefile"]
    for folder in ("src", "rules", "workflow", "config", "envs", "profiles", "own"):
        paths += (workflow.folder / folder).rglob("*")
    for path in paths:
        os.utime(path, (later, later))


def rewritten(workflow: Workflow) -> None:
    """Comments, layout and another docstring in every module."""
    for path in workflow.modules():
        text = path.read_text(encoding="utf-8")
        text = re.sub(r'\A"""', '"""Edited: ', text)
        path.write_text(f"# A comment.\n{text}\n\n\n# Another.\n", encoding="utf-8")


def helper_edited(workflow: Workflow) -> None:
    path = workflow.folder / "src/spikeline/bridge/repetition_curve.py"
    path.write_text(path.read_text(encoding="utf-8") + "\nEDITED = 1\n", encoding="utf-8")


def profile_edited(workflow: Workflow) -> None:
    path = workflow.folder / "profiles/default/profile.yaml"
    text = path.read_text()
    edited = re.sub(r"mem: \w+", "mem: 3GB", re.sub(r"runtime: \d+", "runtime: 77", text))
    assert edited != text
    path.write_text(edited + "retries: 1\nset-threads:\n  train: 2\n")


def other_folder(workflow: Workflow) -> None:
    """The same clone works in a second folder, where nothing was made."""
    own = workflow.folder / "second/own"
    shutil.copytree(workflow.folder / "own", own)
    plan = workflow.snakemake("-n", "--directory", "second", "--", "results/ablation_regions.tsv")
    assert plan.status == 0 and plan.jobs["results/ablation_regions.tsv"] == "tabulate"
    assert plan.rules["convert_tvsd"] == 1 and plan.rules["fit"] == 4


def clone(*parts: str) -> Callable[[Workflow], Workflow]:
    """Parts of the folder go to another clone, as `cp --archive` copies them."""

    def do(workflow: Workflow) -> Workflow:
        folder = workflow.folder / "clone"
        folder.mkdir()
        return copied(workflow.folder, folder, *parts)

    return do


def copied_with_new_times(workflow: Workflow) -> Workflow:
    """`cp -r results`: the copies' time stamps say nothing any more, and Snakemake has no note."""
    other = clone("resources", "results")(workflow)
    later = time.time() + 100
    os.utime(other.folder / "results/responses/lab.h5", (later, later))
    return other


def model_files(model: str, seed: int, subject: str = "monkeyF") -> set[str]:
    decoder = f"results/decoders/{model}/{subject}/seed{seed}.safetensors"
    return {decoder, f"results/evaluations/{model}/{subject}.json"}


ARCHITECTURE = {"results/ablation_architecture.tsv"}
CONTROL = "mlp@shuffle_responses=true"
LAB = {
    "results/ablation_real.tsv",
    *model_files("given_ridge", 0, "lab"),
    *model_files("given_ridge@shuffle_responses=true", 0, "lab"),
}
# Kind of change -> (how it is made, first outputs of every job that then reruns).
TABLE: dict[str, tuple[Callable[[Workflow], None], set[str]]] = {
    "nothing": (lambda workflow: None, set()),
    "touch of every file": (touched, set()),
    "docstrings, comments and layout of every module": (rewritten, set()),
    "memory, time, threads and retries in the profile": (profile_edited, set()),
    # A candidate of `auto`, a member of `both`, and the model whose control is trained.
    "a setting of one model": (
        configured(lambda config: config["models"]["mlp"].update(noise_std=0.25)),
        ARCHITECTURE
        | model_files("mlp", 0)
        | model_files(CONTROL, 0)
        | model_files("both", 0)
        | model_files("auto", 0),
    ),
    "a new ablation of one new condition": (
        configured(
            lambda config: config["ablations"].update(
                noise={
                    "base": "mlp", "vary": {"noise_std": [0.1, 0.3]}, "subjects": ["monkeyF"],
                    "seeds": 1,
                }
            )
        ),
        {"results/ablation_noise.tsv"} | model_files("mlp@noise_std=0.3", 0),
    ),
    # Seed 0 is kept; `both` at seed 1 joins members that are new, too.
    "a seed more in one ablation": (
        configured(lambda config: config["ablations"]["architecture"].update(seeds=2)),
        ARCHITECTURE
        | model_files("mlp", 1)
        | model_files(CONTROL, 1)
        | model_files("both", 1)
        | {"results/decoders/ridge/monkeyF/seed1.safetensors"}
        | model_files("auto", 1),
    ),
    "a recording of one's own replaced": (
        lambda workflow: (workflow.folder / "own/lab.npy").write_text("another recording"),
        {"results/responses/lab.h5", *LAB},
    ),
    "another folder of the same clone": (other_folder, set()),
    "results and Snakemake's notes in another clone": (
        clone("resources", "results", ".snakemake"),
        set(),
    ),
    "results alone in another clone, with their time stamps": (
        clone("resources", "results"),
        set(),
    ),
    "results alone in another clone, one with a new time stamp": (copied_with_new_times, LAB),
}  # fmt: skip


@pytest.mark.parametrize("change", TABLE)
def test_a_change_reruns_these_jobs_and_no_other(finished, change):
    do, expected = TABLE[change]
    changed = do(finished)
    plan = (changed if isinstance(changed, Workflow) else finished).plan()
    assert plan.status == 0, plan.text[-3000:]
    print(f"{change}: {plan.rules or 'nothing'}")
    assert set(plan.jobs) == expected, plan.text[-3000:]


def test_an_edit_of_a_helper_reruns_the_jobs_that_import_it_and_what_follows(finished):
    # Evaluations and their tables use the curve over repetitions; no training does.
    everything = finished.snakemake("-n", "--forceall").jobs
    helper_edited(finished)
    plan = finished.plan()
    print(f"an edit of a helper: {plan.rules}")
    expected = {path for path, rule in everything.items() if rule in ("evaluate", "tabulate")}
    assert len(expected) > 10 and set(plan.jobs) == expected, plan.text[-3000:]
