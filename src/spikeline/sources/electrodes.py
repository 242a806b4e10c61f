"""Region maps, and the electrodes that no analysis can use."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from spikeline.errors import InputError

log = logging.getLogger(__name__)


def region_of_each(
    regions: Mapping[str, Sequence[Sequence[int]]], electrodes: int, where: str
) -> np.ndarray:
    """(electrodes,) str from half-open 0-based ranges, each electrode named exactly once.

    Raises:
        InputError: ranges overlap, leave a gap, or do not fit the number of electrodes.
    """
    names = np.full(electrodes, "", dtype=object)
    for region, ranges in regions.items():
        for first, last in ranges:
            if not 0 <= first < last <= electrodes:
                raise InputError(
                    f"{where}: region {region} is mapped to electrodes {first}:{last}, but there "
                    f"are {electrodes}; correct `regions` in the config"
                )
            if any(names[first:last]):
                raise InputError(f"{where}: the region map names electrode {first} or later twice")
            names[first:last] = region
    if not all(names):
        gap = int(np.flatnonzero(names == "")[0])
        raise InputError(
            f"{where}: has {electrodes} electrodes, but the region map leaves out electrode {gap}"
        )
    return names


def usable(values: np.ndarray, where: str) -> np.ndarray:
    """(electrodes,) bool: electrodes that are finite everywhere and not constant.

    Args:
        values: (rows, electrodes), all rows that will be analysed.

    Raises:
        InputError: none is usable.
    """
    finite = np.isfinite(values)
    whole = finite.all(axis=0)
    varies = np.zeros_like(whole)
    varies[whole] = np.ptp(values[:, whole], axis=0) > 0
    return kept(~finite.any(axis=0), whole, varies, where)


def whole_part(present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Presentations (rows,) bool and electrodes (columns,) bool that together lack nothing.

    Of all presentations and electrodes the one that lacks the largest share goes first, again and
    again until nothing is missing. So an array that is silent costs its electrodes, an array that
    was unplugged for a while those presentations, and neither costs anything else.

    Args:
        present: (rows, columns) bool, the value is finite.
    """
    rows, columns = (np.ones(count, bool) for count in present.shape)
    lacking_rows, lacking_columns = ((~present).sum(axis=axis) for axis in (1, 0))
    while lacking_rows.any():
        # The counts are of what is still kept, and 0 for what is not.
        row_share, column_share = lacking_rows / columns.sum(), lacking_columns / rows.sum()
        worst = max(row_share.max(), column_share.max())
        # All that are as bad go together: the electrodes of an array, the trials of a pause.
        if column_share.max() == worst:
            gone = column_share == worst
            columns &= ~gone
            lacking_rows = lacking_rows - (~present[:, gone]).sum(axis=1) * rows
            lacking_columns[gone] = 0
        else:
            gone = row_share == worst
            rows &= ~gone
            lacking_columns = lacking_columns - (~present[gone]).sum(axis=0) * columns
            lacking_rows[gone] = 0
    return rows, columns


def told_presentations(train: np.ndarray, tests: np.ndarray, where: str) -> np.ndarray:
    """(training presentations,) bool: those that are kept; see `whole_part`. Others are logged.

    Those of test images stay: an electrode that lacks one is left out as a whole.

    Args:
        train: (training presentations, electrodes) bool, the value is finite.
        tests: (presentations of test images, electrodes) bool, the same.
    """
    rows, _ = whole_part(train & tests.all(axis=0))
    if not rows.all():
        log.warning(
            "%s: dropped %d of %d training presentations that some electrodes lack",
            where, (~rows).sum(), len(rows),
        )  # fmt: skip
    return rows


def kept(silent: np.ndarray, whole: np.ndarray, varies: np.ndarray, where: str) -> np.ndarray:
    """(electrodes,) bool: electrodes that are whole and vary; the others are counted and logged.

    Args:
        silent: (electrodes,) bool, no row is finite.
        whole: (electrodes,) bool, every row is.
        varies: (electrodes,) bool, among those that are whole.

    Raises:
        InputError: none is.
    """
    keep = whole & varies
    partly, constant = ~whole & ~silent, whole & ~varies
    if not keep.all():
        log.warning(
            "%s: dropped %d of %d electrodes: %d all-NaN, %d partly NaN, %d constant",
            where, (~keep).sum(), len(keep), silent.sum(), partly.sum(), constant.sum(),
        )  # fmt: skip
    if not keep.any():
        raise InputError(f"{where}: no electrode is finite and varies; nothing can be decoded")
    return keep
