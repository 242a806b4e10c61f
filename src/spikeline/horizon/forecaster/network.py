"""The forecaster: the past of a population to the rates of its units at times to come.

identity -> encoder -> decoder -> head. It starts from the regression that all units share
(horizon/forecaster/shared_glm.py): the head adds what that one cannot know, and at first nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikeline.horizon.forecaster.adaptation import SURPRISES, band_rates, gains
from spikeline.horizon.forecaster.history_window import Past
from spikeline.horizon.forecaster.layers.decoder import FutureDecoder
from spikeline.horizon.forecaster.layers.encoder import PastEncoder
from spikeline.horizon.forecaster.layers.head import UnitHead
from spikeline.horizon.forecaster.layers.identity import Units, build_identity
from spikeline.horizon.forecaster.layers.population_pooling import PopulationSummary
from spikeline.horizon.forecaster.lead_bins import centres, edges_of
from spikeline.horizon.forecaster.losses import LeadBinLoss
from spikeline.horizon.forecaster.mixing import alone
from spikeline.horizon.forecaster.shared_glm import MOST_LOG_RATIO, SharedGlm
from spikeline.horizon.scores.windows import setting_bins

# A uint8 holds no higher count.
_HIGHEST_LOG_RATE = math.log(255)


@dataclass(frozen=True)
class Population:
    """What is constant over the windows of one session, as tensors.

    Attributes:
        units: see `horizon.forecaster.layers.identity.Units`.
        offset: (units,) log expected counts per bin, from the reference window.
        images: (images, dim) embeddings of what it may have seen, None where nothing was shown.
    """

    units: Units
    offset: Tensor
    images: Tensor | None = None


@dataclass(frozen=True)
class Reading:
    """What was read of the past of a batch of windows: embeddings (units, dim), latents (windows,
    latents, dim), the population's summary (windows, features), each unit's recent history
    (windows, units, features), and the log rates that the forecast starts from (windows, all lead
    bins, units)."""

    identity: Tensor
    latents: Tensor
    summary: Tensor
    history: Tensor
    start: Tensor


def reference_offset(reference_counts: Tensor, reference_bins: int, mean_rate: float) -> Tensor:
    """(units,) log((n + 1/2) / (T + 1/2 / mu)): reference rates that are finite for silent units.

    Args:
        reference_counts: (units,) spikes n in the reference window of T bins.
        mean_rate: mu, of all training units, expected counts per bin.
    """
    return torch.log((reference_counts.double() + 0.5) / (reference_bins + 0.5 / mean_rate)).float()


class Forecaster(nn.Module):
    """See the module.

    Attributes:
        lead_centres: (lead bins,) the times it forecasts, in bins: the centre of each lead bin.
            Bins are interpolated between them, see horizon/forecaster/prediction.py.
        loss: what its forecasts cost while it is trained.
        shares: how far all units trust it, see horizon/forecaster/mixing.py.

    Args:
        settings: resolved settings of the model.
        bin_s: length of a bin in seconds.
        feature_mean, feature_std: (33,) normalisation of the reference features.
        n_units: training units, for the mode `per_unit`.
        image_dim: length of an image embedding.

    Raises:
        InputError: a setting in ms that is not a multiple of the bin.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        bin_s: float,
        feature_mean: Tensor,
        feature_std: Tensor,
        n_units: int,
        image_dim: int = 0,
    ):
        super().__init__()
        dim, heads, dropout = settings["dim"], settings["heads"], settings["dropout"]
        self.patch_bins = setting_bins(settings, "patch_ms", bin_s)
        history_bins = setting_bins(settings, "history_ms", bin_s)
        self.patches = history_bins // self.patch_bins
        edges = edges_of(settings, bin_s)
        self.lead_centres = centres(edges)
        self.register_buffer("lengths", torch.from_numpy(np.diff(edges)).float(), persistent=False)
        self.register_buffer("shares", alone(len(settings["traces_s"])))
        self.loss = LeadBinLoss(settings["loss"], self.lengths)
        self.shared = SharedGlm(settings["traces_s"], len(self.lead_centres))
        self.identity = build_identity(
            settings["identity"], dim, dim, feature_mean, feature_std, n_units,
            settings["feature_noise"], settings["features"] == "raw",
        )  # fmt: skip
        # random, mean and learned vectors enter at the same scale
        self.identity_norm = nn.LayerNorm(dim)
        constants = len(settings["traces_s"])
        self.summary = PopulationSummary(dim, settings["pools"], constants)
        self.encoder = PastEncoder(
            dim, heads, settings["depth"], dropout, settings["latents"], self.patches,
            self.patch_bins, bin_s, settings["modalities"], image_dim, settings["modality_every"],
            self.summary.features,
        )  # fmt: skip
        self.decoder = FutureDecoder(
            dim, heads, settings["decoder_depth"], dropout,
            torch.from_numpy((self.lead_centres + 0.5) * bin_s).float(), self.summary.features,
        )  # fmt: skip
        history = self.shared.features + 2 * SURPRISES + 1
        self.head = UnitHead(
            dim, history, settings["head_hidden"], settings["head_rank"], len(self.lead_centres),
            settings["own_hidden"],
        )  # fmt: skip

    def forward(
        self,
        past: Past,
        population: Population,
        lead_bins: int | None = None,
    ) -> Tensor:
        """Log of expected counts per bin, (windows, lead bins, units).

        Args:
            lead_bins: how many of them, from the first; None means all.
        """
        return self.continued(self.read(past, population, self.embed(population)), lead_bins)

    def embed(self, population: Population) -> Tensor:
        """(units, dim) embeddings."""
        return self.identity_norm(self.identity(population.units))

    def read(self, past: Past, population: Population, identity: Tensor) -> Reading:
        """All that a forecast needs of the past of each window."""
        summary = self.summary(past, identity)
        latents = self.encoder(past, identity, population.images, summary)
        start = self.shared(past.state)
        return Reading(identity, latents, summary, self.history(past, start), start)

    def continued(self, reading: Reading, lead_bins: int | None = None) -> Tensor:
        """See `forward`."""
        states = self.decoder(
            reading.latents,
            self.encoder.rotary,
            self.encoder.latent_rotary(),
            lead_bins or len(self.lead_centres),
            reading.summary,
        )
        added = self.head(states, reading.identity, reading.history)
        added = added.float().clamp(-MOST_LOG_RATIO, MOST_LOG_RATIO)
        return (reading.start[:, :lead_bins] + added).clamp(max=_HIGHEST_LOG_RATE)

    def history(self, past: Past, start: Tensor) -> Tensor:
        """(windows, units, features): the unit's state, what its session taught, whether it is
        known.

        Args:
            start: (windows, lead bins, units) log rates that surprises are measured from.
        """
        state = self.shared.standardised(past.state.features)
        moved = gains(past.surprises, band_rates(start, self.lengths))
        known = past.known[..., None].to(state.dtype)
        return torch.cat([state, past.surprises, moved, known], -1)

    @property
    def parameters_count(self) -> int:
        return self.shared.weights.numel() + sum(one.numel() for one in self.parameters())
