"""Scores of forecasts as ratios of sums over time, pooled over sessions, each with its interval.

Within a session pieces of its test blocks vary, see spikeline/time_series.py. A pooled row speaks
of sessions like those it pools, so sessions are its outer level: with the share w_s that session s
has in the pooled score R, its own score R_s, and S sessions,

    between^2 = sum_s (w_s (R_s - R) / (1 - w_s))^2     (t with S - 1 degrees of freedom)
    within^2  = sum_s (w_s h_s)^2                       (h_s how far the interval of R_s reaches)

and the interval has the wider of the two, so that sessions that agree by chance do not narrow it
below what their own pieces allow. R_s - R is divided by 1 - w_s, as R is drawn to a session that
weighs much (MacKinnon and White 1985, J. Econometrics 29:305, HC3). Three sessions or more have an
interval even where each is too short for its own. Two are an interval's least: their t of 12.7
says how little two sessions tell of a third. The folds of one recording are pooled in the same way,
as parts of it that differ; the interval then speaks of that recording.

Several seeds are averaged piece by piece first: they forecast the same windows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import stats

from spikeline.artifacts.forecasts import Sums
from spikeline.errors import InputError
from spikeline.horizon.scores.bits_per_spike import LOG2
from spikeline.horizon.scores.windows import step_s
from spikeline.statistics import CONFIDENCE
from spikeline.time_series import Spread, ratio_spread

# Seconds of a piece at the least. An animal's arousal and its units' rates wander over some ten
# seconds, and a test of a minute or two cannot show that: with shorter pieces its intervals cover
# too little (benchmarks/coverage.py). A block of an interleaved split may be shorter.
SHORTEST_S = 40.0
# Sessions that are enough without intervals of their own.
ENOUGH = 3


@dataclass(frozen=True)
class Series:
    """A score of one session: the ratio of two sums over the steps of its test blocks.

    Attributes:
        above, below: (steps,) mean over seeds; zero in the step between two blocks.
        bins: (steps,) scored; 0 in the step between two blocks.
        step_s: seconds of a step.
        skewed: whether few pieces decide both sums, see spikeline/time_series.py.
    """

    above: np.ndarray
    below: np.ndarray
    bins: np.ndarray
    step_s: float
    skewed: bool = False

    @property
    def score(self) -> float:
        """NaN where the denominators sum to zero, as without a spike."""
        total = float(self.below.sum())
        return float(self.above.sum()) / total if total else math.nan

    def spread(self) -> Spread:
        """How far the score may lie from that of an endless recording."""
        shortest = max(1, round(SHORTEST_S / self.step_s))
        runs = runs_of(self.bins)
        return ratio_spread(self.above, self.below, runs, shortest, skewed=self.skewed)


class Estimate(NamedTuple):
    """A score with its interval; None where there is none.

    Attributes:
        piece_s: seconds of a piece, the mean.
        pieces: of all sessions.
    """

    score: float | None
    low: float | None
    high: float | None
    piece_s: float | None
    pieces: int


NOTHING = Estimate(None, None, None, None, 0)


def bits_series(seeds: Sequence[Sums], horizon_ms: int, null: str = "null") -> Series:
    """Bits per spike of a session; `null` as in `pooled_bits`."""
    gains = [(one.blocks[f"{null}_nll"] - one.blocks["nll"]) / LOG2 for one in seeds]
    return _series(gains, seeds[0].blocks["spikes"], seeds, horizon_ms)


def unexplained_series(seeds: Sequence[Sums], horizon_ms: int) -> Series:
    """1 - R2 of a session, whose units' means count as known: a ratio's slope by them is zero.

    Skewed: a lively stretch gives most of the variation, and most of what is explained.
    """
    errors = [one.blocks["squared_error"] for one in seeds]
    found = _series(errors, seeds[0].blocks["variation"], seeds, horizon_ms)
    return replace(found, skewed=True)


def difference(one: Series, reference: Series, where: str) -> Series:
    """Of two scores of the same windows, piece by piece.

    Raises:
        InputError: not the same windows; `where` names the session.
    """
    if not (np.array_equal(one.bins, reference.bins) and np.allclose(one.below, reference.below)):
        raise InputError(
            f"{where}: its forecasts and those of the reference are of other windows; "
            "delete both and rerun"
        )
    return replace(one, above=one.above - reference.above)


def pooled(series: Sequence[Series], by_session: bool = False) -> Estimate:
    """The score over all sessions, with its interval as in the module's text.

    Args:
        by_session: the mean of the sessions' scores; else the ratio of all their sums.
    """
    series = [one for one in series if not math.isnan(one.score)]
    if not series:
        return NOTHING
    scores = np.array([one.score for one in series])
    weights = np.array([1.0 if by_session else one.below.sum() for one in series])
    shares = weights / weights.sum()
    score = float(shares @ scores)
    spreads = [one.spread() for one in series]
    pieces = sum(spread.pieces for spread in spreads)
    seconds = sum(p.piece * p.pieces * one.step_s for p, one in zip(spreads, series, strict=True))
    below = _reach(scores, shares, [spread.below for spread in spreads])
    above = _reach(scores, shares, [spread.above for spread in spreads])
    low, high = (None, None) if below is None else (score - below, score + above)
    return Estimate(score, low, high, seconds / pieces, pieces)


def runs_of(bins: np.ndarray) -> list[slice]:
    """The unbroken test blocks: runs of steps that hold windows."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(bins) > 0, [0]])))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


# --- the parts ------------------------------------------------------------------------------------


def _series(
    above: Sequence[np.ndarray], below: np.ndarray, seeds: Sequence[Sums], horizon_ms: int
) -> Series:
    bins = seeds[0].blocks["bins"]
    return Series(np.mean(above, axis=0), below, bins, step_s(horizon_ms / 1000))


def _reach(scores: np.ndarray, shares: np.ndarray, reaches: Sequence[float | None]) -> float | None:
    """How far the interval of sum(shares * scores) reaches to one side, where each has `reaches`;
    None where there is no interval."""
    known = [reach for reach in reaches if reach is not None]
    within = float(np.hypot.reduce(shares * known)) if len(known) == len(reaches) else None
    sessions = len(scores)
    if sessions == 1 or (sessions < ENOUGH and within is None) or (shares == 1).any():
        return within
    residuals = shares * (scores - shares @ scores) / (1 - shares)
    between = float(np.linalg.norm(residuals))
    between *= float(stats.t.ppf((1 + CONFIDENCE) / 2, sessions - 1))
    return between if within is None else max(between, within)
