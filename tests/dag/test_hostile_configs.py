"""Configs, paths and folders with shell syntax: text in every job, or refused in one line."""

from __future__ import annotations

import shutil

import pytest
import yaml
from workflow_copies import PRETENDED, copied

# Each makes a file named "pwned" where anything runs it.
SHELL = ["`touch pwned`", "'; touch pwned; '", '"; touch pwned; "', "& touch pwned &", "%s"]
FOLDER = "it's `touch pwned` $(touch pwned)"


def renamed(workflow, name):
    """The config of a workflow in which the recording of `lab` has another name."""
    path = workflow.folder / "config/config.yaml"
    config = yaml.safe_load(path.read_text())
    shutil.copy(workflow.folder / "own/lab.npy", workflow.folder / "own" / name)
    config["subjects"]["lab"]["responses"] = f"own/{name}"
    path.write_text(yaml.safe_dump(config, allow_unicode=True))


@pytest.mark.parametrize("tag", ["apply:os.system ['touch pwned']", "new:os.mkdir ['pwned']"])
def test_a_tag_in_a_config_file_runs_nothing(tag, fresh, record_property):
    (fresh.folder / "hostile.yaml").write_text(f"evaluation: !!python/object/{tag}\n")
    plan = fresh.snakemake("-n", "--configfile", "hostile.yaml")
    assert plan.status != 0 and not list(fresh.folder.rglob("pwned"))
    record_property("hostile inputs", 1)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("$(touch pwned).npy", "set the environment variable it names, or write a path"),
        ("{subject}.npy", "a path must not hold { or }"),
    ],
)
def test_what_would_be_filled_in_in_a_path_is_refused(name, said, fresh, record_property):
    renamed(fresh, name)
    assert said in fresh.refusal("results/responses/lab.h5")
    assert not list(fresh.folder.rglob("pwned"))
    record_property("hostile inputs", 1)


def test_shell_syntax_in_a_path_and_in_the_folder_of_the_workflow_is_text_in_every_job(
    fresh, tmp_path, record_property
):
    (tmp_path / FOLDER).mkdir()
    workflow = copied(fresh.folder, tmp_path / FOLDER)
    renamed(workflow, "".join(SHELL) + " é.npy")
    # Real shells run the jobs; the step only pretends, and fails the second time.
    main = workflow.folder / "src/spikeline/__main__.py"
    main.write_text(PRETENDED)
    done = workflow.snakemake("--cores", "1", "--", "results/responses/lab.h5")
    assert done.status == 0, done.text[-2000:]
    assert "".join(SHELL) in (workflow.folder / "results/responses/lab.h5").read_text()
    main.write_text("import sys; sys.exit(1)")
    failed = workflow.snakemake("--cores", "1", "--", "results/responses/public.h5")
    assert failed.status != 0 and "Traceback" not in failed.text
    assert not list(tmp_path.rglob("pwned"))
    record_property("hostile inputs", len(SHELL) + 1)
