"""What scoring reconstructions reads, by the plan: weights, factors, and their arguments."""

import json
from pathlib import Path

import pytest

from spikeline.errors import InputError

NODES = {"alexnet2": "features.4"}
ALEXNET = {"kind": "torchvision", "model": "alexnet", "nodes": NODES, "size": 256}
CLASSIFIER = {"kind": "demo_classifier", "stimuli": "pictures"}


@pytest.fixture
def scored(planned, given):
    given["extractors"] = {}
    return lambda **entries: planned({"extractors": entries})


def test_weights_are_trained_here_or_local_or_downloaded(scored):
    Path("own/swav.safetensors").touch()
    plan = scored(
        clip={"kind": "encoder", "encoder": "demo_clip"},
        vit={"kind": "encoder", "encoder": "vit", "measure": "vit"},
        classifier=CLASSIFIER,
        alexnet=ALEXNET,
        swav={"kind": "swav", "weights": "own/swav.safetensors"},
    )
    assert plan.extractors.weights("monkeyF") == [
        "resources/encoders/demo_clip",
        "resources/classifiers/classifier",
        "own/swav.safetensors",
        "resources/weights/vit",
        "resources/extractors/alexnet",
    ]
    given = plan.extractors.arguments("monkeyF")
    options = {given[k]: k for k in range(len(given)) if given[k].startswith("--")}
    assert list(options) == ["--extractors", "--encoders", "--weights", "--caches"]
    entries = json.loads(given[options["--extractors"] + 1])
    assert set(entries) == {"clip", "vit", "classifier", "alexnet", "swav"}
    assert set(json.loads(given[options["--encoders"] + 1])) == {"demo_clip", "vit"}
    assert given[options["--weights"] + 1 : options["--caches"]] == [
        "classifier=resources/classifiers/classifier",
        "clip=resources/encoders/demo_clip",
        "swav=own/swav.safetensors",
    ]
    assert given[options["--caches"] + 1 :] == [
        "alexnet=resources/extractors/alexnet", "vit=resources/weights/vit",
    ]  # fmt: skip


def test_without_extractors_pixels_alone_are_scored(scored):
    plan = scored()
    assert plan.extractors.weights("monkeyF") == []
    assert plan.extractors.arguments("monkeyF") == ["--extractors", "{}"]
    assert plan.extractors.factors("monkeyF") == []


def test_the_classifier_is_trained_on_the_images_whose_factors_are_known(scored):
    plan = scored(classifier=CLASSIFIER)
    assert plan.extractors.training_stimuli("classifier") == "resources/stimuli/pictures.zip"
    assert plan.extractors.training_factors("classifier") == "resources/factors/pictures.tsv"
    assert plan.extractors.factors("monkeyF") == "resources/factors/pictures.tsv"
    settings = json.loads(plan.extractors.classifier_settings("classifier"))
    assert settings["factors"] == ["shape", "colour", "texture", "place"] and "epochs" in settings


def test_a_classifier_scores_only_the_images_of_its_own_set(scored):
    plan = scored(classifier=CLASSIFIER, alexnet=ALEXNET)
    assert plan.extractors.used("monkeyF") == ["classifier", "alexnet"]
    assert plan.extractors.used("lab") == ["alexnet"]
    assert plan.extractors.weights("lab") == ["resources/extractors/alexnet"]
    assert plan.extractors.factors("lab") == []


def test_only_a_change_of_the_model_downloads_again(scored):
    settings = [
        scored(alexnet={**ALEXNET, **changed}).extractors.fetched_settings("alexnet")
        for changed in ({}, {"size": 224, "frechet": True}, {"model": "vgg11"})
    ]
    assert settings[0] == settings[1] != settings[2]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"kind": "encoder", "encoder": "vitt"}, "unknown encoder 'vitt'"),
        ({"kind": "encoder", "encoder": "given"}, "extractors.one.encoder: 'given' is precomputed"),
        ({"kind": "swav", "weights": "own/no.safetensors"}, "extractors.one.weights"),
    ],
)
def test_a_mistake_is_named_before_any_job_starts(scored, entry, said):
    with pytest.raises(InputError, match=said):
        scored(one=entry).extractors.arguments("monkeyF")


def test_a_classifier_of_images_without_factors_is_refused(scored):
    plan = scored(one={**CLASSIFIER, "stimuli": "own"})
    with pytest.raises(InputError, match=r"stimuli\.own: names no table of factors"):
        plan.extractors.training_factors("one")
