"""Layers that weigh time bins, learned with the network that reads what they return.

The input is (members, batch, bins * electrodes), standardised by column; each member has weights of
its own for each area, which all electrodes of the area share. Outputs are scaled to a standard
deviation of 1 at the initial weights, by factors measured once on training rows.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

# An optimiser such as Adam moves a parameter by about its learning rate a step, which would take a
# gate thousands of steps from 1/2 to 0 or 1.
_GATE_SPEED = 50.0


class TimeWeighting(nn.Module, ABC):
    """Weighted sums over bins: (members, batch, bins * electrodes) to (members, batch, outputs).

    Output `filter * electrodes + electrode`.

    Args:
        members: independent sets of weights.
        bins: of time.
        regions: area of each electrode.
        filters: weighted sums of each electrode.
    """

    def __init__(self, members: int, bins: int, regions: Sequence[str], filters: int):
        super().__init__()
        names = sorted(set(regions))
        self.areas, self.bins, self.filters = len(names), bins, filters
        area = torch.tensor([names.index(region) for region in regions])
        self.register_buffer("area", area, persistent=False)
        self.register_buffer("scale", torch.ones(members, filters * len(area)))

    @property
    def outputs(self) -> int:
        return self.scale.shape[1]

    @abstractmethod
    def weights(self) -> Tensor:
        """(members, areas, filters, bins)."""

    def forward(self, values: Tensor) -> Tensor:
        by_bin = values.unflatten(-1, (self.bins, -1))
        weights = self.weights()[:, self.area].to(values.dtype)
        summed = torch.einsum("mnbe,mefb->mnfe", by_bin, weights)
        return summed.flatten(-2) * self.scale[:, None]

    @torch.no_grad()
    def calibrate(self, batches: Iterable[Tensor]) -> None:
        """Set the scale of outputs from batches of inputs (members, batch, bins * electrodes).

        Inputs have mean 0; an output that does not vary stays 0.
        """
        self.scale.fill_(1)
        squares, rows = torch.zeros_like(self.scale), 0
        for values in batches:
            squares += self(values).square().sum(1)
            rows += values.shape[1]
        deviation = (squares / max(rows, 1)).sqrt()
        self.scale.copy_(torch.where(deviation > 1e-6, 1 / deviation.clamp(min=1e-6), 0))


class TimeGate(TimeWeighting):
    """One mean over bins, weighted by a sigmoid for each bin and area; at first the plain mean."""

    def __init__(self, members: int, bins: int, regions: Sequence[str]):
        super().__init__(members, bins, regions, filters=1)
        self.logits = nn.Parameter(torch.zeros(members, self.areas, bins))

    def weights(self) -> Tensor:
        gate = torch.sigmoid(_GATE_SPEED * self.logits)
        return (gate / gate.sum(-1, keepdim=True))[:, :, None]


class TemporalFilters(TimeWeighting):
    """Free filters over bins, at first cosines of 0, 1, 2 ... half cycles (the DCT's)."""

    def __init__(self, members: int, bins: int, regions: Sequence[str], rank: int):
        super().__init__(members, bins, regions, filters=rank)
        phase = math.pi * (torch.arange(bins) + 0.5) / bins
        cosines = torch.cos(phase * torch.arange(rank)[:, None])
        cosines /= cosines.norm(dim=1, keepdim=True)
        self.kernels = nn.Parameter(cosines.repeat(members, self.areas, 1, 1))

    def weights(self) -> Tensor:
        return self.kernels


class OverTime(nn.Module):
    """A layer that weighs time bins, and a network that reads its outputs."""

    masks_electrodes = False

    def __init__(self, time: TimeWeighting, network: nn.Module):
        super().__init__()
        self.time, self.network, self.members = time, network, network.members

    def forward(self, values: Tensor, keep: Tensor | None = None) -> Tensor:
        """(members, batch, bins * electrodes) to (members, batch, target_dim).

        `keep` False sets a column to 0.
        """
        return self.network(self.time(values if keep is None else values * keep))


def time_layer(
    settings: Mapping[str, Any],
    n_electrodes: int,
    regions: Sequence[str] | None,
    members: int,
    bins: int,
) -> TimeWeighting | None:
    """What the settings weigh time bins with; None where they are read side by side.

    Args:
        settings: of an entry; decoders from before there were bins have no `time`.
        regions: area of each electrode; None: all the same.
    """
    time = settings.get("time", "concatenated")
    regions = ["all"] * n_electrodes if regions is None else regions
    if time == "gate":
        return TimeGate(members, bins, regions)
    if time == "low_rank":
        return TemporalFilters(members, bins, regions, settings["time_rank"])
    return None
