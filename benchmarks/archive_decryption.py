"""Decryption of a password-protected zip of images against zipfile's own and the system's unzip.

Run: python benchmarks/archive_decryption.py [--megabytes N]. The archive is made with the system's
zip: members of 180 kB, the mean of THINGS, that compress as little as photographs do. Each reader
runs in a process of its own and throws away what it reads; `pack-stimuli` also writes the plain
zip. Prints megabytes of archive per second of processor time, the ratio to zipfile's own, and what
that makes of the 4.7 GB of THINGS. zipfile's own reads a twentieth of the members.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

MEMBER_BYTES = 180_000
THINGS_MEGABYTES = 4700
PASSWORD = "password"
READ = """
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    for info in archive.infolist()[: int(sys.argv[2])]:
        archive.read(info, pwd=sys.argv[3].encode())
"""
PACK = """
import sys
from spikeline.sources import stimuli
stimuli.pack(sys.argv[1], sys.argv[2], "{}", password=sys.argv[3].encode())
"""
# What a process takes to start, with the imports of each.
NOTHING = {"zipfile": "import zipfile", "pack": "from spikeline.sources import stimuli"}


def processor_seconds(command: list[str]) -> float:
    """Seconds of processor time of a command and all it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def locked_archive(folder: Path, members: int) -> Path:
    images = folder / "images"
    images.mkdir()
    rng = np.random.default_rng(0)
    for number in range(members):
        (images / f"{number:05d}.jpg").write_bytes(rng.bytes(MEMBER_BYTES))
    path = folder / "locked.zip"
    subprocess.run(["zip", "-q", "-r", "-P", PASSWORD, path, "images"], cwd=folder, check=True)
    shutil.rmtree(images)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200, help="size of the archive (200)")
    options = parser.parse_args()
    if shutil.which("zip") is None:
        sys.exit("an encrypted archive is made with the system's zip, which is not installed")
    members = max(20, options.megabytes * 1_000_000 // MEMBER_BYTES)
    few = members // 20
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive = locked_archive(folder, members)
        size = archive.stat().st_size / 1e6
        python = [sys.executable, "-c"]
        starting = {what: processor_seconds([*python, code]) for what, code in NOTHING.items()}
        read = [*python, READ, str(archive), str(few + 1), PASSWORD]
        plain = str(folder / "plain.zip")
        seconds = {
            "zipfile": (processor_seconds(read) - starting["zipfile"]) * members / few,
            "pack-stimuli": processor_seconds([*python, PACK, str(archive), plain, PASSWORD])
            - starting["pack"],
        }
        if shutil.which("unzip"):
            command = ["unzip", "-q", "-P", PASSWORD, str(archive), "-d", os.path.join(name, "out")]
            seconds["unzip, to files"] = processor_seconds(command)
    print(f"{members} members, {size:.0f} MB")
    print(f"{'':16} {'MB/s':>7} {'ratio':>7} {'minutes for THINGS':>19}")
    for what, spent in seconds.items():
        minutes = THINGS_MEGABYTES / size * spent / 60
        ratio = seconds["zipfile"] / spent
        print(f"{what:16} {size / spent:7.1f} {ratio:7.1f} {minutes:19.1f}")


if __name__ == "__main__":
    main()
