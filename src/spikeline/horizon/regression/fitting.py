r"""Fit a session's regressions: directions, weights with learned priors, gains by cross-validation.

A regression is the mean of several members, alike but for their directions: the leading principal
components, and reduced-rank regressions of several ranks onto everybody's next half second. A mean
of their log rates is one such regression again, on all directions side by side.

The gain of a lead bin is the one that maximises the likelihood of windows left out, over contiguous
folds of the fit: 1 if the regressions believe in themselves rightly, less if they go too far, more
if their priors hold them back.

What else is read is chosen for each lead bin by the same windows left out: traces of minutes, which
follow slow changes of gain, covariates of behaviour, and each unit's gain of late
(online_gain.py). "validated" tries with and without.

Windows overlap by half. Where a lead bin would have more than `most_windows`, starts are thinned to
every n-th bin of the fit, so that hours cost what minutes do; traces still pass over all bins.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from spikeline.horizon.regression.covariates import Behaviour, Covariates
from spikeline.horizon.regression.empirical_bayes import fit_with_learned_prior
from spikeline.horizon.regression.histories import Histories
from spikeline.horizon.regression.model import Regression
from spikeline.horizon.regression.online_gain import expected, gains, totals, whole_seconds
from spikeline.horizon.regression.subspaces import principal_components, reduced_rank
from spikeline.horizon.regression.windows import Windows
from spikeline.horizon.scores.bits_per_spike import training_mean

log = logging.getLogger(__name__)

# Where `temper_long` begins.
LONG_MS = 100
_MOST_GAIN, _GAIN_STEPS = 1.5, 20


def fit_regression(
    counts: np.ndarray,
    fit: np.ndarray,
    bin_s: float,
    settings: Mapping[str, Any],
    behaviour: Behaviour | None = None,
) -> Regression:
    """Fit a session's regressions, choose what they read, and calibrate them.

    Args:
        counts: (bins, units) whole numbers, mapped or not. Bins outside the fit are read as the
            history of bins inside, and for nothing else.
        fit: (bins,) bool, the bins to learn from.
        bin_s: length of a bin in seconds.
        settings: complete ones of the step fit-regression, see the config schema.
        behaviour: of the same bins; None where nothing is known.

    Raises:
        InputError: too few bins to learn from.
    """
    windows = Windows.of(int(fit.sum()), bin_s, settings)
    windows.check(fit)
    slow = _slow_traces(settings, fit.sum() * bin_s)
    starts = windows.all_starts(fit)
    known = Histories.before(
        counts,
        starts,
        [*settings["own_traces_s"], *slow],
        settings["population_traces_s"],
        bin_s,
    )
    covariates = None
    if behaviour is not None and settings["behaviour"] != "never":
        covariates = Covariates.fitted(behaviour, fit, bin_s)
    data = _Data(counts, bin_s, known, windows, settings, len(slow), covariates, behaviour)
    options = _options(data)
    lead_bins = len(windows.lead_bins)
    if not settings["folds"]:
        reads = [options[0]] * lead_bins
        return _without_idle(_fit(data, fit, reads), data.slow, reads)
    folds = []
    for fold in np.array_split(np.flatnonzero(fit), settings["folds"]):
        mask = np.zeros_like(fit)
        mask[fold] = True
        windows.check(mask)
        windows.check(fit & ~mask)
        folds.append(mask)
    tried = {one: _tried(data, fit, folds, one) for one in options}
    chosen = []
    for place in range(lead_bins):
        best = max(options, key=lambda one, place=place: tried[one][place].value)
        chosen.append(best)
        told = "  ".join(f"{one} {found[place]}" for one, found in tried.items())
        log.info("lead bin %d reads %s: %s", place, best, told)
    found = [tried[one][place] for place, one in enumerate(chosen)]
    return replace(
        _without_idle(_fit(data, fit, chosen), data.slow, chosen),
        gains=np.array([one.gain for one in found]),
        online_s=np.array([one.online_s for one in found], np.float64),
        online_spikes=np.array([one.online_spikes for one in found], np.float64),
    )


# --- the pieces -----------------------------------------------------------------------------------


class _Reads(NamedTuple):
    """What a lead bin's regressions read besides recent history."""

    slow: bool
    behaviour: bool

    def __str__(self) -> str:
        return "+".join(name for name, on in self._asdict().items() if on) or "history"


