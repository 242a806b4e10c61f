r"""Poisson regression of a unit's next counts on its own recent history and the population's.

The log of unit u's mean count per bin over a lead band, t being the bin that the window starts at,
is

    log m_u + b_u + w_u . own_u(t) + v_u . shared(t)  [ + g_u log(r_u(t) / m_u) ]

with m_u the unit's mean over the fit, own_u its log traces under exponential windows, and shared
the first 20 principal components of all units' fastest trace. Nothing at or after t enters. The
term in brackets is that of the gain on a running mean r (horizon/baselines/running.py), which rates
that drift ask for: g is drawn to 1, every other weight to 0.

Weights maximise the Poisson likelihood on windows of train with a quadratic penalty (b_u goes
free), which is lowered step by step from a strong one. For each band, the penalty and the time
constants that forecast the windows of valid best, pooled over units, are kept; the weights are then
fitted again on train and valid. Rates keep to what the fit justifies (horizon/rate_bounds.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spikeline.horizon.baselines.lead_bands import LeadBands, means_before, spikes_before
from spikeline.horizon.baselines.running import RunningMean
from spikeline.horizon.poisson_regression import Prior, fit_poisson, log_ratios
from spikeline.horizon.rate_bounds import RateBounds, rate_bounds
from spikeline.horizon.scores.bits_per_spike import training_mean
from spikeline.horizon.spike_history import log_trace

# Each set is tried; the longest needs a recording of many times 100 s.
TIME_CONSTANTS_S = (
    (0.04, 0.2, 1.0, 5.0),
    (0.04, 0.1, 0.3, 1.0, 3.0, 10.0),
    (0.04, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0),
)
CONSTANTS_S = tuple(sorted({seconds for some in TIME_CONSTANTS_S for seconds in some}))
COMPONENTS = 20
PENALTIES = (10_000.0, 1000.0, 300.0, 100.0, 30.0, 10.0)
# A free constant would be singular for a unit without a spike.
CONSTANT_PENALTY = 1e-3
ITERATIONS = 25
# Nats that another step would gain at most.
TOLERANCE = 1e-2
# Windows of a band to fit on.
MOST_WINDOWS = 20_000
# Log rates relative to the mean whose exponential is still a number; bounds follow.
_HIGHEST = 50.0
# Steps that share one curvature, the costly part.
RENEW_EVERY = 3


@dataclass(frozen=True)
class Choice:
    """What validation chose for a band: time constants, and the penalty."""

    time_constants_s: Sequence[float]
    penalty: float


@dataclass(frozen=True)
class Glm:
    """A fitted regression.

    Attributes:
        bands: of the forecast.
        features: what it reads.
        weights: of each band, (units, 1 + own + shared).
        choices: of each band.
        bounds: of the rates of each band.
    """

    bands: LeadBands
    features: Features
    weights: Sequence[np.ndarray]
    choices: Sequence[Choice]
    bounds: RateBounds

    def rates(self, counts: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """(bands, windows, units) float32 expected counts per bin after bins `starts`.

        Args:
            counts: (bins, units); what lies at or after a start is not read for it.
        """
        features = self.features
        found = np.empty((len(self.bands), len(starts), counts.shape[1]), np.float32)
        known = features.before(counts, starts)
        for band, (weights, choice) in enumerate(zip(self.weights, self.choices, strict=True)):
            own = known.own(choice.time_constants_s, band)
            ratios = log_ratios(own, known.shared, weights)
            found[band] = np.exp(np.minimum(ratios, _HIGHEST)) * features.mean
            self.bounds.clip(found[band], band)
        return found

    def forecasts(
        self, counts: np.ndarray, starts: np.ndarray, lengths: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """See `scores.tiled.Forecast`."""
        return self.bands.expanded(self.rates(counts, starts), lengths)


def fit_glm(
    counts: np.ndarray,
    train: np.ndarray,
    valid: np.ndarray,
    bands: LeadBands,
    bin_s: float,
    running: tuple[RunningMean, RunningMean] | None = None,
    history: np.ndarray | None = None,
    choices: Sequence[Choice] | None = None,
) -> Glm:
    """Choose penalty and time constants on validation bins, then fit on train and valid.

    Args:
        counts: (bins, units). Bins outside are read as the history of bins inside, no more.
        train, valid: (bins,) bool.
        bin_s: length of a bin in seconds.
        running: what the regression is the gain of, as `fit_running_mean` returns it.
        history: (bins, units) to read the history from, instead of the counts; a control.
        choices: of each band, made before; then valid may have no bin. None chooses.
    """
    history = counts if history is None else history
    total, fit = spikes_before(counts), train | valid
    rows = {
        name: [bands.starts(mask, band, MOST_WINDOWS) for band in range(len(bands))]
        for name, mask in (("train", train), ("valid", valid), ("fit", fit))
    }
    of_train, of_fit = (None, None) if running is None else running
    if choices is None:
        features = Features.of(history, train, _union(rows["train"]), bin_s, of_train)
        known = {name: features.before(history, _union(rows[name])) for name in ("train", "valid")}
        choices = [
            _chosen(
                known,
                {name: (*rows[name][band], bands.means(total, rows[name][band][0], band))
                 for name in known},
                band,
            )
            for band in range(len(bands))
        ]  # fmt: skip
    features = Features.of(history, fit, _union(rows["fit"]), bin_s, of_fit)
    found = features.before(history, _union(rows["fit"]))
    weights = []
    for band, choice in enumerate(choices):
        starts, stride = rows["fit"][band]
        part = found.at(starts)
        own, seen = part.own(choice.time_constants_s, band), bands.means(total, starts, band)
        weights.append(_fitted(part, own, seen, choice.penalty / stride, None))
    bounds = rate_bounds(counts, fit, bands.widths, bin_s)
    return Glm(bands, features, weights, choices, bounds)


# --- what it reads --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Features:
    """How traces of a session become predictors: with mean 0 and deviation 1 over the fit.

    Attributes:
        mean: (units,) float32 mean count per bin over the fit.
        centre, deviation: (constants, 1, units) of the log traces under CONSTANTS_S.
        axes: (units, components) of the standardised fastest trace, scaled.
        bin_s: length of a bin in seconds.
        running: what the regression is the gain of.
    """

    mean: np.ndarray
    centre: np.ndarray
    deviation: np.ndarray
    axes: np.ndarray
    bin_s: float
    running: RunningMean | None

    @classmethod
    def of(
        cls,
        counts: np.ndarray,
        fit: np.ndarray,
        starts: np.ndarray,
        bin_s: float,
        running: RunningMean | None,
    ) -> Features:
        """Those of the bins of a fit, (bins,) bool, scaled over windows that begin at `starts`."""
        mean = training_mean(counts, fit.astype(np.uint8), "train").astype(np.float32)
        traces = _log_traces(counts, mean, starts, bin_s)
        centre = traces.mean(axis=1, keepdims=True)
        deviation = np.maximum(traces.std(axis=1, keepdims=True), 1e-6)
        axes = _axes((traces[0] - centre[0]) / deviation[0])
        return cls(mean, centre, deviation, axes, bin_s, running)

    def before(self, counts: np.ndarray, starts: np.ndarray) -> Known:
        """Predictors before bins `starts`, ascending."""
        traces = _log_traces(counts, self.mean, starts, self.bin_s)
        traces -= self.centre
        traces /= self.deviation
        running = None
        if self.running is not None:
            running = np.log(self.running.rates(counts, starts) / self.mean)
        return Known(starts, self.mean, traces, traces[0] @ self.axes, running)


@dataclass(frozen=True)
class Known:
    """Predictors before some bins.

    Attributes:
        starts: (windows,) bins, ascending.
        mean: (units,) mean count per bin over the fit.
        traces: (constants, windows, units) under CONSTANTS_S.
        shared: (windows, components).
        running: (bands, windows, units) log of a running mean relative to the mean, or None.
    """

    starts: np.ndarray
    mean: np.ndarray
    traces: np.ndarray
    shared: np.ndarray
    running: np.ndarray | None

    def at(self, starts: np.ndarray) -> Known:
        """Those of some of the windows, by their bins."""
        rows = np.searchsorted(self.starts, starts)
        running = None if self.running is None else self.running[:, rows]
        return Known(starts, self.mean, self.traces[:, rows], self.shared[rows], running)

    def own(self, time_constants_s: Sequence[float], band: int) -> np.ndarray:
        """(own, windows, units) predictors of each unit's own; the running mean's comes last."""
        own = self.traces[[CONSTANTS_S.index(seconds) for seconds in time_constants_s]]
        return own if self.running is None else np.concatenate([own, self.running[band][None]])


def _log_traces(
    counts: np.ndarray, mean: np.ndarray, starts: np.ndarray, bin_s: float
) -> np.ndarray:
    """(constants, windows, units) float32; the pseudo-count is each unit's mean."""
    return log_trace(
        means_before(counts, mean, starts, CONSTANTS_S, bin_s), mean, pseudo_count=mean
    )


