"""From a recording to a session: what the converters of every source share."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
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


def to_session(recording: Recording, settings: Mapping[str, Any]) -> Data:
    """The session that `settings` make of a recording.

    Args:
        settings: complete ones of a conversion step: split, min_rate_hz, min_units, window_s,
            behaviour.

    Raises:
        InputError: anything unsound in the recording, too few units, or too short a session.
    """
    window = None if settings["window_s"] is None else tuple(map(float, settings["window_s"]))
    recording = replace(recording, spikes=replace(recording.spikes, window=window))
    found = survey(recording.spikes, recording.cluster_count)
    origin, duration = duration_of(found.first, found.last, window)
    where = f"session {recording.name}"
    if duration > LONGEST_S:
        raise InputError(
            f"{recording.spikes.times_name}: {where} lasts {duration / 3600:.0f} hours; are its "
            "times milliseconds or samples? Give seconds, or --samples-per-second"
        )
    # Before the second pass: a session that is refused is refused soon.
    domains = domains_of(settings["split"], duration, where)
    units = chosen_units(recording, found, duration, settings["min_rate_hz"], settings["min_units"])
    track, trials, stimuli = recording.track, recording.trials, recording.stimuli
    if track is not None:
        if window is None and np.ptp(track.timestamps) > LONGEST_TRACK * duration:
            raise InputError(
                f"{track.where}: lasts {np.ptp(track.timestamps):.0f} s, {where} {duration:.0f} s; "
                "are they milliseconds or frames? Give seconds"
            )
        track = sampled(track, origin, duration, settings["behaviour"][track.kind])
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
