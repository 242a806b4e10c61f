"""Forecasts that any model has to beat, each fitted on the session's own data.

| label | rate of a unit over the window |
|---|---|
| training_mean | its mean over the fit domain (train and valid): the null, 0 bits by definition |
| reference_rate | its rate in the reference window: (n + 1/2) / (T + 1/2/mu), mu all units' mean |
| running_mean | (1 - w) of its exponential mean over the recent past and w of its training mean |
| poisson_glm | of a regression on recent history, see horizon/baselines/glm.py |
| poisson_glm_reference | the same, fitted on the reference window alone |
| poisson_glm_shuffled | the same as poisson_glm on history from far away: a control |
| oracle | the true rates, bin by bin, where a simulation kept them |

What is known ends where the window starts. Regressions are fitted on train and stopped on valid;
time constant and weight of the running mean are those that forecast valid best, for each horizon.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikeline.artifacts.counts import NO_DOMAIN, TRAIN, VALID, Counts
from spikeline.artifacts.forecasts import Sums
from spikeline.horizon import spike_history
from spikeline.horizon.baselines import glm
from spikeline.horizon.scores.bits_per_spike import score_sums, training_mean
from spikeline.horizon.scores.windows import bins_of, elsewhere, forecast_starts, gather

RUNNING_S = (0.04, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
RUNNING_WEIGHTS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
# Of the reference window: the rest stops the fit.
REFERENCE_FIT = 0.8


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
    """Score every baseline on the session's test windows.

    Args:
        counts: of one session.
        horizons_ms: lengths of the forecast windows.
        true_rates: (bins, units) expected counts per bin, for the oracle.
        progress: called with the label of each baseline as it starts.

    Raises:
        InputError: a domain is missing or too short for a window.
    """
    values, domains = counts.counts, counts.domains
    lengths = {ms: bins_of(ms, counts.bin_s) for ms in horizons_ms}
    tiled = {ms: forecast_starts(domains, "test", length) for ms, length in lengths.items()}
    seen = {ms: gather(values, starts, lengths[ms]) for ms, (starts, _) in tiled.items()}
    null = training_mean(values, domains)
    result = Baselines()

    def score(label: str, rates: Mapping[int, np.ndarray]) -> None:
        result.sums[label] = {
            str(ms): score_sums(rates[ms], seen[ms], null, tiled[ms][1]) for ms in lengths
        }

    def constant(rate: np.ndarray) -> dict[int, np.ndarray]:
        return {ms: np.broadcast_to(rate, (len(seen[ms]), 1, len(rate))) for ms in lengths}

    score("training_mean", constant(null))
    score("reference_rate", constant(reference_rate(values, counts.reference)))
    progress("running_mean")
    running, chosen = running_mean(values, domains, lengths, counts.bin_s)
    score("running_mean", running)
    result.facts.update(chosen)
    starts = {lengths[ms]: tiled[ms][0] for ms in lengths}
    fits = {
        "poisson_glm": (domains, None),
        "poisson_glm_reference": (_reference_domains(counts), None),
        "poisson_glm_shuffled": (domains, values[elsewhere(np.arange(len(values)), len(values))]),
    }
    for label, (used, history) in fits.items():
        progress(label)
        found = glm.forecast_rates(values, used, starts, counts.bin_s, history)
        score(label, {ms: found[lengths[ms]].rates for ms in lengths})
        for ms, length in lengths.items():
            result.facts[f"{label}_penalty_{ms}"] = found[length].penalty
    if true_rates is not None:
        score("oracle", {ms: gather(true_rates, tiled[ms][0], lengths[ms]) for ms in lengths})
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


def running_mean(
    counts: np.ndarray, domains: np.ndarray, lengths: Mapping[int, int], bin_s: float
) -> tuple[dict[int, np.ndarray], dict[str, float]]:
    """Rates of the best running mean at each horizon, and its time constant and weight.

    Returns:
        {ms: (windows, 1, units)} at the test windows, and plain facts.
    """
    known = training_mean(counts, domains, "train")
    mean = training_mean(counts, domains)
    valid = {ms: forecast_starts(domains, "valid", n)[0] for ms, n in lengths.items()}
    test = {ms: forecast_starts(domains, "test", n)[0] for ms, n in lengths.items()}
    seen = {ms: gather(counts, valid[ms], n).mean(axis=1) for ms, n in lengths.items()}
    best: dict[int, tuple[float, float, float, np.ndarray]] = {}
    for seconds in RUNNING_S:
        trace = spike_history.running_mean(counts, known.astype(np.float32), seconds, bin_s)
        for ms in lengths:
            for weight in RUNNING_WEIGHTS:
                rates = (1 - weight) * trace[valid[ms]] + weight * known
                loss = float((rates - seen[ms] * np.log(rates)).sum())
                if ms not in best or loss < best[ms][0]:
                    best[ms] = loss, seconds, weight, trace[test[ms]]
    rates, facts = {}, {}
    for ms, (_, seconds, weight, recent) in best.items():
        rates[ms] = ((1 - weight) * recent + weight * mean)[:, None]
        facts[f"running_mean_seconds_{ms}"] = seconds
        facts[f"running_mean_weight_{ms}"] = weight
    return rates, facts


def _reference_domains(counts: Counts) -> np.ndarray:
    """Domains as if the reference window were all that is known: most to fit, the rest to stop."""
    start, end = counts.reference
    middle = start + max(1, round(REFERENCE_FIT * (end - start)))
    domains = np.full(len(counts.domains), NO_DOMAIN, np.uint8)
    domains[start:middle] = TRAIN
    domains[middle:end] = VALID
    return domains
