"""Reference features of 875 units from 60 s of a 60 M-spike session, against elephant in a loop.

Run: python benchmarks/reference_features.py [--spikes N] [--units N] [--folder DIR]. Ours reads the
window from the session's file and computes 33 features of all units at once. The loop is given the
window's spikes already in memory and takes each unit through elephant (rate, intervals, CV, Fano
factor) and numpy (the histogram of intervals, the autocorrelation). Prints both times, their ratio,
the largest differences, and the peak memory of ours in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WINDOW_S, LAG_S = 60.0, 0.01


def save_session(path: Path, spikes: int, units: int) -> None:
    """An hour of units whose rates differ as log-normal numbers do."""
    from spikeline.artifacts import sessions
    from spikeline.sources.domains import interleaved_blocks

    rng = np.random.default_rng(0)
    share = rng.lognormal(0, 1, units) + 0.02
    duration = 3600.0
    times = np.cumsum(rng.exponential(duration / spikes, spikes))
    times *= duration / times[-1] * (1 - 1e-9)
    index = np.searchsorted(np.cumsum(share / share.sum()), rng.random(spikes)).clip(max=units - 1)
    cut = interleaved_blocks(duration, block_s=20, guard_s=2, reference_s=60)
    data = sessions.build(
        times,
        index,
        {
            "id": [f"unit{k}" for k in range(units)],
            "region": ["VISp"] * units,
            "depth": np.zeros(units),
        },
        duration,
        {"train": cut.train, "valid": cut.valid, "test": cut.test, "reference": cut.reference},
        {"id": "one", "source": "arrays", "subject": "mouse", "origin_s": 0.0},
    )
    sessions.save(path, data, {"step": "benchmark", "origins": {}})


def read_window(path: Path):
    """The window's spikes and how many units there are; nothing else of the file is read."""
    from spikeline.artifacts import sessions

    with sessions.opened(path) as data:
        spikes = data.spikes.slice(0.0, WINDOW_S, reset_origin=False)
        return spikes.timestamps, spikes.unit_index, len(data.units.id)


def ours(path: Path):
    from spikeline.horizon.sessions.reference_features import reference_features

    return reference_features(*read_window(path), 0.0, WINDOW_S)[0]


def elephant_loop(times: np.ndarray, index: np.ndarray, units: int) -> np.ndarray:
    """The same 33 numbers of each unit, one unit at a time."""
    import neo
    import quantities as pq
    from elephant.statistics import cv, fanofactor, isi, mean_firing_rate

    edges = np.geomspace(1e-3, 10, 21)
    bins = np.arange(round(WINDOW_S / LAG_S) + 1) * LAG_S
    values = np.zeros((units, 33))
    for unit in range(units):
        own = times[index == unit]
        train = neo.SpikeTrain(own * pq.s, t_stop=WINDOW_S * pq.s)
        rate = mean_firing_rate(train).rescale("Hz").magnitude
        values[unit, 0] = np.log(rate + 0.5 / WINDOW_S)
        values[unit, -1] = 1.0
        if len(own) > 2:
            gaps = isi(train).magnitude
            values[unit, 1] = np.log(cv(gaps))
            values[unit, 2:22] = np.histogram(gaps.clip(1e-3, 9.999), edges)[0] / len(gaps)
        if len(own):
            halves = np.split(own, np.searchsorted(own, np.arange(0.5, WINDOW_S, 0.5)))
            pieces = [
                neo.SpikeTrain(half * pq.s, t_start=k / 2 * pq.s, t_stop=(k + 1) / 2 * pq.s)
                for k, half in enumerate(halves)
            ]
            values[unit, -1] = fanofactor(pieces)
            binned = np.histogram(own, bins)[0]
            deviation = binned - binned.mean()
            for lag in range(1, 11):
                product = (deviation[:-lag] * deviation[lag:]).mean()
                values[unit, 21 + lag] = product / binned.var()
    return values


def resident_kb(field: str) -> int:
    """A field of this process's status (Linux), such as VmRSS (now) or VmHWM (peak), in KiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spikes", type=int, default=60_000_000)
    parser.add_argument("--units", type=int, default=875)
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary one)")
    parser.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        import spikeline.artifacts.sessions
        import spikeline.horizon.sessions.reference_features  # noqa: F401  what is imported rests

        rest = resident_kb("VmRSS")
        ours(options.memory_of)
        print(json.dumps({"rest": rest * 1024, "peak": resident_kb("VmHWM") * 1024}))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "one.h5"
        save_session(path, options.spikes, options.units)
        window = read_window(path)
        seconds = np.inf
        for _ in range(5):
            start = time.perf_counter()
            found = ours(path)
            seconds = min(seconds, time.perf_counter() - start)
        command = [sys.executable, __file__, "--memory-of", str(path)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    memory = json.loads(done.stdout.splitlines()[-1])
    start = time.perf_counter()
    expected = elephant_loop(*window)
    peer = time.perf_counter() - start
    print(
        f"{options.units} units, {WINDOW_S:g} s with {len(window[0]):,} spikes "
        f"of {options.spikes:,}"
    )
    print(f"all units at once  {seconds:8.2f} s  (the file's reading included)")
    print(f"elephant in a loop {peer:8.2f} s")
    print(f"ratio              {peer / seconds:8.0f}   (goal: 50)")
    print(f"largest difference {np.abs(found - expected).max():8.1e}")
    print(
        f"peak memory        {memory['peak'] / 2**20:8.0f} MiB, "
        f"{(memory['peak'] - memory['rest']) / 2**20:.0f} above what the imports take"
    )


if __name__ == "__main__":
    main()
