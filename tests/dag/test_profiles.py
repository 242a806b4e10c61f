"""What each profile makes of a rule that asks for a GPU; a dry-run needs no cluster."""

from __future__ import annotations

import re

import pytest

MLP = "results/decoders/mlp/monkeyF/seed0.safetensors"
RIDGE = "results/decoders/ridge/monkeyF/seed0.safetensors"
SLURM = "profiles/slurm/profile.yaml"


def jobs(workflow, profile, *targets, **more):
    """What each planned job asks for, by rule; of a profile with these words changed."""
    path = workflow.folder / f"profiles/{profile}/profile.yaml"
    text = path.read_text()
    for old, new in more.get("changed", {}).items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path.write_text(text)
    plan = workflow.snakemake(
        "-n", "--workflow-profile", f"profiles/{profile}", *more.get("options", ()), "--", *targets
    )
    assert plan.status == 0, plan.text[-3000:]
    found = {}
    for block in re.split(r"\n\[", plan.text):
        if rule := re.search(r"\n *(?:local)?rule (\w+):", block):
            threads = re.search(r"threads: (\d+)", block)
            asked = dict(re.findall(r"(\w+)=([^,\n]+)", block.partition("resources: ")[2]))
            priority = re.search(r"priority: (\d+)", block)
            found[rule[1]] = {
                **asked,
                "threads": threads[1] if threads else "1",
                "priority": int(priority[1]) if priority else 0,
            }
    return found


def test_long_trainings_begin_first_and_what_they_wait_for_before_them(fresh):
    planned = jobs(fresh, "default", "results/reconstructors/unclip/monkeyF/seed0.safetensors")
    asked = {rule: one["priority"] for rule, one in planned.items()}
    assert asked["fit_reconstructor"] == asked["convert_tvsd"] == 0
    long = {"train_clip", "train_autoencoder", "train_generator"}
    before = {"simulate_ventral", "fetch_dataset_images", "pack_stimuli", "embed", "encode_latents"}
    assert {asked[rule] for rule in long} == {1} and {asked[rule] for rule in before} == {2}


def test_jobs_with_a_gpu_go_to_its_partition_and_no_others_do(fresh):
    config = fresh.config
    config["models"]["on_cpu"] = {**config["models"]["mlp"], "gpu": 0}
    fresh.configure(config)
    planned = jobs(fresh, "slurm", MLP, RIDGE)
    assert planned["train"]["slurm_partition"] == "your_gpu_partition"
    assert (planned["train"]["gpu"], planned["train"]["threads"]) == ("1", "4")
    assert (planned["train"]["runtime"], planned["train"]["mem"]) == ("120", "4 GB")
    for rule in ("fit", "convert_tvsd"):
        assert planned[rule]["slurm_partition"] == "your_cpu_partition"
        assert (planned[rule]["gpu"], planned[rule]["slurm_account"]) == ("0", "your_account")
    # The same rule, for a model that asks for no GPU.
    planned = jobs(fresh, "slurm", MLP.replace("mlp", "on_cpu"))
    assert planned["train"]["slurm_partition"] == "your_cpu_partition"
    assert (planned["train"]["gpu"], planned["train"]["threads"]) == ("0", "1")


def test_one_word_asks_for_a_gpu_by_gres_and_keeps_the_quota(fresh):
    changed = {"gpu_request: gpus": "gpu_request: gres", "# gpu_model: a100": "gpu_model: a100"}
    planned = jobs(fresh, "slurm", MLP, RIDGE, changed=changed)
    assert (planned["train"]["gres"], planned["train"]["gpu_jobs"]) == ("gpu:a100:1", "1")
    assert planned["train"]["gpu"] == "0" and "gpu_model" not in planned["train"]
    assert "gres" not in planned["fit"] and "gpu_jobs" not in planned["fit"]


def test_the_model_of_a_gpu_is_asked_for_by_jobs_with_a_gpu_only(fresh):
    planned = jobs(fresh, "slurm", MLP, RIDGE, changed={"# gpu_model: a100": "gpu_model: a100"})
    assert planned["train"]["gpu_model"] == "a100" and "gpu_model" not in planned["fit"]


def test_what_is_set_for_a_rule_stands(fresh):
    options = ["--set-resources", "train:slurm_partition=long", "--set-threads", "train=3"]
    planned = jobs(fresh, "slurm", MLP, options=options)
    assert (planned["train"]["slurm_partition"], planned["train"]["threads"]) == ("long", "3")


def test_another_word_for_a_gpu_is_refused_in_one_line(fresh):
    path = fresh.folder / SLURM
    path.write_text(path.read_text().replace("gpu_request: gpus", "gpu_request: gpu"))
    plan = fresh.snakemake("-n", "--workflow-profile", "profiles/slurm", "--", MLP)
    assert plan.status != 0 and "gpu_request: 'gpu'; write gpus or gres" in plan.text
    assert "Traceback" not in plan.text


@pytest.mark.parametrize("profile", ["default", "workstation", "cluster"])
def test_no_job_carries_a_profiles_own_words(fresh, profile):
    planned = jobs(fresh, profile, MLP, RIDGE, options=["--cores", "8"])
    assert planned["train"]["gpu"] == "1" and planned["fit"]["gpu"] == "0"
    words = {word for job in planned.values() for word in job}
    assert not any(word.startswith(("gpu_", "report_", "slurm_")) for word in words), words
    assert planned["train"]["threads"] == ("2" if profile == "default" else "4")


def test_a_change_of_profile_reruns_nothing(finished):
    for profile in ("slurm", "workstation", "cluster"):
        plan = finished.snakemake("-n", "--workflow-profile", f"profiles/{profile}")
        assert plan.nothing, plan.text[-3000:]
