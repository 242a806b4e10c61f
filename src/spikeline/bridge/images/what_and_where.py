"""A small network that says what is in an image, wherever it lies, and by a few channels where.

The maximum over the last map makes a shape cheap to learn: it need not be learnt anew at each
place. timm knows the network as `what_and_where_8`, `_16` ..., by the channels of its first stage,
so that open_clip builds a CLIP on it; importing this module registers the names.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from timm.models import register_model
from torch import Tensor, nn
from torch.nn import functional

from spikeline.settings.relations import WIDEST_WHAT_AND_WHERE

# Channels of the first stage that timm knows by name.
WIDTHS = tuple(range(8, WIDEST_WHAT_AND_WHERE + 1, 8))
_NAME = "what_and_where"
_HIDDEN = 256
# Channels of the last map whose places are kept apart, on a grid of so many places a side.
_WHERE, _GRID = 8, 4


class WhatAndWhere(nn.Module):
    """Four stages of two convolutions, each at half the resolution of the last, and a hidden layer.

    Shape:
        images: (n, 3, side, side), side a multiple of 16 -> (n, hidden), none negative.
    """

    def __init__(self, width: int, hidden: int):
        """
        Args:
            width: channels of the first stage; each further one has twice as many.
            hidden: units of the hidden layer.
        """
        super().__init__()
        channels = [3, *(width * 2**k for k in range(4))]
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
                nn.Conv2d(after, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            )
            for before, after in pairwise(channels)
        )
        # What is there, wherever it is; and a few channels that tell where.
        self.where = nn.Conv2d(channels[-1], _WHERE, 1)
        self.hidden = nn.Linear(channels[-1] + _WHERE * _GRID**2, hidden)

    def maps(self, images: Tensor) -> list[Tensor]:
        """What each stage gives: (n, channels, height, width)."""
        found = [images]
        for stage in self.stages:
            found.append(stage(found[-1]))
        return found[1:]

    def read(self, last: Tensor) -> Tensor:
        """(n, hidden) of the last stage's map."""
        where = functional.adaptive_avg_pool2d(self.where(last), _GRID)
        return functional.relu(self.hidden(torch.cat([last.amax((2, 3)), where.flatten(1)], 1)))

    def forward(self, images: Tensor) -> Tensor:
        return self.read(self.maps(images)[-1])


def name_of(width: int) -> str:
    """What timm calls the network of so many channels in its first stage."""
    return f"{_NAME}_{width}"


def _entry(width: int) -> Callable[..., nn.Module]:
    def build(pretrained: bool = False, num_classes: int = 0, **_: object) -> nn.Module:
        """As timm and open_clip ask for it; there are no weights to download."""
        return nn.Sequential(WhatAndWhere(width, _HIDDEN), nn.Linear(_HIDDEN, num_classes))

    build.__name__ = name_of(width)
    return build


for _width in WIDTHS:
    register_model(_entry(_width))
