r"""Describe each unit by 33 numbers from its spikes in the session's reference window.

Example:
    spikeline reference-features --session results/sessions/ibl_01.h5 \
      --output results/features/ibl_01.h5
"""

from __future__ import annotations

import argparse

import numpy as np

from spikeline.artifacts import features, provenance, sessions
from spikeline.cli._options import add_output, start_log
from spikeline.errors import InputError
from spikeline.horizon.sessions.binning import checked_spikes
from spikeline.horizon.sessions.reference_features import reference_features


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--session", required=True, help="converted session, HDF5")
    parser.add_argument(
        "--reference", nargs=2, type=float, metavar=("START", "END"),
        help="seconds, instead of the session's own reference window",
    )  # fmt: skip
    add_output(parser, "features, HDF5")


def run(options: argparse.Namespace) -> None:
    start_log()
    with sessions.opened(options.session) as data:
        window = _window(data, options.reference, options.session)
        unit_ids = np.asarray(data.units.id).astype(object)
        times, units = _spikes(data, *window)
        checked_spikes(times, units, len(unit_ids), options.session)
        values, valid, counts = reference_features(times, units, len(unit_ids), *window)
        described = features.Features(values, unit_ids, valid, counts, str(data.session.id), window)
    settings = {"reference": list(window)}
    record = provenance.describe(__name__, settings, [options.session])
    features.write(options.output, described, record)


def _window(data, given: list[float] | None, where: str) -> tuple[float, float]:
    domain = data.reference_domain
    if given is None and not len(domain.start):
        raise InputError(f"{where}: has no reference window; convert it with reference_s above 0")
    start, end = given or (float(domain.start[0]), float(domain.end[-1]))
    duration = float(data.domain.end[-1])
    if not 0 <= start < end:
        raise InputError(f"{where}: the reference window runs from {start:g} to {end:g} s")
    if end > duration + 1e-6:
        raise InputError(
            f"{where}: the reference window ends at {end:g} s, longer than the session of "
            f"{duration:g} s; shorten it"
        )
    return float(start), float(end)


def _spikes(data, start: float, end: float) -> tuple[np.ndarray, np.ndarray]:
    """Times and units of the window's spikes alone; the rest of the file is not read."""
    spikes = data.spikes.slice(start, end, reset_origin=False)
    return spikes.timestamps, spikes.unit_index
