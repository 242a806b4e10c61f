"""What a target asks for, how a wrong one is answered, and where the workflow can be used."""

from __future__ import annotations

import pytest
from workflow_copies import Workflow

REGIONS = "results/ablation_regions.tsv"


def test_the_regions_table_asks_for_each_step_once_and_a_control_for_each_seed(planned):
    plan = planned.plan(REGIONS)
    assert plan.status == 0, plan.text[-3000:]
    assert plan.rules == {
        "simulate_ventral": 1,
        "fetch_tvsd": 1,
        "fetch_dataset_images": 1,
        "fetch_captions": 1,
        "pack_stimuli": 1,
        "convert_tvsd": 1,
        "train_clip": 1,
        "embed": 1,
        "fit": 4,
        "evaluate": 3,
        "tabulate": 1,
    }
    assert {path for path, rule in plan.jobs.items() if rule in ("fit", "evaluate")} == {
        "results/evaluations/ridge/monkeyF.json",
        "results/evaluations/ridge@regions=IT/monkeyF.json",
        "results/evaluations/ridge@shuffle_responses=true/monkeyF.json",
        *(
            f"results/decoders/{model}/monkeyF/seed0.safetensors"
            for model in ("ridge", "ridge@regions=IT", "ridge@shuffle_responses=true")
        ),
        "results/decoders/ridge@shuffle_responses=true/monkeyF/seed1.safetensors",
    }


def test_responses_in_time_bins_ask_for_the_presentations_and_the_electrodes_of_the_means(planned):
    plan = planned.snakemake("-n", "-p", "--", "results/windows/bins/monkeyN.h5")
    assert plan.status == 0, plan.text[-3000:]
    assert plan.rules == {
        "simulate_ventral": 1,
        "fetch_tvsd": 1,
        "fetch_tvsd_trials": 1,
        "convert_tvsd": 1,
        "convert_trials": 1,
        "window_responses": 1,
    }
    assert '"bin_ms": 25' in plan.text and '"trial_bin_ms": 5' in plan.text
    assert "resources/recordings/monkeyN/1024chns_mapping_20220105.mat" in plan.text


def test_windows_that_the_config_does_not_name_are_one_line(planned):
    said = planned.refusal("results/windows/bin/monkeyN.h5")
    assert "unknown window 'bin': known are ['means', 'bins']; did you mean 'bins'?" in said


def test_editing_an_entry_of_windows_takes_its_responses_anew_and_nothing_else(finished):
    targets = ("results/windows/bins/monkeyF.h5", "results/windows/means/monkeyF.h5")
    assert finished.snakemake("--cores", "1", "--", *targets).status == 0
    config = finished.config
    config["windows"]["bins"]["bin_ms"] = 10
    finished.configure(config)
    assert finished.plan(*targets).jobs == {targets[0]: "window_responses"}


def test_an_override_that_no_ablation_names_is_a_target(planned):
    plan = planned.plan("results/evaluations/mlp@noise_std=0.3@regions=V4+IT/monkeyN.json")
    assert plan.status == 0, plan.text[-3000:]
    decoder = "results/decoders/mlp@noise_std=0.3@regions=V4+IT/monkeyN/seed0.safetensors"
    assert plan.jobs[decoder] == "train"
    assert '"noise_std": 0.3' in planned.snakemake("-n", "-p", "--", decoder).text


def test_auto_is_one_job_that_gets_its_candidates_and_asks_for_a_gpu(planned):
    decoder = "results/decoders/auto@regions=IT/monkeyN/seed0.safetensors"
    plan = planned.snakemake("-n", "-p", "--", decoder)
    assert plan.status == 0, plan.text[-3000:]
    assert plan.rules["fit_auto"] == 1 and not {"fit", "train", "combine"} & set(plan.rules)
    (block,) = [one for one in plan.text.split("\n[") if "\nrule fit_auto:" in one]
    assert "gpu=1" in block and "runtime=150" in block
    assert '"regions": ["IT"]' in block and '"noise_std": 0.1' in block


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("results/evaluations/auto@budget=3/monkeyF.json", "did you mean 'budget_minutes'"),
        ("results/evaluations/rigde/monkeyF.json", "unknown model 'rigde'"),
        ("./results/evaluations/mlp@nosie_std=3/monkeyF.json", "did you mean 'noise_std'"),
        ("results/decoders/ridge@regions=XX/monkeyF/seed0.safetensors", "unknown region 'XX'"),
        ("results/forecasts/mlp.json", "'mlp': is of the Bridge; expected one of the Horizon"),
        ("results/ablation_region.tsv", "did you mean 'regions'"),
        ("results/baselines/moose.json", "did you mean 'mouse'"),
        ("results/responses/monkeyG.h5", "unknown subject 'monkeyG'"),
        ("results/embeddings/demo_clip/pictrues.h5", "did you mean 'pictures'"),
        ("results/regressions/fits/same.safetensors", "unknown session 'same'"),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones_in_one_line(planned, target, words):
    assert words in planned.refusal(target)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda c: c.update(modles={}), ["unknown key 'modles'", "did you mean 'models'"]),
        (lambda c: c["models"]["mlp"].update(noise=1), ["config models.mlp", "'noise_std'"]),
        (
            lambda c: c["ablations"]["regions"]["vary"].update(region=["V1"]),
            ["unknown setting 'region'", "mean 'regions'"],
        ),
    ],
)
def test_a_wrong_config_is_explained_in_one_line(fresh, edit, said):
    config = fresh.config
    edit(config)
    fresh.configure(config)
    text = fresh.refusal("bridge")
    for words in said:
        assert words in text


