"""TVSD's THINGS_MUA_trials.mat: what it says of each presentation, and its samples in blocks.

As h5py reads it: ALLMUA is (samples, presentations, raw channels) in microvolts; ALLMAT is (6,
presentations): trial, training image, test image, repetition, count and day, counted from 1, with
0 for no image; tb is when each sample begins, ms after stimulus onset. The mapping, a MATLAB v5
file, gives the raw channel of each electrode, counted from 1.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import h5py
import numpy as np
import scipy.io

from spikeline.artifacts.formats import seal
from spikeline.errors import InputError
from spikeline.sources.electrodes import region_of_each
from spikeline.sources.tvsd import open_matlab73

log = logging.getLogger(__name__)

# Samples of as many presentations as fit are worked on together.
BLOCK_BYTES = 128 * 2**20
_TRAIN, _TEST, _REPETITION, _DAY = 1, 2, 3, 5  # rows of ALLMAT


@dataclass(frozen=True)
class Presentations:
    """What was shown, (presentations,) each, counted from 0.

    Attributes:
        train_row: the training image, -1 where a test image was shown.
        test_row: the test image, -1 where a training image was shown.
        repetition: of a test image; 0 for training images.
        day: index among the days of the recording.
    """

    train_row: np.ndarray
    test_row: np.ndarray
    repetition: np.ndarray
    day: np.ndarray


@dataclass(frozen=True)
class RecordedTrials:
    """An open THINGS_MUA_trials.mat that has proved sound, but for the samples themselves.

    Attributes:
        where: its path.
        samples: (samples, presentations, raw channels) in the file.
        times: (samples,) when each begins, ms after stimulus onset, in even steps.
        sample_ms: that step.
        shown: what each presentation was.
        channel: (electrodes,) raw channel of each electrode, from 0.
        region: (electrodes,) area.
    """

    where: str
    samples: h5py.Dataset
    times: np.ndarray
    sample_ms: int
    shown: Presentations
    channel: np.ndarray
    region: np.ndarray


@contextmanager
def opened(
    trials: str | os.PathLike[str],
    mapping: str | os.PathLike[str],
    regions: Mapping[str, Sequence[Sequence[int]]],
) -> Iterator[RecordedTrials]:
    """Open the file and check everything but the samples.

    Args:
        trials: THINGS_MUA_trials.mat.
        mapping: 1024chns_mapping_20220105.mat.
        regions: half-open 0-based electrode ranges of each area.

    Raises:
        InputError: truncated, a field missing or of another shape, a presentation of no image or of
            two, a repetition that is missing or there twice, or a mapping that is no permutation.
    """
    where = str(trials)
    electrodes = sum(last - first for ranges in regions.values() for first, last in ranges)
    region = region_of_each(regions, electrodes, where)
    channel = read_mapping(mapping, electrodes)
    with open_matlab73(trials) as handle:
        samples = _dataset(handle, "ALLMUA", 3, where)
        table = _numbers(handle, "ALLMAT", 2, where)
        times = _numbers(handle, "tb", 2, where).ravel()
        _check_shape(samples.shape, table.shape, len(times), electrodes, where)
        step = _even_step(times, where)
        yield RecordedTrials(where, samples, times, step, read_table(table, where), channel, region)


def read_mapping(path: str | os.PathLike[str], electrodes: int) -> np.ndarray:
    """Raw channel of each electrode, (electrodes,) from 0.

    Raises:
        InputError: missing, not a MATLAB v5 file with `mapping`, of another length, or not each
            channel once.
    """
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file")
    try:
        mapping = np.asarray(scipy.io.loadmat(path)["mapping"], np.float64).ravel()
    except KeyError:
        raise InputError(f"{path}: has no variable 'mapping'") from None
    # What scipy raises on a file that is not one: as many kinds as there are bytes.
    except Exception:
        raise InputError(f"{path}: is damaged or not a MATLAB v5 file; fetch it again") from None
    if len(mapping) != electrodes:
        raise InputError(
            f"{path}: maps {len(mapping)} electrodes, the region map has {electrodes}; correct "
            "`regions` in the config"
        )
    outside = ~np.isin(mapping, np.arange(1, electrodes + 1))
    if outside.any():
        raise InputError(
            f"{path}: maps an electrode to channel {mapping[outside][0]:g}, expected 1 to "
            f"{electrodes}; fetch it again"
        )
    channels, counts = np.unique(mapping, return_counts=True)
    if (counts > 1).any():
        twice = channels[counts > 1][0]
        raise InputError(f"{path}: maps two electrodes to channel {twice:g}; fetch it again")
    return mapping.astype(int) - 1


def read_table(table: np.ndarray, where: str) -> Presentations:
    """What each presentation was.

    Args:
        table: ALLMAT, (6, presentations).

    Raises:
        InputError: see `opened`; `where` is named.
    """
    if not (np.isfinite(table).all() and (table == np.round(table)).all()):
        raise InputError(f"{where}: ALLMAT holds other than whole numbers; fetch it again")
    table = table.astype(np.int64)
    train, test, repetition, day = (table[k] for k in (_TRAIN, _TEST, _REPETITION, _DAY))
    for wrong, text in (
        ((train > 0) & (test > 0), "is of a training image and of a test image"),
        ((train <= 0) & (test <= 0), "is of no image"),
        ((train < 0) | (test < 0), "is of an image below 1"),
        ((test > 0) & (repetition < 1), "is of a repetition below 1"),
        (day < 1, "is of a day below 1"),
    ):
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0]) + 1
            raise InputError(f"{where}: ALLMAT: presentation {first} {text}; fetch it again")
    shown = train[train > 0] - 1
    _check_each_once(shown[:, None], "training image {}", where)
    repeated = np.stack([test, repetition], axis=1)[test > 0] - 1
    _check_each_once(repeated, "test image {}, repetition {},", where)
    return Presentations(
        train_row=train - 1,
        test_row=test - 1,
        repetition=np.where(test > 0, repetition - 1, 0),
        day=np.unique(day, return_inverse=True)[1],
    )


def blocks(
    recorded: RecordedTrials, per_bin: int, first: int, last: int
) -> Iterator[Iterator[np.ndarray]]:
    """Presentations [first, last) in blocks of bounded size: each yields slabs of its samples.

    A slab is (samples, rows, raw channels), as the file has it and valid until the next; it covers
    whole bins of `per_bin` samples. Blocks and slabs follow the chunks of the file, so that each
    is read once. Each block must be used up before the next.

    Raises:
        InputError: the file is damaged.
    """
    samples = recorded.samples
    total, _, channels = samples.shape
    chunk = samples.chunks or (1, 1, 1)
    rows = max(1, BLOCK_BYTES // (total * channels * samples.dtype.itemsize))
    if chunk[1] > rows:
        log.warning(
            "%s: is stored in pieces of %d presentations, more than fit into memory; pieces are "
            "read several times", recorded.where, chunk[1],
        )  # fmt: skip
    rows = min(rows // chunk[1] * chunk[1] or rows, last)
    depth = min(math.lcm(chunk[0], per_bin), total)
    buffers = np.empty((2, depth * rows * channels), samples.dtype)
    while first < last:
        end = min(first // rows * rows + rows, last)
        yield _slabs(recorded, buffers, depth, first, end)
        first = end


def _slabs(
    recorded: RecordedTrials, buffers: np.ndarray, depth: int, first: int, end: int
) -> Iterator[np.ndarray]:
    total, _, channels = recorded.samples.shape

    def read(start: int) -> np.ndarray:
        shape = (min(depth, total - start), end - first, channels)
        slab = buffers[start // depth % 2][: math.prod(shape)].reshape(shape)
        recorded.samples.read_direct(slab, np.s_[start : start + depth, first:end])
        return slab

    # The next slab is read while this one is worked on.
    with ThreadPoolExecutor(1) as reader:
        reading = reader.submit(read, 0)
        for start in range(depth, total + depth, depth):
            try:
                slab = reading.result()
            except OSError:
                raise InputError(
                    f"{recorded.where}: ALLMUA cannot be read at presentation {first + 1}; the "
                    "file is damaged, fetch it again"
                ) from None
            if start < total:
                reading = reader.submit(read, start)
            yield slab


def _check_each_once(index: np.ndarray, name: str, where: str) -> None:
    """Raise InputError unless each combination up to the largest is there exactly once.

    Args:
        index: (presentations, indices), from 0.
        name: of a combination, with a place for each index.
    """
    if not len(index):
        raise InputError(f"{where}: ALLMAT names no {name.split(' {')[0]}; fetch it again")
    counts = np.zeros(index.max(axis=0) + 1, int)
    np.add.at(counts, tuple(index.T), 1)
    for wrong, text in ((counts > 1, "is there twice"), (counts == 0, "is missing")):
        if wrong.any():
            which = name.format(*(np.argwhere(wrong)[0] + 1))
            raise InputError(
                f"{where}: ALLMAT: {which} {text}; the file must hold the whole recording"
            )


def _check_shape(
    samples: tuple[int, ...], table: tuple[int, ...], times: int, electrodes: int, where: str
) -> None:
    if samples[-1] != electrodes:
        swapped = electrodes in samples
        raise InputError(
            f"{where}: ALLMUA has shape {samples}, expected (samples, presentations, {electrodes} "
            "channels) as h5py reads it; "
            + ("its axes are swapped" if swapped else "correct `regions` in the config")
        )
    if table != (6, samples[1]):
        raise InputError(
            f"{where}: ALLMAT has shape {table}, expected (6, {samples[1]}) as ALLMUA has "
            "presentations"
        )
    if times != samples[0] or 0 in samples:
        raise InputError(f"{where}: tb has {times} samples, ALLMUA {samples[0]}; fetch it again")


def _even_step(times: np.ndarray, where: str) -> int:
    """The milliseconds between two samples."""
    steps = np.unique(np.diff(times))
    if len(steps) != 1 or steps[0] < 1 or steps[0] != round(steps[0]):
        raise InputError(f"{where}: tb is not in even steps of whole milliseconds; fetch it again")
    return int(steps[0])


def _dataset(handle: h5py.File, name: str, axes: int, where: str) -> h5py.Dataset:
    if name not in handle:
        known = [key for key in handle if not key.startswith("#")]
        raise InputError(f"{where}: field {name} is missing; it has {known}")
    found = handle[name]
    if not isinstance(found, h5py.Dataset) or found.dtype.kind not in "fiu":
        raise InputError(f"{where}: {name} is not a numeric array")
    if found.ndim != axes:
        raise InputError(f"{where}: {name} has shape {found.shape}, expected {axes} axes")
    return found


def _numbers(handle: h5py.File, name: str, axes: int, where: str) -> np.ndarray:
    try:
        return np.asarray(_dataset(handle, name, axes, where)[...], np.float64)
    except InputError:
        raise
    except seal.DAMAGE:
        raise InputError(f"{where}: {name} cannot be read; the file is damaged") from None
