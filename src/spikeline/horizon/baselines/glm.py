"""Poisson regression of a unit's next counts on its own recent history and the population's.

For each horizon, the log of unit u's mean count per bin over the window that starts at bin t is

    log m_u + b_u + w_u . own_u(t) + v_u . shared(t)

with m_u the unit's training mean, own_u its log traces under exponential windows of 0.04, 0.2, 1
and 5 s, and shared the first 20 principal components of all units' fastest trace. Nothing at or
after t enters. Weights maximise the Poisson likelihood on training windows with a quadratic penalty
(b_u goes free), which is lowered step by step from a strong one; the step that forecasts the
validation windows best, pooled over units, is kept: early stopping.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spikeline.artifacts.counts import TRAIN, VALID
from spikeline.horizon.poisson_regression import Prior, fit_poisson, log_ratios
from spikeline.horizon.scores.bits_per_spike import training_mean
from spikeline.horizon.scores.windows import blocks, split_mask
from spikeline.horizon.spike_history import log_trace, running_mean

TIME_CONSTANTS_S = (0.04, 0.2, 1.0, 5.0)
COMPONENTS = 20
PENALTIES = (10_000.0, 1000.0, 300.0, 100.0, 30.0, 10.0)
# A free constant would be singular for a unit without a spike.
CONSTANT_PENALTY = 1e-3
ITERATIONS = 25
# Nats that another step would gain at most.
TOLERANCE = 1e-2
# Windows of one horizon start this part of their length apart: nearer ones add little.
STARTS_PER_WINDOW = 5
# Numbers of own history held at once.
CHUNK = 1 << 24


@dataclass(frozen=True)
class GlmForecast:
    """Rates of one horizon.

    Attributes:
        rates: (windows, 1, units) float32 expected counts per bin, held over the window.
        penalty: the one that validation chose.
    """

    rates: np.ndarray
    penalty: float


def forecast_rates(
    counts: np.ndarray,
    domains: np.ndarray,
    starts: Mapping[int, np.ndarray],
    bin_s: float,
    history: np.ndarray | None = None,
) -> dict[int, GlmForecast]:
    """Rates that a GLM fitted on this session's training domain forecasts.

    Args:
        counts: (bins, units).
        domains: (bins,) uint8: fitted on train, stopped on valid.
        starts: {bins of the window: (windows,) first bins to forecast from}.
        history: (bins, units) to read the history from, instead of the counts; a control.

    Raises:
        InputError: no training or no validation bin.
    """
    history = counts if history is None else history
    train = split_mask(domains, "train")
    split_mask(domains, "valid")
    mean = training_mean(history, domains, "train")
    base = training_mean(counts, domains, "train")
    fast = _log_trace(history, mean, TIME_CONSTANTS_S[0], bin_s)
    shared = _shared(_standardised(fast, train), train)
    rows = {
        length: tuple(_window_rows(domains, code, length) for code in (TRAIN, VALID))
        for length in starts
    }
    units = counts.shape[1]
    step = max(1, CHUNK // (len(counts) * (1 + len(TIME_CONSTANTS_S))))
    losses = {length: np.zeros(len(PENALTIES)) for length in starts}
    found: dict[int, list[list[np.ndarray]]] = {length: [] for length in starts}
    for first in range(0, units, step):
        part = slice(first, first + step)
        own = np.empty((len(TIME_CONSTANTS_S), len(counts), len(base[part])), np.float32)
        for place, seconds in enumerate(TIME_CONSTANTS_S):
            trace = _log_trace(history[:, part], mean[part], seconds, bin_s)
            own[place] = _standardised(trace, train)
        total = np.zeros((len(counts) + 1, own.shape[2]), np.int64)
        np.cumsum(counts[:, part], axis=0, out=total[1:])
        offset = np.log(base[part])
        for length, wanted in starts.items():
            loss, rates = _path(own, shared, total, offset, rows[length], wanted, length)
            losses[length] += loss
            found[length].append(rates)
    result = {}
    for length in starts:
        best = int(losses[length].argmin())
        rates = np.concatenate([path[best] for path in found[length]], axis=1)
        result[length] = GlmForecast(rates[:, None], PENALTIES[best])
    return result


# --- the pieces ----------------------------------------------------------------------------------


def _path(
    own: np.ndarray,
    shared: np.ndarray,
    total: np.ndarray,
    offset: np.ndarray,
    rows: tuple[np.ndarray, np.ndarray],
    wanted: np.ndarray,
    length: int,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Validation loss of each penalty, and each one's (windows, units) rates from `wanted`.

    Args:
        own: (constants, bins, units); shared: (bins, components).
        total: (bins + 1, units) spikes before each bin.
        offset: (units,) log of the training mean.
        rows: first bins of the training and of the validation windows.
    """
    train, valid = rows
    known = own[:, train], shared[train], _means(total, train, length), offset
    seen = _means(total, valid, length)
    losses, rates, weights = np.zeros(len(PENALTIES)), [], None
    for place, strength in enumerate(PENALTIES):
        # Windows are fewer than bins: each stands for as many bins as lie between their starts.
        penalty = np.full(1 + len(own) + shared.shape[1], strength / _stride(length))
        penalty[0] = CONSTANT_PENALTY
        prior = Prior(np.zeros(len(penalty)), 1 / penalty)
        weights, _ = fit_poisson(
            *known, prior, steps=ITERATIONS, start=weights, tolerance=TOLERANCE
        )
        forecast = _log_rates(own, shared, offset, weights, valid)
        losses[place] = (np.exp(forecast) - seen * forecast).sum(dtype=np.float64)
        rates.append(np.exp(_log_rates(own, shared, offset, weights, wanted)))
    return losses, rates


