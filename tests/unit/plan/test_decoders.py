"""The Bridge's plan: seeds, members of ensembles, inputs, and what is said of wrong names."""

from __future__ import annotations

import json
import re

import pytest

from spikeline.errors import InputError


def members(plan, model, subject, seed):
    """(model, seed) of each decoder that an ensemble combines."""
    path = re.compile(r"results/decoders/([^/]+)/[^/]+/seed(\d+)\.safetensors")
    found = [path.fullmatch(file).groups() for file in plan.decoders.members(model, subject, seed)]
    return [(name, int(number)) for name, number in found]


ENSEMBLES = {
    "four": {"kind": "ensemble", "of": ["mlp"], "seeds": 4},
    "mixed": {"kind": "ensemble", "of": ["ridge", "mlp"], "seeds": 3},
    "nested": {"kind": "ensemble", "of": ["four", "mlp"], "seeds": 2},
}


def test_replicates_of_an_ensemble_share_no_member(planned):
    plan = planned({"models": ENSEMBLES})
    replicates = [set(members(plan, "four", "monkeyF", seed)) for seed in range(5)]
    assert all(len(each) == 4 for each in replicates)
    assert len(set().union(*replicates)) == 20


def test_all_members_of_an_ensemble_are_trained_on_the_split_of_its_seed(planned):
    plan = planned({"models": ENSEMBLES})
    splits = plan.sources.splits("public")
    assert splits == 5
    for model in ("four", "mixed", "nested"):
        for seed in range(splits):
            found = members(plan, f"{model}@encoder=given@regions=V4", "public", seed)
            assert {number % splits for _, number in found} == {seed}


def test_a_closed_form_takes_part_once_since_its_seeds_are_alike(planned):
    plan = planned({"models": ENSEMBLES})
    names = [name for name, _ in members(plan, "mixed", "monkeyF", 0)]
    assert names.count("ridge") == 1 and names.count("mlp") == 3


@pytest.mark.parametrize("setting", ["training_fraction=0.5", "drop_other_concepts=true"])
def test_a_closed_form_that_draws_its_rows_takes_part_with_every_seed(planned, setting):
    plan = planned({"models": ENSEMBLES})
    found = members(plan, f"mixed@{setting}", "monkeyF", 0)
    assert [name for name, _ in found].count(f"ridge@{setting}") == 3


def test_no_decoder_counts_twice_in_a_nested_ensemble(planned):
    plan = planned({"models": ENSEMBLES})
    networks = []
    for name, seed in members(plan, "nested", "monkeyF", 0):
        networks += members(plan, "four", "monkeyF", seed) if name == "four" else [(name, seed)]
    assert len(networks) == 4 * 2 + 2 == len(set(networks))


def test_an_ensemble_of_ensembles_that_contains_itself_is_refused(planned):
    with pytest.raises(InputError, match="contains itself"):
        planned({"models": {"loop": {"kind": "ensemble", "of": ["loop"]}}}).decoders.files(
            "loop", "monkeyF"
        )


def test_members_with_different_encoders_are_refused(planned):
    other = {"kind": "ridge", "encoder": "vit"}
    odd = {"kind": "ensemble", "of": ["ridge", "other"]}
    plan = planned({"models": {"other": other, "odd": odd}})
    with pytest.raises(InputError, match=r"members have encoders \['demo_clip', 'vit'\]"):
        plan.decoders.embeddings("odd", "monkeyF")


def test_a_closed_form_is_evaluated_once_per_split_and_a_network_once_per_seed(planned):
    plan = planned({"evaluation": {"seeds": 3}})
    assert plan.decoders.seeds("ridge@min_snr=1", "monkeyF") == [0]
    assert plan.decoders.seeds("mlp@min_snr=1", "monkeyF") == [0, 1, 2]
    assert plan.decoders.seeds("given_ridge@min_snr=1", "public") == [0, 1, 2]


