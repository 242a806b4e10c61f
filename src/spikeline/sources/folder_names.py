"""Names that become folders: what a server sends must not lead out of its recording's own."""

from __future__ import annotations

from spikeline.errors import InputError


def check_folder_name(name: str, what: str) -> None:
    """Raise InputError, naming `what`, unless a name stays in the folder that it is joined to."""
    if name in ("", ".", "..") or not name.isprintable() or not set(name).isdisjoint("/\\"):
        raise InputError(f"{what} {name!r} is no name of a folder; refused")