def _log_rates(
    own: np.ndarray, shared: np.ndarray, offset: np.ndarray, weights: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    return log_ratios(own[:, rows], shared[rows], weights) + offset.astype(np.float32)


def _log_trace(counts: np.ndarray, mean: np.ndarray, seconds: float, bin_s: float) -> np.ndarray:
    """(bins, units) float32 log traces; the pseudo-count is each unit's mean."""
    mean = mean.astype(np.float32)
    return log_trace(running_mean(counts, mean, seconds, bin_s), mean, pseudo_count=mean)


def _standardised(values: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and deviation 1 over the training rows."""
    mean, std = values[train].mean(axis=0), values[train].std(axis=0)
    values -= mean
    values /= np.maximum(std, 1e-6)
    return values


def _shared(values: np.ndarray, train: np.ndarray) -> np.ndarray:
    """(bins, components): principal components in the scale of the first, so later ones shrink.

    Args:
        values: (bins, units) standardised.
        train: (bins,) bool, the bins that the components are taken from.
    """
    known = values[train]
    _, axes = np.linalg.eigh((known.T @ known).astype(np.float64))
    scores = values @ axes[:, ::-1][:, :COMPONENTS].astype(np.float32)
    return scores / max(float(scores[train, 0].std()), 1e-6)


def _stride(length: int) -> int:
    return max(1, length // STARTS_PER_WINDOW)


def _window_rows(domains: np.ndarray, code: int, length: int) -> np.ndarray:
    """First bins of overlapping windows that lie wholly in a block of one domain."""
    split = {TRAIN: "train", VALID: "valid"}[code]
    stride = _stride(length)
    rows = [np.arange(a, b - length + 1, stride) for a, b in blocks(domains, split)]
    return np.concatenate(rows)


def _means(total: np.ndarray, rows: np.ndarray, length: int) -> np.ndarray:
    """(rows, units) float32 mean count per bin of the windows from `rows`."""
    return ((total[rows + length] - total[rows]) / np.float32(length)).astype(np.float32)
