"""Apply a forecaster to any windows of a recording, and score how well units predict others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from spikeline.artifacts.forecasts import Sums
from spikeline.horizon.forecaster.batches import Geometry, Recording, past_of
from spikeline.horizon.forecaster.lead_bins import interpolation
from spikeline.horizon.forecaster.network import Forecaster
from spikeline.horizon.forecaster.shared_glm import SharedForecaster
from spikeline.horizon.scores.bits_per_spike import Scorer
from spikeline.horizon.scores.windows import bins_of, forecast_starts, gather
from spikeline.training.device import mixed_precision

# Tokens, and rates, of a batch: what a small machine's memory holds, and how much more a GPU's.
_TOKENS = 1 << 16
_LOG_RATES = 1 << 20
_ON_GPU = 16


def forecast(
    model: Forecaster | SharedForecaster,
    recording: Recording,
    geometry: Geometry,
    starts: np.ndarray,
    lengths: np.ndarray,
    *,
    hidden: np.ndarray | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Expected counts per bin of windows, batch by batch.

    Args:
        starts: (windows,) first bins; lengths: (windows,) bins to forecast.
        hidden: (units,) bool, units whose past is not read, nor what the session taught after its
            reference window, nor how far to trust forecasts; None hides none.

    Yields:
        indices into `starts` of a batch of windows of equal length, and rates (batch, length,
        units) float32.
    """
    device = recording.kept.device
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        between = torch.from_numpy(interpolation(model.lead_centres, int(length))).to(device)
        parts = lead_bin_forecasts(
            model, recording, geometry, starts[rows], between.shape[1], hidden, int(length)
        )
        for part, log_rates, means in parts:
            batch = rows[part]
            if recording.mixtures is not None and hidden is None:
                log_rates = recording.mixtures.mixed(
                    log_rates, means, starts[batch], len(model.lead_centres)
                )
            yield batch, (between @ log_rates).exp().cpu().numpy()


def lead_bin_forecasts(
    model: Forecaster | SharedForecaster,
    recording: Recording,
    geometry: Geometry,
    starts: np.ndarray,
    lead_bins: int,
    hidden: np.ndarray | None = None,
    length: int = 1,
) -> Iterator[tuple[np.ndarray, Tensor, Tensor]]:
    """What the model itself says of the first lead bins, batch by batch.

    Args:
        hidden: see `forecast`.
        length: bins that the caller makes of a window's lead bins, if those are more.

    Yields:
        indices into `starts`, log expected counts per bin (batch, lead bins, units) and mean counts
        per bin under the windows of the traces (batch, units, constants).
    """
    device = recording.kept.device
    larger = _ON_GPU if device.type == "cuda" else 1
    most = min(
        larger * _TOKENS // (recording.units * geometry.patches),
        larger * _LOG_RATES // (recording.units * max(length, lead_bins)),
    )
    model.eval()
    with torch.no_grad():
        identity = model.embed(recording.population)
        for batch in np.array_split(np.arange(len(starts)), -(-len(starts) // max(1, most))):
            known = None
            if hidden is not None:
                known = torch.from_numpy(~hidden).expand(len(batch), -1).to(device)
            past = past_of(
                recording, starts[batch], geometry, known=known, reference_only=hidden is not None
            )
            with mixed_precision(device):
                reading = model.read(past, recording.population, identity)
                log_rates = model.continued(reading, lead_bins)
            yield batch, log_rates.float(), past.state.means


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
    """Scores at each horizon, each unit forecast from the past of the units of other groups.

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
