"""Higher-level categories of images: a table with one row per membership.

Tab-separated with a header; column `category` and one of

| column | what belongs to the category |
|---|---|
| uniqueID | a concept, as THINGSplus names it: its category53_long-format.tsv is read as it is |
| things_path | an image, by its name |

A concept or image may belong to several categories, and to none.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spikeline.errors import InputError
from spikeline.sources.text_tables import read_rows

CONCEPT, IMAGE, CATEGORY = "uniqueID", "things_path", "category"


@dataclass(frozen=True)
class Categories:
    """A table of memberships.

    Attributes:
        by: the column that says what belongs to a category, `uniqueID` or `things_path`.
        of: that column's values -> their categories, in the table's order.
        where: the file, for errors.
    """

    by: str
    of: Mapping[str, tuple[str, ...]]
    where: str

    def of_images(self, images: np.ndarray, concepts: np.ndarray) -> list[tuple[str, ...]]:
        """The categories of each image.

        Args:
            images, concepts: (images,) the name of each image, and of what it shows.

        Raises:
            InputError: none of them is in the table.
        """
        keys = concepts if self.by == CONCEPT else images
        found = [self.of.get(key, ()) for key in keys]
        if not any(found):
            raise InputError(
                f"{self.where}: has none of the {len(keys)} test images (column {self.by}, sought "
                f"{keys[0]!r} first); give the table of this image set"
            )
        return found


def read_categories(path: str | os.PathLike[str]) -> Categories:
    """Read such a table.

    Raises:
        InputError: missing, no text, without these columns, or an empty cell in them.
    """
    columns, rows = read_rows(path, "correct the path in the config", csv.QUOTE_MINIMAL)
    keys = [name for name in (CONCEPT, IMAGE) if name in columns]
    if CATEGORY not in columns or len(keys) != 1:
        raise InputError(
            f"{path}: expected tab-separated columns {CATEGORY} and one of {CONCEPT} and {IMAGE}, "
            f"got {', '.join(columns[:4]) or 'none'}; of THINGS, take the long format"
        )
    of: dict[str, tuple[str, ...]] = {}
    for line, row in rows:
        key, category = row[keys[0]], row[CATEGORY]
        if not key or not category:
            raise InputError(f"{path}: line {line} lacks {keys[0]} or {CATEGORY}")
        if category not in of.get(key, ()):
            of[key] = (*of.get(key, ()), category)
    return Categories(keys[0], of, str(path))