@dataclass(frozen=True)
class _Data:
    counts: np.ndarray
    bin_s: float
    known: Histories
    windows: Windows
    settings: Mapping[str, Any]
    # Of the own traces, the last so many are slow.
    slow: int
    covariates: Covariates | None
    behaviour: Behaviour | None

    @cached_property
    def animal(self) -> np.ndarray:
        """(lead bins, starts of `known`, covariates) float32."""
        return self.animal_before(self.known.starts)

    def animal_before(self, starts: np.ndarray) -> np.ndarray:
        """(lead bins, windows, covariates) float32; no columns where behaviour is not read."""
        if self.covariates is None:
            return np.zeros((len(self.windows.lead_bins), len(starts), 0), np.float32)
        ends = [end for _, end in self.windows.lead_bins]
        return self.covariates.at_leads(self.behaviour, starts, ends, self.bin_s)

    @cached_property
    def seconds(self) -> _Seconds:
        """What is known before each second of the session, and the spikes that came in it."""
        last = int(self.known.starts.max()) + 1
        starts = whole_seconds(last, self.bin_s)
        constants = self.known.own_s, self.settings["population_traces_s"]
        return _Seconds(
            Histories.before(self.counts, starts, *constants, self.bin_s),
            self.animal_before(starts),
            totals(self.counts, starts, self.bin_s),
        )

    def places(self, starts: np.ndarray) -> np.ndarray:
        """Where these starts lie among the histories."""
        return np.searchsorted(self.known.starts, starts)

    def totals(self, starts: np.ndarray, span: tuple[int, int]) -> np.ndarray:
        """(windows, units) float32 spikes in a span of bins after each start."""
        total = np.zeros((len(starts), self.counts.shape[1]), np.float32)
        for lead in range(*span):
            total += self.counts[starts + lead]
        return total

    def temper(self, place: int) -> float:
        """Power of a lead bin's likelihood, so that each bin of the fit counts once, or less."""
        first, end = self.windows.lead_bins[place]
        long = first >= round(LONG_MS / 1000 / self.bin_s)
        overlap = min(1.0, self.windows.strides[place] / (end - first))
        return self.settings["temper_long" if long else "temper_short"] * overlap


def _slow_traces(settings: Mapping[str, Any], fit_s: float) -> list[float]:
    """Time constants of slow traces: those that pass at least twice within the fit."""
    if settings["slow_traces"] == "never":
        return []
    return [one for one in settings["slow_traces_s"] if 2 * one <= fit_s]


def _options(data: _Data) -> list[_Reads]:
    """What may be read, the least first; without folds that choose, what is always read."""
    there = {"slow_traces": data.slow > 0, "behaviour": data.covariates is not None}
    each = []
    for name, exists in there.items():
        asked = data.settings[name]
        each.append(
            [False, True] if exists and asked == "validated" else [exists and asked == "always"]
        )
    return [_Reads(*one) for one in product(*each)]


def _fit(data: _Data, mask: np.ndarray, reads: Sequence[_Reads]) -> Regression:
    """Regressions on the bins of a mask, all gains 1; `reads` is of each lead bin."""
    settings, windows = data.settings, data.windows
    rate = training_mean(data.counts, mask.astype(np.uint8), "train")
    own, population = data.known.own(rate), data.known.population(rate)
    centre = population[data.places(windows.starts(mask, 0, 1))].mean(axis=0)
    population -= centre
    members = _members(data, mask, population)
    shared = [population @ directions for directions in members]
    weights = []
    for place, (first, end) in enumerate(windows.lead_bins):
        starts = windows.of_lead_bin(mask, place)
        rows, totals = data.places(starts), data.totals(starts, (first, end))
        used = len(own) if reads[place].slow else len(own) - data.slow
        animal = data.animal[place, rows, : None if reads[place].behaviour else 0]
        known, offset = own[:used, rows], np.log(rate * (end - first))
        how = data.temper(place), settings["iterations"], animal.shape[1]
        fitted = [
            fit_with_learned_prior(
                known, np.concatenate([animal, s[rows]], axis=1), totals, offset, *how
            )[0]
            for s in shared
        ]
        averaged = _averaged(fitted, 1 + used + animal.shape[1])
        weights.append(_spread(averaged, used, animal.shape[1], len(own), data.animal.shape[2]))
    return Regression(
        mean_rate=rate,
        centre=centre,
        directions=np.concatenate(members, axis=1),
        weights=np.stack(weights).astype(np.float32),
        gains=np.ones(len(weights)),
        ends=np.array([end for _, end in windows.lead_bins], np.int64),
        own_s=data.known.own_s,
        population_s=np.array(settings["population_traces_s"], np.float64),
        online_s=np.zeros(len(weights)),
        online_spikes=np.zeros(len(weights)),
        bin_s=data.bin_s,
        covariates=data.covariates,
    )


