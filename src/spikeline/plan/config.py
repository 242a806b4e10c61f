"""The config as the plan reads it: the demo's, completed by the user's, checked, asked by name."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from spikeline.errors import InputError
from spikeline.plan.release_tables import sessions_of_table
from spikeline.settings.entries import Models
from spikeline.settings.schema import load_schema, unknown, validated_config


def merged(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """`overlay` over `base`: objects key by key, all else whole, as Snakemake merges configs."""
    result = copy.deepcopy(dict(base))
    for key, value in overlay.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else copy.deepcopy(value)
    return result


def as_settings(values: Mapping[str, Any] | list[Any]) -> str:
    """Settings as a job gets them: sorted JSON, so that the order in the config means nothing."""
    return json.dumps(values, sort_keys=True)


class Config:
    """A validated config.

    Attributes:
        values: the whole config, defaults filled, sessions of release tables among its sessions.
        models: its models, overrides included.

    Args:
        given: the config as it was written.

    Raises:
        InputError: anything in it that breaks the schema, naming the place.
    """

    def __init__(self, given: Mapping[str, Any]):
        schema = load_schema()
        values = validated_config(given, schema)
        # {a name that a cohort may give: its sessions}
        self.tables: dict[str, dict[str, Any]] = {}
        values["sessions"] = dict(values["sessions"])
        for name, entry in values["session_tables"].items():
            named = sessions_of_table(name, entry)
            self.tables |= named
            for session in named[name]:
                if session in values["sessions"]:
                    raise InputError(
                        f"config session_tables.{name}: its session {session!r} is named elsewhere "
                        "too, in `sessions` or another table; rename one"
                    )
            values["sessions"] |= named[name]
        for name in values["sessions"]:
            if name in values["subjects"]:
                raise InputError(f"config: {name!r} names a subject and a session; rename one")
        self.values: Mapping[str, Any] = values
        self.models = Models(values, schema["properties"]["models"]["x-kinds"])

    def __getitem__(self, section: str) -> Any:
        return self.values[section]

    def entry(self, section: str, name: str) -> Mapping[str, Any]:
        """An entry of a section.

        Raises:
            InputError: there is none of that name; lists the known ones.
        """
        if name not in self.values[section]:
            raise unknown(_singular(section), name, self.values[section])
        return self.values[section][name]

    def names(self, section: str, *kinds: str) -> list[str]:
        """The sorted names of a section's entries of these kinds."""
        entries = self.values[section].items()
        return sorted(name for name, entry in entries if entry["kind"] in kinds)

    @cached_property
    def evaluation(self) -> Mapping[str, Any]:
        return self.values["evaluation"]


def _singular(section: str) -> str:
    return {"stimuli": "stimulus set"}.get(section, section.rstrip("s").replace("_", " "))
