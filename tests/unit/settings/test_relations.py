"""Relations between settings: refused in a config, in a model's name and on the command line."""

from __future__ import annotations

import inspect

import pytest

from spikeline.errors import InputError
from spikeline.settings.entries import Models
from spikeline.settings.relations import RELATIONS, check
from spikeline.settings.schema import entry_schema, load_schema, validated_config
from spikeline.settings.steps import completed

SESSION = {"kind": "arrays", "times": "t.npy", "clusters": "c.npy"}
BAYESIAN = {"kind": "bayesian", "encoder": "e", "regions": ["V1"]}
CAPOYO = {"kind": "capoyo", "encoder": "e", "regions": ["V1"]}
FORECASTER = {"kind": "forecaster", "cohort": "c"}
TVSD = {
    "kind": "tvsd", "dataset": "d", "folder": "m", "stimuli": "s", "regions": {"V1": [[0, 4]]},
}  # fmt: skip
WINDOW = {"window": [0, 100]}
BINS = {"window": [0, 200], "bin_ms": 25}
REGRESSION = {"kind": "regression", "cohort": "c"}
# (section, an entry that is sound, what is changed, the key that the error names, its words)
BROKEN = [
    ("models", CAPOYO, {"transfer": "freeze"}, "transfer", "needs a start"),
    ("models", CAPOYO, {"transfer": "joint", "start_from": "monkeyF"}, "transfer", "masking"),
    ("models", CAPOYO, {"transfer": "identities"}, "transfer", "needs start_from"),
    (
        "models", CAPOYO, {"pretraining": "masking", "start_from": "monkeyF"}, "start_from",
        "give one",
    ),
    (
        "models", CAPOYO, {"pretraining": "masking", "pretraining_data": "test_phase"},
        "reserved_repetitions", "leaves pretraining_data: test_phase nothing",
    ),
    (
        "extractors",
        {"kind": "torchvision", "model": "alexnet", "nodes": {"one": "features.4"}, "size": 64},
        {"nodes": {"one": "features.4", "two": "features.4"}}, "nodes.two", "name each node once",
    ),
    ("twins", {"kind": "ventral"}, {"test_images": 200}, "test_images", "than the 100 concepts"),
    ("twins", {"kind": "ventral"}, {"trials": 1300}, "trials", "than the 1200 training"),
    ("twins", {"kind": "ventral"}, {"repetitions": 3}, "repetitions", "days of monkeyF"),
    (
        "twins", {"kind": "ventral"}, {"subjects": {"a": {"regions": {"IT": [[1, 9]]}}}},
        "subjects.a.regions", "gap",
    ),
    ("twins", {"kind": "behaving"}, {"max_units": 40}, "max_units", "less than min_units, 50"),
    ("twins", {"kind": "behaving"}, {"max_bad_units": 5}, "max_bad_units", "min_bad_units, 10"),
    ("twins", {"kind": "behaving"}, {"image_height": 200}, "image_width", "image_height, 200"),
    ("twins", {"kind": "behaving"}, {"ibl_sessions": 99}, "poor_sessions", "more than 99"),
    (
        "subjects", TVSD, {"published_windows": {"V4": [150, 50]}},
        "published_windows.V4", "does not ascend",
    ),
    ("windows", BINS, {"window": [200, 0]}, "window", "does not ascend"),
    ("windows", WINDOW, {"areas": {"IT": [75, 75]}}, "areas.IT", "does not ascend"),
    ("windows", WINDOW, {"window": None}, "window", "there is none"),
    ("windows", BINS, {"areas": {"IT": [0, 100]}}, "bin_ms", "no `areas`"),
    ("windows", BINS, {"window": [0, 190]}, "bin_ms", "25 does not divide the window"),
    ("sessions", SESSION, {"window_s": [9, 9]}, "window_s", "does not ascend"),
    (
        "sessions", SESSION, {"split": {"kind": "chronological", "train": 0.95}},
        "split.train", "1.055 together",
    ),
    (
        "encoders", {"kind": "demo_clip", "stimuli": "s"},
        {"training": {"vision": "what_and_where", "vision_width": 128}},
        "training.vision_width", "what_and_where has at most 64",
    ),
    (
        "encoders", {"kind": "demo_clip", "stimuli": "s", "layers": [1]},
        {"training": {"vision": "what_and_where"}}, "layers", "gives its output alone",
    ),
    (
        "autoencoders", {"kind": "trained", "subject": "s"},
        {"training": {"image_size": 32, "crop": 48}}, "training.crop", "more than image_size, 32",
    ),
    (
        "autoencoders", {"kind": "trained", "subject": "s"},
        {"training": {"crop": 12, "channels": [8, 8, 8, 8]}}, "training.crop", "multiple of 8",
    ),
    (
        "autoencoders", {"kind": "trained", "subject": "s"},
        {"training": {"image_size": 20, "channels": [8, 8, 8, 8]}},
        "training.image_size", "multiple of 8",
    ),
    (
        "sessions", SESSION, {"split": {"kind": "fold", "folds": 4, "fold": 5}},
        "split.fold", "more than the 4 folds",
    ),
    ("models", BAYESIAN, {"decoding_kernels": ["none", "rbf"]}, "decoding_kernels", "combined"),
    (
        "models", BAYESIAN, {"encoding_kernels": ["none"], "decoding_kernels": ["none"]},
        "encoding_kernels", "both",
    ),
    (
        "models", BAYESIAN, {"drop_test_concepts": True, "drop_other_concepts": True},
        "drop_other_concepts", "set one of them",
    ),
    ("models", FORECASTER, {"dim": 36}, "dim", "not a multiple of 4 x heads, 8"),
    ("models", FORECASTER, {"history_ms": 500}, "history_ms", "multiple of patch_ms, 240"),
    ("models", FORECASTER, {"traces_s": [1, 1.0]}, "traces_s", "twice"),
    ("models", FORECASTER, {"traces_s": [2, 1]}, "traces_s", "does not ascend"),
    ("models", FORECASTER, {"adaptation_s": [0.3]}, "adaptation_s", "not among traces_s"),
    ("models", FORECASTER, {"co_smoothing_groups": 1}, "co_smoothing_groups", "1 group"),
    ("models", REGRESSION, {"own_traces_s": [1, 1]}, "own_traces_s", "twice"),
    ("models", REGRESSION, {"population_traces_s": [1, 1]}, "population_traces_s", "twice"),
    ("models", REGRESSION, {"lead_bins_ms": [100, 20]}, "lead_bins_ms", "does not ascend"),
    ("models", REGRESSION, {"reduced_ranks": [3]}, "rank_ridges", "2 for 1 reduced_ranks"),
    ("models", REGRESSION, {"folds": 1}, "folds", "1 fold"),
]  # fmt: skip


