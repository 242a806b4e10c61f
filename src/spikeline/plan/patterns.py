"""Regular expressions for the names in file paths: which entries a rule makes files of."""

from __future__ import annotations

from collections.abc import Iterable

from spikeline.settings.entries import ENTRY_NAME

# Matches nothing, where there is no entry of a kind.
NOTHING = "(?!)"
_OVERRIDES = r"(?:@[^/]+)?"
_END = r"(?![A-Za-z0-9_-])"


def one_of(names: Iterable[str]) -> str:
    """Matches these names."""
    return "|".join(sorted(names)) or NOTHING


def none_of(names: Iterable[str]) -> str:
    """Matches every other name: the known ones that are left, and unknown ones.

    One rule of a family takes the unknown names, so that its input function can list the known.
    """
    return rf"(?!(?:{one_of(names)}){_END}){ENTRY_NAME}"


def models_of(entries: Iterable[str]) -> str:
    """Matches the names of models: these entries, alone or with overrides."""
    return rf"(?:{one_of(entries)}){_OVERRIDES}"


def models_but(entries: Iterable[str]) -> str:
    """Matches the names of all other models, known or not."""
    return rf"(?!(?:{one_of(entries)}){_END})[^/@]+{_OVERRIDES}"
