"""Which candidates fit into a budget of minutes: the cheapest first, by counted operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spikeline.bridge.automatic.operations import Shapes, operations


@dataclass(frozen=True)
class Candidate:
    """A candidate of an `auto` model.

    Attributes:
        name: by which the config calls it.
        settings: resolved.
        minutes: that all its fits take by count of operations at the nominal speed.
    """

    name: str
    settings: Mapping[str, Any]
    minutes: float


def estimated(
    candidates: Mapping[str, Mapping[str, Any]], shapes: Shapes, fits: int, gigaflops: float
) -> list[Candidate]:
    """The candidates with their costs, the cheapest first; of equal ones by name.

    Args:
        candidates: resolved settings by name.
        fits: how often each is fitted to data of about these shapes.
        gigaflops: nominal speed, 1e9 operations per second.
    """
    found = [
        Candidate(name, settings, fits * operations(settings, shapes) / (gigaflops * 6e10))
        for name, settings in candidates.items()
    ]
    return sorted(found, key=lambda candidate: (candidate.minutes, candidate.name))


def affordable(candidates: list[Candidate], budget_minutes: float) -> int:
    """How many of the candidates, the cheapest first, fit into the budget together; at least one.

    Args:
        candidates: as `estimated` orders them.
    """
    total, count = 0.0, 0
    for candidate in candidates:
        total += candidate.minutes
        if total > budget_minutes:
            break
        count += 1
    return max(count, 1)
