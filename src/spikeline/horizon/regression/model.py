r"""A session's own forecaster: Poisson regressions on what its units have been doing of late.

The log of unit i's expected count per bin, h bins after bin t, where h lies in lead bin j, is

    log mu_i + a_j ( c_ij + w_ij . own_i(t) + v_ij . shared(t) + b_ij . animal_j(t) )

mu is the unit's mean count per bin, own its log traces, shared the activity of everybody along a
few directions (horizon/spike_history.py, subspaces.py), animal what the animal does (covariates.py,
where behaviour is read); nothing at or after t enters. Each lead
bin's regression forecasts that lead bin's counts directly, so that no forecast is fed back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from spikeline.errors import InputError
from spikeline.horizon.poisson_regression import log_ratios
from spikeline.horizon.regression.covariates import Behaviour, Covariates
from spikeline.horizon.regression.empirical_bayes import HIGHEST_LOG_RATIO
from spikeline.horizon.regression.histories import Histories
from spikeline.horizon.regression.online_gain import expected, gains, totals, whole_seconds

# The arrays that make up a regression, and those of its covariates, if it has any.
ARRAYS = (
    "mean_rate", "centre", "directions", "weights", "gains", "ends", "own_s", "population_s",
    "online_s", "online_spikes",
)  # fmt: skip
COVARIATES = tuple(field.name for field in fields(Covariates))
# Rates expanded at once.
_RATES = 1 << 22


@dataclass(frozen=True)
class Regression:
    """A fitted session.

    Attributes:
        mean_rate: (units,) mu, expected counts per bin.
        centre: (columns,) mean of the population's stabilised traces, columns = constants x units.
        directions: (columns, shared).
        weights: (lead bins, units, 1 + own + covariates + shared): c, w, b and v; 0 for what a lead
            bin does not use.
        gains: (lead bins,) a.
        ends: (lead bins,) int64, bins after the start at which each lead bin ends.
        own_s, population_s: (constants,) seconds.
        online_s, online_spikes: (lead bins,) time constant in seconds and prior of each unit's
            gain of late (online_gain.py); 0 seconds for none.
        bin_s: length of a bin in seconds.
        covariates: of the animal's behaviour; None where none is read.
    """

    mean_rate: np.ndarray
    centre: np.ndarray
    directions: np.ndarray
    weights: np.ndarray
    gains: np.ndarray
    ends: np.ndarray
    own_s: np.ndarray
    population_s: np.ndarray
    online_s: np.ndarray
    online_spikes: np.ndarray
    bin_s: float
    covariates: Covariates | None = None

    def forecasts(
        self,
        counts: np.ndarray,
        starts: np.ndarray,
        lengths: np.ndarray,
        behaviour: Behaviour | None = None,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Expected counts per bin of windows that begin at `starts`, batch by batch.

        Args:
            counts: (bins, units); what lies at or after a start is not read for it.
            starts: (windows,) first bins to forecast.
            lengths: (windows,) bins to forecast; beyond the last lead bin its rate is held.
            behaviour: of the same bins, for a regression with covariates; None leaves it unknown.

        Yields:
            indices into `starts` of a batch of windows of equal length, and rates (batch, length,
            units) float32.

        Raises:
            InputError: the counts are of other units.
        """
        levels = self.levels(counts, starts, behaviour)
        for length in np.unique(lengths):
            lead_bin = np.searchsorted(self.ends, np.arange(length), "right")
            lead_bin = np.minimum(lead_bin, len(self.ends) - 1)
            rows = np.flatnonzero(lengths == length)
            size = max(1, _RATES // (int(length) * counts.shape[1]))
            for first in range(0, len(rows), size):
                batch = rows[first : first + size]
                yield batch, levels[:, batch][lead_bin].transpose(1, 0, 2)

    def levels(
        self, counts: np.ndarray, starts: np.ndarray, behaviour: Behaviour | None = None
    ) -> np.ndarray:
        """(lead bins, windows, units) float32 expected counts per bin."""
        starts = np.asarray(starts)
        seconds = np.zeros(0, np.int64)
        if self.online_s.any() and len(starts):
            seconds = whole_seconds(int(starts.max()), self.bin_s)
        ratios = self.log_ratios(counts, np.concatenate([starts, seconds]), behaviour)
        rates = self.mean_rate.astype(np.float32) * np.exp(ratios)
        found = rates[:, : len(starts)]
        if len(seconds):
            came = totals(counts, seconds, self.bin_s)
            forecast = expected(rates[:, len(starts) :], self.ends, self.bin_s)
            for level, *how in zip(found, self.online_s, self.online_spikes, strict=True):
                if how[0]:
                    level *= gains(came, forecast, starts, self.bin_s, *how)
        return found

    def log_ratios(
        self, counts: np.ndarray, starts: np.ndarray, behaviour: Behaviour | None = None
    ) -> np.ndarray:
        """(lead bins, windows, units) float32 log rates relative to the mean rate.

        Raises:
            InputError: the counts are of other units.
        """
        if counts.shape[1] != len(self.mean_rate):
            raise InputError(
                f"the regression is of {len(self.mean_rate)} units, the counts of "
                f"{counts.shape[1]}; fit it again"
            )
        known = Histories.before(counts, starts, self.own_s, self.population_s, self.bin_s)
        own, population = known.own(self.mean_rate), known.population(self.mean_rate)
        return self.ratios_of(own, population, self.animal(behaviour, starts))

    def animal(self, behaviour: Behaviour | None, starts: np.ndarray) -> np.ndarray:
        """(lead bins, windows, covariates) float32; no columns without covariates."""
        if self.covariates is None:
            return np.zeros((len(self.ends), len(starts), 0), np.float32)
        if behaviour is None:
            columns = len(self.covariates.mean)
            return np.zeros((len(self.ends), len(starts), columns), np.float32)
        return self.covariates.at_leads(behaviour, starts, self.ends, self.bin_s)

    def ratios_of(self, own: np.ndarray, population: np.ndarray, animal: np.ndarray) -> np.ndarray:
        """As `log_ratios`, from log traces, stabilised traces (horizon/spike_history.py), and
        covariates as `animal` gives them."""
        shared = (population - self.centre) @ self.directions
        found = np.stack(
            [
                log_ratios(own, np.concatenate([does, shared], axis=1), weights)
                for does, weights in zip(animal, self.weights, strict=True)
            ]
        )
        np.clip(found, -HIGHEST_LOG_RATIO, HIGHEST_LOG_RATIO, out=found)
        return self.gains.astype(np.float32)[:, None, None] * found
