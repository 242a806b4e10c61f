"""TVSD (Papale et al., Neuron 2025): THINGS_normMUA.mat and things_imgs.mat to responses.

Both are MATLAB v7.3, that is HDF5 with reversed axes: a field documented as electrodes x images
in MATLAB is read as (images, electrodes). Every shape is checked, because a transposed or
truncated file otherwise gives a plausible and wrong number.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np

from spikeline.artifacts.formats import hdf5, seal
from spikeline.artifacts.responses import Responses
from spikeline.errors import InputError
from spikeline.sources.electrodes import region_of_each, told_presentations, usable

log = logging.getLogger(__name__)

NORM_MUA_FIELDS = ("train_MUA", "test_MUA", "test_MUA_reps", "SNR_max", "oracle", "reliab")
# test_MUA was averaged in another order than here: equal up to rounding, not bit by bit.
MEAN_TOLERANCE = 1e-4


def read_responses(
    norm_mua: str | os.PathLike[str],
    things_imgs: str | os.PathLike[str],
    regions: Mapping[str, Sequence[Sequence[int]]],
) -> Responses:
    """One monkey's responses; what lacks values is dropped, counted and logged.

    An array that is silent loses its electrodes, one that was silent for a while the training
    presentations of that time.

    Args:
        norm_mua: THINGS_normMUA.mat.
        things_imgs: things_imgs.mat, the image of each row.
        regions: half-open 0-based electrode ranges of each area.

    Raises:
        InputError: not MATLAB v7.3, truncated, a field missing, axes swapped, electrodes that do
            not match the region map, or an image list of another length.
    """
    where = str(norm_mua)
    electrodes = sum(last - first for ranges in regions.values() for first, last in ranges)
    with open_matlab73(norm_mua) as handle:
        fields = {name: _field(handle, name, where) for name in NORM_MUA_FIELDS}
    _check_shapes(fields, electrodes, where)
    region = region_of_each(regions, electrodes, where)

    train, test = fields["train_MUA"], fields["test_MUA"]
    repetitions = fields["test_MUA_reps"]
    mean = repetitions.mean(axis=0)
    both = np.isfinite(mean) & np.isfinite(test)
    if not np.allclose(mean[both], test[both], atol=MEAN_TOLERANCE, rtol=MEAN_TOLERANCE):
        raise InputError(f"{where}: test_MUA is not the mean of test_MUA_reps; fetch it again")

    images = {split: read_image_list(things_imgs, split) for split in ("train", "test")}
    for split, rows in (("train", train), ("test", test)):
        if len(images[split][0]) != len(rows):
            raise InputError(
                f"{things_imgs}: {split}_imgs names {len(images[split][0])} images, but {where} "
                f"has {len(rows)} {split} rows; they must be of the same recording"
            )
    tests = np.concatenate([test, repetitions.reshape(-1, electrodes)])
    told = told_presentations(np.isfinite(train), np.isfinite(tests), where)
    source_rows = None
    if not told.all():
        source_rows = np.concatenate([np.flatnonzero(told), np.arange(len(test))]).astype(np.int32)
        train = train[told]
        images["train"] = tuple(column[told] for column in images["train"])
    values = np.concatenate([train, test])
    keep = usable(np.concatenate([train, tests]), where)
    is_test = np.zeros((1, len(values)), bool)
    is_test[0, len(train) :] = True
    return Responses(
        values=values[:, keep].astype(np.float32),
        images=np.concatenate([images["train"][0], images["test"][0]]),
        categories=np.concatenate([images["train"][1], images["test"][1]]),
        test=is_test,
        repetitions=repetitions[:, :, keep].astype(np.float32),
        source_rows=source_rows,
        electrodes={
            "region": region[keep],
            "snr": fields["SNR_max"].ravel()[keep],
            "reliability": fields["reliab"].mean(axis=0)[keep],
            "oracle": fields["oracle"].ravel()[keep],
            "channel": np.flatnonzero(keep).astype(np.int32),
        },
    )


def open_matlab73(path: str | os.PathLike[str]) -> h5py.File:
    """An open MATLAB v7.3 file.

    Raises:
        InputError: missing, an older .mat, truncated, or not a .mat.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    with open(path, "rb") as handle:
        header = handle.read(128)
    if header.startswith(b"MATLAB 5.0"):
        raise InputError(f"{path}: is a MATLAB v5 file, expected v7.3; save it with '-v7.3'")
    try:
        handle = h5py.File(path, "r")
    except OSError as error:
        if header.startswith(b"MATLAB 7.3") or "truncated" in str(error):
            raise InputError(f"{path}: is truncated or damaged; fetch it again") from None
        raise InputError(f"{path}: is not a MATLAB v7.3 file") from None
    try:
        with hdf5.intact(path, "fetch it again"):
            hdf5.check_own(handle)
    except InputError:
        handle.close()
        raise
    return handle


