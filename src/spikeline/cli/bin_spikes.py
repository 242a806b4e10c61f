"""Count spikes in bins of 20 ms, with the behaviour, image and domain of each bin."""

from __future__ import annotations

import argparse

import numpy as np

from spikeline.artifacts import counts, provenance, sessions
from spikeline.artifacts.counts import BIN_S, Counts
from spikeline.cli._options import add_output, start_log
from spikeline.errors import InputError
from spikeline.horizon.sessions import binning


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--session", required=True, help="converted session, HDF5")
    add_output(parser, "counts, HDF5")


def run(options: argparse.Namespace) -> None:
    start_log()
    with sessions.opened(options.session) as data:
        binned = _binned(data, options.session)
    record = provenance.describe(__name__, {"bin_s": BIN_S}, [options.session])
    counts.write(options.output, binned, record)


def _binned(data, where: str) -> Counts:
    bins = binning.whole_bins(float(data.domain.end[-1]), BIN_S)
    if not bins:
        raise InputError(f"{where}: is shorter than one bin of {BIN_S} s")
    unit_ids = np.asarray(data.units.id).astype(object)
    first, last = data.reference_domain.start[0], data.reference_domain.end[-1]
    return Counts(
        counts=binning.bin_counts(
            data.spikes.timestamps, data.spikes.unit_index, unit_ids, bins, BIN_S, where
        ),
        unit_ids=unit_ids,
        regions=np.asarray(data.units.region).astype(object),
        **_behaviour(data, bins),
        **_images(data, bins),
        domains=binning.bin_domains(
            *(_intervals(getattr(data, f"{split}_domain")) for split in sessions.SPLITS),
            bins,
            BIN_S,
        ),
        reference=binning.bins_within(first, last, bins, BIN_S),
        session=str(data.session.id),
        source=str(data.session.source),
        origin_s=float(getattr(data.session, "origin_s", 0.0)),
    )


def _intervals(domain) -> np.ndarray:
    return np.stack([domain.start, domain.end], axis=1)


def _behaviour(data, bins: int) -> dict:
    if not data.has_nested_attribute("behaviour.velocity"):
        return {"behaviour": np.full(bins, np.nan, np.float32), "behaviour_kind": ""}
    velocity = binning.bin_velocity(data.behaviour.timestamps, data.behaviour.velocity, bins, BIN_S)
    ahead, rate = data.session.behaviour_look_ahead_s, data.behaviour.sampling_rate
    velocity = binning.delayed(velocity, binning.delay_bins(float(ahead), float(rate), BIN_S))
    return {"behaviour": velocity, "behaviour_kind": str(data.session.behaviour_kind)}


def _images(data, bins: int) -> dict:
    if not data.has_nested_attribute("stimuli.image"):
        nothing = np.zeros(0)
        images, names = binning.bin_images(nothing, nothing, nothing, bins, BIN_S)
    else:
        shown = data.stimuli
        images, names = binning.bin_images(shown.start, shown.end, shown.image, bins, BIN_S)
    return {"images": images, "image_names": names}