def _axes(values: np.ndarray) -> np.ndarray:
    """(units, components): principal axes, in the scale of the first so that later ones shrink.

    Args:
        values: (windows, units) standardised.
    """
    _, axes = np.linalg.eigh((values.T @ values).astype(np.float64))
    axes = axes[:, ::-1][:, :COMPONENTS].astype(np.float32)
    return axes / max(float((values @ axes[:, 0]).std()), 1e-6)


# --- fitting --------------------------------------------------------------------------------------


def _union(rows: Sequence[tuple[np.ndarray, int]]) -> np.ndarray:
    return np.unique(np.concatenate([starts for starts, _ in rows]))


def _chosen(known: dict[str, Known], rows: dict[str, tuple], band: int) -> Choice:
    """Penalty and time constants of a band.

    The penalty falls until the validation windows are forecast worse; with more time constants it
    begins a step above the best so far.

    Args:
        known: predictors of all windows, of train and valid.
        rows: of each, starts of the band's windows, the bins between them, their mean counts.
    """
    (starts, stride, seen), (ahead, _, came) = rows["train"], rows["valid"]
    part, later = known["train"].at(starts), known["valid"].at(ahead)
    best, first = (np.inf, None), 0
    for constants in TIME_CONSTANTS_S:
        own, own_later, weights = part.own(constants, band), later.own(constants, band), None
        before = np.inf
        for strength in PENALTIES[first:]:
            weights = _fitted(part, own, seen, strength / stride, weights)
            forecast = log_ratios(own_later, later.shared, weights)
            rates = np.exp(np.minimum(forecast, _HIGHEST)) * later.mean
            loss = float((rates - came * forecast).sum(dtype=np.float64))
            if loss < best[0]:
                best = loss, Choice(constants, strength)
            if loss > before:
                break
            before = loss
        first = max(0, PENALTIES.index(best[1].penalty) - 1)
    return best[1]


def _fitted(
    known: Known,
    own: np.ndarray,
    seen: np.ndarray,
    penalty: float,
    start: np.ndarray | None,
) -> np.ndarray:
    """(units, 1 + own + shared) weights of a band; seen: (windows, units) mean counts."""
    size = 1 + len(own) + known.shared.shape[1]
    centre, strength = np.zeros(size), np.full(size, penalty)
    strength[0] = CONSTANT_PENALTY
    if known.running is not None:
        centre[len(own)] = 1.0
    weights, _ = fit_poisson(
        own,
        known.shared,
        seen,
        np.log(known.mean),
        Prior(centre, 1 / strength),
        steps=ITERATIONS,
        start=start,
        tolerance=TOLERANCE,
        renew_every=RENEW_EVERY,
    )
    return weights
