"""Settings of the ventral twin as the simulator takes them; units, ranges and defaults are the
config schema's (`twins`, kind ventral)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Subject:
    """One simulated monkey.

    Attributes:
        regions: region -> list of [first, last + 1] electrode ranges, 0-based. The ranges of all
            regions together cover 0..electrodes-1 exactly once.
        days: recording days over which the presentations are spread.
    """

    regions: Mapping[str, tuple[tuple[int, int], ...]]
    days: int

    def region_of_electrode(self) -> list[str]:
        """Region of each electrode, in electrode order."""
        owner = {
            electrode: region
            for region, ranges in self.regions.items()
            for first, end in ranges
            for electrode in range(first, end)
        }
        return [owner[electrode] for electrode in range(len(owner))]


@dataclass(frozen=True)
class TwinSettings:
    """What the ventral twin is made of; the schema describes each key."""

    seed: int
    concepts: int
    images_per_concept: int
    test_images: int
    repetitions: int
    image_size: int
    subjects: Mapping[str, Subject]
    reliability: Mapping[str, float]
    reliability_spread: float
    idiosyncrasy: Mapping[str, float]
    noise_correlation: float
    day_gain_spread: float
    dead_electrodes: int
    nan_electrodes: int
    trials: int

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> TwinSettings:
        """From complete settings of the step simulate-ventral."""
        subjects = {
            name: Subject(
                {region: tuple(map(tuple, ranges)) for region, ranges in one["regions"].items()},
                one["days"],
            )
            for name, one in values["subjects"].items()
        }
        return cls(**{**values, "subjects": subjects})
