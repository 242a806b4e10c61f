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
    candidates: Mapping[str, Mapping[str, Any]], shapes: Shapes, auto: Mapping[str, Any]
) -> list[Candidate]:
    """The candidates with their costs, the cheapest first; of equal ones by name.

    Args:
        candidates: resolved settings by name.
        shapes: of all training rows; those of a fold are hardly fewer.
        auto: resolved settings of the `auto` entry: nominal speeds and folds.
    """
    found = []
    for name, settings in candidates.items():
        # Only networks, which have epochs, run on a GPU.
        gigaflops = auto["network_gigaflops" if "epochs" in settings else "gigaflops"]
        seconds = (auto["folds"] + 1) * operations(settings, shapes) / (gigaflops * 1e9)
        found.append(Candidate(name, settings, seconds / 60))
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
