"""How often a table's intervals hold the score of an endless recording, on the behaving twin.

    python benchmarks/coverage.py [--hours 48] [--units 30] [--sessions 80] [--seed 0] [--slow 0.3]
        [--slow-s 10]

The twin runs for hours; two fixed forecasters, a running mean and a log-linear one of two traces,
are scored on many disjoint tests of an hour's part, unbroken or in blocks as an interleaved split
has them. Each test gives intervals of bits per spike, R2 and the paired difference of bits per
spike, by the very functions that tables use; the score over all hours is what they should hold.
R2 is about the units' means in the test, so it depends on how long a test is: its intervals should
hold the R2 of all tests of that length together.
Beside them stands the percentile bootstrap of pieces of 5 s that tables had before. Then tests of
several sessions, each of other units, are pooled, and before them the folds of short recordings:
those of a split have forecasters of their own, which is not simulated here. With --slow a further
latent of --slow-s seconds moves all log rates by that standard deviation.

The goal is a coverage of .92 or more at a nominal .95 wherever an interval is given. What was
simulated tells a coverage to within its standard error, the column se: that of as many independent
tests, or what hours differ by if that is more. Pooled sessions overlap, so they count as no more
tests than there are sessions for.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np

from spikeline.artifacts.counts import TEST, TRAIN
from spikeline.artifacts.forecasts import Sums
from spikeline.horizon.scores import intervals
from spikeline.horizon.scores.bits_per_spike import score_sums
from spikeline.horizon.scores.windows import bins_of, forecast_starts, gather
from spikeline.horizon.spike_history import log_trace, running_mean
from spikeline.settings.steps import completed
from spikeline.simulate.behaving import latents
from spikeline.simulate.behaving.behaviour import steer
from spikeline.simulate.behaving.processes import wander
from spikeline.simulate.behaving.settings import BIN_S, BehavingSettings
from spikeline.simulate.behaving.spikes import draw_spikes
from spikeline.simulate.behaving.unit_types import TRACKS, Units, draw_units
from spikeline.statistics import Interval, bootstrap_ratio

HORIZON_MS = 500
HOUR_S = 3600
# Seconds of test: (unbroken blocks, seconds of each, seconds from one's start to the next's).
LAYOUTS = {
    "100 s": (1, 100, 100),
    "200 s": (1, 200, 200),
    "400 s": (1, 400, 400),
    "600 s": (1, 600, 600),
    "1200 s": (1, 1200, 1200),
    "12 x 6 s": (12, 6, 32),
    "6 x 16 s": (6, 16, 80),
    "12 x 16 s": (12, 16, 80),
    "24 x 16 s": (24, 16, 80),
    "6 x 100 s": (6, 100, 400),
}
# Seconds of a fold and how many a recording has, which are pooled as sessions are.
FOLDS = ((22, 4), (12, 10))
# Sessions of this layout are pooled: (blocks, seconds of each, from start to start), and how many.
SESSION, POOLED = (3, 16, 80), (2, 3, 5, 10)
STATISTICS = ("bits/spike, running mean", "bits/spike, log-linear", "R2, log-linear", "difference")


def simulated(
    units: Units, settings: BehavingSettings, seconds: float, seed: Sequence[int], slow: tuple
) -> np.ndarray:
    """(bins, units) uint8: counts of one session at the wheel; `slow` is (deviation, seconds)."""
    rng = np.random.default_rng(seed)
    bins = round(seconds / BIN_S)
    wheel = steer(rng, seconds)
    shared = latents.draw_latents(
        rng, settings, wheel, latents.of_gratings(wheel, bins, len(units))
    )
    rates = latents.rates(rng, units, shared, settings)
    rates *= np.exp(slow[0] * wander(rng, bins, slow[1] / BIN_S) - slow[0] ** 2 / 2)[:, None]
    events = rates / (1 + units.burst.sum(axis=1))
    counts = np.empty(events.shape, np.uint8)
    for unit in range(len(units)):
        shape, burst = units.regularity[unit], units.burst[unit]
        times = draw_spikes(rng, events[:, unit], shape, burst, BIN_S)
        counts[:, unit] = np.histogram(times, bins, (0, bins * BIN_S))[0]
    return counts


def forecasts(counts: np.ndarray, mean: np.ndarray) -> list[np.ndarray]:
    """(bins, units) each: what the two forecasters say before every bin."""
    short, second, long = (
        running_mean(counts, mean.astype(np.float32), seconds, BIN_S) for seconds in (0.3, 1, 10)
    )
    gain = 0.25 * log_trace(short, mean, pseudo_count=0.5 * mean)
    gain += 0.35 * log_trace(long, mean, pseudo_count=0.1 * mean)
    return [0.5 * second + 0.5 * mean, mean * np.exp(gain)]


def scored(
    counts: np.ndarray, rates: Sequence[np.ndarray], mean: np.ndarray, tested: np.ndarray
) -> list[Sums]:
    """Sums of both forecasters on the windows of the bins that are `tested`."""
    length = bins_of(HORIZON_MS, BIN_S)
    domains = np.where(tested, TEST, TRAIN).astype(np.uint8)
    starts, steps = forecast_starts(domains, "test", length)
    seen = gather(counts, starts, length)
    return [score_sums(one[starts][:, None], seen, mean, steps) for one in rates]


def tests(layout: tuple[int, int, int], seconds: float) -> list[np.ndarray]:
    """(bins,) bool of each disjoint test of a layout in so many seconds."""
    blocks, block, apart = (
        round(one / BIN_S) if number else one for number, one in enumerate(layout)
    )
    bins, span = round(seconds / BIN_S), blocks * apart
    found = []
    for start in range(0, bins - span + 1, span):
        tested = np.zeros(bins, bool)
        for number in range(blocks):
            tested[start + number * apart : start + number * apart + block] = True
        found.append(tested)
    return found


def series(pair: Sequence[Sums]) -> list[intervals.Series]:
    """The series of each of STATISTICS; of R2, of 1 - R2."""
    one, other = (intervals.bits_series([sums], HORIZON_MS) for sums in pair)
    unexplained = intervals.unexplained_series([pair[1]], HORIZON_MS)
    return [one, other, unexplained, intervals.difference(other, one, "the simulation")]


def old_interval(one: intervals.Series) -> Interval:
    """Percentile bootstrap of pieces of 5 s, a shorter rest counting as one too."""
    labels = [
        f"{number}:{int(step * one.step_s // 5)}"
        for number, run in enumerate(intervals.runs_of(one.bins))
        for step in range(run.stop - run.start)
    ]
    kept = one.bins > 0
    return bootstrap_ratio(one.above[kept], one.below[kept], labels, resamples=500)


def ratio(parts: Iterable[intervals.Series]) -> float:
    """The score of all together."""
    above, below = zip(*((one.above.sum(), one.below.sum()) for one in parts), strict=True)
    return sum(above) / sum(below)


def holds(low: float | None, high: float | None, truth: float) -> float:
    return np.nan if low is None or high is None else float(low <= truth <= high)


def pooled_rows(
    groups: Iterable[Sequence[intervals.Series]], truth: float, by_session: bool
) -> np.ndarray:
    """(groups, 4) what `line` takes, of what is pooled as a table's sessions are."""
    estimates = [intervals.pooled(one, by_session) for one in groups]
    return np.array([[e.pieces, e.piece_s, holds(e.low, e.high, truth), np.nan] for e in estimates])


