"""Poisson regression of a unit's next counts on its own recent history and the population's.

For each horizon, the log of unit u's mean count per bin over the window that starts at bin t is

    log m_u + b_u + w_u . own_u(t) + v_u . shared(t)

with m_u the unit's training mean, own_u its spikes before t in exponential windows of 0.04, 0.2, 1
and 5 s, as log(trace + m_u), and shared the first 20 principal components of all units' fastest
trace. Nothing at or after t enters. Weights maximise the Poisson likelihood on training windows
with a quadratic penalty (b_u goes free), which is lowered step by step from a strong one; the step
that forecasts the validation windows best, pooled over units, is kept: early stopping.

All units are fitted at once by Newton's method.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from spikeline.artifacts.counts import TRAIN, VALID
from spikeline.horizon.scores.bits_per_spike import training_mean
from spikeline.horizon.scores.windows import blocks, split_mask

TIME_CONSTANTS_S = (0.04, 0.2, 1.0, 5.0)
COMPONENTS = 20
PENALTIES = (10_000.0, 1000.0, 300.0, 100.0, 30.0, 10.0)
# A free constant would be singular for a unit without a spike.
CONSTANT_PENALTY = 1e-3
ITERATIONS = 25
HALVINGS = 20
# Windows of one horizon start this part of their length apart: nearer ones say the same again.
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


def traces(counts: np.ndarray, start: np.ndarray, seconds: float, bin_s: float) -> np.ndarray:
    """Mean count per bin in an exponential window over the bins before each bin.

    Args:
        counts: (bins, units).
        start: (units,) what the trace begins with, before any count is known.
        seconds: time constant.

    Returns:
        (bins, units) float32; row t knows the bins before t alone.
    """
    keep = np.float32(np.exp(-bin_s / seconds))
    begin = np.asarray(start, np.float32)[None]
    past = lfilter(
        np.array([1 - keep], np.float32),
        np.array([1, -keep], np.float32),
        np.asarray(counts[:-1], np.float32),
        axis=0,
        zi=begin * keep,
    )[0]
    return np.concatenate([begin, past])


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
    products = {length: _products(shared[train]) for length, (train, _) in rows.items()}
    units = counts.shape[1]
    step = max(1, CHUNK // (len(counts) * (1 + len(TIME_CONSTANTS_S))))
    losses = {length: np.zeros(len(PENALTIES)) for length in starts}
    found: dict[int, list[list[np.ndarray]]] = {length: [] for length in starts}
    for first in range(0, units, step):
        part = slice(first, first + step)
        own = np.ones((len(base[part]), 1 + len(TIME_CONSTANTS_S), len(counts)), np.float32)
        for place, seconds in enumerate(TIME_CONSTANTS_S, start=1):
            trace = _log_trace(history[:, part], mean[part], seconds, bin_s)
            own[:, place] = _standardised(trace, train).T
        total = np.concatenate(
            [np.zeros((1, len(own)), np.int64), np.cumsum(counts[:, part], axis=0, dtype=np.int64)]
        ).T
        offset = np.log(base[part]).astype(np.float32)
        for length, wanted in starts.items():
            loss, rates = _path(
                own, shared, products[length], total, offset, rows[length], wanted, length
            )
            losses[length] += loss
            found[length].append(rates)
    result = {}
    for length in starts:
        best = int(losses[length].argmin())
        rates = np.concatenate([path[best] for path in found[length]], axis=0)
        result[length] = GlmForecast(rates.T[:, None], PENALTIES[best])
    return result


def fit_poisson(
    own: np.ndarray,
    shared: np.ndarray,
    targets: np.ndarray,
    offset: np.ndarray,
    penalty: np.ndarray,
    start: np.ndarray | None = None,
    tolerance: float = 1e-2,
    products: np.ndarray | None = None,
) -> np.ndarray:
    """Penalised Poisson regression of each unit by Newton's method with step halving.

    Minimises, for each unit u, over its weights w (of own, then of shared)

        sum_t ( exp(e_ut) - y_ut e_ut ) + sum_k penalty_k w_k^2 / 2,   e = offset + own w + shared w

    Args:
        own: (units, k, rows) each unit's own predictors, the constant among them.
        shared: (rows, c) predictors of all units.
        targets: (units, rows) counts, or mean counts.
        offset: (units,).
        penalty: (k + c,).
        start: (units, k + c) weights to start from; 0 if None.
        tolerance: nats; done when no unit gains more in a step.
        products: what `_products` gives of `shared`, if it has been computed already.

    Returns:
        (units, k + c) weights.
    """
    units, k, _ = own.shape
    weights = np.zeros((units, k + shared.shape[1]), own.dtype) if start is None else start
    penalty = penalty.astype(own.dtype)
    upper = np.triu_indices(shared.shape[1])
    products = _products(shared) if products is None else products

    def objective(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        log_rates = _log_rates(own, shared, offset, w)
        rates = np.exp(log_rates)
        fit = rates.sum(axis=1, dtype=np.float64)
        fit -= np.einsum("ut,ut->u", targets, log_rates, dtype=np.float64)
        return fit + (w.astype(np.float64) ** 2 @ penalty) / 2, rates

    value, rates = objective(weights)
    for _ in range(ITERATIONS):
        residual = rates - targets
        gradient = np.concatenate([(own @ residual[:, :, None])[..., 0], residual @ shared], axis=1)
        gradient += penalty * weights
        weighted = own * rates[:, None]
        hessian = np.empty((units, len(penalty), len(penalty)), np.float64)
        hessian[:, :k, :k] = weighted @ own.transpose(0, 2, 1)
        hessian[:, :k, k:] = weighted @ shared
        hessian[:, k:, :k] = hessian[:, :k, k:].transpose(0, 2, 1)
        block = rates @ products
        hessian[:, k + upper[0], k + upper[1]] = block
        hessian[:, k + upper[1], k + upper[0]] = block
        hessian[:, np.arange(len(penalty)), np.arange(len(penalty))] += penalty
        step = np.linalg.solve(hessian, gradient[..., None].astype(np.float64))[..., 0]
        size = np.ones((units, 1))
        for _ in range(HALVINGS):
            moved = (weights - size * step).astype(own.dtype)
            with np.errstate(over="ignore", invalid="ignore"):
                tried, rates = objective(moved)
            worse = ~(tried <= value + 1e-6 * np.abs(value))
            if not worse.any():
                break
            size[worse] /= 2
        else:
            # Nothing nearer helps either: those units stay where they are.
            moved[worse] = weights[worse]
            tried, rates = objective(moved)
        gain = (value - tried).max()
        weights, value = moved, tried
        if gain < tolerance:
            break
    return weights


# --- the pieces ----------------------------------------------------------------------------------


def _path(
    own: np.ndarray,
    shared: np.ndarray,
    products: np.ndarray,
    total: np.ndarray,
    offset: np.ndarray,
    rows: tuple[np.ndarray, np.ndarray],
    wanted: np.ndarray,
    length: int,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Validation loss of each penalty, and each one's (units, windows) rates from `wanted`."""
    train, valid = rows
    # Windows fewer than bins: each stands for as many bins as lie between their starts.
    penalty = np.full(own.shape[1] + shared.shape[1], 1.0 / _stride(length))
    known = own[:, :, train], shared[train], _means(total, train, length)
    seen = _means(total, valid, length)
    losses, rates, weights = np.zeros(len(PENALTIES)), [], None
    for place, strength in enumerate(PENALTIES):
        due = penalty * strength
        due[0] = CONSTANT_PENALTY
        weights = fit_poisson(*known, offset, due, weights, products=products)
        forecast = _log_rates(own[:, :, valid], shared[valid], offset, weights)
        losses[place] = (np.exp(forecast) - seen * forecast).sum(dtype=np.float64)
        rates.append(np.exp(_log_rates(own[:, :, wanted], shared[wanted], offset, weights)))
    return losses, rates


def _products(shared: np.ndarray) -> np.ndarray:
    """(rows, c (c + 1) / 2): the distinct products of two shared predictors, same for all units."""
    first, second = np.triu_indices(shared.shape[1])
    return shared[:, first] * shared[:, second]


def _log_rates(
    own: np.ndarray, shared: np.ndarray, offset: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    k = own.shape[1]
    result = weights[:, k:] @ shared.T
    result += (weights[:, None, :k] @ own)[:, 0]
    result += offset[:, None]
    return result


def _log_trace(counts: np.ndarray, mean: np.ndarray, seconds: float, bin_s: float) -> np.ndarray:
    mean = mean.astype(np.float32)
    return np.log(traces(counts, mean, seconds, bin_s) + mean)


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
    """(units, rows) mean count per bin of the windows from `rows`."""
    return ((total[:, rows + length] - total[:, rows]) / np.float32(length)).astype(np.float32)
