"""The settings of each step of the workflow: which keys of which part of the config they are.

The plan selects them from a resolved entry and hands them to the step as JSON; by hand the step
checks and completes what it is given against the same part of the schema. So a setting has one
type, range and default, wherever it comes from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from spikeline.settings import relations
from spikeline.settings.schema import (
    entry_schema,
    kind_schema,
    load_schema,
    unknown,
    validated,
    with_defaults,
)


@dataclass(frozen=True)
class Part:
    """Some keys of a section of the config.

    Attributes:
        section: of the config; `encoders.training` is an object inside each entry.
        kinds: of the entries that the step takes; none where entries have no kind, or the section
            is itself one object.
        keys: the keys that are its settings; None takes all.
        without: keys that are not; `x-stage` says the same of a model's keys.
        stage: `x-stage` of the keys; None takes those that have none.
    """

    section: str
    kinds: tuple[str, ...] = ()
    keys: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()
    stage: str | None = None

    def kind_of(self, kind: str | None) -> str | None:
        """The kind itself if the part takes it, else the first that it takes, if any."""
        return kind if kind in self.kinds else (*self.kinds, None)[0]

    def properties(self, kind: str | None) -> dict[str, Any]:
        """{key: its schema} of an entry of this kind."""
        name, _, inner = self.section.partition(".")
        section = load_schema()["properties"][name]
        schema = section["x-kinds"][kind] if self.kinds else entry_schema(section) or section
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
_RECONSTRUCTIONS = ("unclip", "img2img", "ip_adapter", "low_level", "retrieval")
# How a generator's pipeline is loaded, of either kind: a trained one has no variants.
_PIPELINE = Part("generators", ("diffusers",), ("conditioning", "scheduler", "variant"))
# Which layers of an encoder are kept, and what becomes of them.
_POOLING, _LAYERS = ("layers", "pool", "grid"), ("layer_transform", "layer_components")
# What pretraining reads of training's settings: rows, electrodes, the encoder, masks.
_PRETRAINED = (
    "regions", "min_snr", "min_reliability", "drop_test_concepts", "drop_other_concepts",
    "training_fraction", "transform", "validation_images", "batch_size", "weight_decay",
    "warmup_epochs", "dim", "latents", "depth", "heads", "dropout", "region_embedding",
    "checkpointing", "mask", "mask_share", "mask_bins",
)  # fmt: skip
# Which sessions are decoded and how often, not how.
_WHEEL = ("sessions", "joint", "seeds")

STEPS: dict[str, tuple[Part, ...]] = {
    "simulate-ventral": (Part("twins", ("ventral",), without=("kind",)),),
    "simulate-behaving": (Part("twins", ("behaving",), without=("kind",)),),
    "simulate-place-cells": (Part("twins", ("place_cells",), without=("kind",)),),
    "convert-tvsd": (Part("subjects", ("tvsd",), ("regions",)),),
    "convert-trials": (
        Part("subjects", ("tvsd",), ("regions", "trial_bin_ms", "published_windows")),
    ),
    "window-responses": (Part("windows"),),
    "convert-macaque-v4": (Part("subjects", ("macaque_v4",), ("splits", "test_images")),),
    "convert-arrays": (Part("subjects", ("arrays",), ("regions", "splits", "test_images")),),
    "convert-ibl": (Part("sessions", ("ibl",), _CONVERSION),),
    "convert-allen": (Part("sessions", ("allen",), _CONVERSION),),
    "convert-spikes": (Part("sessions", ("arrays",), (*_CONVERSION, "good")),),
    # Any kind: the key is the same in all.
    "validate": (Part("sessions", ("ibl",), ("min_units",)),),
    "train-clip": (Part("encoders.training", ("demo_clip",)),),
    "fetch-weights": (
        Part("encoders", _ENCODERS[1:], without=("batch_size", *_POOLING, *_LAYERS)),
    ),
    "fetch-extractor": (Part("extractors", ("torchvision", "swav"), ("kind", "model")),),
    "train-classifier": (
        Part("extractors", ("demo_classifier",), ("factors",)),
        Part("extractors.training", ("demo_classifier",)),
    ),
    "score-reconstructions": (Part("evaluation", keys=("pixel_size", "mispairings")),),
    "embed": (Part("encoders", _ENCODERS, without=("stimuli", "training", *_LAYERS)),),
    # Any kind: the keys are the same in all.
    "reduce-layers": (Part("encoders", ("precomputed",), _LAYERS),),
    "import-embeddings": (Part("encoders", ("precomputed",), ("kind", "scale")),),
    "fit": (Part("models", _CLOSED_FORMS),),
    "train": (Part("models", _NETWORKS),),
    "pretrain": (
        Part("models", ("capoyo",), _PRETRAINED),
        Part("models", ("capoyo",), stage="pretraining"),
        Part("models", ("capoyo",), ("reserved_repetitions",), stage="evaluation"),
    ),
    "fit-auto": (Part("models", ("auto",)),),
    "train-autoencoder": (Part("autoencoders.training", ("trained",)),),
    "train-generator": (
        Part("generators.training", ("trained",)),
        Part("generators", ("trained",), ("conditioning",)),
    ),
    "train-ip-adapter": (Part("generators.ip_adapter", ("trained",)),),
    "fetch-generator": (
        Part("generators", ("diffusers",), ("model", "revision", "variant", "ip_adapter")),
    ),
    "fit-reconstructor": (Part("models", _RECONSTRUCTIONS), _PIPELINE),
    "train-adapter": (Part("models", ("adapter",)), _PIPELINE),
    # Any kind that draws: the keys are the same in all, and no others have more.
    "reconstruct": (Part("models", ("unclip",), stage="evaluation"), _PIPELINE),
    "evaluate": (
        Part("evaluation", keys=("repetition_draws",)),
        Part("models", ("ridge",), stage="evaluation"),
    ),
    "score-baselines": (Part("evaluation", keys=("horizons_ms",)),),
    "fit-regression": (Part("models", ("regression",)),),
    "train-forecaster": (Part("models", ("forecaster", "shared_glm")),),
    "evaluate-forecaster": (
        Part("evaluation", keys=("horizons_ms",)),
        Part("models", ("forecaster", "shared_glm"), stage="evaluation"),
    ),
    "combine-forecasters": (Part("evaluation", keys=("horizons_ms",)),),
    "decode-wheel": (Part("wheel", without=_WHEEL),),
    "decode-wheel-jointly": (Part("wheel", without=(*_WHEEL, "ridge_bin_ms", "shuffles")),),
}


def selected(step: str, *values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a step among resolved values: an entry, or a section of one object.

    Args:
        values: one for each part of the step, in the order of `STEPS`.
    """
    chosen: dict[str, Any] = {}
    for part, given in zip(STEPS[step], values, strict=True):
        kind = part.kind_of(given.get("kind"))
        chosen |= {key: given[key] for key in part.properties(kind) if key in given}
    return chosen


