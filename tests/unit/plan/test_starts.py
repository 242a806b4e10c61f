"""What a decoder starts from, by the plan, and which settings make another encoder of it."""

from __future__ import annotations

import json

import pytest

from spikeline.errors import InputError

MASKED = "capoyo@pretraining=masking"


def pretrained(plan, model, subject="monkeyN", seed=0):
    """The model's name in the path of its encoder."""
    (path,) = plan.decoders.start(model, subject, seed)
    assert path.endswith(f"/{subject}/seed{seed}.safetensors")
    return path.removeprefix("results/pretrained/").partition("/")[0]


@pytest.mark.parametrize(
    ("overrides", "encoder"),
    [
        ("", "capoyo"),
        ("@transfer=freeze", "capoyo"),
        ("@epochs=3@learning_rate=0.01@loss=mse", "capoyo"),
        ("@shuffle_responses=true", "capoyo"),  # masking reads no pairs
        ("@reserved_repetitions=10", "capoyo"),
        ("@mask=region_balanced@mask_share=0.5", "capoyo@mask=region_balanced@mask_share=0.5"),
        ("@dim=64@regions=IT@transfer=gradual", "capoyo@dim=64@regions=IT"),
        ("@pretraining_epochs=7", "capoyo@pretraining_epochs=7"),
        (
            "@pretraining_data=test_phase@reserved_repetitions=10",
            "capoyo@pretraining_data=test_phase@reserved_repetitions=10",
        ),
    ],
)
def test_models_share_an_encoder_where_pretraining_reads_the_same(plan, overrides, encoder):
    assert pretrained(plan, plan.config.models.canonical(MASKED + overrides)) == encoder


def test_a_decoder_has_the_seed_of_its_encoder_and_of_its_source(plan):
    assert pretrained(plan, MASKED, seed=4) == "capoyo"
    model = "capoyo@start_from=monkeyF"
    assert plan.decoders.start_arguments(model, "monkeyN", 4) == [
        "--start-from", "results/decoders/capoyo/monkeyF/seed4.safetensors",
    ]  # fmt: skip


def test_a_decoder_that_starts_afresh_reads_no_start(plan):
    assert plan.decoders.start("capoyo", "monkeyN", 0) == []
    assert plan.decoders.start_arguments("mlp", "monkeyN", 0) == []


def test_the_source_is_the_same_model_trained_on_all_its_images(plan):
    model = "capoyo@depth=2@start_from=monkeyF@training_fraction=0.25@transfer=identities"
    assert plan.decoders.start(model, "monkeyN", 1) == [
        "results/decoders/capoyo@depth=2/monkeyF/seed1.safetensors"
    ]


def test_an_entry_that_names_its_start_has_a_source_without(planned):
    own = {"kind": "capoyo", "start_from": "monkeyF", "transfer": "identities"}
    plan = planned({"models": {"tuned": own}})
    assert plan.decoders.start("tuned", "monkeyN", 0) == [
        "results/decoders/tuned@start_from=none@transfer=full/monkeyF/seed0.safetensors"
    ]


def test_presentations_that_pretraining_reads_are_in_the_path_of_the_decoder(plan):
    own = "capoyo@pretraining=masking@pretraining_data=test_phase@reserved_repetitions=10"
    assert plan.decoders.files(own, "monkeyF") == [
        f"results/decoders/{own}/monkeyF/seed0.safetensors"
    ]
    others = "capoyo@pretraining=masking@reserved_repetitions=10"
    assert plan.decoders.files(others, "monkeyF") == [
        "results/decoders/capoyo@pretraining=masking/monkeyF/seed0.safetensors"
    ]


def test_pretraining_gets_its_own_settings_and_training_those_of_the_transfer(plan):
    read = json.loads(plan.decoders.pretraining_settings("capoyo@mask_share=0.5", "monkeyN"))
    assert read["mask_share"] == 0.5 and read["pretraining_epochs"] == 100
    assert not read.keys() & {"epochs", "loss", "transfer", "encoder", "shuffle_responses"}
    trained = json.loads(plan.decoders.training_settings(f"{MASKED}@transfer=joint"))
    assert trained["transfer"] == "joint" and trained["mask_share"] == 0.25
    assert not trained.keys() & {"pretraining", "start_from", "pretraining_epochs"}


@pytest.mark.parametrize(
    ("model", "subject", "words"),
    [
        ("capoyo@start_from=monkeyN", "monkeyN", "start_from is the subject itself"),
        ("capoyo@start_from=monkeyG", "monkeyN", "unknown subject 'monkeyG'"),
        ("capoyo@transfer=freeze", "monkeyN", "needs a start"),
    ],
)
def test_a_start_that_is_none_is_refused(plan, model, subject, words):
    with pytest.raises(InputError) as said:
        plan.decoders.start(model, subject, 0)
    assert words in str(said.value)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("mlp", "is of kind 'mlp'; pretraining is for 'capoyo'"),
        ("capoyo@transfer=full", "write it as 'capoyo'"),
        ("capoyo@pretraining=masking", "its pretrained encoder is 'capoyo'"),
    ],
)
def test_an_encoder_has_one_name(plan, model, words):
    with pytest.raises(InputError) as said:
        plan.decoders.pretraining_settings(model, "monkeyN")
    assert words in str(said.value)


def test_a_candidate_of_auto_starts_afresh(planned):
    plan = planned({"models": {"auto": {"kind": "auto", "of": [MASKED]}}})
    with pytest.raises(InputError, match="sets pretraining, and candidates are fitted in one job"):
        plan.decoders.candidates("auto")


# --- joined subjects ------------------------------------------------------------------------------


def test_a_joined_subject_has_the_areas_images_and_splits_of_its_parts(plan):
    assert plan.sources.regions("monkeys") == ["V1", "IT", "V4"]
    assert plan.sources.splits("monkeys") == 1
    assert plan.sources.part_responses("monkeys") == [
        "results/responses/monkeyF.h5", "results/responses/monkeyN.h5",
    ]  # fmt: skip
    assert plan.decoders.embeddings("ridge", "monkeys") == (
        "results/embeddings/demo_clip/pictures.h5"
    )


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (["monkeyF", "monkeyG"], "unknown subject 'monkeyG'"),
        (["monkeyF", "monkeys"], "'monkeys' is joined itself"),
        (["monkeyF", "lab"], "saw different stimuli"),
    ],
)
def test_subjects_that_cannot_be_joined_are_refused(planned, parts, words):
    plan = planned({"subjects": {"odd": {"kind": "joined", "of": parts}}})
    with pytest.raises(InputError) as said:
        plan.decoders.embeddings("ridge", "odd")
    assert words in str(said.value)
