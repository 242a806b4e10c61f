"""Settings of the behaving twin, and the sessions that follow from them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from spikeline.errors import InputError

LAB = "twinlab"
FIRST_DATE = datetime.date(2030, 1, 1)
FIRST_ALLEN_ID = 900_000_001
# Rates are piecewise constant over bins of this width, seconds.
BIN_S = 0.02


@dataclass(frozen=True)
class BehavingSettings:
    """What the behaving twin is made of.

    Attributes:
        seed: everything random follows from it.
        ibl_sessions: sessions with a steering wheel, whole ones.
        poor_sessions: further sessions of that kind with `poor_units` good units each.
        allen_sessions: sessions on a running disc that watch scenes and a movie.
        duration_s: of every session.
        min_units, max_units: good units of a session.
        min_bad_units, max_bad_units: units that the sorter found and no one should use.
        poor_units: good units of a poor session.
        drift: standard deviation of each unit's private log rate; unit types scale it.
        shared: factor of every coupling to the shared latents; 0 leaves units independent.
        scatter: how much units of one type differ, as a share of their coupling.
        rotation_period_s, rotation_memory_s: of the fast population latent.
        scenes: natural scenes shown to the sessions that watch.
        movie_frames: of the natural movie, at 30 frames a second.
        image_height, image_width: of scenes and movie, pixels.
    """

    seed: int = 0
    ibl_sessions: int = 5
    poor_sessions: int = 1
    allen_sessions: int = 3
    duration_s: float = 300.0
    min_units: int = 50
    max_units: int = 70
    min_bad_units: int = 10
    max_bad_units: int = 20
    poor_units: int = 3
    drift: float = 0.3
    shared: float = 1.0
    scatter: float = 0.15
    rotation_period_s: float = 1.5
    rotation_memory_s: float = 1.5
    scenes: int = 40
    movie_frames: int = 300
    image_height: int = 96
    image_width: int = 120


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


def behaving_settings(values: Mapping[str, Any]) -> BehavingSettings:
    """Settings from a JSON object; whatever it leaves out keeps its default.

    Raises:
        InputError: an unknown key, or a number out of range.
    """
    defaults = {f.name: f.default for f in fields(BehavingSettings)}
    unknown = sorted(set(values) - set(defaults))
    if unknown:
        raise InputError(f"settings: unknown key {unknown[0]}; known: {', '.join(defaults)}")
    for name, value in values.items():
        whole = isinstance(defaults[name], int)
        number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        if not number:
            kind = "a whole number" if whole else "a number"
            raise InputError(f"settings: {name} is {value!r}; {kind} is due")
    settings = BehavingSettings(**values)
    for name, low, high in (
        ("seed", 0, 2**31 - 1),
        ("ibl_sessions", 0, 99),
        ("poor_sessions", 0, 99 - settings.ibl_sessions),
        ("allen_sessions", 0, 99),
        ("duration_s", 20, 7200),
        ("min_units", 1, 350),
        ("max_units", settings.min_units, 350),
        ("min_bad_units", 0, 150),
        ("max_bad_units", settings.min_bad_units, 150),
        ("poor_units", 0, 350),
        ("drift", 0, 2),
        ("shared", 0, 2),
        ("scatter", 0, 1),
        ("rotation_period_s", 0.2, 60),
        ("rotation_memory_s", 0.1, 60),
        ("scenes", 2, 118),
        ("movie_frames", 30, 900),
        ("image_height", 32, 1024),
        ("image_width", settings.image_height, 2048),
    ):
        if not low <= getattr(settings, name) <= high:
            raise InputError(f"settings: {name} is {getattr(settings, name)}; give {low} to {high}")
    if not plans(settings):
        raise InputError("settings: no session is asked for; raise ibl_sessions or allen_sessions")
    return settings
