"""Each step's settings: by hand what the workflow gives, and a mistake in one line."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import importlib
import json
from pathlib import Path

import pytest

from spikeline import cli
from spikeline.cli.main import main
from spikeline.errors import InputError
from spikeline.settings.schema import entry_schema, load_schema, validated_config
from spikeline.settings.steps import STEPS, completed, help_text, schema_of, selected
from spikeline.simulate.behaving.settings import BehavingSettings
from spikeline.simulate.classifier import ClassifierSettings
from spikeline.simulate.clip import ClipSettings
from spikeline.simulate.settings import Subject, TwinSettings

# What an entry of each kind must have and has no default for.
REQUIRED = {
    ("subjects", "tvsd"): {
        "dataset": "d", "folder": "m", "stimuli": "s", "regions": {"V1": [[0, 4]]},
    },
    ("subjects", "macaque_v4"): {"responses": "r.npy", "stimuli": "s"},
    ("subjects", "arrays"): {"responses": "r.npy", "stimuli": "s"},
    ("sessions", "ibl"): {"dataset": "d", "session": "e", "probes": ["probe00"]},
    ("sessions", "allen"): {"dataset": "d", "session": 1},
    ("sessions", "arrays"): {"times": "t.npy", "clusters": "c.npy"},
    ("encoders", "demo_clip"): {"stimuli": "s"},
    ("encoders", "open_clip"): {"model": "ViT-B-32"},
    ("encoders", "timm"): {"model": "resnet18"},
    ("encoders", "precomputed"): {"files": {"s": "e.npy"}},
    **{
        ("models", kind): {"encoder": "e", "regions": ["V1"]}
        for kind in ("ridge", "bayesian", "linear", "mlp", "capoyo")
    },
    **{
        ("models", kind): {"generator": "g", "regions": ["V1"]}
        for kind in ("unclip", "img2img", "ip_adapter", "adapter", "low_level", "retrieval")
    },
    ("autoencoders", "trained"): {"subject": "m"},
    ("generators", "trained"): {"autoencoder": "a", "encoder": "e"},
    ("generators", "diffusers"): {"autoencoder": "a", "encoder": "e", "model": "folder"},
    ("extractors", "torchvision"): {
        "model": "alexnet", "nodes": {"alexnet2": "features.4"}, "size": 256,
    },
    ("extractors", "demo_classifier"): {"stimuli": "s"},
    ("models", "auto"): {"encoder": "e", "regions": ["V1"], "of": ["ridge"]},
    ("models", "forecaster"): {"cohort": "c"},
    ("models", "shared_glm"): {"cohort": "c"},
    ("models", "regression"): {"cohort": "c"},
    ("models", "auto_forecaster"): {"cohort": "c", "of": []},
    ("windows", None): {"window": [0, 100]},
}  # fmt: skip
# Added to a bound of a number, it gives one that is just outside.
BOUNDS = {"minimum": -1, "exclusiveMinimum": 0, "maximum": 1, "exclusiveMaximum": 0}
CLASSES = (TwinSettings, Subject, BehavingSettings, ClassifierSettings, ClipSettings)
# Each step with each kind of entry that it takes.
CASES = [
    (step, kind)
    for step, parts in STEPS.items()
    for kind in next((p.kinds for p in parts if p.kinds and p.stage is None), (None,))
]
CASES_OF = dict(reversed(CASES))  # the first kind of each


def entry(section: str, kind: str | None) -> dict:
    """The smallest entry of a section, resolved as a config's."""
    given = {**({"kind": kind} if kind else {}), **REQUIRED.get((section, kind), {})}
    config = {"models": {}, "ablations": {}, section: {"one": given}}
    return validated_config(config, load_schema())[section]["one"]


def resolved(step: str, kind: str | None) -> list[dict]:
    """What the plan selects the step's settings from, one for each of its parts."""
    whole = validated_config({"models": {}, "ablations": {}}, load_schema())
    found = []
    for part in STEPS[step]:
        section, _, inner = part.section.partition(".")
        named = part.kinds or entry_schema(load_schema()["properties"][section])
        own = entry(section, part.kind_of(kind)) if named else whole[section]
        found.append(own[inner] if inner else own)
    return found


