"""Settings of the ventral twin: every number the simulator takes, with its unit and default."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from spikeline.errors import InputError

REGIONS = ("V1", "V4", "IT")


@dataclass(frozen=True)
class Subject:
    """One simulated monkey.

    Attributes:
        regions: region -> list of [first, last + 1] electrode ranges, 0-based. The ranges of all
            regions together cover 0..electrodes-1 exactly once.
        days: recording days over which the presentations are spread.
    """

    regions: Mapping[str, tuple[tuple[int, int], ...]]
    days: int = 4

    def region_of_electrode(self) -> list[str]:
        """Region of each electrode, in electrode order."""
        owner = {
            electrode: region
            for region, ranges in self.regions.items()
            for first, end in ranges
            for electrode in range(first, end)
        }
        return [owner[electrode] for electrode in range(len(owner))]


def _default_subjects() -> dict[str, Subject]:
    return {
        "monkeyF": Subject({"V1": ((0, 512),), "IT": ((512, 832),), "V4": ((832, 1024),)}, days=4),
        "monkeyN": Subject({"V1": ((0, 512),), "V4": ((512, 768),), "IT": ((768, 1024),)}, days=3),
    }


def _default_reliability() -> dict[str, float]:
    return {"V1": 0.5, "V4": 0.42, "IT": 0.4}


def _default_idiosyncrasy() -> dict[str, float]:
    return {"V1": 0.6, "V4": 0.7, "IT": 0.55}


@dataclass(frozen=True)
class TwinSettings:
    """What the ventral twin is made of.

    Attributes:
        seed: everything random follows from it.
        concepts: named classes (shape x colour x texture), at most 600.
        images_per_concept: training images of each concept.
        test_images: test images, one each of the first so many concepts.
        repetitions: presentations of each test image.
        image_size: side of the square images, pixels.
        subjects: name -> Subject.
        reliability: region -> mean correlation between single presentations of the test images.
        reliability_spread: standard deviation of that correlation across electrodes.
        idiosyncrasy: region -> share of the reliable variance that is private to the image: it
            repeats with the image, and follows from none of its factors.
        noise_correlation: share of the trial-to-trial variance common to a region.
        day_gain_spread: standard deviation of the log response gain across days.
        dead_electrodes: electrodes per subject that are constant.
        nan_electrodes: electrodes per subject without any value.
        trials: presentations kept in the time-resolved file.
    """

    seed: int = 0
    concepts: int = 100
    images_per_concept: int = 12
    test_images: int = 100
    repetitions: int = 30
    image_size: int = 96
    subjects: Mapping[str, Subject] = field(default_factory=_default_subjects)
    reliability: Mapping[str, float] = field(default_factory=_default_reliability)
    reliability_spread: float = 0.15
    idiosyncrasy: Mapping[str, float] = field(default_factory=_default_idiosyncrasy)
    noise_correlation: float = 0.2
    day_gain_spread: float = 0.2
    dead_electrodes: int = 3
    nan_electrodes: int = 2
    trials: int = 24


def _subject(name: str, values: Mapping[str, Any]) -> Subject:
    unknown = sorted(set(values) - {"regions", "days"})
    if unknown:
        raise InputError(f"subjects.{name}: unknown key {unknown[0]}; known: days, regions")
    regions = {
        region: tuple((int(first), int(end)) for first, end in ranges)
        for region, ranges in values["regions"].items()
    }
    for region in regions:
        if region not in REGIONS:
            raise InputError(f"subjects.{name}.regions: unknown region {region}; known: {REGIONS}")
    covered = sorted(e for ranges in regions.values() for r in ranges for e in range(*r))
    if not covered or covered != list(range(len(covered))):
        raise InputError(
            f"subjects.{name}.regions: the ranges must cover 0..electrodes-1, each electrode once"
        )
    days = int(values.get("days", 4))
    if days < 1:
        raise InputError(f"subjects.{name}.days: {days}; give at least one day")
    return Subject(regions, days)


def twin_settings(values: Mapping[str, Any]) -> TwinSettings:
    """Settings from a JSON object; whatever it leaves out keeps its default.

    Raises:
        InputError: an unknown key, region ranges with gaps or overlaps, or counts out of range.
    """
    known = [f.name for f in fields(TwinSettings)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InputError(f"settings: unknown key {unknown[0]}; known: {', '.join(known)}")
    given = dict(values)
    if "subjects" in given:
        given["subjects"] = {name: _subject(name, v) for name, v in given["subjects"].items()}
    for name, default in (
        ("reliability", _default_reliability()),
        ("idiosyncrasy", _default_idiosyncrasy()),
    ):
        if name in given:
            given[name] = default | dict(given[name])
    settings = TwinSettings(**given)
    for name, low, high in (
        ("concepts", 2, 600),
        ("images_per_concept", 1, 200),
        ("test_images", 2, settings.concepts),
        ("repetitions", 2, 1000),
        ("image_size", 32, 1024),
        ("trials", 1, settings.concepts * settings.images_per_concept),
    ):
        if not low <= getattr(settings, name) <= high:
            raise InputError(f"settings: {name} is {getattr(settings, name)}; give {low} to {high}")
    fewest_trials = min(subject.days for subject in settings.subjects.values())
    if settings.repetitions < fewest_trials:
        raise InputError("settings: repetitions must be at least the number of days")
    return settings
