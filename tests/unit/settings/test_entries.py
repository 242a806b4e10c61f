"""Model names: overrides typed by the schema, one canonical form, grids and ensembles."""

from __future__ import annotations

import copy
import json

import pytest

from spikeline.errors import InputError
from spikeline.settings.entries import Models, format_value, parse_name, parse_value
from spikeline.settings.schema import load_schema, load_yaml, validated_config

DECODER = {
    "regions": {"type": "array", "minItems": 1, "items": {"type": "string"}},
    "noise_std": {"type": "number", "minimum": 0, "default": 0},
    "epochs": {"type": "integer", "minimum": 1, "default": 100},
    "whiten": {"type": "boolean", "default": False},
    "min_snr": {"type": ["number", "null"], "default": None},
    "loss": {"type": "string", "enum": ["infonce", "mse"], "default": "infonce"},
    "test_repetitions": {"type": ["integer", "null"], "default": None, "x-stage": "evaluation"},
}
KINDS = {
    "mlp": {
        "type": "object",
        "additionalProperties": False,
        "properties": {"kind": {"const": "mlp"}, **DECODER},
    },
    "ridge": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "kind": {"const": "ridge"},
            "regions": DECODER["regions"],
            "penalties": {"type": "array", "items": {"type": "number"}, "default": [1, 10]},
        },
    },
    "ensemble": {
        "type": "object",
        "additionalProperties": False,
        "required": ["of"],
        "properties": {
            "kind": {"const": "ensemble"},
            "of": {"type": "array", "items": {"type": "string"}},
            "seeds": {"type": "integer", "minimum": 1, "default": 1},
            "test_repetitions": DECODER["test_repetitions"],
        },
    },
}
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "defaults": {"type": "object", "default": {}, "properties": {"models": {"default": {}}}},
        "models": {"type": "object", "additionalProperties": {"type": "object"}, "x-kinds": KINDS},
    },
}
CONFIG = {
    "defaults": {"models": {"regions": ["V1", "V4", "IT"]}},
    "models": {
        "mlp": {"kind": "mlp", "noise_std": 0.1},
        "ridge": {"kind": "ridge"},
        "both": {"kind": "ensemble", "of": ["mlp", "ridge"], "seeds": 2},
        "noisy": {"kind": "ensemble", "of": ["mlp@noise_std=0.5"]},
    },
}


def models(config=CONFIG) -> Models:
    return Models(validated_config(copy.deepcopy(config), SCHEMA), KINDS)


def refusal(call, *arguments) -> str:
    with pytest.raises(InputError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("regions=IT", "regions", ["IT"]),
        ("regions=V4+IT", "regions", ["V4", "IT"]),
        ("noise_std=0.2", "noise_std", 0.2),
        ("noise_std=1e-3", "noise_std", 0.001),
        ("noise_std=2", "noise_std", 2.0),
        ("epochs=7", "epochs", 7),
        ("whiten=true", "whiten", True),
        ("min_snr=1.5", "min_snr", 1.5),
        ("min_snr=none", "min_snr", None),
        ("loss=mse", "loss", "mse"),
        ("test_repetitions=5", "test_repetitions", 5),
    ],
)
def test_an_override_is_read_as_the_type_its_key_has(override, key, value):
    found = models().settings(f"mlp@{override}")[key]
    assert found == value and isinstance(found, type(value))


def test_the_other_settings_of_an_overridden_model_stay_those_of_its_entry():
    asked = models()
    plain, overridden = asked.settings("mlp"), asked.settings("mlp@epochs=7")
    assert {k for k in plain if plain[k] != overridden[k]} == {"epochs"}


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("mlp", "mlp"),
        ("mlp@noise_std=0.1", "mlp"),
        ("mlp@noise_std=0.10", "mlp"),
        ("mlp@epochs=100", "mlp"),
        ("mlp@regions=V1+V4+IT", "mlp"),
        ("mlp@min_snr=none", "mlp"),
        ("mlp@regions=IT@epochs=7", "mlp@epochs=7@regions=IT"),
        ("mlp@noise_std=0.200", "mlp@noise_std=0.2"),
        ("mlp@noise_std=2.0", "mlp@noise_std=2"),
        ("mlp@noise_std=1e-4", "mlp@noise_std=0.0001"),
        ("mlp@whiten=true", "mlp@whiten=true"),
        ("ridge@penalties=1.0+10", "ridge"),
        ("both@seeds=2", "both"),
    ],
)
def test_a_name_has_one_canonical_form_with_only_what_differs(written, canonical):
    asked = models()
    assert asked.canonical(written) == canonical
    assert asked.canonical(canonical) == canonical
    assert asked.settings(canonical) == asked.settings(written)


