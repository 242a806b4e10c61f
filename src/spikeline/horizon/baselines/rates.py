"""Forecasts that any model has to beat, each fitted on the session's own data.

| label | rate of a unit over the window |
|---|---|
| training_mean | its mean over the fit domain (train and valid): the null, 0 bits by definition |
| reference_rate | its rate in the reference window: (n + 1/2) / (T + 1/2/mu), mu all units' mean |
| running_mean | its own mixture of windows over the recent past, see horizon/baselines/running.py |
| poisson_glm | of a regression on recent history, see horizon/baselines/glm.py |
| running_glm | the running mean times the gain of such a regression |
| poisson_glm_reference | poisson_glm, fitted on the reference window alone |
| poisson_glm_shuffled | the same as poisson_glm on history from far away: a control |
| oracle | the true rates, bin by bin, where a simulation kept them |

What is known ends where the window starts. What there is to choose is chosen on valid, for each
lead band; the rest is then fitted on train and valid. The reference window's last fifth chooses for
poisson_glm_reference, and all of it fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np

from spikeline.artifacts.counts import Counts
from spikeline.artifacts.forecasts import Sums
from spikeline.horizon.baselines import running
from spikeline.horizon.baselines.glm import Glm, fit_glm
from spikeline.horizon.baselines.lead_bands import LeadBands
from spikeline.horizon.baselines.running import RunningMean, fit_running_mean
from spikeline.horizon.scores.bits_per_spike import training_mean
from spikeline.horizon.scores.leakage import check_causal
from spikeline.horizon.scores.tiled import score_horizons
from spikeline.horizon.scores.windows import bins_of, elsewhere, gather, split_mask

# Of the reference window: the rest chooses.
REFERENCE_FIT = 0.8
# Of the baselines: what knows the future by design, or takes its history from anywhere.
NOT_CAUSAL = ("oracle", "poisson_glm_shuffled")


class Baseline(Protocol):
    """A fitted baseline."""

    def forecasts(
        self, counts: np.ndarray, starts: np.ndarray, lengths: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rates from any counts (bins, units) of the session; see `scores.tiled.Forecast`."""


