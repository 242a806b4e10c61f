"""The history of a training, one row per epoch, as TSV text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def to_tsv(history: Sequence[Mapping[str, object]]) -> str:
    """The rows as tab-separated text with a header line; columns are those of the first row.

    Numbers are written to six significant digits; a missing value is an empty cell.
    """
    if not history:
        return ""
    columns = list(history[0])
    lines = ["\t".join(columns)]
    lines += ["\t".join(_cell(row.get(column)) for column in columns) for row in history]
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
