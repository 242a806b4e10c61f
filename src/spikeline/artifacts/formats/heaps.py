"""Whether heaps of an HDF5 file, which hold its text, end: on a damaged one HDF5 never stops.

A global heap is a header, `GCOL`, a version, three zeros and a size, and then objects one behind
the other: an index, a count of references, four zeros, a size, and so many bytes, padded to eight.
Index 0 is what is free, and the last (HDF5 File Format Specification 3.0, III.E). An object whose
size leads nowhere keeps the library in a loop that no signal ends.
"""

from __future__ import annotations

import mmap
import os

_HEADER = b"GCOL\x01\x00\x00\x00"
_SIZE = 8


def heaps_end(path: str | os.PathLike[str]) -> bool:
    """Whether each heap of a file is a row of objects that ends with it."""
    if not os.path.getsize(path):
        return True
    with open(path, "rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as raw:
        place = raw.find(_HEADER)
        while place >= 0:
            if not _ends(raw, place):
                return False
            place = raw.find(_HEADER, place + len(_HEADER))
    return True


def _ends(raw: mmap.mmap, start: int) -> bool:
    size = int.from_bytes(raw[start + 8 : start + 16], "little")
    place, end = start + 16, start + size
    if end > len(raw):
        return False
    # too little is left for one more object
    while place + 16 <= end:
        index = int.from_bytes(raw[place : place + 2], "little")
        held = int.from_bytes(raw[place + 8 : place + 16], "little")
        if index == 0:
            return place + held == end
        place += 16 + -(-held // _SIZE) * _SIZE
    return place <= end