def read_image_list(path: str | os.PathLike[str], split: str) -> tuple[np.ndarray, np.ndarray]:
    """Image names ('/'-separated things_path) and concepts, (rows,) each, of `train` or `test`."""
    group = f"{split}_imgs"
    with open_matlab73(path) as handle:
        if group not in handle:
            raise InputError(f"{path}: field {group} is missing; it has {_names(handle)}")
        if not isinstance(handle[group], h5py.Group):
            raise InputError(f"{path}: {group} is not a struct; fetch it again")
        missing = {"class", "things_path"} - set(handle[group])
        if missing:
            raise InputError(f"{path}: field {group}.{sorted(missing)[0]} is missing")
        concepts = _matlab_strings(handle, f"{group}/class", path)
        paths = _matlab_strings(handle, f"{group}/things_path", path)
    if len(concepts) != len(paths):
        raise InputError(
            f"{path}: {group}.class has {len(concepts)} entries, things_path has {len(paths)}"
        )
    return np.asarray([p.replace("\\", "/") for p in paths], object), np.asarray(concepts, object)


def _matlab_strings(handle: h5py.File, name: str, path: str | os.PathLike[str]) -> list[str]:
    try:
        cells = handle[name]
        references = cells[...].ravel() if isinstance(cells, h5py.Dataset) else np.zeros(0)
        if references.dtype != h5py.ref_dtype:
            raise InputError(f"{path}: {name} is not a cell array of strings")
        return ["".join(map(chr, handle[reference][...].ravel())) for reference in references]
    except InputError:
        raise
    except (*seal.DAMAGE, AttributeError):
        raise InputError(f"{path}: {name} refers to damaged strings; fetch it again") from None


def _field(handle: h5py.File, name: str, where: str) -> np.ndarray:
    if name not in handle:
        raise InputError(f"{where}: field {name} is missing; it has {_names(handle)}")
    try:
        values = handle[name][...]
        if values.dtype.kind not in "fiub":
            raise TypeError
        return np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{where}: {name} is not a numeric array") from None
    except seal.DAMAGE:
        raise InputError(f"{where}: {name} cannot be read; the file is damaged") from None


def _check_shapes(fields: Mapping[str, np.ndarray], electrodes: int, where: str) -> None:
    repetitions = fields["test_MUA_reps"]
    for name, field in fields.items():
        axes = 3 if name == "test_MUA_reps" else 2
        if field.ndim != axes:
            raise InputError(f"{where}: {name} has shape {field.shape}, expected {axes} axes")
    for name in ("train_MUA", "test_MUA", "test_MUA_reps"):
        shape = fields[name].shape
        if shape[-1] != electrodes and electrodes in shape:
            raise InputError(
                f"{where}: {name} has shape {shape}: its axes are swapped; "
                f"expected (..., images, {electrodes} electrodes) as h5py reads it"
            )
        if shape[-1] != electrodes:
            raise InputError(
                f"{where}: {name} has {shape[-1]} electrodes, the region map has {electrodes}; "
                "correct `regions` in the config"
            )
    count, images = repetitions.shape[:2]
    if images != len(fields["test_MUA"]):
        raise InputError(
            f"{where}: test_MUA_reps has {images} images, test_MUA has {len(fields['test_MUA'])}"
        )
    for name in ("train_MUA", "test_MUA", "test_MUA_reps"):
        if 0 in fields[name].shape:
            raise InputError(f"{where}: {name} is empty, {fields[name].shape}; fetch it again")
    pairs = count * (count - 1) // 2
    for name, shape in (
        ("SNR_max", (electrodes, 1)),
        ("oracle", (electrodes, 1)),
        ("reliab", (pairs, electrodes)),
    ):
        if fields[name].shape != shape:
            raise InputError(f"{where}: {name} has shape {fields[name].shape}, expected {shape}")


def _names(handle: h5py.File) -> list[str]:
    return [name for name in handle if not name.startswith("#")]
