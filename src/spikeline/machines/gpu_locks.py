"""A GPU of one's own: each process on a GPU takes one device of the machine, by a lock per device.

Snakemake counts GPUs and assigns none. The locks are the kernel's (flock): a process that ends,
in whatever way, frees its device.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from spikeline.errors import InputError

# The machine's devices, as CUDA_VISIBLE_DEVICES would list them; unset, no lock is taken.
DEVICES = "SPIKELINE_GPUS"
# Where the locks lie: one folder for all who share the machine.
FOLDER = "SPIKELINE_GPU_LOCKS"
# What the processes of one job inherit, so that they share its devices.
TAKEN = "SPIKELINE_GPUS_TAKEN"

# Kept, for a lock that is forgotten is a lock that is open.
_held: list[FileLock] = []


def take(count: int = 1, say: Callable[[str], None] = print, pause_s: float = 1.0) -> list[str]:
    """Wait for free devices, lock them until this process ends and make CUDA see no others.

    Must come before CUDA is first used. Does nothing where $SPIKELINE_GPUS is not set.

    Args:
        count: how many; all are taken at once or none, so that no two wait for each other.
        say: hears which device was taken, and of a wait.
        pause_s: between two looks.

    Returns:
        The devices, as CUDA_VISIBLE_DEVICES has them.

    Raises:
        InputError: $SPIKELINE_GPUS lists no devices or too few, or its locks cannot be written.
    """
    devices = [name for name in os.environ.get(DEVICES, "").split(",") if name.strip()]
    if not devices or TAKEN in os.environ:
        return []
    devices = [name.strip() for name in devices]
    wrong = [name for name in devices if not re.fullmatch(r"[\w-]+", name)]
    if wrong or len(set(devices)) < len(devices):
        raise InputError(f"{DEVICES}={os.environ[DEVICES]}: write device numbers once each: 0,1,2")
    if count > len(devices):
        raise InputError(f"{DEVICES}={os.environ[DEVICES]}: {count} GPUs are asked for")
    folder = _folder()
    waited = False
    while len(locks := _free(folder, devices, count)) < count:
        if not waited:
            say(f"waiting for a GPU: {', '.join(devices)} are in use (locks: {folder})")
        waited = True
        time.sleep(pause_s)
    _held.extend(locks.values())
    os.environ[TAKEN] = os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(locks)
    say(f"took GPU {os.environ[TAKEN]} of {', '.join(devices)}")
    return list(locks)


def _free(folder: Path, devices: list[str], count: int) -> dict[str, FileLock]:
    """Locks on the first free devices; on none if there are too few."""
    locks = {}
    for name in devices:
        lock = FileLock(folder / f"gpu{name}.lock", mode=0o666)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            continue
        except OSError as error:
            raise InputError(f"{folder}: {error.strerror}; set {FOLDER} to another") from None
        locks[name] = lock
        if len(locks) == count:
            return locks
    for lock in locks.values():
        lock.release()
    return {}


def _folder() -> Path:
    own = Path(tempfile.gettempdir()) / f"spikeline-gpus-{os.getuid()}"
    folder = Path(os.environ.get(FOLDER) or own)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}; set {FOLDER} to another") from None
    return folder
