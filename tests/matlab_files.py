"""MATLAB v7.3 files as tests write them: not by the simulator, whose files are tested too."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np


def write_matlab73(
    path: Path, fields: dict[str, object], chunks: dict[str, tuple[int, ...]] | None = None
) -> Path:
    """A MATLAB v7.3 file: a 512-byte header, then HDF5; a list of str is a cell array.

    Those of `chunks` are stored compressed in pieces of that shape.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as handle:
        for name, value in fields.items():
            if isinstance(value, list):
                references = np.empty((len(value), 1), h5py.ref_dtype)
                for index, text in enumerate(value):
                    place = f"#refs#/{name.replace('/', '_')}_{index}"
                    codes = np.frombuffer(text.encode("utf-16-le"), np.uint16)[:, None]
                    references[index, 0] = handle.create_dataset(place, data=codes).ref
                handle.create_dataset(name, data=references)
            else:
                pieces = (chunks or {}).get(name)
                packed = "gzip" if pieces else None
                handle.create_dataset(name, data=value, chunks=pieces, compression=packed)
    with open(path, "r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    return path
