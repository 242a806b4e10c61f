r"""Fit a session's regressions: directions, weights with learned priors, gains by cross-validation.

A regression is the mean of several members, alike but for their directions: the leading principal
components, and reduced-rank regressions of several ranks onto everybody's next half second. A mean
of their log rates is one such regression again, on all directions side by side.

The gain of a lead bin is the one that maximises the likelihood of windows left out, over contiguous
folds of the fit: 1 if the regressions believe in themselves rightly, less if they go too far, more
if their priors hold them back.

Windows overlap by half. Where a lead bin would have more than `most_windows`, starts are thinned to
every n-th bin of the fit, so that hours cost what minutes do; traces still pass over all bins.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

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
    counts: np.ndarray, fit: np.ndarray, bin_s: float, settings: Mapping[str, Any]
) -> Regression:
    """Fit a session's regressions and calibrate them.

    Args:
        counts: (bins, units) whole numbers, mapped or not. Bins outside the fit are read as the
            history of bins inside, and for nothing else.
        fit: (bins,) bool, the bins to learn from.
        bin_s: length of a bin in seconds.
        settings: complete ones of the step fit-regression, see the config schema.

    Raises:
        InputError: too few bins to learn from.
    """
    windows = Windows.of(int(fit.sum()), bin_s, settings)
    windows.check(fit)
    known = Histories.before(
        counts,
        windows.all_starts(fit),
        settings["own_traces_s"],
        settings["population_traces_s"],
        bin_s,
    )
    data = _Data(counts, bin_s, known, windows, settings)
    regression = _fit(data, fit)
    if not settings["folds"]:
        return regression
    left_out: list[list[_LeftOut]] = [[] for _ in windows.lead_bins]
    for fold in np.array_split(np.flatnonzero(fit), settings["folds"]):
        mask = np.zeros_like(fit)
        mask[fold] = True
        windows.check(mask)
        windows.check(fit & ~mask)
        part = _fit(data, fit & ~mask)
        for found, scored in zip(left_out, _leave_out(data, part, mask), strict=True):
            found.append(scored)
    gains = np.array([_gain(found) for found in left_out])
    log.info("gains of the lead bins: %s", " ".join(f"{gain:.2f}" for gain in gains))
    return replace(regression, gains=gains)


# --- the pieces -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Data:
    counts: np.ndarray
    bin_s: float
    known: Histories
    windows: Windows
    settings: Mapping[str, Any]

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


def _fit(data: _Data, mask: np.ndarray) -> Regression:
    """Regressions on the bins of a mask, all gains 1."""
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
        known, offset = own[:, rows], np.log(rate * (end - first))
        how = data.temper(place), settings["iterations"]
        fitted = [fit_with_learned_prior(known, s[rows], totals, offset, *how)[0] for s in shared]
        weights.append(_averaged(fitted, 1 + len(own)))
    return Regression(
        mean_rate=rate,
        centre=centre,
        directions=np.concatenate(members, axis=1),
        weights=np.stack(weights).astype(np.float32),
        gains=np.ones(len(weights)),
        ends=np.array([end for _, end in windows.lead_bins], np.int64),
        own_s=np.array(settings["own_traces_s"], np.float64),
        population_s=np.array(settings["population_traces_s"], np.float64),
        bin_s=data.bin_s,
    )


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


def _leave_out(data: _Data, regression: Regression, mask: np.ndarray) -> Iterator[_LeftOut]:
    """One for each lead bin, from windows that lie in the mask as a whole."""
    rate = regression.mean_rate
    inside = data.windows.starts(mask, 0, 1)
    known = data.known.at(data.places(inside))
    ratios = regression.ratios_of(known.own(rate), known.population(rate))
    for place, (first, end) in enumerate(data.windows.lead_bins):
        starts = data.windows.whole(mask, place)
        kept = np.searchsorted(inside, starts)
        expected = rate.astype(np.float32) * (end - first)
        yield _LeftOut(data.totals(starts, (first, end)), ratios[place, kept], expected)


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
