r"""One Poisson regression that all units of all sessions share: a plain baseline, and a start.

With the standardised state z of a unit at a window's start (horizon/forecaster/unit_state.py), the
log of its expected count per bin in lead bin j is

    level + w_j . [1, z, z^2, z_i z_(i+1), z_k z_level]

with the products of neighbours, and of each trace with the level, since how far a busy moment is
to be trusted depends on how many spikes it is made of. The weights know no unit and no session, so
they hold for animals never seen. They maximise the Poisson likelihood of windows drawn from the
training sessions, with a ridge penalty that validation windows choose.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from spikeline.horizon.forecaster.history_window import Past
from spikeline.horizon.forecaster.lead_bins import centres
from spikeline.horizon.forecaster.mixing import alone
from spikeline.horizon.forecaster.unit_state import UnitState, feature_count, level_column

logger = logging.getLogger(__name__)

# Standard deviations, and log rates relative to the level, beyond which nothing was seen that a
# forecast could rest on.
MOST_DEVIATIONS, MOST_LOG_RATIO = 4.0, 6.0
# Per training row.
PENALTIES = (1e-4, 1e-3, 1e-2)
# Newton's method ends where a step promises less than this many nats per row.
_STEPS, _TOLERANCE = 40, 1e-7


class SharedGlm(nn.Module):
    """The regression; untrained it forecasts each unit's level.

    Args:
        traces_s: (constants,) seconds, of the states it reads.
        lead_bins: how many.
    """

    def __init__(self, traces_s: Sequence[float], lead_bins: int):
        super().__init__()
        self.constants, self.level = len(traces_s), level_column(traces_s)
        features = feature_count(traces_s)
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("std", torch.ones(features))
        terms = 3 * features + self.constants
        self.register_buffer("weights", torch.zeros(terms, lead_bins))

    @property
    def features(self) -> int:
        return len(self.mean)

    def standardised(self, features: Tensor) -> Tensor:
        """(..., features), cut off where hardly anything was seen."""
        scaled = (features - self.mean) / self.std
        return scaled.clamp(-MOST_DEVIATIONS, MOST_DEVIATIONS)

    def terms(self, z: Tensor) -> Tensor:
        """(..., terms) of standardised features."""
        one = torch.ones_like(z[..., :1])
        neighbours = z[..., :-1] * z[..., 1:]
        reliability = z[..., : self.constants] * z[..., self.level, None]
        return torch.cat([one, z, z * z, neighbours, reliability], -1)

    def forward(self, state: UnitState) -> Tensor:
        """(windows, lead bins, units) log expected counts per bin."""
        ratios = self.terms(self.standardised(state.features)) @ self.weights
        ratios = ratios.clamp(-MOST_LOG_RATIO, MOST_LOG_RATIO)
        return (ratios + state.level[..., None]).mT

    def fit(
        self,
        train: tuple[Tensor, Tensor, Tensor],
        valid: tuple[Tensor, Tensor, Tensor] | None,
        lengths: Tensor,
    ) -> float:
        """Learn the weights in place, by Newton's method.

        Args:
            train, valid: features (rows, features), levels (rows,) and counts (rows, lead bins) of
                windows of units; without `valid` the middle penalty is taken.
            lengths: (lead bins,) bins of each.

        Returns:
            The penalty per row.
        """
        features, levels, counts = train
        self.mean.copy_(features.mean(0))
        self.std.copy_(features.std(0).clamp(min=1e-6))
        design = self.terms(self.standardised(features))
        if valid is None:
            self.weights.copy_(_newton(design, levels, counts, lengths, PENALTIES[1]))
            return PENALTIES[1]
        other = self.terms(self.standardised(valid[0]))
        weights, best = None, (float("inf"), PENALTIES[0])
        # from the strongest on, so that each starts near its end
        for penalty in sorted(PENALTIES, reverse=True):
            weights = _newton(design, levels, counts, lengths, penalty, weights)
            loss = _loss(other, valid[1], valid[2], lengths, weights)
            logger.info(
                "shared regression: penalty %g per row, validation loss %.5f", penalty, loss
            )
            if loss < best[0]:
                best = loss, penalty
                self.weights.copy_(weights)
        return best[1]

    def refit(self, rows: tuple[Tensor, Tensor, Tensor], lengths: Tensor, penalty: float) -> None:
        """Learn the weights anew with a known penalty, features scaled as they are."""
        features, levels, counts = rows
        design = self.terms(self.standardised(features))
        start = self.weights.clone()
        self.weights.copy_(_newton(design, levels, counts, lengths, penalty, start))


class SharedForecaster(nn.Module):
    """The shared regression as a forecaster of its own; see `horizon.forecaster.network`.

    Args:
        traces_s: (constants,) seconds.
        edges: (lead bins + 1,) bins after a window's start.
    """

    def __init__(self, traces_s: Sequence[float], edges: np.ndarray):
        super().__init__()
        self.lead_centres = centres(edges)
        self.register_buffer("shares", alone(len(traces_s)))
        self.shared = SharedGlm(traces_s, len(self.lead_centres))

    def embed(self, population: object) -> None:
        """Nobody is anybody in particular."""

    def read(self, past: Past, population: object, identity: None) -> Tensor:
        """(windows, lead bins, units) log rates."""
        return self.shared(past.state)

    def continued(self, reading: Tensor, lead_bins: int | None = None) -> Tensor:
        """Of the first so many lead bins."""
        return reading[:, :lead_bins]

    @property
    def parameters_count(self) -> int:
        return self.shared.weights.numel()


def _newton(
    design: Tensor,
    levels: Tensor,
    counts: Tensor,
    lengths: Tensor,
    penalty: float,
    start: Tensor | None = None,
) -> Tensor:
    """(terms, lead bins) weights; the constant is not penalised.

    Each lead bin starts from the one before it, whose weights are much the same.
    """
    rows, terms = design.shape
    ridge = torch.full((terms,), penalty * rows, dtype=torch.float64)
    ridge[0] = 0
    found: list[Tensor] = []
    for place, length in enumerate(lengths.tolist()):
        offset = levels + math.log(length)
        weights = torch.zeros(terms, dtype=torch.float64)
        if start is not None:
            weights = start[:, place].double()
        elif found:
            weights = found[-1]
        for _ in range(_STEPS):
            ratios = design @ weights.to(design.dtype)
            rates = (ratios.clamp(-MOST_LOG_RATIO, MOST_LOG_RATIO) + offset).exp()
            slope = (design.T @ (rates - counts[:, place])).double() + ridge * weights
            curvature = ((design * rates[:, None]).T @ design).double()
            # a term that never varies has no slope either
            curvature = curvature + torch.diag(ridge + 1e-9 * rows)
            move = torch.linalg.solve(curvature, slope)
            weights = weights - move
            if float(slope @ move) / 2 < _TOLERANCE * rows:
                break
        found.append(weights)
    return torch.stack(found, 1).float()


def _loss(
    design: Tensor, levels: Tensor, counts: Tensor, lengths: Tensor, weights: Tensor
) -> float:
    """Mean Poisson negative log likelihood of a row and lead bin, in nats, without log n!."""
    ratios = (design @ weights).clamp(-MOST_LOG_RATIO, MOST_LOG_RATIO)
    log_counts = ratios + levels[:, None] + lengths.log()
    return float((log_counts.exp() - counts * log_counts).mean())
