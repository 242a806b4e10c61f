r"""Convert spike times and clusters (.npy, as Phy writes them) to a session.

Behaviour, where given, is unwrapped, interpolated to a regular series, and differentiated by a
Savitzky-Golay filter; where it does not reach it is unknown, what lies outside the session is left
out.

Example:
    spikeline convert-spikes --times spike_times.npy --clusters spike_clusters.npy \
      --samples-per-second 30000 --quality cluster_group.tsv \
      --settings '{"split": {"kind": "chronological"}}' --output mine.h5
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from spikeline.artifacts import provenance, sessions
from spikeline.artifacts.sessions import BEHAVIOURS
from spikeline.cli._options import (
    add_name,
    add_output,
    add_settings,
    name_of,
    settings_of,
    start_log,
)
from spikeline.errors import InputError
from spikeline.sources.arrays import read_array
from spikeline.sources.behaviour import Track
from spikeline.sources.conversion import to_session
from spikeline.sources.npy import Npy
from spikeline.sources.phy import read_clusters
from spikeline.sources.recordings import Recording
from spikeline.sources.spikes import Spikes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--times", required=True, help=".npy, one spike per row, sorted; seconds")
    parser.add_argument("--clusters", required=True, help=".npy, the cluster of each spike, from 0")
    parser.add_argument(
        "--samples-per-second", type=float, help="of times counted in samples (Phy's spike_times)"
    )
    parser.add_argument(
        "--quality", help="Phy's cluster_group.tsv or cluster_info.tsv (default: all good)"
    )
    parser.add_argument("--behaviour-timestamps", help=".npy, seconds in the clock of the spikes")
    parser.add_argument("--behaviour-position", help=".npy, samples [x columns]")
    parser.add_argument("--behaviour-kind", choices=BEHAVIOURS, help="what it is a position of")
    parser.add_argument("--subject", default="", help="the animal's name")
    add_name(parser)
    add_settings(parser, "convert-spikes")
    add_output(parser, "session, HDF5")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "convert-spikes")
    inputs = [options.times, options.clusters, options.quality]
    inputs += [options.behaviour_timestamps, options.behaviour_position]
    inputs = [path for path in inputs if path]
    recording = _recording(options, settings)
    # Checksums take as long as the conversion; they are computed at the same time.
    with ThreadPoolExecutor(1) as aside:
        record = aside.submit(provenance.describe, __name__, settings, inputs)
        data = to_session(recording, settings)
        sessions.save(options.output, data, record.result())


def _recording(options: argparse.Namespace, settings: dict[str, Any]) -> Recording:
    rate = options.samples_per_second
    if rate is not None and not (np.isfinite(rate) and rate > 0):
        raise InputError(f"--samples-per-second: is {rate}; expected a number above 0")
    table, every_cluster = None, True
    if options.quality:
        table, every_cluster = read_clusters(options.quality, settings["good"])
    return Recording(
        name=name_of(options),
        source="arrays",
        subject=options.subject,
        spikes=Spikes(
            Npy(options.times), Npy(options.clusters), options.times, options.clusters, rate
        ),
        clusters=table,
        every_cluster=every_cluster,
        track=_track(options),
    )


def _track(options: argparse.Namespace) -> Track | None:
    given = {
        "--behaviour-timestamps": options.behaviour_timestamps,
        "--behaviour-position": options.behaviour_position,
        "--behaviour-kind": options.behaviour_kind,
    }
    missing = [name for name, value in given.items() if not value]
    if len(missing) == len(given):
        return None
    if missing:
        raise InputError(f"{missing[0]}: is missing; behaviour needs {', '.join(given)}")
    return Track(
        options.behaviour_kind,
        read_array(options.behaviour_timestamps).ravel(),
        read_array(options.behaviour_position),
        options.behaviour_timestamps,
        position_where=options.behaviour_position,
    )
