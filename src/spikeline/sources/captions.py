"""Captions of images: a table with one row per image, or else the names of what images show.

Tab-separated with a header; columns `things_path`, the image's name, and `caption`.
"""

from __future__ import annotations

import os

import numpy as np

from spikeline.errors import InputError
from spikeline.sources.text_tables import read_rows

IMAGE, CAPTION = "things_path", "caption"


def read_captions(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """(images, captions), both (n,) of str, in the table's order.

    Raises:
        InputError: missing, no text, without these columns, or an empty cell in them.
    """
    columns, rows = read_rows(path, "give a table of captions")
    if not {IMAGE, CAPTION} <= set(columns):
        raise InputError(f"{path}: needs the tab-separated columns {IMAGE} and {CAPTION}")
    pairs = []
    for line, row in rows:
        if not row[IMAGE] or not row[CAPTION]:
            raise InputError(f"{path}: line {line} lacks {IMAGE} or {CAPTION}")
        pairs.append((row[IMAGE], row[CAPTION]))
    if not pairs:
        raise InputError(f"{path}: has no rows; give a table of captions")
    images, captions = (np.array(column, dtype=object) for column in zip(*pairs, strict=True))
    return images, captions


def class_names(
    images: np.ndarray, categories: np.ndarray, where: str
) -> tuple[np.ndarray, np.ndarray]:
    """(distinct images, what they show), as captions where there are no others.

    Args:
        images, categories: (rows,) of responses; rows may show the same image.

    Raises:
        InputError: no category is known.
    """
    shown = dict(zip(images, categories, strict=True))
    names = [str(name).replace("_", " ") for name in shown.values()]
    if not any(names):
        raise InputError(f"{where}: names no categories of its images; give a table of captions")
    return np.array(list(shown), dtype=object), np.array(names, dtype=object)
