"""Responses over chosen windows of the presentations: a mean for each area, or time bins."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from spikeline.artifacts.responses import BIN, Responses
from spikeline.artifacts.trials import Trials
from spikeline.errors import InputError
from spikeline.settings.windows import area_windows

log = logging.getLogger(__name__)

_BLOCK_BYTES = 64 * 2**20


def over_windows(
    trials: Trials, plain: Responses, settings: Mapping[str, Any], where: str
) -> Responses:
    """The same rows, images and electrodes as `plain`, with responses over other windows.

    Each electrode and day is scaled as `normalisation` says. A test image's response is the mean of
    its repetitions. Electrodes and training rows that the trials do not give are dropped, counted
    and logged.

    Args:
        plain: the source's own responses.
        settings: complete ones of window-responses.
        where: what to call the trials in errors.

    Raises:
        InputError: other rows or electrodes than those of `plain`, a window outside the recorded
            time or not of whole bins, or a day that has too few presentations for its scale.
    """
    _check_rows(trials, plain, where)
    plain, row_of_train = _told_rows(trials, plain, where)
    factor, shift, plain = _scaled_electrodes(trials, plain, settings["normalisation"], where)
    bins = _bins_of_columns(trials, plain, settings, where)
    channel = plain.electrodes["channel"]
    count = 1 if not settings["bin_ms"] else _count(settings)
    dtype = np.float16 if settings["bin_ms"] else np.float32
    test = plain.test[0]
    values = np.empty((len(test), count * len(channel)), dtype)
    repetitions = np.empty((*plain.repetitions.shape[:2], values.shape[1]), dtype)
    size = max(1, _BLOCK_BYTES // trials.values[0].nbytes)
    for first in range(0, len(trials.day), size):
        rows = slice(first, first + size)
        block = trials.values[rows]
        response = np.empty((len(block), count, len(channel)), np.float32)
        for electrodes, own in bins:
            part = block[:, own][:, :, channel[electrodes]]
            part = part.reshape(len(block), count, -1, part.shape[-1])
            response[..., electrodes] = part.mean(axis=2, dtype=np.float32)
        day = trials.day[rows]
        response *= factor[day][:, None]
        response += shift[day][:, None]
        response = response.reshape(len(block), -1)
        is_test = trials.test_row[rows] >= 0
        row = np.where(is_test, -1, row_of_train[trials.train_row[rows]])
        values[row[row >= 0]] = response[row >= 0]
        place = trials.repetition[rows][is_test], trials.test_row[rows][is_test]
        repetitions[place] = response[is_test]
    values[test] = repetitions.mean(axis=0, dtype=np.float32)
    if not settings["bin_ms"]:
        return replace(plain, values=values, repetitions=repetitions)
    table = {name: np.tile(column, count) for name, column in plain.electrodes.items()}
    table[BIN] = np.repeat(np.arange(count, dtype=np.int32), len(channel))
    start, end = settings["window"]
    edges = np.arange(start, end + 1, settings["bin_ms"], dtype=np.float32)
    return replace(plain, values=values, repetitions=repetitions, electrodes=table, edges=edges)


def _count(settings: Mapping[str, Any]) -> int:
    """How many time bins a window has."""
    start, end = settings["window"]
    return (end - start) // settings["bin_ms"]


def _check_rows(trials: Trials, plain: Responses, where: str) -> None:
    if plain.repetitions is None:
        raise InputError(f"{where}: the responses have no repetitions; are they of this subject?")
    train = _source_rows(plain)[~plain.test[0]]
    counted = {
        "training images": (trials.train_row.max() + 1, train.max() + 1),
        "test images": (trials.test_row.max() + 1, plain.test[0].sum()),
        "repetitions": (trials.repetition.max() + 1, len(plain.repetitions)),
    }
    for what, (found, expected) in counted.items():
        # The responses may lack the last training images of their source.
        if found < expected or (found > expected and plain.source_rows is None):
            raise InputError(
                f"{where}: has {found} {what}, the responses have {expected}; they must be of the "
                "same recording"
            )
    channel = plain.electrodes["channel"]
    known = trials.electrodes["region"]
    if channel.max() >= len(known) or (known[channel] != plain.electrodes["region"]).any():
        raise InputError(
            f"{where}: has other electrodes than the responses; convert both with one region map"
        )


def _source_rows(plain: Responses) -> np.ndarray:
    """(rows,) place of each among the source's training images, or among its test images."""
    if plain.source_rows is not None:
        return plain.source_rows
    test = plain.test[0]
    return np.where(test, np.cumsum(test) - 1, np.cumsum(~test) - 1).astype(np.int32)


