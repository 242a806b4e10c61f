"""What an image given back is made from: generator, autoencoder, decoder, extractors."""

from __future__ import annotations

import json

import pytest

from spikeline.errors import InputError

FITTED = "results/reconstructors/{}/monkeyF/seed0.safetensors"


@pytest.mark.parametrize(
    ("model", "fitted"),
    [
        ("unclip@source=mean", "unclip"),
        ("unclip@samples=8", "unclip"),
        ("unclip@test_repetitions=3", "unclip"),
        ("unclip@guidance=2", "unclip@guidance=2"),
        ("unclip@regions=IT@source=image", "unclip@regions=IT"),
    ],
)
def test_what_only_drawing_reads_fits_nothing_anew(plan, model, fitted):
    canonical = plan.config.models.canonical(model)
    assert plan.reconstructions.fitted(canonical, "monkeyF", 0) == FITTED.format(fitted)


def test_only_kinds_that_draw_wait_for_a_generator(plan):
    generator = plan.reconstructions.generator
    assert generator("unclip") == "resources/generators/drawer"
    assert generator("low_level") == generator("nearest") == []
    assert plan.reconstructions.gpu("unclip") == 1 and plan.reconstructions.gpu("nearest") == 0
    assert plan.reconstructions.device_arguments("low_level") == ["--device", "cpu"]


def test_all_kinds_read_the_latents_of_the_generators_autoencoder(plan):
    for model in ("unclip", "low_level", "nearest"):
        assert plan.reconstructions.latents(model, "monkeyN") == "results/latents/vae/pictures.h5"
        assert plan.reconstructions.autoencoder(model) == "resources/autoencoders/vae"


def test_a_model_with_a_bank_reads_everything_of_it(planned):
    models = ["nearest", "nearest@bank=larger"]
    plan = planned(
        {
            "stimuli": {
                "larger": {"kind": "dataset", "dataset": "twin", "images": "images_all.zip"},
                "other": {"kind": "dataset", "dataset": "twin", "images": "images_all.zip"},
            },
            "ablations": {
                name: {"title": "", "models": chosen, "subjects": ["monkeyF"], "seeds": 1}
                for name, chosen in {
                    "banked": models, "two": [*models, "nearest@bank=other"],
                }.items()
            },
        }
    )  # fmt: skip
    own = plan.reconstructions
    plain, banked = (plan.config.models.canonical(name) for name in models)
    assert own.embeddings(banked, "monkeyF") == "results/embeddings/demo_clip/larger.h5"
    assert own.latents(banked, "monkeyF") == "results/latents/vae/larger.h5"
    assert own.stimuli(banked, "monkeyF") == "resources/stimuli/larger.zip"
    assert own.stimuli(plain, "monkeyF") == "resources/stimuli/pictures.zip"
    assert "--bank" in own.file_arguments(banked, "monkeyF", 0)
    assert "--bank" not in own.file_arguments(plain, "monkeyF", 0)
    # What was found is drawn beside what was shown, and the bank holds both.
    assert plan.tabulated_stimuli("ablation_banked") == "resources/stimuli/larger.zip"
    with pytest.raises(InputError, match="look among different banks"):
        plan.tabulated_stimuli("ablation_two")


def test_a_bank_does_not_bring_back_concepts_that_were_left_out(plan):
    with pytest.raises(InputError, match=r"bank: 'pictures' may show concepts of the test"):
        plan.config.models.canonical("nearest@bank=pictures@drop_test_concepts=true")


@pytest.mark.parametrize(("key", "value"), [("concepts", 140), ("seed", 5), ("test_images", 3)])
def test_a_bank_of_otherwise_designed_images_is_refused(planned, given, key, value):
    own = given["twins"]["ventral"]
    bank = {**own, "further_images": 10}
    stimuli = {"kind": "dataset", "dataset": "bank", "images": "images_all.zip"}
    changes = {
        "datasets": {"bank": {"kind": "datalad", "twin": "bank"}}, "stimuli": {"larger": stimuli},
    }  # fmt: skip
    plan = planned({**changes, "twins": {"bank": bank}})
    model = plan.config.models.canonical("nearest@bank=larger")
    assert plan.reconstructions.responses(model, "monkeyF")
    plan = planned({**changes, "twins": {"bank": {**bank, key: value}}})
    with pytest.raises(InputError, match=f"bank 'larger': .* of twin 'bank', have {key} {value}"):
        plan.reconstructions.responses(model, "monkeyF")


def test_only_models_that_read_factors_take_the_table_of_their_images(planned):
    stimuli = {"kind": "dataset", "dataset": "twin", "images": "images_all.zip"}
    named = {**stimuli, "factors": "factors_all.tsv"}
    plan = planned({"stimuli": {"larger": stimuli, "named": named}})
    own, canonical = plan.reconstructions, plan.config.models.canonical
    assert own.factors("nearest", "monkeyF") == []
    assert "--factors" not in own.file_arguments("nearest", "monkeyF", 0)
    shape = canonical("nearest@factors=shape")
    assert own.factors(shape, "monkeyF") == "resources/factors/pictures.tsv"
    banked = canonical("nearest@bank=named@factors=shape+place")
    assert own.factors(banked, "monkeyF") == "resources/factors/named.tsv"
    arguments = own.file_arguments(banked, "monkeyF", 0)
    assert arguments[arguments.index("--factors") + 1] == "resources/factors/named.tsv"
    assert '"factors":["place","shape"]' in own.settings(banked).replace(" ", "")
    with pytest.raises(InputError, match=r"stimuli\.larger: names no table of factors; give"):
        own.factors(canonical("nearest@bank=larger@factors=shape"), "monkeyF")


