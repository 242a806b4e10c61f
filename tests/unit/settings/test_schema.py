"""The config's closed schema: defaults, ranges, and errors that name what is known."""

from __future__ import annotations

import copy

import pytest

from spikeline.errors import InputError
from spikeline.settings.schema import load_schema, load_yaml, unknown, validated, validated_config

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "defaults": {
            "type": "object",
            "default": {},
            "properties": {"models": {"type": "object", "default": {}}},
        },
        "models": {
            "type": "object",
            "default": {},
            "additionalProperties": {"type": "object"},
            "x-kinds": {
                "mlp": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["regions"],
                    "properties": {
                        "kind": {"const": "mlp"},
                        "regions": {"type": "array", "items": {"type": "string"}},
                        "dropout": {
                            "type": "number",
                            "minimum": 0,
                            "exclusiveMaximum": 1,
                            "default": 0.5,
                            "description": "share of units",
                        },
                        "training": {
                            "type": "object",
                            "default": {},
                            "properties": {"epochs": {"type": "integer", "default": 100}},
                        },
                    },
                },
                "ridge": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"kind": {"const": "ridge"}},
                },
            },
        },
    },
}


def config(**models):
    return {"models": models}


def message(call, *arguments) -> str:
    with pytest.raises(InputError) as caught:
        call(*arguments)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_misspelt_key_is_named_with_the_known_keys_and_the_nearest():
    text = message(validated_config, config(a={"kind": "mlp", "regions": [], "dropuot": 0}), SCHEMA)
    assert "config models.a" in text
    assert "'dropuot'" in text and "did you mean 'dropout'" in text
    for known in ("kind", "regions", "dropout", "training"):
        assert repr(known) in text


def test_a_misspelt_section_is_named_with_the_nearest():
    text = message(validated_config, {"modles": {}}, SCHEMA)
    assert "unknown key 'modles'" in text and "did you mean 'models'" in text


def test_an_unknown_kind_lists_the_known_kinds():
    text = message(validated_config, config(a={"kind": "mpl"}), SCHEMA)
    assert "config models.a" in text and "'mpl'" in text
    assert "['mlp', 'ridge']" in text and "did you mean 'mlp'" in text


def test_a_missing_kind_lists_the_known_kinds():
    text = message(validated_config, config(a={}), SCHEMA)
    assert "'kind' is missing" in text and "['mlp', 'ridge']" in text


@pytest.mark.parametrize("value", [-0.1, 1, "much", None])
def test_a_value_out_of_range_or_of_another_type_names_its_key_and_meaning(value):
    entry = {"kind": "mlp", "regions": [], "dropout": value}
    text = message(validated_config, config(a=entry), SCHEMA)
    assert "config models.a.dropout" in text and "share of units" in text


def test_a_missing_required_key_is_named():
    assert "'regions'" in message(validated_config, config(a={"kind": "mlp"}), SCHEMA)


def test_defaults_are_filled_at_every_depth():
    filled = validated_config(config(a={"kind": "mlp", "regions": ["IT"]}), SCHEMA)
    assert filled["defaults"] == {"models": {}}
    assert filled["models"]["a"] == {
        "kind": "mlp",
        "regions": ["IT"],
        "dropout": 0.5,
        "training": {"epochs": 100},
    }


def test_section_defaults_reach_only_the_kinds_that_have_them_and_an_own_value_wins():
    given = config(a={"kind": "mlp"}, b={"kind": "mlp", "regions": ["V1"]}, c={"kind": "ridge"})
    given["defaults"] = {"models": {"regions": ["IT"]}}
    models = validated_config(given, SCHEMA)["models"]
    assert models["a"]["regions"] == ["IT"]
    assert models["b"]["regions"] == ["V1"]
    assert models["c"] == {"kind": "ridge"}