def test_a_path_must_use_the_canonical_form_and_is_told_it():
    text = refusal(models().checked, "mlp@regions=IT@epochs=7")
    assert "write it as 'mlp@epochs=7@regions=IT'" in text
    assert models().checked("mlp@epochs=7@regions=IT")["epochs"] == 7


@pytest.mark.parametrize("value", [0.1, 0.30000000000000004, 1e-12, 123456789.5, 1e22, 3.0])
def test_a_number_survives_the_round_trip_through_a_name(value):
    assert parse_value(format_value(value), {"type": "number"}, "x") == value


@pytest.mark.parametrize("value", [True, False, None, ["V4", "IT"], 12, "mse"])
def test_every_kind_of_value_survives_the_round_trip_through_a_name(value):
    types = {bool: "boolean", type(None): "null", list: "array", int: "integer", str: "string"}
    schema = {"type": ["null", types[type(value)]], "items": {"type": "string"}}
    assert parse_value(format_value(value), schema, "x") == value


@pytest.mark.parametrize(
    "name",
    ["mlp@regions=V4,IT", "both@regions=V4,IT", "mlp@loss=mse,infonce", "mlp@min_snr=1,5"],
)
def test_a_comma_is_refused(name):
    assert "model" in refusal(models().settings, name)


@pytest.mark.parametrize("name", ["mlp@", "mlp@epochs", "mlp@=5", "mlp@epochs=", "mlp@@epochs=5"])
def test_an_override_that_is_not_key_equals_value_is_refused(name):
    assert "write key=value" in refusal(parse_name, name)


def test_an_override_given_twice_is_refused():
    assert "twice" in refusal(models().settings, "mlp@epochs=5@epochs=6")


def test_an_unknown_setting_lists_the_known_ones_in_the_schemas_order():
    text = refusal(models().settings, "mlp@epoch=5")
    assert "'epoch'" in text and "did you mean 'epochs'" in text
    assert str(list(DECODER)) in text


def test_an_unknown_setting_of_an_ensemble_lists_its_own_and_its_members_settings():
    text = refusal(models().settings, "both@epoch=5")
    assert "did you mean 'epochs'" in text
    for known in ("epochs", "penalties", "seeds"):
        assert repr(known) in text


def test_the_kind_cannot_be_overridden():
    assert "kind" in refusal(models().settings, "mlp@kind=ridge")


def test_an_unknown_model_lists_the_known_ones():
    text = refusal(models().settings, "mpl")
    assert "['mlp', 'ridge', 'both', 'noisy']" in text and "did you mean 'mlp'" in text


@pytest.mark.parametrize(
    "name",
    ["mlp@epochs=many", "mlp@epochs=0", "mlp@epochs=1.5", "mlp@noise_std=-1", "mlp@whiten=yes",
     "mlp@loss=l2", "mlp@min_snr=high", "mlp@noise_std=nan", "mlp@noise_std=inf"],
)  # fmt: skip
def test_an_override_is_checked_like_the_entry_itself(name):
    text = refusal(models().settings, name)
    assert name.partition("@")[2].partition("=")[0] in text and "mlp" in text


def test_an_ensemble_hands_an_override_to_the_members_that_know_it():
    assert models().members("both@noise_std=0.3@regions=IT") == [
        "mlp@noise_std=0.3@regions=IT",
        "ridge@regions=IT",
    ]


def test_an_ensembles_override_beats_the_one_written_in_its_member():
    assert models().members("noisy@noise_std=0.7") == ["mlp@noise_std=0.7"]


def test_a_member_whose_override_repeats_its_entry_loses_it():
    assert models().members("noisy@noise_std=0.1") == ["mlp"]


def test_an_ensembles_own_settings_are_not_handed_on():
    assert models().members("both@seeds=5@test_repetitions=1") == ["mlp", "ridge"]


