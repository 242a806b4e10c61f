"""The plan of `auto`: its candidates resolved, what they share, and what is refused."""

from __future__ import annotations

import json

import pytest

from spikeline.errors import InputError

MODELS = {
    "four": {"kind": "ensemble", "of": ["mlp"], "seeds": 4},
    "tokens": {"kind": "ensemble", "of": ["capoyo"], "seeds": 2},
    "nested": {"kind": "ensemble", "of": ["four"], "seeds": 2},
    "one_ridge": {"kind": "ensemble", "of": ["ridge"], "seeds": 3},
    "capoyo": {"kind": "capoyo"},
    "auto": {"kind": "auto", "of": ["ridge", "four"]},
}


def auto(plan, model="auto"):
    return json.loads(plan.decoders.candidates(model))


def of(planned, *candidates, **more):
    return planned({"models": MODELS | {"auto": {"kind": "auto", "of": [*candidates], **more}}})


def test_an_ensemble_of_seeds_becomes_its_network_with_as_many_members(planned):
    plan = of(planned, "four", "four@noise_std=0.3", "ridge")
    found = auto(plan)
    assert {name: own.get("members") for name, own in found.items()} == {
        "four": 4, "four@noise_std=0.3": 4, "ridge": None,
    }  # fmt: skip
    assert [found[name]["noise_std"] for name in ("four", "four@noise_std=0.3")] == [0.1, 0.3]


def test_an_ensemble_of_a_closed_form_is_the_closed_form(planned):
    assert auto(of(planned, "one_ridge"))["one_ridge"] == auto(of(planned, "ridge"))["ridge"]


def test_what_all_candidates_share_is_only_in_the_settings_of_auto(planned):
    plan = of(planned, "ridge", "given_ridge", "mlp")  # of other electrodes and another encoder
    shared = json.loads(plan.decoders.training_settings("auto@regions=IT"))
    assert shared["regions"] == ["IT"] and shared["min_snr"] == 0
    for own in auto(plan).values():
        assert not own.keys() & shared.keys() - {"kind", "validation_images"}
        assert "target_components" in own and "test_repetitions" not in own
    assert "of" not in shared and "test_repetitions" not in shared


def test_a_setting_of_auto_does_not_change_what_candidates_have_alone(planned):
    plan = of(planned, "ridge", "mlp")
    assert auto(plan, "auto@regions=IT") == auto(plan) == auto(plan, "auto@budget_minutes=5")


def test_auto_reads_the_embeddings_of_its_own_encoder(planned):
    plan = of(planned, "given_ridge")
    assert plan.decoders.embeddings("auto", "monkeyF") == "results/embeddings/demo_clip/pictures.h5"


def test_auto_of_closed_forms_is_fitted_once_a_split_and_with_a_network_once_a_seed(planned):
    assert of(planned, "ridge", "one_ridge").decoders.distinct("auto", "monkeyF", 3) == 1
    plan = of(planned, "ridge", "four")
    assert plan.decoders.distinct("auto", "monkeyF", 3) == 3
    assert plan.decoders.distinct("auto@shuffle_responses=true", "monkeyF", 3) == 3


def test_auto_can_take_part_in_an_ensemble(planned):
    plan = planned({"models": MODELS | {"pair": {"kind": "ensemble", "of": ["auto", "ridge"]}}})
    files = plan.decoders.members("pair@regions=IT", "monkeyF", 0)
    assert [file.split("/")[2] for file in files] == ["auto@regions=IT", "ridge@regions=IT"]


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        ("rigde", "unknown model 'rigde'"),
        ("ridge@region=V1", "did you mean 'regions'"),
        ("units", "is of kind 'forecaster'; expected one of ridge, bayesian, linear, mlp, capoyo"),
        ("auto", "is of kind 'auto'"),
        ("ridge@regions=V1", "all candidates share 'regions'; set it on the auto model"),
        ("both", "is a mean of other models; name each of them"),
        ("nested", "is a mean of other models; name each of them"),
        ("tokens", "name 'capoyo' instead"),
    ],
)
def test_a_candidate_that_is_no_single_decoder_is_refused_in_one_line(planned, candidate, words):
    with pytest.raises(InputError) as said:
        of(planned, candidate, "ridge").decoders.embeddings("auto", "monkeyF")
    text = str(said.value)
    assert text.startswith(f"model 'auto': candidate '{candidate}': ") and words in text
    assert "\n" not in text


def test_a_candidate_named_twice_or_none_is_refused(planned):
    with pytest.raises(InputError, match=r"config models\.auto\.of"):
        of(planned, "ridge", "ridge")
    with pytest.raises(InputError, match=r"config models\.auto\.of"):
        of(planned)
