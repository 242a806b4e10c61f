"""Conversion of presentations in time against a raw read of the same bytes, and its peak memory.

Run: python benchmarks/trials.py [--presentations N] [--folder DIR]. A file in TVSD's layout (1,024
channels, 300 samples, float64 in one piece) is written to a temporary folder. `spikeline
convert-trials` and a plain read of the file, 8 MB at a time, run in processes of their own, in
turn: from the disk, as a file of 58 GB is read, with the file dropped from the page cache before
each; then from the page cache. Prints MB of the file per second, the ratio of the best times and of
the medians, and the peak memory of the conversion for that file and for one ten times smaller.
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

SAMPLES, CHANNELS, TEST_IMAGES = 300, 1024, 5
REGIONS = {"V1": [[0, 512]], "IT": [[512, 832]], "V4": [[832, 1024]]}
PIECE = 8 * 2**20


def make_file(folder: Path, presentations: int) -> None:
    """THINGS_MUA_trials.mat and the mapping, half of the presentations of test images."""
    import h5py
    from scipy.io import savemat

    rng = np.random.default_rng(0)
    folder.mkdir()
    repetitions = presentations // 2 // TEST_IMAGES
    train = presentations - repetitions * TEST_IMAGES
    table = np.zeros((6, presentations))
    table[1, :train], table[3, :train] = 1 + np.arange(train), 1
    shown = np.arange(presentations - train)
    table[2, train:], table[3, train:] = 1 + shown % TEST_IMAGES, 1 + shown // TEST_IMAGES
    table[5] = 1
    with h5py.File(folder / "trials.mat", "w", userblock_size=512) as handle:
        handle["ALLMAT"], handle["tb"] = table, np.arange(-100.0, 200.0)[:, None]
        shape = (SAMPLES, presentations, CHANNELS)
        samples = handle.create_dataset("ALLMUA", shape, np.float64)
        for sample in range(SAMPLES):
            samples[sample] = rng.standard_normal(shape[1:], dtype=np.float32)
    with open(folder / "trials.mat", "r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
        os.fsync(raw.fileno())
    savemat(folder / "mapping.mat", {"mapping": 1.0 + rng.permutation(CHANNELS)})


def raw_read(folder: Path) -> float:
    """Seconds to read the file."""
    piece = bytearray(PIECE)
    start = time.perf_counter()
    with open(folder / "trials.mat", "rb", buffering=0) as handle:
        while handle.readinto(piece):
            pass
    return time.perf_counter() - start


def conversion(folder: Path) -> float:
    """Seconds of `spikeline convert-trials`, its imports left out."""
    from spikeline.cli import convert_trials

    parser = argparse.ArgumentParser()
    convert_trials.add_arguments(parser)
    arguments = ["--trials", folder / "trials.mat", "--mapping", folder / "mapping.mat"]
    arguments += ["--states", folder / "states", "--output", folder / "out.h5"]
    arguments += ["--settings", json.dumps({"regions": REGIONS})]
    options = parser.parse_args([str(argument) for argument in arguments])
    start = time.perf_counter()
    convert_trials.run(options)
    return time.perf_counter() - start


def measured(what: str, folder: Path, cold: bool) -> dict[str, float]:
    """Time and peak memory of one of the two in a process of its own."""
    if cold:
        with open(folder / "trials.mat", "rb") as handle:
            os.fsync(handle.fileno())
            os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    command = [sys.executable, __file__, "--only", what, "--folder", str(folder)]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    (folder / "out.h5").unlink(missing_ok=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presentations", type=int, default=600, help="of the larger file")
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary one)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=["raw", "conversion"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        seconds = (raw_read if options.only == "raw" else conversion)(options.folder)
        kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps({"seconds": seconds, "bytes": kilobytes * 1024}))
        return
    peak = 0.0
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        large, small = Path(folder) / "large", Path(folder) / "small"
        make_file(large, options.presentations)
        make_file(small, options.presentations // 10)
        size = (large / "trials.mat").stat().st_size / 1e6
        for cold, place, goal in ((True, "disk", "goal: at most 2"), (False, "page cache", "")):
            found = {"raw": [], "conversion": []}
            measured("raw", large, cold)
            for _ in range(options.repeats):
                for what, runs in found.items():
                    runs.append(measured(what, large, cold))
            raw, ours = ([run["seconds"] for run in runs] for runs in found.values())
            print(f"{size:.0f} MB from the {place}")
            print(f"  raw read         {min(raw):8.2f} s  {size / min(raw):8.0f} MB/s")
            print(f"  conversion       {min(ours):8.2f} s  {size / min(ours):8.0f} MB/s")
            print(f"  ratio of best    {min(ours) / min(raw):8.2f}   {goal}")
            print(f"  ratio of medians {np.median(ours) / np.median(raw):8.2f}")
            peak = max(peak, *(run["bytes"] for run in found["conversion"]))
        few = measured("conversion", small, False)["bytes"]
    print(
        f"peak memory        {peak / 2**20:8.0f} MiB, of a file ten times smaller "
        f"{few / 2**20:.0f} MiB (goal: level)"
    )


if __name__ == "__main__":
    main()