def test_a_handed_on_override_is_checked_by_every_member_when_the_name_is_resolved():
    for name in ("both@epochs=0", "both@noise_std=-1", "both@loss=l2"):
        assert "mlp" in refusal(models().settings, name)


def test_an_ensemble_of_an_unknown_model_is_refused():
    config = copy.deepcopy(CONFIG)
    config["models"]["both"]["of"] = ["mlp", "rigde"]
    assert "did you mean 'ridge'" in refusal(models(config).settings, "both")


def test_an_ensemble_of_itself_is_refused():
    config = copy.deepcopy(CONFIG)
    config["models"]["both"]["of"] = ["mlp", "both"]
    assert "both" in refusal(models(config).settings, "both")


def test_a_setting_of_evaluation_leaves_the_decoders_path_and_training_settings_alone():
    asked = models()
    name = "mlp@epochs=7@test_repetitions=5"
    assert asked.trained_name(name) == "mlp@epochs=7"
    assert asked.training_settings(name) == asked.training_settings("mlp@epochs=7")
    assert "test_repetitions" not in asked.training_settings(name)
    assert asked.settings(name)["test_repetitions"] == 5
    assert asked.trained_name("both@regions=IT@test_repetitions=5") == "both@regions=IT"


def test_a_grid_crosses_its_lists_in_the_order_of_the_config():
    grid = models().grid({"base": "mlp", "vary": {"epochs": [7, 100], "regions": ["V4+IT", "V1"]}})
    assert grid == [
        ("mlp@epochs=7@regions=V4+IT", {"epochs": 7, "regions": "V4+IT"}),
        ("mlp@epochs=7@regions=V1", {"epochs": 7, "regions": "V1"}),
        ("mlp@regions=V4+IT", {"epochs": 100, "regions": "V4+IT"}),
        ("mlp@regions=V1", {"epochs": 100, "regions": "V1"}),
    ]


def test_a_grid_of_whole_entries_is_crossed_with_what_varies():
    grid = models().grid({"models": ["mlp", "ridge"], "vary": {"regions": ["IT", ["V1", "V4"]]}})
    assert [name for name, _ in grid] == [
        "mlp@regions=IT",
        "mlp@regions=V1+V4",
        "ridge@regions=IT",
        "ridge@regions=V1+V4",
    ]


def test_a_grid_that_varies_nothing_is_its_base():
    assert models().grid({"base": "mlp@epochs=7"}) == [("mlp@epochs=7", {})]


def test_varied_values_of_every_type_reach_the_settings():
    asked = models()
    vary = {"whiten": [True], "min_snr": [None], "noise_std": [0.25], "loss": ["mse"]}
    ((name, _),) = asked.grid({"base": "mlp@min_snr=2", "vary": {k: v for k, v in vary.items()
                                                              if k != "min_snr"}})  # fmt: skip
    settings = asked.settings(name)
    assert (settings["whiten"], settings["noise_std"], settings["loss"]) == (True, 0.25, "mse")
    assert settings["min_snr"] == 2


def test_a_varied_setting_beats_the_same_override_in_the_base():
    ((name, _),) = models().grid({"base": "mlp@epochs=7", "vary": {"epochs": [9]}})
    assert name == "mlp@epochs=9"


def test_the_order_of_keys_in_the_config_does_not_reach_the_settings_json():
    def reversed_keys(node):
        if isinstance(node, dict):
            return {key: reversed_keys(node[key]) for key in reversed(node)}
        return node

    for name in ("mlp@regions=IT@epochs=7", "ridge", "both@noise_std=0.3"):
        dumped = [
            json.dumps(models(config).settings(models(config).canonical(name)), sort_keys=True)
            for config in (CONFIG, reversed_keys(CONFIG))
        ]
        assert dumped[0] == dumped[1]


def test_every_model_and_grid_of_the_demo_config_resolves_to_a_canonical_name(repository):
    schema = load_schema()
    config = validated_config(load_yaml(repository / "config/config.yaml"), schema)
    asked = Models(config, schema["properties"]["models"]["x-kinds"])
    for name in config["models"]:
        assert asked.canonical(name) == name
    for ablation in config["ablations"].values():
        for group in ablation.get("groups", [ablation]):
            names = [name for name, _ in asked.grid(group)]
            assert len(set(names)) == len(names)
            for name in names:
                asked.checked(name)