def test_the_given_config_and_the_schema_stay_as_they_are():
    given = config(a={"kind": "mlp", "regions": ["IT"]})
    before, schema_before = copy.deepcopy(given), copy.deepcopy(SCHEMA)
    filled = validated_config(given, SCHEMA)
    filled["models"]["a"]["training"]["epochs"] = 1
    assert (given, SCHEMA) == (before, schema_before)


def test_a_default_is_not_shared_between_entries():
    entry = {"kind": "mlp", "regions": []}
    models = validated_config(config(a=entry, b=dict(entry)), SCHEMA)["models"]
    models["a"]["training"]["epochs"] = 1
    assert models["b"]["training"]["epochs"] == 100


def test_a_name_far_from_all_known_ones_gets_no_suggestion():
    assert "did you mean" not in str(unknown("model", "zzz", ["ridge", "mlp"]))


@pytest.mark.parametrize("instance", [None, [], "text"])
def test_a_config_that_is_no_mapping_is_an_input_error(instance):
    assert message(validated, instance, SCHEMA, "config").startswith("config")


@pytest.mark.parametrize("entry", [None, [], "ridge"])
def test_an_entry_that_is_no_mapping_is_an_input_error(entry):
    text = message(validated_config, config(a=entry), SCHEMA)
    assert "config models.a" in text


class TestTheRealSchema:
    @pytest.fixture(scope="class")
    def schema(self, repository):
        return load_schema()

    @pytest.fixture(scope="class")
    def example(self, repository):
        return load_yaml(repository / "tests/dag/config.yaml")

    def test_the_demo_config_is_valid(self, schema, repository):
        assert validated_config(load_yaml(repository / "config/config.yaml"), schema)["models"]

    def test_every_kind_is_closed_and_names_itself(self, schema):
        sections = {k: v["x-kinds"] for k, v in schema["properties"].items() if "x-kinds" in v}
        assert set(sections) >= {"twins", "datasets", "subjects", "stimuli", "encoders", "models"}
        for section, kinds in sections.items():
            for kind, entry in kinds.items():
                assert entry["additionalProperties"] is False, (section, kind)
                assert entry["properties"]["kind"] == {"const": kind}

    def test_every_default_lies_in_its_own_range(self, schema):
        import jsonschema

        def walk(node, place):
            if isinstance(node, dict):
                if "default" in node and not isinstance(node["default"], dict):
                    jsonschema.validate(node["default"], node)
                for key, value in node.items():
                    walk(value, f"{place}.{key}")

        walk(schema["properties"], "config")

    @pytest.mark.parametrize(
        ("section", "entry", "keys", "said"),
        [
            ("datasets", "twin", {"commit": "main"}, "commit"),
            ("datasets", "twin", {"url": "https://example.org/x"}, "do not go together"),
            ("subjects", "monkeyF", {"regions": {"V1": [[0, -1]]}}, "regions.V1"),
            ("subjects", "monkeyF", {"regions": {"V1": [[0]]}}, "regions.V1"),
            ("stimuli", "pictures", {"prefx": ""}, "did you mean 'prefix'"),
            ("encoders", "demo_clip", {"kind": "clip"}, "demo_clip"),
            ("models", "mlp", {"loss": "infonec"}, "models.mlp.loss"),
            ("models", "mlp", {"epochs": 0}, "models.mlp.epochs"),
            ("models", "mlp", {"regions": []}, "models.mlp.regions"),
            ("models", "ridge", {"epochs": 5}, "unknown key 'epochs'"),
            ("ablations", "regions", {"subject": ["monkeyF"]}, "did you mean 'subjects'"),
            (
                "ablations",
                "regions",
                {"models": ["mlp"]},
                "exactly one of the keys 'base', 'models'",
            ),
        ],
    )
    def test_a_wrong_entry_is_refused(self, schema, example, section, entry, keys, said):
        wrong = copy.deepcopy(example)
        wrong[section][entry].update(keys)
        assert said in message(validated_config, wrong, schema)
