"""Which extractors score reconstructions, and where their weights lie, as options give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spikeline.cli._options import json_of
from spikeline.errors import InputError
from spikeline.settings.schema import validated_entries


def entries_of(text: str, section: str) -> dict[str, dict[str, Any]]:
    """Entries of a section of the config by name, checked and filled with the schema's defaults."""
    return validated_entries(section, json_of(text, f"--{section}"), f"--{section}")


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
