"""Apply a forecaster to deterministic windows and score it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from spikeline.artifacts.forecasts import Sums
from spikeline.horizon.batches import Geometry, Recording, past_of
from spikeline.horizon.forecaster import Forecaster
from spikeline.horizon.scores import Scorer
from spikeline.horizon.windows import bins_of, forecast_starts, gather
from spikeline.training.device import mixed_precision

# Tokens, and head evaluations, of a batch: what a small machine's memory holds.
_TOKENS = 1 << 16
_LOG_RATES = 1 << 20


def forecast(
    model: Forecaster,
    recording: Recording,
    geometry: Geometry,
    starts: np.ndarray,
    lengths: np.ndarray,
    *,
    past_starts: np.ndarray | None = None,
    hidden: np.ndarray | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Expected counts per bin of windows, batch by batch.

    Args:
        starts: (windows,) first bins; lengths: (windows,) bins to forecast.
        past_starts: (windows,) where each window's past ends instead (a control); None means
            `starts`.
        hidden: (units,) bool, units whose past is not read; None hides none.

    Yields:
        indices into `starts` of a batch of windows of equal length, and rates (batch, length,
        units) float32.
    """
    past_starts = starts if past_starts is None else past_starts
    device = recording.kept.device
    model.eval()
    with torch.no_grad():
        identity = model.embed(recording.population)
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            most = min(
                _TOKENS // (recording.units * geometry.patches),
                _LOG_RATES // (recording.units * int(length)),
            )
            for batch in np.array_split(rows, -(-len(rows) // max(1, most))):
                known = None
                if hidden is not None:
                    known = torch.from_numpy(~hidden).expand(len(batch), -1).to(device)
                past = past_of(recording, past_starts[batch], geometry, known=known)
                with mixed_precision(device):
                    reading = model.read(past, recording.population, identity)
                    log_rates = model.continued(reading, recording.population, int(length))
                yield batch, log_rates.float().exp().cpu().numpy()


def score_horizons(
    model: Forecaster,
    recording: Recording,
    geometry: Geometry,
    null: np.ndarray,
    horizons_ms: Sequence[int],
    bin_s: float,
    *,
    split: str = "test",
    shuffled: int | None = None,
) -> dict[str, Sums]:
    """Score sums of each horizon on the windows that tile a split's blocks.

    A window of a long horizon begins where one of a short horizon does, from the same past, and a
    forecast is causal: each past is encoded once and forecast as far as any horizon needs it.

    Args:
        null: (units,) rates of the null, see `scores.training_mean`.
        shuffled: seed of a permutation of the windows' pasts, a control; None keeps them.
    """
    lengths = {str(ms): bins_of(ms, bin_s) for ms in horizons_ms}
    needed: dict[int, int] = {}
    places = {}
    for label, length in lengths.items():
        starts, block = forecast_starts(recording.domains, split, length)
        places[label] = dict(zip(starts.tolist(), block.tolist(), strict=True))
        for start in starts.tolist():
            needed[start] = max(length, needed.get(start, 0))
    scorers = {label: Scorer(null, max(index.values()) + 1) for label, index in places.items()}
    starts = np.array(sorted(needed), np.int64)
    longest = np.array([needed[start] for start in starts.tolist()])
    past_starts = None
    if shuffled is not None:
        past_starts = np.random.default_rng(shuffled).permutation(starts)
    for batch, rates in forecast(
        model, recording, geometry, starts, longest, past_starts=past_starts
    ):
        counts = _counts(recording, starts[batch], rates.shape[1])
        for label, length in lengths.items():
            if length > rates.shape[1]:
                continue
            index = places[label]
            rows = np.array([i for i, s in enumerate(starts[batch].tolist()) if s in index], int)
            if len(rows):
                block = np.array([index[start] for start in starts[batch][rows].tolist()])
                scorers[label].add(rates[rows, :length], counts[rows, :length], block)
    return {label: scorer.sums() for label, scorer in scorers.items()}


def co_smoothing(
    model: Forecaster,
    recording: Recording,
    geometry: Geometry,
    null: np.ndarray,
    horizons_ms: Sequence[int],
    bin_s: float,
    groups: int,
    *,
    split: str = "test",
) -> dict[str, Sums]:
    """As `score_horizons`, each unit forecast from the past of the units of the other groups.

    Unit u is in group u modulo `groups`; while a group is forecast, its units are hidden.
    """
    found = {}
    for ms in horizons_ms:
        length = bins_of(ms, bin_s)
        starts, block = forecast_starts(recording.domains, split, length)
        rates = np.empty((len(starts), length, recording.units), np.float32)
        for group in range(min(groups, recording.units)):
            hidden = np.arange(recording.units) % groups == group
            lengths = np.full(len(starts), length)
            for batch, forecasts in forecast(
                model, recording, geometry, starts, lengths, hidden=hidden
            ):
                rates[np.ix_(batch, range(length), np.flatnonzero(hidden))] = forecasts[..., hidden]
        scorer = Scorer(null, int(block.max()) + 1)
        scorer.add(rates, _counts(recording, starts, length), block)
        found[str(ms)] = scorer.sums()
    return found


def _counts(recording: Recording, starts: np.ndarray, length: int) -> np.ndarray:
    if recording.mapped:
        return gather(recording.counts, starts, length)
    index = torch.from_numpy(starts)[:, None] + torch.arange(length)
    return recording.counts[index.to(recording.counts.device)].cpu().numpy()