def config(section: str, entry: dict) -> dict:
    return validated_config({"models": {}, "ablations": {}, section: {"one": entry}}, load_schema())


@pytest.mark.parametrize(("section", "entry", "change", "key", "words"), BROKEN)
def test_an_entry_whose_keys_do_not_fit_is_one_line_at_planning(section, entry, change, key, words):
    config(section, entry)
    with pytest.raises(InputError) as caught:
        config(section, {**entry, **change})
    text = str(caught.value)
    assert text.startswith(f"config {section}.one.{key}: ") and words in text and "\n" not in text


def test_a_section_of_one_object_is_checked_too():
    wheel = {"window_ms": 500, "lookahead_ms": 500}
    with pytest.raises(InputError, match=r"config wheel\.lookahead_ms: 500 is not below"):
        validated_config({"models": {}, "ablations": {}, "wheel": wheel}, load_schema())
    with pytest.raises(InputError, match=r"--settings\.ridge_bin_ms: .* no multiple of 30"):
        completed("decode-wheel", {"ridge_bin_ms": 30})


@pytest.mark.parametrize(
    ("joint", "message"),
    [
        (["rat", "cat"], r"wheel\.joint: 'cat' is not among sessions; add it there"),
        (["rat"], r"wheel\.joint: 'rat' alone is what sessions decodes"),
    ],
)
def test_sessions_that_are_decoded_jointly_are_several_of_those_decoded_alone(joint, message):
    wheel = {"sessions": ["mouse", "rat"], "joint": joint}
    with pytest.raises(InputError, match=message):
        validated_config({"models": {}, "ablations": {}, "wheel": wheel}, load_schema())


def test_a_models_override_is_checked_against_its_other_settings():
    kinds = load_schema()["properties"]["models"]["x-kinds"]
    models = Models(config("models", REGRESSION), kinds)
    assert models.settings("one@folds=0")["folds"] == 0
    with pytest.raises(InputError, match=r"model 'one@folds=1'\.folds: 1 fold"):
        models.settings("one@folds=1")


def test_a_relation_of_keys_that_are_not_given_is_left_out():
    check("models", "forecaster", {"dim": 36}, "config")
    with pytest.raises(InputError, match="co_smoothing_groups: 1 group"):
        completed("evaluate-forecaster", {"co_smoothing_groups": 1})


def test_relations_are_of_kinds_and_keys_that_the_schema_has():

    for (section, kind), relations in RELATIONS.items():
        section, _, inner = section.partition(".")
        schema = load_schema()["properties"][section]
        schema = schema["x-kinds"][kind] if kind else entry_schema(schema) or schema
        schema = schema["properties"][inner] if inner else schema
        for relation in relations:
            assert set(inspect.signature(relation).parameters) <= set(schema["properties"])


@pytest.mark.parametrize("share", [0.895, 0.9])
def test_shares_that_leave_nothing_to_test_matter_to_a_chronological_split_alone(share):
    split = {"train": share, "valid": 0.105}
    assert config("sessions", {**SESSION, "split": split})
    with pytest.raises(InputError, match="leave a share to test"):
        config("sessions", {**SESSION, "split": {**split, "kind": "chronological"}})
