"""Sessions: one recording's spikes, behaviour and stimuli as a `torch_brain.data.Data` in HDF5.

| object | fields |
|---|---|
| spikes | timestamps (n,) float64, sorted; unit_index (n,) int64 into units |
| units | id, region str; depth float32, micrometre, NaN unknown; more columns as the source has |
| behaviour | position (samples[, k]), velocity (samples,) float32, regular, NaN unknown |
| trials | start, end and more columns; those named `*_times` are times too |
| stimuli | start, end, image str, '' for a blank; sorted, not overlapping |
| session | id, source, subject, origin_s (start in the source's clock), behaviour_kind or '' |
| session | behaviour_look_ahead_s: see `Behaviour` |
| domain, train_domain, valid_domain, test_domain, reference_domain | start, end |

Times are seconds from the session's start. Behaviour, trials and stimuli are absent where there are
none. `torch_brain.datasets.Dataset` opens the files as they are.
"""

from __future__ import annotations

import copy
import errno
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from torch_brain.data import (
    ArrayDict,
    Data,
    Interval,
    IrregularTimeSeries,
    RegularTimeSeries,
)

from spikeline.artifacts import provenance
from spikeline.artifacts.files import atomic_path
from spikeline.artifacts.formats import seal
from spikeline.artifacts.formats.hdf5 import CONTRACT_KEY
from spikeline.artifacts.formats.hdf5 import opened as opened_hdf5
from spikeline.errors import InputError

CONTRACT = "sessions/1"
SPLITS = ("train", "valid", "test")
BEHAVIOURS = ("wheel", "running", "position")
REQUIRED = (
    "spikes.timestamps", "spikes.unit_index", "units.id", "units.region", "units.depth",
    "session.id", "session.source", "session.subject",
    *(f"{name}_domain.start" for name in (*SPLITS, "reference")),
)  # fmt: skip
# What opening a session raises when some of its bytes are wrong.
FORMAT_ERRORS = (
    *seal.DAMAGE, AssertionError, AttributeError,
)  # fmt: skip
# Headers, domains and the index of seconds: more than any session needs.
METADATA_BYTES = 1 << 20
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Behaviour:
    """What the animal did, sampled regularly from the session's start.

    position (samples,) or (samples, k) and velocity (samples,), NaN where unknown; `kind` is one of
    wheel (rad), running (cm) and position (the source's unit), velocity the same per second. A
    velocity may depend on what was recorded up to `look_ahead_s` seconds later.
    """

    kind: str
    sampling_rate: float
    position: np.ndarray
    velocity: np.ndarray
    look_ahead_s: float = 0.0


def build(
    times: np.ndarray,
    unit_index: np.ndarray,
    units: Mapping[str, np.ndarray],
    duration: float,
    domains: Mapping[str, np.ndarray],
    session: Mapping[str, Any],
    behaviour: Behaviour | None = None,
    trials: Mapping[str, np.ndarray] | None = None,
    stimuli: Mapping[str, np.ndarray] | None = None,
) -> Data:
    """A session from plain arrays; nothing is copied that already has its dtype.

    Args:
        times: (n,) spike times in seconds from the session's start, sorted, below `duration`.
        unit_index: (n,) rows of `units`.
        units: columns of (units,) values, `id`, `region` and `depth` among them.
        domains: train, valid, test: (m, 2) seconds each; reference: (2,).
        session: id, source, subject and origin_s.
        trials: columns with start and end; those named `*_times` are times too.
        stimuli: start, end, image.
    """
    whole = Interval(0.0, float(duration))
    parts: dict[str, Any] = {
        "spikes": IrregularTimeSeries(
            timestamps=np.asarray(times, np.float64),
            unit_index=np.asarray(unit_index, np.int64),
            domain=Interval(0.0, float(duration)),
        ),
        "units": ArrayDict(**{name: _column(values) for name, values in units.items()}),
        "session": Data(
            **session,
            behaviour_kind="" if behaviour is None else behaviour.kind,
            behaviour_look_ahead_s=0.0 if behaviour is None else float(behaviour.look_ahead_s),
        ),
        "reference_domain": _interval(np.reshape(domains["reference"], (1, 2))),
        **{f"{split}_domain": _interval(domains[split]) for split in SPLITS},
    }
    if behaviour is not None:
        parts["behaviour"] = RegularTimeSeries(
            sampling_rate=float(behaviour.sampling_rate),
            position=np.asarray(behaviour.position, np.float32),
            velocity=np.asarray(behaviour.velocity, np.float32),
        )
    if trials is not None:
        times_too = [name for name in trials if name.endswith("_times")]
        columns = {name: _column(values) for name, values in trials.items()}
        parts["trials"] = Interval(**columns, timekeys=["start", "end", *times_too])
    if stimuli is not None:
        parts["stimuli"] = Interval(**{name: _column(v) for name, v in stimuli.items()})
    return Data(domain=whole, **parts)


