"""The candidates of an `auto` model: entries of the config, as settings that one job can fit."""

from __future__ import annotations

from typing import Any

from spikeline.errors import InputError
from spikeline.settings.candidates import KINDS, data_keys, own_settings
from spikeline.settings.entries import Models, parse_name


def candidates(models: Models, model: str) -> dict[str, dict[str, Any]]:
    """{candidate: the settings that it does not share with `auto`}, by canonical name.

    An ensemble of seeds becomes its network with as many members.

    Raises:
        InputError: a candidate that is unknown, of another system, or no single decoder.
    """
    found = {}
    for name in models.settings(model)["of"]:
        try:
            found[models.canonical(name)] = own_settings(_single(models, name))
        except InputError as error:
            raise InputError(f"model {model!r}: candidate {name!r}: {error}") from None
    return found


def _single(models: Models, name: str) -> dict[str, Any]:
    settings = models.settings(name)
    for key in parse_name(name)[1]:
        if key in data_keys():
            raise InputError(f"all candidates share {key!r}; set it on the auto model")
    for key in ("pretraining", "start_from"):
        if settings.get(key) not in (None, "none"):
            raise InputError(f"sets {key}, and candidates are fitted in one job; leave it out")
    if settings["kind"] in KINDS:
        return models.training_settings(name)
    if settings["kind"] != "ensemble":
        raise InputError(f"is of kind {settings['kind']!r}; expected one of {', '.join(KINDS)}")
    member, *others = models.members(name)
    if others or models.settings(member)["kind"] not in KINDS:
        raise InputError("is a mean of other models; name each of them as a candidate")
    inside = models.training_settings(member)
    if "members" in inside:
        inside["members"] *= settings["seeds"]
    elif inside["kind"] == "capoyo" and settings["seeds"] > 1:
        raise InputError(f"one job trains one network of its kind; name {member!r} instead")
    return inside
