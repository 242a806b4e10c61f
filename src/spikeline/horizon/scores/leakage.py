"""Whether a forecaster knows the future: scramble what comes, and demand the same forecasts.

For a few of the windows that are scored, every count, image and behaviour at and after the start is
replaced by another, and the window is forecast from the original and from the changed session. The
two must agree to the last digit. What a forecaster learnt before stays as it is, and the reference
window is never changed: units are known by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from spikeline.artifacts.counts import NO_IMAGE, Counts
from spikeline.errors import InputError
from spikeline.horizon.scores.tiled import Forecast
from spikeline.horizon.scores.windows import bins_of, forecast_starts

if TYPE_CHECKING:
    from spikeline.horizon.scores.evaluation import EvaluatedForecaster, Session

# Windows that are compared: of a session alone so many, of several together at least as many.
WINDOWS = 3
# Bins behind a window that are scrambled too; what lies later still is cut off.
_BEHIND = 500
_MOST_EXTRA_SPIKES = 4


def check_forecaster(
    forecaster: EvaluatedForecaster,
    sessions: Sequence[Session],
    horizons_ms: Sequence[int],
    windows: int | None = None,
) -> int:
    """Check a forecaster on every session; the number of windows compared.

    Seeds are forecast with by the same code: unless `windows` are asked for, the first speaks for
    all, and the windows, one of each session, lie elsewhere in each.

    Args:
        windows: of each session and seed.

    Raises:
        InputError: see `EvaluatedForecaster.check`; or a forecast knows the future.
    """
    for session in sessions:
        forecaster.check(session)
    first_seed = windows is None
    windows = windows or -(-WINDOWS // len(sessions))
    places = np.linspace(0, 1, windows * len(sessions))
    found = 0
    for index, session in enumerate(sessions):
        length = max(bins_of(ms, session.counts.bin_s) for ms in horizons_ms)
        forecasts = partial(_forecasts_of, forecaster, session, first_seed)
        own = places[index :: len(sessions)]
        found += check_causal(forecasts, session.counts, length, session.where, own)
    return found


def _forecasts_of(
    forecaster: EvaluatedForecaster, session: Session, first_seed: bool, counts: Counts
) -> dict[str, Forecast]:
    return forecaster.forecasts_of(replace(session, counts=counts), first_seed)


def check_causal(
    forecasts_of: Callable[[Counts], Mapping[str, Forecast]],
    counts: Counts,
    length: int,
    where: str,
    places: Sequence[float] | np.ndarray = (),
) -> int:
    """Compare forecasts of some windows with those from a session whose future is another.

    Args:
        forecasts_of: counts of the session, or of its beginning, to {label: forecasts} from them.
        counts: of the session.
        length: bins of a window.
        where: what an error names.
        places: of the windows among all of the test domain, from 0, the first, to 1, the last;
            by default WINDOWS of them.

    Returns:
        windows compared, over all labels.

    Raises:
        InputError: a forecast changes with what comes at or after its start; or no test block
            holds a window.
    """
    starts = forecast_starts(counts.domains, "test", length)[0]
    # the reference window does not change, so a window before its end would be checked in part
    later = starts[starts >= counts.reference[1]]
    starts = later if len(later) else starts
    shares = np.asarray(places) if len(places) else np.linspace(0, 1, WINDOWS)
    chosen = np.unique(np.round(shares * (len(starts) - 1)).astype(int))
    found = 0
    for start in starts[chosen]:
        whole = _beginning(counts, max(start + length + _BEHIND, counts.reference[1]))
        true, other = forecasts_of(whole), forecasts_of(_scrambled(whole, int(start)))
        for label in true:
            rates, changed = (
                _only(forecasts[label](np.array([start]), np.array([length])))
                for forecasts in (true, other)
            )
            if not np.array_equal(rates, changed):
                raise InputError(
                    f"{where}: {label}: the forecast from bin {start} changes with what comes at "
                    "or after that bin: it knows the future, and its scores would mean nothing"
                )
            found += 1
    return found


# --- the pieces -----------------------------------------------------------------------------------

_OVER_BINS = ("counts", "behaviour", "images", "domains", "position")


def _beginning(counts: Counts, end: int) -> Counts:
    """The session up to a bin."""
    known = {name: getattr(counts, name) for name in _OVER_BINS}
    return replace(counts, **{name: one[:end] for name, one in known.items() if one is not None})


def _scrambled(counts: Counts, start: int) -> Counts:
    """The session with another future, from bin `start` on, outside its reference window."""
    rng = np.random.default_rng(start)
    rows = np.arange(start, len(counts.counts))
    first, end = counts.reference
    rows = rows[(rows < first) | (rows >= end)]
    values = np.array(counts.counts)
    extra = rng.integers(1, _MOST_EXTRA_SPIKES + 1, (len(rows), values.shape[1]), np.uint8)
    # a sum beyond 255 begins again at 0: another count all the same
    values[rows] += extra
    behaviour = _elsewhere(counts.behaviour, rows, rng)
    position = None if counts.position is None else _elsewhere(counts.position, rows, rng)
    images = np.array(counts.images)
    screens = len(counts.image_names) + 1
    if screens > 1:
        shown = rows[images[rows] >= NO_IMAGE]
        other = images[shown] - NO_IMAGE + rng.integers(1, screens, len(shown))
        images[shown] = other % screens + NO_IMAGE
    return replace(counts, counts=values, behaviour=behaviour, images=images, position=position)


def _elsewhere(values: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Other values in these rows; what is unknown stays so."""
    moved = np.array(values)
    moved[rows] += rng.choice([-1, 1], moved[rows].shape) * (1 + np.abs(moved[rows]))
    return moved


def _only(batches: Iterable[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """(length, units) rates of the one window that was asked for."""
    ((_, rates),) = batches
    return np.array(rates[0])