def _without_idle(regression: Regression, slow: int, reads: Sequence[_Reads]) -> Regression:
    """The regression without slow traces, or covariates, that no lead bin reads."""
    own, idle = len(regression.own_s), []
    changed: dict[str, Any] = {}
    if not any(one.slow for one in reads):
        idle += range(1 + own - slow, 1 + own)
        changed["own_s"] = regression.own_s[: own - slow]
    if regression.covariates is not None and not any(one.behaviour for one in reads):
        idle += range(1 + own, 1 + own + len(regression.covariates.mean))
        changed["covariates"] = None
    return replace(regression, weights=np.delete(regression.weights, idle, axis=2), **changed)


def _spread(weights: np.ndarray, used: int, does: int, own: int, covariates: int) -> np.ndarray:
    """(units, 1 + own + covariates + shared) weights, 0 for predictors that were not read.

    Args:
        weights: (units, 1 + used + does + shared), of the first `used` own predictors and of the
            first `does` covariates.
    """
    places = [*range(1 + used), *(1 + own + k for k in range(does))]
    shared = weights.shape[1] - len(places)
    places += [1 + own + covariates + k for k in range(shared)]
    whole = np.zeros((len(weights), 1 + own + covariates + shared))
    whole[:, places] = weights
    return whole


def _members(data: _Data, mask: np.ndarray, population: np.ndarray) -> list[np.ndarray]:
    """(columns, shared) directions of each member; one without any, where settings ask for none."""
    settings, windows, members = data.settings, data.windows, []
    if settings["principal_components"]:
        rows = population[data.places(windows.starts(mask, 0, 1))]
        gram = (rows.T @ rows).astype(np.float64) / len(rows)
        members.append(principal_components(gram, settings["principal_components"]))
    if settings["reduced_ranks"]:
        starts = windows.starts(mask, 0, windows.direction_lead_bins[-1][1])
        rows = population[data.places(starts)]
        gram = (rows.T @ rows).astype(np.float64) / len(rows)
        totals = [data.totals(starts, span) for span in windows.direction_lead_bins]
        targets = 2 * np.sqrt(np.concatenate(totals, axis=1) + 0.25)
        targets -= targets.mean(axis=0)
        cross = (rows.T @ targets).astype(np.float64) / len(rows)
        for rank, ridge in zip(settings["reduced_ranks"], settings["rank_ridges"], strict=True):
            members.append(reduced_rank(gram, cross, ridge, rank))
    return members or [np.zeros((population.shape[1], 0), np.float32)]


def _averaged(weights: Sequence[np.ndarray], own: int) -> np.ndarray:
    """(units, ...) weights of the mean of members, their directions side by side."""
    mean = sum(found[:, :own] for found in weights) / len(weights)
    return np.concatenate([mean, *(found[:, own:] / len(weights) for found in weights)], axis=1)


# --- calibration ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Seconds:
    """Before each second of the session: what is known, what the animal does, what came in it."""

    known: Histories
    animal: np.ndarray
    came: np.ndarray


@dataclass(frozen=True)
class _LeftOut:
    """Windows of a lead bin that were left out: what was forecast, and what came.

    Attributes:
        starts: (windows,) bins.
        counts, ratios: (windows, units); expected: (units,) counts at the mean rate.
    """

    starts: np.ndarray
    counts: np.ndarray
    ratios: np.ndarray
    expected: np.ndarray