@dataclass
class Baselines:
    """Sums of each baseline at each horizon, {label: {ms as text: Sums}}, and what was chosen."""

    sums: dict[str, dict[str, Sums]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def score_baselines(
    counts: Counts,
    horizons_ms: Sequence[int],
    true_rates: np.ndarray | None = None,
    progress: Callable[[str], None] = lambda label: None,
) -> Baselines:
    """Score every baseline on the session's test windows, after a check that it is causal.

    Args:
        counts: of one session.
        horizons_ms: lengths of the forecast windows.
        true_rates: (bins, units) expected counts per bin, for the oracle.
        progress: called with the label of each baseline as it starts.

    Raises:
        InputError: a domain is missing or too short for a window; a baseline knows the future.
    """
    values, domains = counts.counts, counts.domains
    null = training_mean(values, domains)
    lengths = [bins_of(ms, counts.bin_s) for ms in horizons_ms]
    result = Baselines(facts={"leakage_windows": 0})
    for label, baseline, facts in _fitted(counts, lengths, progress):
        result.sums[label] = score_horizons(
            partial(baseline.forecasts, values), values, domains, null, horizons_ms, counts.bin_s
        )
        result.facts.update({f"{label}_{key}": value for key, value in facts.items()})
        if label not in NOT_CAUSAL:
            result.facts["leakage_windows"] += check_causal(
                lambda given, label=label, baseline=baseline: {
                    label: partial(baseline.forecasts, given.counts)
                },
                counts,
                max(lengths),
                counts.session,
            )
    if true_rates is not None:
        result.sums["oracle"] = score_horizons(
            partial(_Oracle().forecasts, true_rates),
            values, domains, null, horizons_ms, counts.bin_s,
        )  # fmt: skip
    return result


def reference_rate(counts: np.ndarray, reference: tuple[int, int]) -> np.ndarray:
    """(units,) expected count per bin from the reference window alone, drawn a little to the mean.

    The posterior mean of a rate whose prior is half a spike at the population's mean rate: finite
    and positive for units that were silent in the window.
    """
    start, end = reference
    number = counts[start:end].sum(axis=0, dtype=np.float64)
    population = max(number.mean(), 0.5 / len(number)) / (end - start)
    return (number + 0.5) / (end - start + 0.5 / population)


# --- the pieces -----------------------------------------------------------------------------------


def _fitted(
    counts: Counts, lengths: Sequence[int], progress: Callable[[str], None]
) -> Iterator[tuple[str, Baseline, dict[str, Any]]]:
    """Label, baseline and what was chosen for each; lengths: bins of each horizon."""
    values, bin_s = counts.counts, counts.bin_s
    train, valid = (split_mask(counts.domains, split) for split in ("train", "valid"))
    bands = LeadBands(lengths)
    yield "training_mean", _Constant(training_mean(values, counts.domains)), {}
    yield "reference_rate", _Constant(reference_rate(values, counts.reference)), {}
    progress("running_mean")
    means = fit_running_mean(values, train, valid, bands, bin_s)
    yield "running_mean", means[1], _facts_of_mean(means[1])
    progress("poisson_glm")
    glm = fit_glm(values, train, valid, bands, bin_s)
    yield "poisson_glm", glm, _facts_of_glm(glm)
    progress("running_glm")
    glm = fit_glm(values, train, valid, bands, bin_s, means)
    yield "running_glm", glm, _facts_of_glm(glm)
    progress("poisson_glm_reference")
    glm = fit_glm(values, *_reference_masks(counts), bands, bin_s)
    yield "poisson_glm_reference", glm, _facts_of_glm(glm)
    progress("poisson_glm_shuffled")
    far = _FromFarAway(fit_glm(values, train, valid, bands, bin_s, history=_far_away(values)))
    yield "poisson_glm_shuffled", far, _facts_of_glm(far.glm)


def _facts_of_mean(fitted: RunningMean) -> dict[str, float]:
    """Of each band, by the ms that it ends at: mean age of the windows, weight of the fit, draw."""
    facts = {}
    for ms, shares, draw in zip(
        _ends_ms(fitted.bands, fitted.bin_s), fitted.together, fitted.draws, strict=True
    ):
        facts[f"age_s_{ms}"] = running.mean_age_s(shares)
        facts[f"fit_weight_{ms}"] = float(shares[-1] / shares.sum())
        facts[f"draw_{ms}"] = float(draw)
    return facts


def _facts_of_glm(fitted: Glm) -> dict[str, float]:
    """Of each band, by the ms that it ends at: the penalty, and the longest time constant."""
    facts = {}
    for ms, choice in zip(
        _ends_ms(fitted.bands, fitted.features.bin_s), fitted.choices, strict=True
    ):
        facts[f"penalty_{ms}"] = choice.penalty
        facts[f"longest_s_{ms}"] = max(choice.time_constants_s)
    return facts


def _ends_ms(bands: LeadBands, bin_s: float) -> list[int]:
    return [round(end * bin_s * 1000) for end in bands.ends]


def _reference_masks(counts: Counts) -> tuple[np.ndarray, np.ndarray]:
    """Bins to fit on and to choose on, as if the reference window were all that is known."""
    start, end = counts.reference
    middle = start + max(1, round(REFERENCE_FIT * (end - start)))
    bins = np.arange(len(counts.domains))
    return (start <= bins) & (bins < middle), (middle <= bins) & (bins < end)


def _far_away(counts: np.ndarray) -> np.ndarray:
    """Counts of bins far away, bin by bin."""
    return counts[elsewhere(np.arange(len(counts)), len(counts))]


@dataclass(frozen=True)
class _Constant:
    """One rate for each unit."""

    rate: np.ndarray

    def forecasts(
        self, counts: np.ndarray, starts: np.ndarray, lengths: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            yield rows, np.broadcast_to(self.rate, (len(rows), int(length), len(self.rate)))


class _Oracle:
    """The true rates themselves, given in place of the counts."""

    def forecasts(
        self, counts: np.ndarray, starts: np.ndarray, lengths: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            yield rows, gather(counts, starts[rows], int(length))


@dataclass(frozen=True)
class _FromFarAway:
    """A regression that reads the history of another moment."""

    glm: Glm

    def forecasts(
        self, counts: np.ndarray, starts: np.ndarray, lengths: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return self.glm.forecasts(_far_away(counts), starts, lengths)
