"""Settings of the ventral twin as the simulator takes them; units, ranges and defaults are the
config schema's (`twins`, kind ventral)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeline.errors import InputError
from spikeline.settings.schema import unknown

ARRAY_ELECTRODES = 64


@dataclass(frozen=True)
class Subject:
    """One simulated monkey.

    Attributes:
        regions: region -> list of [first, last + 1] electrode ranges, 0-based. The ranges of all
            regions together cover 0..electrodes-1 exactly once.
        days: recording days over which the presentations are spread.
        dead_arrays: arrays of electrodes, counted from 0, that are constant.
        coarse_to_fine: whether what sets an image apart from others of its shape comes late.
    """

    regions: Mapping[str, tuple[tuple[int, int], ...]]
    days: int
    dead_arrays: tuple[int, ...]
    coarse_to_fine: bool

    def region_of_electrode(self) -> list[str]:
        """Region of each electrode, in electrode order."""
        owner = {
            electrode: region
            for region, ranges in self.regions.items()
            for first, end in ranges
            for electrode in range(first, end)
        }
        return [owner[electrode] for electrode in range(len(owner))]

    def electrodes_of_dead_arrays(self) -> np.ndarray:
        """Indices of the electrodes of `dead_arrays`."""
        array = np.arange(len(self.region_of_electrode())) // ARRAY_ELECTRODES
        return np.flatnonzero(np.isin(array, self.dead_arrays))


@dataclass(frozen=True)
class TwinSettings:
    """What the ventral twin is made of; the schema describes each key."""

    seed: int
    concepts: int
    images_per_concept: int
    test_images: int
    repetitions: int
    image_size: int
    further_images: int
    subjects: Mapping[str, Subject]
    reliability: Mapping[str, float]
    reliability_spread: float
    idiosyncrasy: Mapping[str, float]
    noise_correlation: float
    day_gain_spread: float
    dead_electrodes: int
    nan_electrodes: int
    trials: int
    sample_ms: int

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> TwinSettings:
        """From complete settings of the step simulate-ventral.

        Raises:
            InputError: `dead_arrays` names a monkey or an array that there is not, or
                `coarse_to_fine` such a monkey.
        """
        dead, coarse_to_fine = values["dead_arrays"], values["coarse_to_fine"]
        subjects = {
            name: Subject(
                {region: tuple(map(tuple, ranges)) for region, ranges in one["regions"].items()},
                one["days"],
                tuple(dead.get(name, ())),
                name in coarse_to_fine,
            )
            for name, one in values["subjects"].items()
        }
        for name in coarse_to_fine:
            if name not in subjects:
                raise unknown("monkey", name, subjects, "coarse_to_fine")
        for name, arrays in dead.items():
            if name not in subjects:
                raise unknown("monkey", name, subjects, "dead_arrays")
            count = -(-len(subjects[name].region_of_electrode()) // ARRAY_ELECTRODES)
            if max(arrays, default=0) >= count:
                raise InputError(
                    f"dead_arrays.{name}: {max(arrays)} is not one of its {count} arrays; "
                    f"give 0 to {count - 1}"
                )
        of_monkeys = ("dead_arrays", "coarse_to_fine")
        others = {key: value for key, value in values.items() if key not in of_monkeys}
        return cls(**{**others, "subjects": subjects})
