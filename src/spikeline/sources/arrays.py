"""Bring your own recording: responses as .npy or .csv, image names as a text file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from spikeline.artifacts.responses import Responses
from spikeline.errors import InputError
from spikeline.reliability import leave_one_out_reliability, pairwise_reliability
from spikeline.sources.electrodes import region_of_each, usable
from spikeline.sources.splits import random_splits


def read_array(path: str | os.PathLike[str]) -> np.ndarray:
    """Numbers of a .npy or .csv file (comma-separated, no header), float64.

    Raises:
        InputError: missing, truncated, pickled objects, or not numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; correct the path in the config")
    try:
        if path.suffix != ".npy":
            lines = path.read_text(encoding="utf-8-sig").splitlines()
            values = np.loadtxt(lines, delimiter=",", ndmin=2)
        else:
            values = np.load(path, allow_pickle=False)
            if values.dtype.kind not in "fiub":
                raise ValueError(f"it holds {values.dtype}")
        values = np.asarray(values, np.float64)
    # What numpy raises on a file that is not one: as many kinds as there are bytes. A header that
    # claims more memory than there is comes here as well.
    except Exception as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(f"{path}: cannot be read as numbers ({reason})") from None
    if not values.size:
        raise InputError(f"{path}: is empty")
    return values


def read_names(path: str | os.PathLike[str]) -> np.ndarray:
    """Image names, one per line."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; correct the path in the config")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except ValueError:
        raise InputError(f"{path}: is not UTF-8 text; write one image name per line") from None
    return np.asarray([line.strip().replace("\\", "/") for line in lines if line.strip()], object)


def responses_from_arrays(
    values: np.ndarray,
    images: np.ndarray,
    regions: Mapping[str, Sequence[Sequence[int]]] | None,
    where: str,
    *,
    splits: int,
    test_size: int,
    test_values: np.ndarray | None = None,
    test_images: np.ndarray | None = None,
    test_where: str | None = None,
    categories: Mapping[str, str] | None = None,
) -> Responses:
    """A responses artifact from plain arrays.

    Args:
        values: (images, electrodes), one row per presentation or image.
        images: (images,) names of the rows.
        regions: half-open 0-based electrode ranges; None names every electrode 'all'.
        test_values: (images, electrodes), or (repetitions, images, electrodes) whose mean is
            decoded. None draws `splits` random test splits of `test_size` images instead.
        test_images: (images,) names of the test rows.
        where, test_where: names of the rows and of the test rows in errors.
        categories: category of an image name; the name's folder where None.
    """
    if values.ndim != 2:
        raise InputError(f"{where}: has shape {values.shape}, expected (images, electrodes)")
    if len(values) != len(images):
        swapped = ": its axes are swapped" if values.shape[1] == len(images) else ""
        raise InputError(
            f"{where}: has {len(values)} rows for {len(images)} images{swapped}; "
            "expected (images, electrodes)"
        )
    electrodes = values.shape[1]
    repetitions = None
    if test_values is None:
        test = random_splits(images, splits, test_size, where)
    else:
        count = 0 if test_images is None else len(test_images)
        if test_values.ndim not in (2, 3) or test_values.shape[-2:] != (count, electrodes):
            raise InputError(
                f"{test_where or where}: test responses have shape {test_values.shape}, "
                f"expected ([repetitions,] {count} images, {electrodes} electrodes)"
            )
        repetitions = test_values if test_values.ndim == 3 else None
        mean = test_values if repetitions is None else repetitions.mean(axis=0)
        test = np.arange(len(values) + len(mean))[None] >= len(values)
        values, images = np.concatenate([values, mean]), np.concatenate([images, test_images])
    rows = values if repetitions is None else np.vstack([values, *repetitions])
    keep = usable(rows, where)
    region = region_of_each(regions or {"all": [[0, electrodes]]}, electrodes, where)
    unknown = np.full(electrodes, np.nan)
    reliability = oracle = unknown
    if repetitions is not None and len(repetitions) > 1:
        with np.errstate(invalid="ignore", divide="ignore"):
            reliability = pairwise_reliability(repetitions).mean(axis=0)
            oracle = leave_one_out_reliability(repetitions)
    return Responses(
        values=values[:, keep].astype(np.float32),
        images=images,
        categories=np.asarray([_category(name, categories) for name in images], object),
        test=test,
        repetitions=None if repetitions is None else repetitions[:, :, keep].astype(np.float32),
        electrodes={
            "region": region[keep],
            "snr": unknown[keep],
            "reliability": reliability[keep],
            "oracle": oracle[keep],
            "channel": np.flatnonzero(keep).astype(np.int32),
        },
    )


def _category(name: str, categories: Mapping[str, str] | None) -> str:
    return categories.get(name, "") if categories is not None else name.rpartition("/")[0]
