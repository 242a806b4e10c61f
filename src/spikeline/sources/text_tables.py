"""Tab-separated tables that come with images: header and rows, or an error that names the file."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from spikeline.errors import InputError


def read_rows(
    path: str | os.PathLike[str], missing: str, quoting: int = csv.QUOTE_NONE
) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Columns, and each row with the number of its last line; a field that is not there is None.

    Args:
        missing: what to do where there is no file.

    Raises:
        InputError: missing, or no text.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
        reader = csv.DictReader(lines, delimiter="\t", quoting=quoting)
        return list(reader.fieldnames or []), [(reader.line_num, row) for row in reader]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {missing}") from None
    except (OSError, ValueError, csv.Error):
        raise InputError(f"{path}: is not UTF-8 text; give a tab-separated table") from None