def line(name: str, statistic: str, found: np.ndarray, independent: int, hours: int = 0) -> str:
    """A row of what is printed.

    Args:
        found: (tests, 4) pieces, their seconds, whether the new and the old interval hold.
        independent: tests that share no recording.
        hours: that the tests are of, equally many of each; 0 for tests of no common hours.
    """
    pieces, seconds, new, old = found.T
    given = np.isfinite(new)
    coverage = f"{'-':>8}{'-':>7}"
    if given.any():
        held = new[given].mean()
        error = np.sqrt(held * (1 - held) / (given.mean() * independent))
        if hours > 1:
            # Tests of one hour share its latents.
            by_hour = [np.nanmean(one) for one in new.reshape(hours, -1) if np.isfinite(one).any()]
            error = max(error, np.std(by_hour, ddof=1) / np.sqrt(len(by_hour)))
        coverage = f"{held:8.3f}{error:7.3f}"
    before = f"{np.nanmean(old):8.3f}" if np.isfinite(old).any() else f"{'-':>8}"
    return (
        f"{name:<17}{statistic:<26}{len(found):>6}{pieces.mean():>8.1f}{seconds.mean():>9.1f}"
        f"{given.mean():>7.2f}{coverage}{before}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=int, default=48, help="of recording (48)")
    parser.add_argument("--units", type=int, default=30, help="of a session (30)")
    parser.add_argument("--sessions", type=int, default=80, help="that are pooled (80)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slow", type=float, default=0.0, help="deviation of a further latent (0)")
    parser.add_argument("--slow-s", type=float, default=10.0, help="its memory in seconds (10)")
    options = parser.parse_args()
    settings = BehavingSettings(**completed("simulate-behaving", {"duration_s": HOUR_S}))
    slow = options.slow, options.slow_s
    rng = np.random.default_rng([options.seed, 1])

    def drawn() -> Units:
        tracks = [TRACKS["ibl"][int(rng.integers(4))]]
        return draw_units(rng, tracks, options.units, 0, settings.shared, settings.scatter)

    print(f"Coverage of nominal .95; slow latent {slow[0]:g} of {slow[1]:g} s; {HORIZON_MS} ms")
    head = f"{'test':<17}{'statistic':<26}{'tests':>6}{'pieces':>8}{'piece_s':>9}{'given':>7}"
    print(f"{head}{'holds':>8}{'se':>7}{'before':>8}", flush=True)
    units = drawn()
    found: dict[str, list[list[intervals.Series]]] = {name: [] for name in LAYOUTS}
    whole: list[list[intervals.Series]] = []
    folds: dict[tuple[int, int], list[list[list[intervals.Series]]]] = {one: [] for one in FOLDS}
    mean = units.rate * BIN_S
    for hour in range(options.hours):
        counts = simulated(units, settings, HOUR_S, [options.seed, 2, hour], slow)
        rates = forecasts(counts, mean)
        for name, layout in LAYOUTS.items():
            found[name] += [
                series(scored(counts, rates, mean, one)) for one in tests(layout, HOUR_S)
            ]
        for (length, count), recordings in folds.items():
            short = [
                series(scored(counts, rates, mean, one))
                for one in tests((1, length, length), HOUR_S)
            ]
            recordings += [short[k : k + count] for k in range(0, len(short) - count + 1, count)]
        whole.append(series(scored(counts, rates, mean, np.ones(len(counts), bool))))
    for name, made in found.items():
        for number, statistic in enumerate(STATISTICS):
            truth = ratio(parts[number] for parts in (made if "R2" in statistic else whole))
            rows = []
            for one in (parts[number] for parts in made):
                new, old = intervals.pooled([one]), old_interval(one)
                held = [holds(e.low, e.high, truth) for e in (new, old)]
                rows.append([new.pieces, new.piece_s, *held])
            print(line(name, statistic, np.array(rows), len(rows), options.hours), flush=True)

    for (length, count), recordings in folds.items():
        for number, statistic in enumerate(STATISTICS):
            by_session = "R2" in statistic
            parts = [[fold[number] for fold in one] for one in recordings]
            truth = ratio(one[number] for one in whole)
            if by_session:
                truth = intervals.pooled(list(chain.from_iterable(parts)), by_session).score
            rows = pooled_rows(parts, truth, by_session)
            name = f"{count} x {length} s folds"
            print(line(name, statistic, rows, len(rows), options.hours), flush=True)

    seconds = SESSION[0] * SESSION[2]
    sessions = []
    for number in range(options.sessions):
        units = drawn()
        counts = simulated(units, settings, seconds, [options.seed, 3, number], slow)
        mean = units.rate * BIN_S
        (tested,) = tests(SESSION, seconds)
        sessions.append(series(scored(counts, forecasts(counts, mean), mean, tested)))
    for size in POOLED:
        for number, statistic in enumerate(STATISTICS):
            by_session = statistic.startswith("R2")
            every = [parts[number] for parts in sessions]
            truth = intervals.pooled(every, by_session).score
            drawn_sets = (rng.choice(len(every), size, replace=False) for _ in range(1000))
            chosen = [[every[k] for k in one] for one in drawn_sets]
            rows = pooled_rows(chosen, truth, by_session)
            alone = options.sessions // size
            print(line(f"{size} sessions", statistic, rows, alone), flush=True)


if __name__ == "__main__":
    main()
