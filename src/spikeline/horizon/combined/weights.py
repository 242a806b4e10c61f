r"""Weights that combine several forecasters, fitted on windows that none of them was fitted on.

For each lead band, with d_k = log(r_k / m) the log rate of candidate k relative to the unit's mean,

    log_rates   r = m exp( sum_k w_k d_k ),   w_k >= 0
    rates       r = sum_k w_k r_k,            w_k >= 0, sum_k w_k = 1
    single      r = r_k                       of one k, the same for all bands

The weights, which all units share, maximise the Poisson likelihood. Those of log rates need not sum
to 1, as candidates may believe in themselves too little or too much; they carry a quadratic penalty
that draws them to the best single candidate, or to equal weights. Which of these rules, and which
penalty, is chosen by contiguous folds: windows that reach into the fold left out are not fitted on.
A rule other than the best candidate alone is taken only where the folds left out are forecast
better by it, so the combination is never the worse one there.

Candidates resemble each other, so the problem is ill-conditioned but small: Newton steps, each a
quadratic problem over w >= 0, solved coordinate by coordinate (convex, hence exact).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

log = logging.getLogger(__name__)

FOLDS = 5
# Windows side by side that validation must hold: fewer choose one candidate, and weigh nothing.
FEWEST_WINDOWS = 2 * FOLDS
# In nats per squared weight, of validation bins that count once each.
PENALTIES = (1000.0, 100.0, 10.0)
_STEPS, _SWEEPS, _ROUNDS = 30, 200, 100
_TOLERANCE = 1e-6
_LEAST_SHARE = 1e-6
_MOST_LOG_RATIO = 30.0


@dataclass(frozen=True)
class Rule:
    """How candidates are combined.

    Attributes:
        kind: log_rates, rates or single.
        towards: best or equal: where the penalty draws the weights of log rates.
        penalty: its strength.
    """

    kind: str
    towards: str = ""
    penalty: float = 0.0

    def __str__(self) -> str:
        how = f" towards {self.towards}, penalty {self.penalty:g}" if self.towards else ""
        return self.kind + how


@dataclass(frozen=True)
class Known:
    """What the candidates forecast for some windows, and what came.

    Attributes:
        starts: (windows,) first bins, ascending.
        length: bins of a window.
        log_ratios: (candidates, bands, windows, units) float32, log of mean rate over m.
        spikes: (bands, windows, units) counts.
        expected: (bands, units) counts at the mean rate m.
        shares: (bands,) by which each window's likelihood is multiplied, for windows overlap.
    """

    starts: np.ndarray
    length: int
    log_ratios: np.ndarray
    spikes: np.ndarray
    expected: np.ndarray
    shares: np.ndarray

    def at(self, rows: np.ndarray) -> Known:
        """Some of the windows."""
        return replace(
            self,
            starts=self.starts[rows],
            log_ratios=self.log_ratios[:, :, rows],
            spikes=self.spikes[:, rows],
        )


@dataclass(frozen=True)
class Weights:
    """Fitted weights.

    Attributes:
        rule: how they are applied.
        values: (bands, candidates).
        gains: {rule: nats above the best candidate alone, over the folds left out}.
    """

    rule: Rule
    values: np.ndarray
    gains: dict[str, float]


SINGLE = Rule("single")
RULES = (
    SINGLE,
    Rule("rates"),
    *(Rule("log_rates", towards, one) for towards in ("best", "equal") for one in PENALTIES),
)


def fit_weights(known: Known, rules: Sequence[Rule] = RULES) -> Weights:
    """Choose a rule by folds, then fit it on all windows.

    Args:
        known: windows of validation; one at least.
        rules: to choose from, `SINGLE` first.
    """
    folds = _folds(known)
    if len(rules) == 1 or len(folds) < FOLDS:
        return Weights(SINGLE, fitted(known, SINGLE), {})
    values = dict.fromkeys(rules, 0.0)
    for learnt, left_out in folds:
        part, rest = known.at(learnt), known.at(left_out)
        for rule in rules:
            values[rule] += float(log_likelihoods(rest, rule, fitted(part, rule)).sum())
    gains = {str(rule): value - values[SINGLE] for rule, value in values.items()}
    best = max(rules, key=lambda rule: values[rule])
    log.info("%s: %s", best, "  ".join(f"{rule} {gain:+.1f}" for rule, gain in gains.items()))
    return Weights(best, fitted(known, best), gains)


def fitted(known: Known, rule: Rule) -> np.ndarray:
    """(bands, candidates) weights of a rule, fitted on all windows."""
    candidates, bands = known.log_ratios.shape[:2]
    alone = np.eye(candidates)
    each = [log_likelihoods(known, SINGLE, np.tile(row, (bands, 1))).sum() for row in alone]
    best = alone[int(np.argmax(each))]
    if rule.kind == "single":
        return np.tile(best, (bands, 1))
    found = []
    for band in range(bands):
        ratios = known.log_ratios[:, band].reshape(candidates, -1).astype(np.float64)
        spikes, expected = (_flat(known, band, which) for which in ("spikes", "expected"))
        if rule.kind == "rates":
            found.append(mixture_weights(ratios, spikes, expected))
            continue
        centre = best if rule.towards == "best" else np.full(candidates, 1 / candidates)
        share = known.shares[band]
        found.append(log_rate_weights(ratios, spikes, expected, centre, rule.penalty / share))
    return np.stack(found)


def log_rate_weights(
    ratios: np.ndarray,
    spikes: np.ndarray,
    expected: np.ndarray,
    centre: np.ndarray,
    penalty: float,
) -> np.ndarray:
    """(candidates,) w >= 0 that minimise sum( e exp(w.d) - n w.d ) + penalty |w - centre|^2 / 2.

    Args:
        ratios: (candidates, cases) d; spikes: (cases,) n; expected: (cases,) e.
        centre: (candidates,) from which the search begins, too.
    """
    weights = np.array(centre, np.float64)
    loss = _loss(weights, ratios, spikes, expected, centre, penalty)
    for _ in range(_STEPS):
        rates = expected * _exp(weights @ ratios)
        slope = ratios @ (rates - spikes) + penalty * (weights - centre)
        curvature = (ratios * rates) @ ratios.T + penalty * np.eye(len(weights))
        step = _nonnegative(curvature, curvature @ weights - slope, weights) - weights
        size = 1.0
        while size > 1e-8:
            tried = np.maximum(weights + size * step, 0)
            found = _loss(tried, ratios, spikes, expected, centre, penalty)
            if found <= loss:
                break
            size /= 2
        else:
            break
        gained, weights, loss = loss - found, tried, found
        if gained < _TOLERANCE:
            break
    return weights


def mixture_weights(ratios: np.ndarray, spikes: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """(candidates,) w >= 0 of sum 1 that minimise sum( w.r - n log w.r ), by EM and a scaling.

    Arguments as of `log_rate_weights`; r_k = e exp(d_k).
    """
    rates = expected * _exp(ratios)
    total = rates.sum(axis=1)
    weights = np.full(len(ratios), 1 / len(ratios))
    for _ in range(_ROUNDS):
        weights = weights * (rates @ (spikes / (weights @ rates))) / total
        np.maximum(weights, _LEAST_SHARE, out=weights)
        weights /= weights.sum()
    return weights


def log_likelihoods(known: Known, rule: Rule, weights: np.ndarray) -> np.ndarray:
    """(bands,) Poisson log likelihood in nats above that of the mean rates, every bin once.

    Args:
        weights: (bands, candidates).
    """
    found = np.empty(len(weights))
    for band, row in enumerate(weights):
        ratios = combined(known.log_ratios[:, band], rule, row)
        gained = (known.spikes[band] * ratios).sum(dtype=np.float64)
        gained -= (known.expected[band] * np.expm1(ratios)).sum(dtype=np.float64)
        found[band] = known.shares[band] * gained
    return found


def combined(log_ratios: np.ndarray, rule: Rule, weights: np.ndarray) -> np.ndarray:
    """(...) log ratio of the combination of (candidates, ...) log ratios."""
    log_ratios = np.minimum(log_ratios, _MOST_LOG_RATIO)
    if rule.kind == "rates":
        return np.log(np.tensordot(weights, np.exp(log_ratios), 1))
    return np.minimum(np.tensordot(weights, log_ratios, 1), _MOST_LOG_RATIO)


# --- the pieces -----------------------------------------------------------------------------------


def _folds(known: Known) -> list[tuple[np.ndarray, np.ndarray]]:
    """(windows fitted on, windows left out) of each fold; none where windows are too few."""
    starts, length = known.starts, known.length
    side_by_side, free = 0, -1
    for start in starts:
        if start >= free:
            side_by_side, free = side_by_side + 1, start + length
    if side_by_side < FEWEST_WINDOWS:
        return []
    folds = []
    for rows in np.array_split(np.arange(len(starts)), FOLDS):
        apart = (starts <= starts[rows[0]] - length) | (starts >= starts[rows[-1]] + length)
        folds.append((np.flatnonzero(apart), rows))
    return folds


def _flat(known: Known, band: int, which: str) -> np.ndarray:
    values = getattr(known, which)[band]
    return np.broadcast_to(values, known.spikes[band].shape).reshape(-1).astype(np.float64)


def _exp(ratios: np.ndarray) -> np.ndarray:
    return np.exp(np.minimum(ratios, _MOST_LOG_RATIO))


def _loss(
    weights: np.ndarray,
    ratios: np.ndarray,
    spikes: np.ndarray,
    expected: np.ndarray,
    centre: np.ndarray,
    penalty: float,
) -> float:
    forecast = weights @ ratios
    away = weights - centre
    return float(expected @ _exp(forecast) - spikes @ forecast + penalty * (away @ away) / 2)


def _nonnegative(curvature: np.ndarray, linear: np.ndarray, start: np.ndarray) -> np.ndarray:
    """w >= 0 that minimises w.A.w / 2 - b.w, coordinate by coordinate."""
    weights = start.copy()
    for _ in range(_SWEEPS):
        before = weights.copy()
        for k in range(len(weights)):
            rest = linear[k] - curvature[k] @ weights + curvature[k, k] * weights[k]
            weights[k] = max(0.0, rest / max(curvature[k, k], 1e-12))
        if np.abs(weights - before).max() < 1e-9:
            break
    return weights
