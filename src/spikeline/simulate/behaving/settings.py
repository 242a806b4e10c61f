"""Settings of the behaving twin, and the sessions that follow from them.

Units, ranges and defaults are the config schema's (`twins`, kind behaving).
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

LAB = "twinlab"
FIRST_DATE = datetime.date(2030, 1, 1)
FIRST_ALLEN_ID = 900_000_001
# Rates are piecewise constant over bins of this width, seconds.
BIN_S = 0.02


@dataclass(frozen=True)
class BehavingSettings:
    """What the behaving twin is made of; the schema describes each key."""

    seed: int
    ibl_sessions: int
    poor_sessions: int
    allen_sessions: int
    duration_s: float
    min_units: int
    max_units: int
    min_bad_units: int
    max_bad_units: int
    poor_units: int
    drift: float
    shared: float
    scatter: float
    rotation_period_s: float
    rotation_memory_s: float
    slow_gain: float
    slow_gain_shared: float
    slow_gain_minutes: list[float]
    come_and_go: float
    population_bursts_per_minute: float
    rate_scatter: float
    scenes: int
    movie_frames: int
    image_height: int
    image_width: int


@dataclass(frozen=True)
class Plan:
    """One session to simulate.

    Attributes:
        name: of its files, such as "ibl_01".
        source: "ibl" or "allen".
        number: from 1, within its source.
        subject: the animal.
        date: of the session.
        allen_id: its number at the Allen Institute; 0 for the others.
        probes: names, in order.
        poor: whether it has too few good units.
    """

    name: str
    source: str
    number: int
    subject: str
    date: datetime.date
    allen_id: int
    probes: tuple[str, ...]
    poor: bool = False

    @property
    def reference(self) -> str:
        """How its source addresses it: "subject/date/number" (IBL) or an integer (Allen)."""
        if self.source == "allen":
            return str(self.allen_id)
        return f"{self.subject}/{self.date}/001"


def plans(settings: BehavingSettings) -> list[Plan]:
    """The sessions of a twin: IBL k is TWINkk/2030-01-kk/001, Allen k is 900000000 + k.

    The poor sessions are the last of the IBL. The second IBL session has two probes, and so has
    every Allen session.
    """
    found = []
    for number in range(1, settings.ibl_sessions + settings.poor_sessions + 1):
        found.append(
            Plan(
                name=f"ibl_{number:02d}",
                source="ibl",
                number=number,
                subject=f"TWIN{number:02d}",
                date=FIRST_DATE + datetime.timedelta(days=number - 1),
                allen_id=0,
                probes=("probe00", "probe01") if number == 2 else ("probe00",),
                poor=number > settings.ibl_sessions,
            )
        )
    for number in range(1, settings.allen_sessions + 1):
        found.append(
            Plan(
                name=f"allen_{number:02d}",
                source="allen",
                number=number,
                subject=f"{800_000_000 + number}",
                date=FIRST_DATE + datetime.timedelta(days=number - 1),
                allen_id=FIRST_ALLEN_ID + number - 1,
                probes=("probeA", "probeC"),
            )
        )
    return found
