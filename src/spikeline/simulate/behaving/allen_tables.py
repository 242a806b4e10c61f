"""Probes, channels and units of a session with the ids and columns that the Allen client knows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from spikeline.simulate.behaving.regions import REGION_IDS
from spikeline.simulate.behaving.store import Stored

CHANNELS = 384
SPACING_UM = 20
SAMPLING_HZ = 30000.0
LFP_HZ = 1250.0


@dataclass(frozen=True)
class Tables:
    """Rows of the client's project tables that belong to one session.

    Attributes:
        probes, channels, units: indexed by id, in the order of probes, then up the probe.
    """

    probes: pd.DataFrame
    channels: pd.DataFrame
    units: pd.DataFrame


def tables_of(session: Stored) -> Tables:
    """Tables with ids derived from the session's: probe p of session s is 10 s + p, its channels
    and units are 10000 s + 1000 p + row."""
    plan, units = session.plan, session.units
    rng = np.random.default_rng([plan.allen_id, 5])
    # Short numbers: the file stores ids of channels and units in 32 bits.
    base = plan.allen_id % 100_000
    probe_ids = [base * 10 + number for number in range(len(plan.probes))]
    probes = pd.DataFrame(
        {
            "ecephys_session_id": plan.allen_id,
            "lfp_sampling_rate": LFP_HZ,
            "name": plan.probes,
            "phase": "simulated",
            "sampling_rate": SAMPLING_HZ,
            "has_lfp_data": False,
        },
        index=pd.Index(probe_ids, name="id"),
    )
    parts, peaks = [], np.empty(len(units["good"]), dtype=int)
    for number, probe in enumerate(probe_ids):
        rows = np.flatnonzero(units["probe"] == number)
        # One unit per channel, evenly spread up the probe.
        mine = ((np.arange(len(rows)) + 0.5) * CHANNELS / max(len(rows), 1)).astype(int)
        first = base * 10_000 + number * 1000
        peaks[rows] = first + mine
        parts.append(_channels(probe, first, mine, units["region"][rows]))
    return Tables(probes, pd.concat(parts), _units(session, peaks, rng))


def _channels(probe: int, first: int, peaks: np.ndarray, regions: np.ndarray) -> pd.DataFrame:
    site = np.arange(CHANNELS)
    acronyms = np.full(CHANNELS, None, dtype=object)
    if len(peaks):
        acronyms = regions[np.abs(site[:, None] - peaks).argmin(axis=1)].astype(object)
    # The uppermost channels stick out of the brain.
    acronyms[site > CHANNELS - 3] = None
    ids = [REGION_IDS[a] if a else np.nan for a in acronyms]
    return pd.DataFrame(
        {
            "ecephys_probe_id": probe,
            "local_index": site,
            "probe_horizontal_position": np.array([43, 11, 59, 27])[site % 4],
            "probe_vertical_position": (site // 2 + 1) * SPACING_UM,
            "anterior_posterior_ccf_coordinate": 8000.0,
            "dorsal_ventral_ccf_coordinate": 4500.0 - 10.0 * site,
            "left_right_ccf_coordinate": 7500.0,
            "ecephys_structure_id": ids,
            "ecephys_structure_acronym": acronyms,
        },
        index=pd.Index(first + site, name="id"),
    )


def _units(session: Stored, peaks: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """Quality metrics: a good unit passes the client's defaults, a bad one is noise or fails one
    of them (amplitude cutoff up to 0.1, presence ratio from 0.95, violations up to 0.5)."""
    good = session.units["good"].astype(bool)
    count = len(good)
    why = np.where(good, 0, rng.integers(1, 4, count))
    firing = np.bincount(session.unit, minlength=count) / session.duration_s

    def metric(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, count)

    cutoff = np.where(why == 2, metric(0.15, 0.5), metric(0.001, 0.08))
    violations = np.where(why == 3, metric(0.8, 3.0), metric(0.0, 0.3))
    return pd.DataFrame(
        {
            "ecephys_channel_id": peaks,
            "local_index": session.units["cluster"],
            "cluster_id": session.units["cluster"],
            "quality": np.where(why == 1, "noise", "good"),
            "firing_rate": firing,
            "isi_violations": violations,
            "presence_ratio": metric(0.97, 0.99),
            "amplitude_cutoff": cutoff,
            "isolation_distance": metric(40, 120),
            "l_ratio": metric(0.0, 0.05),
            "d_prime": metric(3.0, 7.0),
            "nn_hit_rate": metric(0.8, 1.0),
            "nn_miss_rate": metric(0.0, 0.02),
            "max_drift": metric(10, 40),
            "cumulative_drift": metric(50, 300),
            "silhouette_score": metric(0.0, 0.2),
            "waveform_duration": metric(0.2, 0.8),
            "waveform_halfwidth": metric(0.1, 0.3),
            "PT_ratio": metric(0.3, 0.7),
            "repolarization_slope": metric(0.3, 1.0),
            "recovery_slope": metric(-0.3, -0.05),
            "amplitude": metric(80, 250),
            "spread": metric(30, 110),
            "velocity_above": metric(-1.0, 1.0),
            "velocity_below": metric(-1.0, 1.0),
            "snr": metric(1.5, 5.0),
        },
        index=pd.Index(peaks, name="id"),
    )