def needed(step: str, kind: str | None) -> dict:
    """What a step must be given by hand: its required keys, and the kind where it has several."""
    part = STEPS[step][0]
    values = {"kind": kind, **REQUIRED.get((part.section, kind), {})}
    chosen = ["kind"] if len(part.kinds) > 1 else []
    if kind is None:
        return REQUIRED.get((part.section, None), {})
    return {key: values[key] for key in [*schema_of(step, kind)["required"], *chosen]}


def modules_with_settings() -> set[str]:
    """The subcommands whose module reads `--settings`."""
    found = set()
    for path in Path(cli.__file__).parent.glob("*.py"):
        if path.stem.startswith("_"):
            continue
        names = {n.id for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Name)}
        if "settings_of" in names:
            found.add(path.stem.replace("_", "-"))
    return found


def run(step: str, settings: dict) -> int:
    """The subcommand with these settings, its other required options filled with anything."""
    module = importlib.import_module(f"spikeline.cli.{step.replace('-', '_')}")
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    arguments = [step]
    for action in parser._actions:
        if action.required:
            arguments += [action.option_strings[0], str((action.choices or ["0"])[0])]
    return main([*arguments, "--settings", json.dumps(settings)])


@pytest.mark.parametrize(("step", "kind"), CASES)
def test_settings_by_hand_are_those_of_an_entry_that_overrides_nothing(step, kind):
    assert completed(step, needed(step, kind)) == selected(step, *resolved(step, kind))


def test_every_subcommand_with_settings_is_a_step_and_every_step_a_subcommand():
    # a check takes the settings of the evaluation that it checks
    assert modules_with_settings() - {"validate-forecaster"} == set(STEPS)


@pytest.mark.parametrize("step", STEPS)
def test_the_help_of_a_step_names_every_setting_with_its_default(step):
    text = help_text(step)
    for key, schema in schema_of(step, CASES_OF[step]).get("properties").items():
        assert "const" in schema or key in text


def wrong_settings(step: str, kind: str | None) -> dict[str, list[tuple[dict, str]]]:
    """What is wrong -> settings with that mistake, and how the line about them begins."""
    given, properties = needed(step, kind), schema_of(step, kind)["properties"]
    found = {
        "unknown": [({**given, "colour": 1}, "--settings: unknown key 'colour'")],
        "type": [],
        "range": [],
    }
    for key, schema in properties.items():
        if key == "kind":
            continue
        # No setting takes an object with this key: it is a wrong type, or unknown further down.
        found["type"].append(({**given, key: {"colour": 1}}, f"--settings.{key}"))
        for bound, outside in BOUNDS.items():
            if bound in schema:
                wrong = {**given, key: schema[bound] + outside}
                found["range"].append((wrong, f"--settings.{key}: "))
    return found


@pytest.mark.parametrize("step", STEPS)
def test_a_mistake_on_the_command_line_is_one_line_that_names_the_setting(step, capsys):
    for mistakes in wrong_settings(step, CASES_OF[step]).values():
        for settings, said in mistakes[:1]:
            assert run(step, settings) == 1
            (line,) = capsys.readouterr().err.splitlines()
            assert line.startswith(f"spikeline {step}: {said}")


@pytest.mark.parametrize(("step", "kind"), CASES)
def test_a_wrong_value_of_any_setting_is_one_line_that_names_it(step, kind):
    for mistakes in wrong_settings(step, kind).values():
        for settings, said in mistakes:
            with pytest.raises(InputError) as caught:
                completed(step, settings)
            assert str(caught.value).startswith(said)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("settings", CLASSES)
def test_no_class_of_settings_has_a_default_of_its_own(settings):
    for field in dataclasses.fields(settings):
        assert field.default is dataclasses.MISSING, field.name
        assert field.default_factory is dataclasses.MISSING, field.name


def test_a_setting_without_a_default_must_be_given():
    with pytest.raises(InputError, match="'regions' is a required property"):
        completed("convert-tvsd", {})
    with pytest.raises(InputError, match="the key 'kind' is missing"):
        completed("fit", {})
    with pytest.raises(InputError, match="unknown kind 'mlp': known are"):
        completed("fit", {"kind": "mlp"})


def test_a_whole_number_written_as_a_fraction_and_an_infinite_one_are_refused():
    with pytest.raises(InputError, match=r"epochs: 5\.0 is not of type 'integer'"):
        completed("train-clip", {"epochs": 5.0})
    with pytest.raises(InputError, match="window_ms: inf is not of type 'number'"):
        completed("decode-wheel", {"window_ms": float("inf")})
