"""Which extractors score reconstructions, and where their weights lie, as options give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spikeline.cli._options import json_of
from spikeline.errors import InputError
from spikeline.settings.schema import load_schema, validated_entry


def entries_of(text: str, section: str) -> dict[str, dict[str, Any]]:
    """Entries of a section of the config by name, checked and filled with the schema's defaults."""
    kinds = load_schema()["properties"][section]["x-kinds"]
    given = json_of(text, f"--{section}")
    return {
        name: validated_entry(section, entry, kinds, f"--{section}.{name}")
        for name, entry in given.items()
    }


def named_paths(given: Sequence[str], known: Mapping[str, Any], option: str) -> dict[str, str]:
    """{name: path} of `NAME=PATH` arguments.

    Raises:
        InputError: no such pair, or an unknown name.
    """
    found = {}
    for pair in given:
        name, equals, path = pair.partition("=")
        if not equals or not path or name not in known:
            names = ", ".join(known) or "none"
            raise InputError(f"{option}: {pair!r} is no NAME=PATH of an extractor; given: {names}")
        found[name] = path
    return found