def test_a_bank_that_is_not_there_is_refused_by_name(plan):
    model = plan.config.models.canonical("nearest@bank=pictues")
    with pytest.raises(InputError, match=r"pictues.*pictures"):
        plan.reconstructions.embeddings(model, "monkeyF")


def test_a_fetched_pipeline_brings_its_autoencoder(plan):
    assert plan.reconstructions.autoencoder("fetched_unclip") == "resources/generators/fetched/vae"
    # A folder inside another is no output of a rule: jobs wait for the whole.
    made = plan.reconstructions.autoencoder_made
    assert made("fetched_unclip") == "resources/generators/fetched"
    assert made("unclip") == "resources/autoencoders/vae"
    arguments = plan.generators.latents_arguments("fetched_vae")
    assert arguments[arguments.index("--image-size") + 1] == "64"


def test_a_generator_learns_from_the_images_of_its_autoencoders_subject(plan):
    assert plan.generators.training_files("drawer") == {
        "responses": "results/responses/monkeyF.h5",
        "latents": "results/latents/vae/pictures.h5",
        "autoencoder": "resources/autoencoders/vae",
        "embeddings": "results/embeddings/demo_clip/pictures.h5",
    }


def test_a_generator_of_other_images_is_refused_by_name(plan):
    with pytest.raises(InputError, match=r"drawer: was trained on images of 'pictures'.*'own'"):
        plan.reconstructions.check("unclip@regions=V4", "lab")


def test_a_decoder_of_the_house_is_an_input_where_a_model_names_one(plan):
    own = plan.reconstructions
    assert own.decoder("from_ridge", "monkeyF", 0) == (
        "results/decoders/ridge/monkeyF/seed0.safetensors"
    )
    assert own.decoder("unclip", "monkeyF", 0) == []


def test_a_decoder_reads_the_rows_and_electrodes_of_its_reconstructor(plan):
    own, models = plan.reconstructions, plan.config.models
    for override in ("regions=IT", "shuffle_responses=true", "training_fraction=0.5"):
        model = models.canonical(f"from_ridge@{override}")
        ridge = models.canonical(f"ridge@{override}")
        assert own.decoder(model, "monkeyF", 0) == (
            f"results/decoders/{ridge}/monkeyF/seed0.safetensors"
        )


def test_how_to_draw_is_chosen_with_a_decoder_that_has_not_seen_the_images(plan):
    own, models = plan.reconstructions, plan.config.models
    model = models.canonical("unclip@decoder=ridge")
    assert own.choosing_decoder(model, "monkeyF", 1) == (
        "results/decoders/ridge@training_fraction=0.9/monkeyF/seed1.safetensors"
    )
    half = models.canonical("unclip@decoder=ridge@training_fraction=0.5")
    assert "training_fraction=0.45/" in own.choosing_decoder(half, "monkeyF", 0)
    one = models.canonical("unclip@decoder=ridge@guidance=2@start_weight=1@strength=1")
    assert own.choosing_decoder(one, "monkeyF", 0) == []
    assert own.choosing_decoder("unclip", "monkeyF", 0) == []


def test_a_decoder_of_another_encoder_than_the_generators_is_refused(plan):
    model = plan.config.models.canonical("unclip@decoder=given_ridge@generator=drawer@regions=V4")
    with pytest.raises(InputError, match=r"given_ridge"):
        plan.reconstructions.decoder(model, "monkeyF", 0)


def test_settings_of_a_pipeline_reach_the_steps_that_load_it(plan):
    settings = json.loads(plan.reconstructions.settings("fetched_unclip"))
    assert (settings["conditioning"], settings["scheduler"]) == ("image", "ddim")
    assert settings["variant"] is None
    drawn = json.loads(plan.reconstructions.drawing_settings("unclip@samples=4"))
    assert drawn["samples"] == 4 and drawn["source"] == "responses"
    assert "steps" not in drawn  # those of the reconstructor count


def test_an_encoder_that_cannot_see_a_drawn_image_judges_none(plan):
    assert plan.reconstructions.judge_arguments("own_unclip") == []
    arguments = plan.reconstructions.judge_arguments("unclip")
    assert arguments[0] == "--encoder-settings" and "--weights" in arguments


def test_extractors_made_for_other_images_judge_none_of_a_subjects(plan):
    assert plan.extractors.used("monkeyF") == ["clip", "alexnet", "swav", "classifier"]
    assert plan.extractors.used("lab") == ["alexnet", "swav"]


def test_a_model_of_retrieval_gives_no_image_back(plan):
    with pytest.raises(InputError, match="is of the Bridge; expected one of the Reconstruction"):
        plan.reconstructions.check("ridge", "monkeyF")


def test_a_table_of_reconstructions_has_the_reference_trained_on_broken_pairs(planned):
    plan = planned(
        {
            "ablations": {
                "reconstruction": {
                    "title": "", "models": ["unclip", "low_level"], "subjects": ["monkeyF"],
                    "seeds": 1,
                },
                "guidance": {
                    "title": "", "base": "unclip", "vary": {"guidance": [1, 2]},
                    "subjects": ["monkeyF"], "seeds": 1,
                },
            }
        }
    )  # fmt: skip
    assert plan.ablations.tables("reconstruction") == [
        "results/reconstruction.tsv",
        "results/ablation_guidance.tsv",
    ]
    assert plan.tabulated_scores("reconstruction") == [
        f"results/reconstruction_scores/{model}/monkeyF.json"
        for model in ("unclip", "low_level", "unclip@shuffle_responses=true")
    ]
    guided = [one["model"] for one in plan.ablations.conditions("guidance")]
    assert guided == [
        "unclip@guidance=1", "unclip@guidance=2", "unclip@guidance=1@shuffle_responses=true",
    ]  # fmt: skip
    assert plan.tabulated_stimuli("ablation_guidance") == "resources/stimuli/pictures.zip"
