"""Score any forecaster on the windows that tile the blocks of a split, at several horizons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from spikeline.artifacts.forecasts import Sums
from spikeline.horizon.scores.bits_per_spike import Scorer
from spikeline.horizon.scores.windows import bins_of, elsewhere, forecast_starts, gather

# (starts (windows,), lengths (windows,)) -> batches of windows of equal length: their places among
# the starts, and their expected counts per bin (batch, length, units). Nothing at or after a start
# may be read for it.
Forecast = Callable[[np.ndarray, np.ndarray], Iterable[tuple[np.ndarray, np.ndarray]]]


def score_horizons(
    forecast: Forecast,
    counts: np.ndarray,
    domains: np.ndarray,
    null: np.ndarray,
    horizons_ms: Sequence[int],
    bin_s: float,
    *,
    split: str = "test",
    shuffled: bool = False,
) -> dict[str, Sums]:
    """Score sums of each horizon, {horizon in ms, as text: sums}.

    A window of a long horizon begins where one of a short horizon does, and a forecast is causal:
    each start is forecast once, as far as any horizon needs it.

    Args:
        forecast: see `Forecast`.
        counts: (bins, units); domains: (bins,), see artifacts/counts.py.
        null: (units,) rates of the null, see `scores.training_mean`.
        shuffled: forecast each window from far away, in whatever domain that is (see
            `windows.elsewhere`): a control, which knows all but the moment.

    Raises:
        InputError: a horizon is no whole number of bins, or no block of the split holds a window.
    """
    lengths = {str(ms): bins_of(ms, bin_s) for ms in horizons_ms}
    needed: dict[int, int] = {}
    blocks = {}
    for label, length in lengths.items():
        starts, block = forecast_starts(domains, split, length)
        blocks[label] = dict(zip(starts.tolist(), block.tolist(), strict=True))
        for start in blocks[label]:
            needed[start] = max(length, needed.get(start, 0))
    scorers = {label: Scorer(null, max(index.values()) + 1) for label, index in blocks.items()}
    starts = np.array(sorted(needed), np.int64)
    longest = np.array([needed[start] for start in starts.tolist()])
    from_starts = elsewhere(starts, len(domains)) if shuffled else starts
    for places, rates in forecast(from_starts, longest):
        batch = starts[places].tolist()
        seen = gather(counts, starts[places], rates.shape[1])
        for label, length in lengths.items():
            index = blocks[label]
            rows = [row for row, start in enumerate(batch) if start in index]
            if rows and length <= rates.shape[1]:
                block = np.array([index[batch[row]] for row in rows])
                scorers[label].add(rates[rows, :length], seen[rows, :length], block)
    return {label: scorer.sums() for label, scorer in scorers.items()}