def completed(step: str, given: Mapping[str, Any], where: str = "--settings") -> dict[str, Any]:
    """Settings given by hand, checked and filled with the schema's defaults.

    Raises:
        InputError: an unknown key, a wrong type or range, a key that is missing and has no default,
            or keys that do not fit together.
    """
    kind = _kind(step, given, where)
    filled = validated(given, schema_of(step, kind), where)
    for part in STEPS[step]:
        name = part.kind_of(kind)
        own = {key: filled[key] for key in part.properties(name) if key in filled}
        relations.check(part.section, name, own, where)
    return filled


@cache
def schema_of(step: str, kind: str | None) -> dict[str, Any]:
    """The closed schema of a step's settings; `kind` where it takes entries of several."""
    properties: dict[str, Any] = {}
    required: list[str] = []
    for part in STEPS[step]:
        name = part.kind_of(kind)
        own = part.properties(name)
        # A constant, such as the kind where a step takes only one, need not be given.
        properties |= {
            key: {"default": value["const"], **value} if "const" in value else value
            for key, value in own.items()
        }
        if part.kinds and "." not in part.section and part.stage is None:
            needed = load_schema()["properties"][part.section]["x-kinds"][name]
            required += [key for key in needed.get("required", ()) if key in own]
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
        keys = ", ".join(
            f"{key} ({json.dumps(with_defaults(value['default'], value))})"
            if "default" in value
            else key
            for key, value in schema_of(step, kind)["properties"].items()
            if "const" not in value
        )
        texts.append(f"kind {kind}: {keys}" if kind else keys)
    return "; ".join(texts)