def save(path: str | os.PathLike[str], data: Data, record: Mapping[str, Any]) -> None:
    """`Data.save` with contract and provenance; the file appears whole or not at all.

    Raises:
        OSError: the disk is full.
    """
    labelled = copy.copy(data)
    setattr(labelled, CONTRACT_KEY, CONTRACT)
    setattr(labelled, provenance.KEY, provenance.dumps(record))
    with atomic_path(path) as temporary:
        _require_room(temporary, labelled)
        try:
            labelled.save(temporary)
            with h5py.File(temporary, "r+") as handle:
                seal.seal(handle)
        except (OSError, RuntimeError) as error:
            # What h5py says where a quota ends, which the free space does not show.
            number = re.search(r"errno = (\d+)", str(error))
            if not number:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from None


def read(path: str | os.PathLike[str]) -> Data:
    """The whole session in memory.

    Raises:
        InputError: missing, damaged, or not a session.
    """
    path = Path(path)
    with opened(path) as data, _damage(path, *FORMAT_ERRORS):
        return data.materialize()


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Data]:
    """The session with arrays that are read when they are asked for, while the file is open.

    Raises:
        InputError: missing, damaged, or not a session; also for damage met inside the block.
    """
    path = Path(path)
    with opened_hdf5(path, CONTRACT) as handle:
        with _damage(path, *FORMAT_ERRORS):
            data = Data.from_hdf5(handle, lazy=True)
            missing = [name for name in REQUIRED if not data.has_nested_attribute(name)]
            if missing:
                raise InputError(f"{path}: field {', '.join(missing)} is missing; convert it again")
        seal.check(handle)
        with _damage(path, OSError):
            yield data


def _require_room(path: Path, data: Data) -> None:
    """Raise ENOSPC before writing: on a full disk HDF5 cannot even close its file."""
    needed = _bytes(data) + METADATA_BYTES
    if shutil.disk_usage(path.parent).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path.parent))


def _bytes(data: Data | ArrayDict) -> int:
    values = (getattr(data, name) for name in data.keys())  # noqa: SIM118
    return sum(
        value.nbytes if isinstance(value, np.ndarray) else _bytes(value)
        for value in values
        if isinstance(value, (np.ndarray, Data, ArrayDict))
    )


@contextmanager
def _damage(path: Path, *kinds: type[Exception]) -> Iterator[None]:
    """What h5py or torch_brain raises on a damaged file, as one line."""
    try:
        yield
    except InputError:
        raise
    except kinds as error:
        # A full disk, or an error of another file, is passed on.
        if isinstance(error, OSError) and (error.filename or error.errno in FULL):
            raise
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: is damaged ({reason}); convert it again") from None


def _column(values: Any) -> np.ndarray:
    """An array that HDF5 can hold: text as ASCII of at least one character."""
    values = np.asarray(values)
    if values.dtype.kind in "OU":
        text = [str(value).encode("ascii", "replace").decode() for value in values]
        return np.asarray(text, dtype=np.str_) if any(text) else np.zeros(len(text), "U1")
    return values


def _interval(blocks: np.ndarray) -> Interval:
    blocks = np.asarray(blocks, np.float64).reshape(-1, 2)
    return Interval(np.ascontiguousarray(blocks[:, 0]), np.ascontiguousarray(blocks[:, 1]))