def test_an_evaluation_takes_as_many_seeds_as_the_ablation_that_asks_for_most(planned):
    grid = {"models": ["mlp"], "subjects": ["monkeyF"], "seeds": 4}
    plan = planned({"ablations": {"more": grid}})
    assert plan.decoders.seeds("mlp", "monkeyF") == [0, 1, 2, 3]
    assert plan.decoders.seeds("mlp", "monkeyN") == [0]


def test_settings_of_evaluation_do_not_enter_the_path_of_a_decoder(plan):
    files = plan.decoders.files("mlp@test_repetitions=2", "monkeyF")
    assert files == ["results/decoders/mlp/monkeyF/seed0.safetensors"]
    assert json.loads(plan.decoders.evaluation_settings("mlp@test_repetitions=2")) == {
        "distractors": "none", "repetition_draws": 10, "reserved_repetitions": 0,
        "test_repetitions": 2,
    }  # fmt: skip


def test_the_control_of_an_ensemble_combines_members_trained_on_broken_pairs(planned):
    plan = planned({"models": ENSEMBLES})
    for model in ("mixed", "nested"):
        inside = members(plan, f"{model}@shuffle_responses=true", "monkeyF", 0)
        assert inside and all("@shuffle_responses=true" in name for name, _ in inside)
    (networks,) = {name for name, _ in members(plan, "four@shuffle_responses=true", "monkeyF", 0)}
    assert json.loads(plan.decoders.training_settings(networks))["shuffle_responses"] is True


def test_an_override_of_an_ensemble_reaches_the_members_that_know_it(plan):
    found = members(plan, "both@noise_std=0.3@regions=IT", "monkeyF", 0)
    assert [name for name, _ in found] == ["mlp@noise_std=0.3@regions=IT", "ridge@regions=IT"]


def test_a_model_reads_the_embeddings_of_its_encoder_and_its_subjects_images(plan):
    assert plan.decoders.embeddings("given_ridge", "lab") == "results/embeddings/given/own.h5"
    assert plan.decoders.embeddings("mlp", "monkeyN") == "results/embeddings/demo_clip/pictures.h5"


def test_a_model_of_layers_reads_their_components_of_its_subjects_training_images(plan):
    model = "ridge@target_layers=layer2+layer3"
    assert plan.decoders.embeddings(model, "monkeyN") == "results/targets/demo_clip/monkeyN.h5"
    assert plan.decoders.embeddings("both@target_layers=layer2", "monkeyN") == (
        "results/targets/demo_clip/monkeyN.h5"
    )


def test_members_that_predict_layers_and_members_that_do_not_are_refused_together(planned):
    layered = {"kind": "ridge", "target_layers": ["layer2"]}
    mixed = {"kind": "ensemble", "of": ["ridge", "layered"]}
    plan = planned({"models": {"layered": layered, "mixed": mixed}})
    with pytest.raises(InputError, match="some members predict layers and some the encoder's"):
        plan.decoders.embeddings("mixed", "monkeyF")


def windowed(planned, **models):
    windows = {"late": {"window": [100, 200]}, "bins": {"window": [0, 200], "bin_ms": 25}}
    return planned({"windows": windows, "models": {**ENSEMBLES, **models}})


def test_a_model_reads_the_responses_of_its_windows(planned):
    plan = windowed(planned)
    assert plan.decoders.responses("ridge", "monkeyF") == "results/responses/monkeyF.h5"
    for model in ("ridge@windows=late", "mlp@time=gate@windows=bins", "auto@windows=late"):
        windows = model.rpartition("=")[2]
        assert plan.decoders.responses(model, "monkeyF") == f"results/windows/{windows}/monkeyF.h5"


def test_windows_are_part_of_a_decoders_path_and_not_of_its_settings(planned):
    plan = windowed(planned)
    (file,) = plan.decoders.files("ridge@windows=late", "monkeyF")
    assert file == "results/decoders/ridge@windows=late/monkeyF/seed0.safetensors"
    late, own = map(plan.decoders.training_settings, ("ridge@windows=late", "ridge"))
    assert late == own
    assert "windows" not in json.loads(plan.decoders.evaluation_settings("ridge@windows=late"))