def test_every_table_of_the_demo_config_can_be_planned(repository, fresh):
    demo = (repository / "config/config.yaml").read_text()
    (fresh.folder / "config/config.yaml").write_text(demo)
    plan = fresh.plan()
    assert plan.status == 0, plan.text[-3000:]
    makers = ("tabulate", "tabulate_reconstructions", "tabulate_forecasts", "tabulate_wheel")
    tables = {path for path, rule in plan.jobs.items() if rule in makers}
    named = {f"results/ablation_{name}.tsv" for name in fresh.config["ablations"]}
    named = named - {"results/ablation_reconstruction.tsv"} | {"results/reconstruction.tsv"}
    assert tables == named | {"results/poyo_wheel.tsv"}
    assert REGIONS in tables


@pytest.mark.parametrize(
    ("overlay", "simulated"), [("tvsd", 0), ("tvsd_size", 2), ("macaque_v4", 0)]
)
def test_every_table_of_an_overlay_can_be_planned(repository, fresh, overlay, simulated):
    demo = (repository / "config/config.yaml").read_text()
    (fresh.folder / "config/config.yaml").write_text(demo)
    for session in ("201025", "190925", "210224"):
        data = fresh.folder / "data" / f"macaque_v4_{session}"
        data.mkdir(parents=True)
        for name in (f"images_{session}.zip", f"responses_{session}.npy"):
            (data / name).touch()
        (fresh.folder / "layers" / data.name).mkdir(parents=True)
    (fresh.folder / "data/macaque_v4_201025/mobilenet_embeddings_uint8.npy").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPIKELINE_DATA", str(fresh.folder / "data"))
        patch.setenv("SPIKELINE_LAYERS", str(fresh.folder / "layers"))
        plan = fresh.snakemake("-n", "--configfile", f"config/{overlay}.yaml")
    assert plan.status == 0, plan.text[-3000:]
    assert "tabulate" in plan.rules and plan.rules.get("simulate_ventral", 0) == simulated


OWN = """
models:
  mlp: {hidden: 2048}
  own_ridge: {kind: ridge, regions: [V4]}
"""


def test_a_folder_for_a_data_set_gets_all_that_is_made(planned, tmp_path):
    (tmp_path / "own.yaml").write_text(OWN)
    plan = planned.snakemake(
        "--cores", "1", "-n", "--directory", str(tmp_path / "runs/own"),
        "--configfile", str(tmp_path / "own.yaml"), "--", REGIONS,
    )  # fmt: skip
    # The demo's config completes the overlay, wherever the folder is.
    assert plan.status == 0 and plan.rules["fit"] == 4, plan.text[-3000:]
    assert (tmp_path / "runs/own/.snakemake").is_dir()
    # Config files are read where the command was typed.
    assert not [path for path in planned.folder.iterdir() if path.name in ("results", "runs")]


def test_a_decoder_that_starts_from_masking_asks_for_the_encoder_and_a_joined_subject_for_its_parts(
    planned,
):
    frozen = "results/decoders/capoyo@pretraining=masking@transfer=freeze/monkeys/seed1.safetensors"
    plan = planned.snakemake("-n", "--", frozen)
    assert plan.status == 0, plan.text[-3000:]
    assert plan.jobs["results/pretrained/capoyo/monkeys/seed1.safetensors"] == "pretrain"
    assert plan.jobs["results/responses/monkeys.h5"] == "join_responses"
    assert plan.rules["convert_tvsd"] == 2 and plan.rules["train"] == 1


def test_a_decoder_that_starts_from_another_subject_asks_for_that_ones_decoder(planned):
    model = "capoyo@start_from=monkeyF@training_fraction=0.5@transfer=identities"
    plan = planned.snakemake("-n", "--", f"results/decoders/{model}/monkeyN/seed0.safetensors")
    assert plan.status == 0, plan.text[-3000:]
    assert plan.jobs["results/decoders/capoyo/monkeyF/seed0.safetensors"] == "train"
    assert plan.rules["train"] == 2 and "pretrain" not in plan.rules


def test_the_stacks_of_the_clients_are_found_from_any_folder(planned, tmp_path):
    target = "resources/environments/ibl"
    plan = planned.snakemake("-n", "--directory", str(tmp_path), "--", target)
    assert plan.status == 0 and plan.rules == {"build_environment": 1}, plan.text[-3000:]


def test_another_workflow_uses_this_one_as_a_module_with_an_overlay(planned, tmp_path):
    (tmp_path / "own.yaml").write_text(OWN)
    (tmp_path / "Snakefile").write_text(
        f"""
configfile: "own.yaml"

module spikeline:
    snakefile: "{planned.folder}/Snakefile"
    config: config

use rule * from spikeline as spikeline_*

rule summary:
    default_target: True
    input: "results/evaluations/own_ridge/monkeyF.json"
    output: "summary.txt"
    shell: "cp {{input}} {{output}}"
"""
    )
    plan = Workflow(tmp_path).snakemake("-n")
    assert plan.status == 0, plan.text[-3000:]
    assert plan.rules["spikeline_evaluate"] == plan.rules["spikeline_fit"] == 1
    assert plan.jobs["summary.txt"] == "summary"
