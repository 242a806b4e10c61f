"""How an artifact came about: every file behind it, followed through the records of provenance.

A record names what its step read, each of those files has a record of its own, and so on to the
origins. Files that are gone, or carry no record, end their branch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikeline.artifacts import provenance
from spikeline.errors import InputError


@dataclass(frozen=True)
class Artifact:
    """A file of a lineage; `record` is empty where it carries none, or is gone."""

    path: str
    record: dict[str, Any]

    @property
    def step(self) -> str:
        return self.record.get("step", "")


def lineage(paths: Iterable[str | os.PathLike[str]]) -> list[Artifact]:
    """The artifacts at `paths` and all they were made from, each once, the nearest first."""
    found: dict[str, Artifact] = {}
    waiting = [Path(path).as_posix() for path in paths]
    while waiting:
        path = waiting.pop(0)
        if path in found:
            continue
        try:
            record = provenance.read(path)
        except InputError:
            record = {}
        found[path] = Artifact(path, record)
        waiting += record.get("inputs", {})
    return list(found.values())