def test_a_job_over_time_bins_gets_memory_for_each(planned):
    plan = windowed(planned)
    assert plan.decoders.gigabytes("ridge", 4) == plan.decoders.gigabytes("ridge@windows=late", 4)
    assert plan.decoders.gigabytes("ridge", 4) == 4
    assert plan.decoders.gigabytes("mixed@windows=bins", 4) == 4 + 8 // 4


def test_members_of_an_ensemble_read_the_same_windows(planned):
    late = {"kind": "ridge", "windows": "late"}
    plan = windowed(planned, late=late, odd={"kind": "ensemble", "of": ["ridge", "late"]})
    path = "results/windows/late/monkeyF.h5"
    assert plan.decoders.responses("mixed@windows=late", "monkeyF") == path
    with pytest.raises(InputError, match=r"'odd': its members read windows \['None', 'late'\]"):
        plan.decoders.responses("odd", "monkeyF")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("ridge@time=gate", "time=gate weighs time bins, but its windows, none, have no bins"),
        ("mlp@time=low_rank@windows=late", "its windows, late, have no bins"),
        (
            "ridge@windows=lat",
            "unknown window 'lat': known are ['means', 'bins', 'late']; did you mean",
        ),
        ("weighs", "'ridge@time=gate': time=gate weighs time bins"),
        ("ridge@time=gate@windows=bins@time_rank=0", "time_rank: 0 is less than the minimum"),
    ],
)
def test_windows_that_do_not_fit_a_model_are_one_line(planned, model, words):
    plan = windowed(planned, weighs={"kind": "auto", "of": ["ridge@time=gate"]})
    with pytest.raises(InputError) as said:
        plan.decoders.responses(model, "monkeyF")
    assert words in str(said.value)
    assert "\n" not in str(said.value)


def test_candidates_weigh_the_bins_of_the_auto_model_each_in_its_way(planned):
    own = {"kind": "auto", "windows": "bins", "of": ["ridge@time=gate", "ridge@time=low_rank"]}
    plan = windowed(planned, timed=own)
    assert plan.decoders.responses("timed", "monkeyF") == "results/windows/bins/monkeyF.h5"
    found = json.loads(plan.decoders.candidates("timed"))
    assert {name: one["time"] for name, one in found.items()} == {
        "ridge@time=gate": "gate", "ridge@time=low_rank": "low_rank",
    }  # fmt: skip
    plan = windowed(planned, timed={"kind": "auto", "of": ["ridge@windows=late"]})
    with pytest.raises(InputError, match="all candidates share 'windows'; set it on the auto"):
        plan.decoders.responses("timed", "monkeyF")


@pytest.mark.parametrize(
    ("model", "subject", "words"),
    [
        ("rigde", "monkeyF", "unknown model 'rigde': known are ['ridge', 'mlp'"),
        ("ridge", "monkeyG", "unknown subject 'monkeyG': known are ['monkeyF'"),
        ("ridge@regions=XX", "monkeyF", "unknown region 'XX': known are ['V1', 'IT', 'V4']"),
        ("ridge@region=V1", "monkeyF", "did you mean 'regions'"),
        ("ridge@encoder=clip", "monkeyF", "unknown encoder 'clip': known are ['demo_clip', 'vit'"),
        ("ridge@regions=V4@min_snr=2", "monkeyF", "write it as 'ridge@min_snr=2@regions=V4'"),
        ("mlp@nosie_std=3", "monkeyF", "did you mean 'noise_std'"),
        ("mlp@dropout=2", "monkeyF", "model 'mlp@dropout=2'.dropout: 2.0 is greater than"),
        ("units", "monkeyF", "'units': is of the Horizon; expected one of the Bridge"),
        ("both@regions=XX", "monkeyF", "unknown region 'XX'"),
    ],
)
def test_a_wrong_name_is_answered_with_the_known_ones(plan, model, subject, words):
    with pytest.raises(InputError) as said:
        plan.decoders.embeddings(model, subject)
    assert words in str(said.value)
