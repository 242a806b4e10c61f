"""Conversion of spikes to a session against a plain h5py write of the same bytes.

Run: python benchmarks/conversion.py [--spikes N] [--folder DIR]. Both run in processes of their
own, several times in turn; the conversion reads .npy files, proves them sound, takes their
checksums and writes the session. Prints spikes per second, the ratio of the best times and of the
medians (to the disk: both end with fsync), and the peak memory in multiples of what the spikes take
(16 bytes each: a float64 and an int64).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

UNITS = 300
RATE_HZ = 20.0
SETTLE_S = 3.0


def make_spikes(folder: Path, spikes: int) -> None:
    rng = np.random.default_rng(0)
    duration = spikes / UNITS / RATE_HZ
    times = np.cumsum(rng.exponential(duration / spikes, spikes))
    np.save(folder / "spikes.times.npy", times)
    np.save(folder / "spikes.clusters.npy", rng.integers(0, UNITS, spikes, dtype=np.uint32))


def plain_write(folder: Path) -> float:
    """Seconds to write the session's two columns with h5py."""
    import h5py

    times = np.load(folder / "spikes.times.npy")
    clusters = np.load(folder / "spikes.clusters.npy").astype(np.int64)
    path = folder / "plain.h5"
    start = time.perf_counter()
    with h5py.File(path, "w") as handle:
        handle.create_dataset("timestamps", data=times)
        handle.create_dataset("unit_index", data=clusters)
    with open(path, "rb+") as written:
        os.fsync(written.fileno())
    return time.perf_counter() - start


def conversion(folder: Path) -> float:
    """Seconds of `spikeline convert-spikes`, its imports left out."""
    from spikeline.cli import convert_spikes

    parser = argparse.ArgumentParser()
    convert_spikes.add_arguments(parser)
    arguments = ["--times", folder / "spikes.times.npy", "--clusters"]
    arguments += [folder / "spikes.clusters.npy", "--settings", "{}"]
    arguments += ["--output", folder / "session.h5"]
    options = parser.parse_args([str(argument) for argument in arguments])
    start = time.perf_counter()
    convert_spikes.run(options)
    return time.perf_counter() - start


def measured(what: str, folder: Path) -> dict[str, float]:
    """Time and peak memory of one of the two in a process of its own."""
    command = [sys.executable, __file__, "--only", what, "--folder", str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    # Each run writes a new file to memory that no other has just given back.
    for path in folder.glob("*.h5"):
        path.unlink()
    time.sleep(SETTLE_S)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spikes", type=int, default=30_000_000)
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary one)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=["plain", "conversion"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        seconds = (plain_write if options.only == "plain" else conversion)(options.folder)
        kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps({"seconds": seconds, "bytes": kilobytes * 1024}))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        make_spikes(Path(folder), options.spikes)
        found = {"plain": [], "conversion": []}
        for _ in range(options.repeats):
            for what, runs in found.items():
                runs.append(measured(what, Path(folder)))
    plain, ours = (min(run["seconds"] for run in found[what]) for what in found)
    usual = [np.median([run["seconds"] for run in found[what]]) for what in found]
    size = 16 * options.spikes
    peak = max(run["bytes"] for run in found["conversion"])
    print(f"plain h5py write   {plain:8.2f} s  {options.spikes / plain / 1e6:8.1f} M spikes/s")
    print(f"conversion         {ours:8.2f} s  {options.spikes / ours / 1e6:8.1f} M spikes/s")
    print(f"ratio of the best  {ours / plain:8.2f}   (goal: at most 3)")
    print(f"ratio of medians   {usual[1] / usual[0]:8.2f}")
    print(f"peak memory        {peak / 2**20:8.0f} MiB {peak / size:8.2f} x the spikes (goal: 3)")


if __name__ == "__main__":
    main()
