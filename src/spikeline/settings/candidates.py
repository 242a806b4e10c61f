"""Candidates of an `auto` model: they share its data, and have the rest of their settings alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from spikeline.errors import InputError
from spikeline.settings.schema import load_schema, unknown
from spikeline.settings.steps import STEPS, completed, schema_of

# The steps whose decoders can be candidates.
_STEPS = ("fit", "train")
KINDS = tuple(kind for step in _STEPS for kind in STEPS[step][0].kinds)


@cache
def shared_keys() -> frozenset[str]:
    """The settings that `auto` hands to each of its candidates: those that every kind has."""
    kinds = [set(schema_of(_step(kind), kind)["properties"]) for kind in KINDS]
    return frozenset(set(schema_of("fit-auto", None)["properties"]).intersection(*kinds)) - {"kind"}


@cache
def data_keys() -> frozenset[str]:
    """The settings of `auto` that every kind has, those that name inputs or evaluate included."""
    kinds = load_schema()["properties"]["models"]["x-kinds"]
    return frozenset.intersection(*(frozenset(kinds[kind]["properties"]) for kind in KINDS)) & (
        kinds["auto"]["properties"].keys()
    ) - {"kind"}


def own_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a decoder that it keeps as a candidate."""
    return {key: value for key, value in settings.items() if key not in shared_keys()}


def completed_candidates(
    given: Mapping[str, Mapping[str, Any]], auto: Mapping[str, Any], where: str = "--candidates"
) -> dict[str, dict[str, Any]]:
    """Candidates' own settings, checked, filled with defaults and with what they share.

    Args:
        given: own settings by the candidate's name.
        auto: complete settings of the `auto` model.

    Raises:
        InputError: no candidate, an unknown kind, a shared setting given twice, or whatever
            `spikeline.settings.steps.completed` raises.
    """
    if not given:
        raise InputError(f"{where}: expected at least one candidate")
    shared = {key: value for key, value in auto.items() if key in shared_keys()}
    found = {}
    for name, own in given.items():
        place = f"{where}.{name}"
        twice = sorted(shared_keys() & own.keys())
        if twice:
            raise InputError(f"{place}.{twice[0]}: all candidates share it; give it in --settings")
        if own.get("kind") not in KINDS:
            raise unknown("kind", own.get("kind"), KINDS, place)
        found[name] = completed(_step(own["kind"]), {**own, **shared}, place)
    return found


def _step(kind: str) -> str:
    return next(step for step in _STEPS if kind in STEPS[step][0].kinds)
