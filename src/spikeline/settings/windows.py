"""Which part of a presentation each area's response is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from spikeline.errors import InputError

Window = tuple[int, int]


def area_windows(
    areas: Iterable[str],
    windows: Mapping[str, Sequence[int]],
    otherwise: Sequence[int] | None,
    where: str,
) -> dict[str, Window]:
    """The window [start, end) of each area, ms after stimulus onset.

    Args:
        areas: those that need one.
        windows: of areas that have their own.
        otherwise: of all others; None where there is none.
        where: what to name in errors.

    Raises:
        InputError: an area has no window.
    """
    found = {}
    for area in areas:
        window = windows.get(area, otherwise)
        if window is None:
            raise InputError(
                f"{where}: has no window for area {area}; it has {list(windows)}, give it one"
            )
        found[area] = (window[0], window[1])
    return found
