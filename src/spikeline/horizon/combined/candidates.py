"""The candidates of a session: plain forecasts, its regression, networks of a cohort.

Each is asked twice: for windows of valid as fitted without them, and for test windows as it is.

| candidate | for valid | for test |
|---|---|---|
| running_mean, poisson_glm, running_glm | fitted on train; valid chose their penalties | on both |
| regression of a session seen | fitted on train | its file: on train and valid |
| regression of a session held out | its file: on the reference window alone | the same |
| network, shared regression | its file: no valid block was trained on | the same |

The plain forecasts are the session's own, of sessions held out as well; so is the combination.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from spikeline.artifacts.counts import Counts
from spikeline.horizon.baselines.glm import fit_glm
from spikeline.horizon.baselines.lead_bands import LeadBands
from spikeline.horizon.baselines.rates import Baseline
from spikeline.horizon.baselines.running import fit_running_mean
from spikeline.horizon.combined.combination import Candidate
from spikeline.horizon.regression.covariates import Behaviour
from spikeline.horizon.regression.fitting import fit_regression
from spikeline.horizon.scores.evaluation import EvaluatedForecaster, RegressionForecaster, Session
from spikeline.horizon.scores.tiled import Forecast
from spikeline.horizon.scores.windows import bins_of, split_mask

# They always join.
PLAIN = ("running_mean", "poisson_glm", "running_glm")


def plain_candidates(counts: Counts, horizons_ms: Sequence[int]) -> dict[str, Candidate]:
    """{name of a plain forecast: the candidate}, see horizon/baselines.

    Raises:
        InputError: a domain is missing.
    """
    values, bin_s = counts.counts, counts.bin_s
    train, valid = (split_mask(counts.domains, split) for split in ("train", "valid"))
    bands = LeadBands([bins_of(ms, bin_s) for ms in horizons_ms])
    means = fit_running_mean(values, train, valid, bands, bin_s)
    found = {"running_mean": Candidate(_reading(means[0]), _reading(means[1]))}
    nothing = np.zeros_like(valid)
    for name, running in (("poisson_glm", None), ("running_glm", means)):
        final = fit_glm(values, train, valid, bands, bin_s, running)
        learnt = None if running is None else (running[0], running[0])
        part = fit_glm(values, train, nothing, bands, bin_s, learnt, choices=final.choices)
        found[name] = Candidate(_reading(part), _reading(final))
    return found


def trained_candidate(forecaster: EvaluatedForecaster, session: Session) -> Candidate:
    """Of a forecaster's first seed; a regression of a session seen is fitted again, on train.

    Raises:
        InputError: train is too short for that regression.
    """

    def final(counts: Counts) -> Forecast:
        return next(iter(forecaster.forecasts_of(replace(session, counts=counts)).values()))

    if not isinstance(forecaster, RegressionForecaster) or session.role != "seen":
        return Candidate(final, final)
    counts = session.counts
    part = fit_regression(
        counts.counts,
        split_mask(counts.domains, "train"),
        counts.bin_s,
        forecaster.regressions[session.name].settings,
        Behaviour.of(counts),
    )

    def valid(counts: Counts) -> Forecast:
        behaviour = Behaviour.of(counts) if part.covariates is not None else None
        return partial(part.forecasts, counts.counts, behaviour=behaviour)

    return Candidate(valid, final)


def _reading(baseline: Baseline) -> Callable[[Counts], Forecast]:
    return lambda counts: partial(baseline.forecasts, counts.counts)
