r"""Fit a session's regressions: directions, weights with learned priors, gains by cross-validation.

A regression is the mean of several members, alike but for their directions: the leading principal
components, and reduced-rank regressions of several ranks onto everybody's next half second. A mean
of their log rates is one such regression again, on all directions side by side.

The gain of a lead bin is the one that maximises the likelihood of windows left out, over contiguous
folds of the fit: 1 if the regressions believe in themselves rightly, less if they go too far, more
if their priors hold them back.

What else is read is chosen for each lead bin by the same windows left out: traces of minutes, which
follow slow changes of gain, and covariates of behaviour. "validated" tries with and without.

Windows overlap by half. Where a lead bin would have more than `most_windows`, starts are thinned to
every n-th bin of the fit, so that hours cost what minutes do; traces still pass over all bins.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from spikeline.horizon.regression.covariates import Behaviour, Covariates
from spikeline.horizon.regression.empirical_bayes import fit_with_learned_prior
from spikeline.horizon.regression.histories import Histories
from spikeline.horizon.regression.model import Regression
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
    data = _Data(
        counts,
        bin_s,
        known,
        windows,
        settings,
        len(slow),
        *_animal(behaviour, fit, starts, windows, bin_s, settings),
    )
    options = _options(data)
    lead_bins = len(windows.lead_bins)
    if not settings["folds"]:
        return _fit(data, fit, [options[0]] * lead_bins)
    folds = []
    for fold in np.array_split(np.flatnonzero(fit), settings["folds"]):
        mask = np.zeros_like(fit)
        mask[fold] = True
        windows.check(mask)
        windows.check(fit & ~mask)
        folds.append(mask)
    # {what is read: of each lead bin, what was left out}
    tried = {one: _left_out(data, fit, folds, one) for one in options}
    chosen, gains = [], []
    for place in range(lead_bins):
        scored = {one: _calibrated(found[place]) for one, found in tried.items()}
        best = max(options, key=lambda one, scored=scored: scored[one][1])
        chosen.append(best)
        gains.append(scored[best][0])
        log.info(
            "lead bin %d: gain %.2f; %s",
            place,
            gains[-1],
            "  ".join(f"{one} {value:+.1f}" for one, (_, value) in scored.items()),
        )
    return replace(_fit(data, fit, chosen), gains=np.array(gains))


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
    # (lead bins, starts of `known`, covariates)
    animal: np.ndarray

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


def _animal(
    behaviour: Behaviour | None,
    fit: np.ndarray,
    starts: np.ndarray,
    windows: Windows,
    bin_s: float,
    settings: Mapping[str, Any],
) -> tuple[Covariates | None, np.ndarray]:
    """Covariates, and what they are before each start; none where behaviour is not read."""
    nothing = np.zeros((len(windows.lead_bins), len(starts), 0), np.float32)
    if behaviour is None or settings["behaviour"] == "never":
        return None, nothing
    covariates = Covariates.fitted(behaviour, fit, bin_s)
    if covariates is None:
        return None, nothing
    ends = [end for _, end in windows.lead_bins]
    return covariates, covariates.at_leads(behaviour, starts, ends, bin_s)


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
        bin_s=data.bin_s,
        covariates=data.covariates,
    )


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
class _LeftOut:
    """Windows of a lead bin that were left out: what was forecast, and what came.

    Attributes:
        counts, ratios: (windows, units); expected: (units,) counts at the mean rate.
    """

    counts: np.ndarray
    ratios: np.ndarray
    expected: np.ndarray


def _left_out(
    data: _Data, fit: np.ndarray, folds: Sequence[np.ndarray], reads: _Reads
) -> list[list[_LeftOut]]:
    """Of each lead bin, each fold as the others forecast it."""
    found: list[list[_LeftOut]] = [[] for _ in data.windows.lead_bins]
    for mask in folds:
        part = _fit(data, fit & ~mask, [reads] * len(found))
        for kept, scored in zip(found, _leave_out(data, part, mask), strict=True):
            kept.append(scored)
    return found


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
        expected = rate.astype(np.float32) * (end - first)
        yield _LeftOut(data.totals(starts, (first, end)), ratios[place, kept], expected)


def _calibrated(left_out: Sequence[_LeftOut]) -> tuple[float, float]:
    """The gain of `_gain`, and the log likelihood there, in nats above that of the mean rates."""
    gain, value = _gain(left_out), 0.0
    for one in left_out:
        value += float(gain * (one.counts * one.ratios).sum(dtype=np.float64))
        rates = one.expected * np.expm1(gain * one.ratios)
        value -= float(rates.sum(dtype=np.float64))
    return gain, value


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
