"""What a decoder starts from: an encoder pretrained by masking, or another subject's decoder."""

from __future__ import annotations

from spikeline.errors import InputError
from spikeline.plan.config import as_settings
from spikeline.settings.entries import Models
from spikeline.settings.steps import schema_of, selected

PRETRAINED = "results/pretrained/{model}/{subject}/seed{seed}.safetensors"
PRETRAINED_KIND = "capoyo"
# What the decoder of another subject is trained without.
_OF_THE_START = {"start_from": None, "transfer": "full", "training_fraction": 1}


def pretrained(models: Models, model: str) -> str | None:
    """The name of the pretrained encoder that a model starts from, if any."""
    if models.settings(model).get("pretraining", "none") == "none":
        return None
    return models.pretrained_name(model, _read())


def _read() -> set[str]:
    """The settings that an encoder depends on: those of its step, and which responses it reads."""
    return {*schema_of("pretrain", None)["properties"], "windows"}


def source(models: Models, model: str, subject: str) -> tuple[str, str] | None:
    """(model, subject) of the decoder that a model on a subject starts from, if any.

    Raises:
        InputError: it would start from itself.
    """
    other = models.settings(model).get("start_from")
    if other is None:
        return None
    if other == subject:
        raise InputError(
            f"model {model!r}: start_from is the subject itself, {subject!r}; name another"
        )
    return models.trained_name(models.with_overrides(model, _OF_THE_START)), other


def settings(models: Models, model: str) -> str:
    """The settings that pretraining reads. The model's name must be the one of its encoder.

    Raises:
        InputError: another kind of model, or a name with overrides that pretraining does not read.
    """
    entry = models.checked(model)
    if entry["kind"] != PRETRAINED_KIND:
        raise InputError(
            f"model {model!r}: is of kind {entry['kind']!r}; pretraining is for {PRETRAINED_KIND!r}"
        )
    named = models.pretrained_name(model, _read())
    if named != model:
        raise InputError(f"model {model!r}: its pretrained encoder is {named!r}; ask for that")
    return as_settings(selected("pretrain", entry, entry, entry))
