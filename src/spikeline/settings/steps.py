"""What each step of the workflow is told: which keys of which part of the config are its settings.

The plan selects them from a resolved entry and hands them to the step as JSON; by hand the step
checks and completes what it is given against the same part of the schema. So a setting has one
type, range and default, wherever it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from spikeline.errors import InputError
from spikeline.settings.schema import kind_schema, load_schema, unknown, validated


@dataclass(frozen=True)
class Part:
    """Some keys of a section of the config.

    Attributes:
        section: of the config; `encoders.training` is an object inside each entry.
        kinds: of the entries that the step takes; none where the section is itself one object.
        keys: the keys that are its settings; None takes all.
        without: keys that are not; `x-stage` says the same of a model's keys.
        stage: `x-stage` of the keys; None takes those that have none.
    """

    section: str
    kinds: tuple[str, ...] = ()
    keys: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()
    stage: str | None = None

    def properties(self, kind: str | None) -> dict[str, Any]:
        """{key: its schema} of an entry of this kind."""
        name, _, inner = self.section.partition(".")
        section = load_schema()["properties"][name]
        schema = section["x-kinds"][kind] if self.kinds else section
        if inner:
            schema = schema["properties"][inner]
        return {
            key: value
            for key, value in schema["properties"].items()
            if (self.keys is None or key in self.keys)
            and key not in self.without
            and value.get("x-stage") == self.stage
        }


_NETWORKS = ("linear", "mlp", "capoyo")
_CLOSED_FORMS = ("ridge", "bayesian")
_CONVERSION = ("split", "min_rate_hz", "min_units", "window_s", "behaviour")
_ENCODERS = ("demo_clip", "open_clip", "timm")

STEPS: dict[str, tuple[Part, ...]] = {
    "simulate-ventral": (Part("twins", ("ventral",), without=("kind",)),),
    "simulate-behaving": (Part("twins", ("behaving",), without=("kind",)),),
    "convert-tvsd": (Part("subjects", ("tvsd",), ("regions",)),),
    "convert-macaque-v4": (Part("subjects", ("macaque_v4",), ("splits", "test_images")),),
    "convert-arrays": (Part("subjects", ("arrays",), ("regions", "splits", "test_images")),),
    "convert-ibl": (Part("sessions", ("ibl",), _CONVERSION),),
    "convert-allen": (Part("sessions", ("allen",), _CONVERSION),),
    "convert-spikes": (Part("sessions", ("arrays",), (*_CONVERSION, "good")),),
    # Any kind: the key is the same in all.
    "validate": (Part("sessions", ("ibl",), ("min_units",)),),
    "train-clip": (Part("encoders.training", ("demo_clip",)),),
    "fetch-weights": (Part("encoders", _ENCODERS[1:], without=("batch_size",)),),
    "embed": (Part("encoders", _ENCODERS, without=("stimuli", "training")),),
    "import-embeddings": (Part("encoders", ("precomputed",), ("kind", "scale")),),
    "fit": (Part("models", _CLOSED_FORMS),),
    "train": (Part("models", _NETWORKS),),
    "evaluate": (
        Part("evaluation", keys=("shuffles", "repetition_draws", "ceiling_draws")),
        Part("models", ("ridge",), stage="evaluation"),
    ),
    "score-baselines": (Part("evaluation", keys=("horizons_ms",)),),
    "fit-regression": (Part("models", ("regression",)),),
    "train-forecaster": (Part("models", ("forecaster",)),),
    "evaluate-forecaster": (
        Part("evaluation", keys=("horizons_ms",)),
        Part("models", ("forecaster",), stage="evaluation"),
    ),
    "decode-wheel": (Part("wheel", without=("sessions", "seeds")),),
}


def selected(step: str, *values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a step among resolved values: an entry, or a section of one object.

    Args:
        values: one for each part of the step, in the order of `STEPS`.
    """
    chosen: dict[str, Any] = {}
    for part, given in zip(STEPS[step], values, strict=True):
        kind = given.get("kind") if given.get("kind") in part.kinds else (*part.kinds, None)[0]
        chosen |= {key: given[key] for key in part.properties(kind) if key in given}
    return chosen


def completed(step: str, given: Mapping[str, Any], where: str = "--settings") -> dict[str, Any]:
    """Settings given by hand, checked and filled with the schema's defaults.

    Raises:
        InputError: an unknown key, a wrong type or range, or a key that has no default.
    """
    return validated(given, schema_of(step, _kind(step, given, where)), where)


@cache
def schema_of(step: str, kind: str | None) -> dict[str, Any]:
    """The closed schema of a step's settings; `kind` where it takes entries of several."""
    properties: dict[str, Any] = {}
    required: list[str] = []
    for part in STEPS[step]:
        own = part.properties(kind if kind in part.kinds else (*part.kinds, None)[0])
        properties |= own
        if part.kinds and "." not in part.section and part.stage is None:
            needed = load_schema()["properties"][part.section]["x-kinds"]
            name = kind if kind in part.kinds else part.kinds[0]
            required += [key for key in needed[name].get("required", ()) if key in own]
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "required": required,
    }


def _kind(step: str, given: Mapping[str, Any], where: str) -> str | None:
    """The kind of a step's entry: the only one it takes, or the one that is given."""
    for part in STEPS[step]:
        if len(part.kinds) > 1 and part.stage is None:
            if "kind" not in given:
                kind_schema(given, dict.fromkeys(part.kinds), where)  # raises, naming the kinds
            if given["kind"] not in part.kinds:
                raise unknown("kind", given["kind"], part.kinds, where)
            return given["kind"]
    return None


def help_text(step: str) -> str:
    """The settings of a step for `--help`: each key with its default."""
    kinds = next((p.kinds for p in STEPS[step] if len(p.kinds) > 1 and p.stage is None), (None,))
    texts = []
    for kind in kinds:
        schema = schema_of(step, kind)
        keys = ", ".join(
            key if "default" not in value else f"{key} ({_short(value['default'])})"
            for key, value in schema["properties"].items()
            if "const" not in value
        )
        texts.append(f"{kind}: {keys}" if kind else keys)
    return "; ".join(texts)


def _short(value: Any) -> str:
    return (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )


def stated(name: str) -> str:
    """The step of a subcommand's module, `spikeline.cli.fit_regression` for one."""
    step = name.rpartition(".")[2].replace("_", "-")
    if step not in STEPS:
        raise InputError(f"{step}: takes no settings; known are {list(STEPS)}")
    return step
