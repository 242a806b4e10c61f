"""What a target asks for, and what a wrong one is told."""

from __future__ import annotations

import pytest

REGIONS = "results/ablation_regions.tsv"


def test_the_regions_table_asks_for_each_step_once_and_a_closed_form_once_a_split(planned):
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
        "fit": 2,
        "evaluate": 2,
        "tabulate": 1,
    }
    assert {path for path, rule in plan.jobs.items() if rule in ("fit", "evaluate")} == {
        "results/evaluations/ridge/monkeyF.json",
        "results/evaluations/ridge@regions=IT/monkeyF.json",
        *(
            f"results/decoders/{model}/monkeyF/seed0.safetensors"
            for model in ("ridge", "ridge@regions=IT")
        ),
    }


def test_an_override_that_no_ablation_names_is_a_target(planned):
    plan = planned.plan("results/evaluations/mlp@noise_std=0.3@regions=V4+IT/monkeyN.json")
    assert plan.status == 0, plan.text[-3000:]
    decoder = "results/decoders/mlp@noise_std=0.3@regions=V4+IT/monkeyN/seed0.safetensors"
    assert plan.jobs[decoder] == "train"
    assert '"noise_std": 0.3' in planned.snakemake("-n", "-p", "--", decoder).text


def test_an_override_of_an_ensemble_reaches_its_members(planned):
    plan = planned.plan("results/evaluations/both@noise_std=0.3@regions=IT/monkeyF.json")
    assert plan.status == 0, plan.text[-3000:]
    made = {path: rule for path, rule in plan.jobs.items() if path.startswith("results/decoders")}
    assert sorted(made.values()) == ["combine", "fit", "train"]
    folders = {path.split("/")[2] for path in made}
    assert folders == {
        "both@noise_std=0.3@regions=IT",
        "mlp@noise_std=0.3@regions=IT",
        "ridge@regions=IT",
    }


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("results/evaluations/rigde/monkeyF.json", ["unknown model 'rigde'", "'ridge', 'mlp'"]),
        ("results/evaluations/ridge/monkeyG.json", ["unknown subject 'monkeyG'", "'monkeyF'"]),
        ("results/evaluations/ridge@regions=XX/monkeyF.json", ["'XX'", "'V1'", "'V4'", "'IT'"]),
        ("results/evaluations/ridge@region=V1/monkeyF.json", ["'region'", "mean 'regions'"]),
        ("results/evaluations/ridge@encoder=clip/monkeyF.json", ["'clip'", "'demo_clip', 'vit'"]),
        ("results/ablation_region.tsv", ["unknown ablation 'region'", "mean 'regions'"]),
        (
            "results/evaluations/ridge@regions=V4@min_snr=2/monkeyF.json",
            ["write it as 'ridge@min_snr=2@regions=V4'"],
        ),
    ],
)
def test_an_unknown_name_is_told_the_known_ones_in_one_line(planned, target, said):
    text = planned.refusal(target)
    for words in said:
        assert words in text


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda c: c.update(modles={}), ["unknown key 'modles'", "did you mean 'models'"]),
        (lambda c: c["models"]["mlp"].update(noise=1), ["config models.mlp", "'noise_std'"]),
        (lambda c: c["models"]["mlp"].update(encoder="clip"), ["'clip'", "'demo_clip', 'vit'"]),
        (lambda c: c["models"]["mlp"].update(regions=["XX"]), ["'XX'", "'V1'"]),
        (
            lambda c: c["ablations"]["regions"].update(subjects=["monkeyG"]),
            ["unknown subject 'monkeyG'", "'monkeyF'"],
        ),
        (
            lambda c: c["ablations"]["regions"]["vary"].update(region=["V1"]),
            ["config ablations.regions", "mean 'regions'"],
        ),
        (lambda c: c["subjects"]["monkeyF"].update(stimuli="things"), ["'things'", "'pictures'"]),
    ],
)
def test_a_wrong_config_is_told_where_in_one_line(fresh, edit, said):
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
    makers = ("tabulate", "tabulate_forecasts", "tabulate_wheel")
    tables = {path for path, rule in plan.jobs.items() if rule in makers}
    named = {f"results/ablation_{name}.tsv" for name in fresh.config["ablations"]}
    assert tables == named | {"results/poyo_wheel.tsv"}
    assert REGIONS in tables


@pytest.mark.parametrize("overlay", ["tvsd", "macaque_v4"])
def test_every_table_of_an_overlay_can_be_planned(repository, fresh, overlay):
    demo = (repository / "config/config.yaml").read_text()
    (fresh.folder / "config/config.yaml").write_text(demo)
    data = fresh.folder / "data" / "macaque_v4_201025"
    data.mkdir(parents=True)
    for name in (
        "images_201025.zip", "responses_201025.npy", "mobilenet_embeddings_uint8.npy"
    ):  # fmt: skip
        (data / name).touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPIKELINE_DATA", str(fresh.folder / "data"))
        plan = fresh.snakemake("-n", "--configfile", f"config/{overlay}.yaml")
    assert plan.status == 0, plan.text[-3000:]
    assert "tabulate" in plan.rules and "simulate_ventral" not in plan.rules


def test_an_overlay_in_a_folder_without_the_config_says_where_to_run(planned, tmp_path):
    overlay = planned.folder / "config/macaque_v4.yaml"
    plan = planned.snakemake("-n", "--directory", str(tmp_path), "--configfile", str(overlay))
    assert plan.status != 0 and f"run in {planned.folder}" in plan.text


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("results/evaluations/units/monkeyF.json", "'units' is of the Horizon; one of the Bridge"),
        ("results/forecasts/mlp.json", "'mlp' is of the Bridge; one of the Horizon"),
        ("./results/evaluations/mlp@nosie_std=3/monkeyF.json", "nosie_std"),
        ("results/baselines/moose.json", "did you mean 'mouse'"),
        ("results/wheel/moose/seed0.json", "did you mean 'mouse'"),
        ("results/embeddings/demo_clip/pictrues.h5", "did you mean 'pictures'"),
        ("results/responses/monkeyG.h5", "unknown subject 'monkeyG'"),
    ],
)
def test_a_target_of_an_unknown_name_is_refused_by_that_name(planned, target, words):
    assert words in planned.refusal(target)
