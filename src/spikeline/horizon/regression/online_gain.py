r"""A unit's gain of late: the spikes that came over those that were forecast, slowly forgotten.

With n_k spikes of a unit in second k of the session, e_k expected by a forecast at its start, and
all seconds that ended before bin t,

    g(t) = ( p + sum_k d^age(k) n_k ) / ( p + sum_k d^age(k) e_k ),    d = exp(-1 s / constant),

is the mean of a unit's gain given discounted Poisson counts, if its prior is Gamma(p, p) (Smith and
Miller 1986, J. R. Stat. Soc. B 48). It follows slow changes that no predictor explains, units that
come and go among them, and forgets what it has not seen for a few time constants.
"""

from __future__ import annotations

import numpy as np

_SECOND_S = 1.0


def second_bins(bin_s: float) -> int:
    """Bins of a second, the time between two updates."""
    return max(1, round(_SECOND_S / bin_s))


def whole_seconds(bins: int, bin_s: float) -> np.ndarray:
    """(seconds,) first bins of the seconds that end by so many bins."""
    step = second_bins(bin_s)
    return np.arange(0, bins - step + 1, step)


def totals(counts: np.ndarray, seconds: np.ndarray, bin_s: float) -> np.ndarray:
    """(seconds, units) spikes in each second that begins at these bins."""
    found = np.zeros((len(seconds), counts.shape[1]))
    for lead in range(second_bins(bin_s)):
        found += counts[seconds + lead]
    return found


def expected(rates: np.ndarray, ends: np.ndarray, bin_s: float) -> np.ndarray:
    """(seconds, units) spikes forecast for each second.

    Args:
        rates: (lead bins, seconds, units) expected counts per bin.
        ends: (lead bins,) bins after the start at which each ends; the last is held.
    """
    edges = np.minimum(np.concatenate([[0], ends]), second_bins(bin_s))
    edges[-1] = second_bins(bin_s)
    return np.einsum("j,jsu->su", np.diff(edges).astype(rates.dtype), rates)


def gains(
    came: np.ndarray,
    forecast: np.ndarray,
    starts: np.ndarray,
    bin_s: float,
    time_constant_s: float,
    prior_spikes: float,
) -> np.ndarray:
    """(windows, units) gain before each start.

    Args:
        came, forecast: (seconds, units) spikes in each second from the session's first bin on.
        starts: (windows,) bins; a second counts for those that begin when it is over, or later.
        time_constant_s: seconds after which a second counts 1 / e.
        prior_spikes: p; the more, the nearer to 1.
    """
    from scipy.signal import lfilter  # takes a second to load

    decay = np.exp(-_SECOND_S / time_constant_s)
    both = np.stack([came, forecast]).astype(np.float64)
    known = lfilter([decay], [1.0, -decay], both, axis=1) + prior_spikes
    after = np.concatenate([np.ones_like(known[0, :1]), known[0] / known[1]])
    return after[np.minimum(np.asarray(starts) // second_bins(bin_s), len(after) - 1)]
