"""From a recording to a session: what the converters of every source share."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch_brain.data import Data

from spikeline.artifacts import sessions
from spikeline.errors import InputError
from spikeline.sources.behaviour import sampled
from spikeline.sources.domains import SPLITS, domains_of
from spikeline.sources.recordings import (
    Recording,
    chosen_units,
    shifted_stimuli,
    shifted_trials,
)
from spikeline.sources.spikes import duration_of, survey, take

log = logging.getLogger(__name__)

# Beyond it, times are in another unit than seconds.
LONGEST_S = 24 * 3600
# Times the session: so long a track is not in seconds either.
LONGEST_TRACK = 20

DEFAULTS: dict[str, Any] = {
    "session": None,
    "split": {"kind": "interleaved"},
    "min_rate_hz": 0.0,
    "min_units": 1,
    "window_s": None,
    "behaviour": {},
}
HELP = (
    '{"session": its name (default: that of the output), "split": {"kind": "interleaved", '
    '"block_s": 20, "guard_s": 2, "reference_s": 60} or {"kind": "chronological", "train": 0.595, '
    '"valid": 0.105, "reference_s": 60}, "min_rate_hz": 0, "min_units": 1, "window_s": null or '
    '[start, end], "behaviour": {"rate_hz": 100, "smoothing_s": ..., "wrap": ..., "max_gap_s": ...}'
)


def settings_with_defaults(
    given: Mapping[str, Any], more: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Checked settings of a conversion; `more` are the source's own defaults."""
    known = {**DEFAULTS, **(more or {})}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InputError(f"--settings: unknown key {unknown[0]!r}; known are {sorted(known)}")
    settings = {**known, **given}
    for key in ("min_rate_hz", "min_units"):
        value = settings[key]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
            raise InputError(f"--settings: {key} is {value!r}; a number from 0 is due")
    for key in ("split", "behaviour"):
        if not isinstance(settings[key], Mapping):
            raise InputError(f"--settings: {key} is {settings[key]!r}; an object is due")
    settings["window_s"] = _window(settings["window_s"])
    return settings


def name_of(settings: Mapping[str, Any], output: str) -> str:
    """The session's name: as the settings say, or the output's."""
    return settings["session"] or Path(output).stem


def to_session(recording: Recording, settings: Mapping[str, Any]) -> Data:
    """The session that `settings` make of a recording.

    Raises:
        InputError: anything unsound in the recording, too few units, or too short a session.
    """
    window = settings["window_s"]
    recording = replace(recording, spikes=replace(recording.spikes, window=window))
    found = survey(recording.spikes, recording.cluster_count)
    origin, duration = duration_of(found.first, found.last, window)
    where = f"session {recording.name}"
    if duration > LONGEST_S:
        raise InputError(
            f"{recording.spikes.times_name}: {where} lasts {duration / 3600:.0f} hours; are its "
            "times milliseconds or samples? Seconds are due, or --samples-per-second"
        )
    # Before the second pass: a session that is refused is refused soon.
    domains = domains_of(settings["split"], duration, where)
    units = chosen_units(
        recording, found, duration, settings["min_rate_hz"], int(settings["min_units"])
    )
    track, trials, stimuli = recording.track, recording.trials, recording.stimuli
    if track is not None:
        if window is None and np.ptp(track.timestamps) > LONGEST_TRACK * duration:
            raise InputError(
                f"{track.where}: lasts {np.ptp(track.timestamps):.0f} s, {where} {duration:.0f} s; "
                "are they milliseconds or frames? Seconds are due"
            )
        track = sampled(track, origin, duration, settings["behaviour"])
    if trials is not None:
        trials = shifted_trials(trials, origin, duration)
    if stimuli is not None:
        stimuli = shifted_stimuli(stimuli, origin, duration, where)
    times, unit_index = take(recording.spikes, units.pop("cluster"), found.counts, origin)
    log.info("%s: %.2f s from %.0f s of the source's clock", where, duration, origin)
    return sessions.build(
        times,
        unit_index,
        units,
        duration,
        {split: getattr(domains, split) for split in SPLITS} | {"reference": domains.reference},
        {
            "id": recording.name,
            "source": recording.source,
            "subject": recording.subject,
            "origin_s": origin,
        },
        track,
        trials,
        stimuli,
    )


def _window(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    numbers = isinstance(value, (list, tuple)) and len(value) == 2
    if not numbers or not all(isinstance(v, (int, float)) for v in value):
        raise InputError(f"--settings: window_s is {value!r}; [start, end] in seconds is due")
    if not 0 <= value[0] < value[1]:
        raise InputError(f"--settings: window_s is {value!r}; 0 <= start < end is due")
    return (float(value[0]), float(value[1]))