def _told_rows(trials: Trials, plain: Responses, where: str) -> tuple[Responses, np.ndarray]:
    """`plain` without the training rows that the trials lack, and of each of the source's training
    images its row, -1 where it has none."""
    told = np.zeros(trials.train_row.max() + 1, bool)
    told[trials.train_row[trials.told & (trials.test_row < 0)]] = True
    keep = np.ones(len(plain.images), bool)
    keep[~plain.test[0]] = told[_source_rows(plain)[~plain.test[0]]]
    if not keep.all():
        log.warning(
            "%s: dropped %d of %d training rows of the responses, which some electrodes lack",
            where, (~keep).sum(), (~plain.test[0]).sum(),
        )  # fmt: skip
        plain = replace(plain, source_rows=_source_rows(plain)).of_rows(np.flatnonzero(keep))
    row_of_train = np.full(len(told), -1)
    train = np.flatnonzero(~plain.test[0])
    row_of_train[_source_rows(plain)[train]] = train
    return plain, row_of_train


def _scaled_electrodes(
    trials: Trials, plain: Responses, normalisation: str, where: str
) -> tuple[np.ndarray, np.ndarray, Responses]:
    """What stored values are multiplied by and what is added, (days, electrodes) each, and `plain`
    without the electrodes that have no scale."""
    scaled = getattr(trials, normalisation)
    empty = np.isnan(scaled["scale"]).all(axis=1)
    if empty.any():
        kind = {"published": "test", "training": "training"}[normalisation]
        raise InputError(
            f"{where}: day {np.flatnonzero(empty)[0] + 1} has fewer than two presentations of "
            f"{kind} images; choose another normalisation"
        )
    channel = plain.electrodes["channel"]
    with np.errstate(invalid="ignore"):
        varies = (scaled["scale"][:, channel] > 0).all(axis=0)
    keep = trials.electrodes["usable"][channel] & varies
    if not keep.all():
        log.warning(
            "%s: dropped %d of %d electrodes of the responses: not finite, or constant on a day",
            where, (~keep).sum(), len(keep),
        )  # fmt: skip
    if not keep.any():
        raise InputError(f"{where}: no electrode of the responses is finite and varies")
    channel = channel[keep]
    spread = scaled["scale"][:, channel]
    factor = trials.electrodes["scale"][channel] / spread
    shift = (trials.electrodes["offset"][channel] - scaled["offset"][:, channel]) / spread
    kept = replace(
        plain, electrodes={name: column[keep] for name, column in plain.electrodes.items()}
    )
    return factor.astype(np.float32), shift.astype(np.float32), kept


def _bins_of_columns(
    trials: Trials, plain: Responses, settings: Mapping[str, Any], where: str
) -> list[tuple[np.ndarray, slice]]:
    """Electrodes of each area, and the bins of the trials that their response is made from."""
    edges, region = trials.edges, plain.electrodes["region"]
    width = edges[1] - edges[0]
    if settings["bin_ms"] % width:
        raise InputError(
            f"{where}: has bins of {width:g} ms, which make no bins of {settings['bin_ms']} ms; "
            "lower the subject's trial_bin_ms"
        )
    windows = area_windows(
        dict.fromkeys(region), settings["areas"], settings["window"], "--settings.areas"
    )
    found = []
    for area, (start, end) in windows.items():
        if start < edges[0] or end > edges[-1]:
            raise InputError(
                f"{where}: the window [{start}, {end}] of {area} is not within the recorded time, "
                f"{edges[0]:g} to {edges[-1]:g} ms"
            )
        if start not in edges or end not in edges:
            raise InputError(
                f"{where}: the window [{start}, {end}] of {area} is not of whole bins of "
                f"{width:g} ms; lower the subject's trial_bin_ms"
            )
        own = slice(int(np.searchsorted(edges, start)), int(np.searchsorted(edges, end)))
        found.append((np.flatnonzero(region == area), own))
    return found
