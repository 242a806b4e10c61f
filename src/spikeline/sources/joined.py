"""Several subjects as one: their electrodes side by side, for images that all of them saw."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from spikeline.artifacts.responses import Responses
from spikeline.errors import InputError

log = logging.getLogger(__name__)

FEW = 0.05  # the largest share of rows that may be lost


def joined(recordings: Mapping[str, Responses]) -> Responses:
    """The responses of several subjects to the same images.

    Rows are those of the first, in its order, without the few training rows that one of them lost
    to missing values; an image that has several rows has as many in each, and they are joined in
    their order. Of single repetitions each gives as many as the one with the
    fewest has, its first ones, and test values are their means. Areas keep their names, so that an
    area of one subject and the same area of another are one; `channel` is that of the source.

    Args:
        recordings: by what names them in errors; at least two.

    Raises:
        InputError: images or test rows that differ, naming the first; time bins that differ; or
            single repetitions that only some have.
    """
    recordings = _without_lost(recordings)
    (first_name, first), *others = recordings.items()
    parts = [first]
    for name, other in others:
        _check_bins(first, other, first_name, name)
        parts.append(other.of_rows(_matching_rows(first, other, first_name, name)))
        _check_tests(first, parts[-1], first_name, name)
    repeated = [name for name, part in recordings.items() if part.repetitions is not None]
    if repeated and len(repeated) < len(recordings):
        (lacking, *_) = recordings.keys() - set(repeated)
        raise InputError(
            f"{lacking}: has no single repetitions, but {repeated[0]} has; join subjects that "
            "all have them, or none"
        )
    if repeated:
        fewest = min(len(part.repetitions) for part in parts)
        parts = [part.repeated(slice(fewest)) for part in parts]
    table = {
        name: _side_by_side([part.electrodes[name] for part in parts], first)
        for name in first.electrodes
    }
    return replace(
        first,
        values=_side_by_side([part.values for part in parts], first),
        repetitions=_side_by_side([part.repetitions for part in parts], first)
        if repeated
        else None,
        electrodes=table,
        source_rows=None,
    )


def _without_lost(recordings: Mapping[str, Responses]) -> dict[str, Responses]:
    """The recordings without training rows that one lacks, as long as those are few."""
    keys = {name: _occurrences(part.images) for name, part in recordings.items()}
    shared = set.intersection(*map(set, keys.values()))
    found = {}
    for name, part in recordings.items():
        alone = np.asarray([key not in shared for key in keys[name]])
        lost = alone & ~part.test.any(axis=0)
        # More than that, and they did not see the same images.
        if not lost.any() or lost.mean() > FEW:
            found[name] = part
            continue
        log.warning(
            "%s: %d of %d rows are left out, which another subject lacks",
            name, lost.sum(), len(lost),
        )  # fmt: skip
        found[name] = part.of_rows(np.flatnonzero(~lost))
    return found


def _side_by_side(arrays: list[np.ndarray], first: Responses) -> np.ndarray:
    """Arrays joined on their last axis, the columns, bin by bin where there are time bins."""
    if first.edges is None:
        return np.concatenate(arrays, axis=-1)
    bins = len(first.edges) - 1
    binned = [array.reshape(*array.shape[:-1], bins, -1) for array in arrays]
    together = np.concatenate(binned, axis=-1)
    return together.reshape(*together.shape[:-2], -1)


def _matching_rows(first: Responses, other: Responses, one: str, another: str) -> np.ndarray:
    """For each row of the first the row of the other that shows the same image."""
    place = {key: row for row, key in enumerate(_occurrences(other.images))}
    wanted = _occurrences(first.images)
    missing = next((key for key in wanted if key not in place), None)
    if missing is not None:
        raise _differ(missing[0], one, another)
    if len(place) > len(wanted):
        extra = next(key for key in place if key not in set(wanted))
        raise _differ(extra[0], another, one)
    return np.array([place[key] for key in wanted])


def _occurrences(images: np.ndarray) -> list[tuple[str, int]]:
    """Each row's image, and how many rows before it show the same."""
    seen: dict[str, int] = {}
    found = []
    for image in images:
        found.append((str(image), seen.get(image, 0)))
        seen[image] = seen.get(image, 0) + 1
    return found


def _differ(image: str, shown: str, lacking: str) -> InputError:
    return InputError(
        f"{lacking}: image {image!r} of {shown} is not among its rows as often; join subjects that "
        "saw the same images"
    )


def _check_tests(first: Responses, other: Responses, one: str, another: str) -> None:
    if first.test.shape != other.test.shape:
        raise InputError(
            f"{another}: has {len(other.test)} test splits and {one} {len(first.test)}; join "
            "subjects with the same test"
        )
    differ = (first.test != other.test).any(axis=0)
    if differ.any():
        image = first.images[differ.argmax()]
        raise InputError(
            f"{another}: image {image!r} is in the test of one of it and {one} only; join subjects "
            "with the same test"
        )


def _check_bins(first: Responses, other: Responses, one: str, another: str) -> None:
    edges = [None if part.edges is None else part.edges.tolist() for part in (first, other)]
    if edges[0] != edges[1]:
        raise InputError(
            f"{another}: its time bins are not those of {one}; join responses of the same windows"
        )
