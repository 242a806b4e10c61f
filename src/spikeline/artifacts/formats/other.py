"""What is said of a file of another contract: which version of this package reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikeline.artifacts import provenance


def another(found: str | None, expected: str, holds: Mapping[str, Any]) -> str:
    """What is wrong with a file of another contract, and which version of this package reads it."""
    told = f"holds {found!r}, expected {expected!r}"
    if str(found).partition("/")[0] != expected.partition("/")[0]:
        return f"{told}; make it again"
    version = provenance.writer(holds.get(provenance.KEY))
    return f"{told}; spikeline {version} wrote it and reads it; make it again to use it here"