@dataclass(frozen=True)
class _Tried:
    """How well a lead bin forecast what was left out.

    Attributes:
        value: log likelihood, in nats above that of the mean rates.
        gain: of its log rates.
        online_s, online_spikes: of the units' gains of late, 0 for none.
    """

    value: float
    gain: float
    online_s: float = 0.0
    online_spikes: float = 0.0

    def __str__(self) -> str:
        online = f", online {self.online_s:g} s" if self.online_s else ""
        return f"{self.value:+.1f} (gain {self.gain:.2f}{online})"


def _tried(
    data: _Data, fit: np.ndarray, folds: Sequence[np.ndarray], reads: _Reads
) -> list[_Tried]:
    """Of each lead bin, how the other folds forecast each, with the best of gains of late."""
    settings, lead_bins = data.settings, range(len(data.windows.lead_bins))
    parts = [_fit(data, fit & ~mask, [reads] * len(lead_bins)) for mask in folds]
    by_fold = [list(_leave_out(data, *one)) for one in zip(parts, folds, strict=True)]
    left_out = [[found[place] for found in by_fold] for place in lead_bins]
    calibration = np.array([_gain(found) for found in left_out])
    best = [
        _Tried(_value(found, gain), gain) for found, gain in zip(left_out, calibration, strict=True)
    ]
    if settings["online_gain"] == "never":
        return best
    if settings["online_gain"] == "always":
        best = [replace(one, value=-np.inf) for one in best]
    forecast = [_forecast_seconds(data, replace(part, gains=calibration)) for part in parts]
    for how in product(settings["online_gain_s"], settings["online_gain_spikes"]):
        for place, found in enumerate(left_out):
            late = [
                gains(data.seconds.came, expects, one.starts, data.bin_s, *how)
                for one, expects in zip(found, forecast, strict=True)
            ]
            value = _value(found, calibration[place], late)
            if value > best[place].value:
                best[place] = _Tried(value, calibration[place], *how)
    return best


def _forecast_seconds(data: _Data, regression: Regression) -> np.ndarray:
    """(seconds, units) spikes that a regression expects in each second of the session."""
    known, rate = data.seconds.known, regression.mean_rate
    ratios = regression.ratios_of(known.own(rate), known.population(rate), data.seconds.animal)
    return expected(rate * np.exp(ratios), regression.ends, data.bin_s)


def _leave_out(data: _Data, regression: Regression, mask: np.ndarray) -> Iterator[_LeftOut]:
    """One for each lead bin, from windows that lie in the mask as a whole."""
    rate = regression.mean_rate
    inside = data.windows.starts(mask, 0, 1)
    rows = data.places(inside)
    known = data.known.at(rows)
    ratios = regression.ratios_of(known.own(rate), known.population(rate), data.animal[:, rows])
    for place, (first, end) in enumerate(data.windows.lead_bins):
        starts = data.windows.whole(mask, place)
        kept = np.searchsorted(inside, starts)
        mean = rate.astype(np.float32) * (end - first)
        yield _LeftOut(starts, data.totals(starts, (first, end)), ratios[place, kept], mean)


def _value(
    left_out: Sequence[_LeftOut], gain: float, late: Sequence[np.ndarray] | None = None
) -> float:
    """Log likelihood of what was left out, in nats above that of the mean rates.

    Args:
        late: (windows, units) gains of late of each of `left_out`; None means 1.
    """
    value = 0.0
    for one, factor in zip(left_out, late or [None] * len(left_out), strict=True):
        ratios = gain * one.ratios
        if factor is not None:
            ratios = ratios + np.log(factor)
        value += float((one.counts * ratios).sum(dtype=np.float64))
        value -= float((one.expected * np.expm1(ratios)).sum(dtype=np.float64))
    return value


def _gain(left_out: Sequence[_LeftOut]) -> float:
    """The gain a of [0, 1.5] that maximises sum( n a d - mu exp(a d) ), by Newton's method."""
    gain = 1.0
    for _ in range(_GAIN_STEPS):
        slope = curvature = 0.0
        for one in left_out:
            expected = one.expected * np.exp(gain * one.ratios)
            slope += float(((one.counts - expected) * one.ratios).sum(dtype=np.float64))
            curvature += float((expected * one.ratios**2).sum(dtype=np.float64))
        moved = min(_MOST_GAIN, max(0.0, gain + slope / max(curvature, 1e-12)))
        if abs(moved - gain) < 1e-4:
            return moved
        gain = moved
    return gain
