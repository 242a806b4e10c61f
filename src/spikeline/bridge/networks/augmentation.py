"""Augmentation of standardised responses: silenced electrodes and Gaussian noise."""

from __future__ import annotations

import torch
from torch import Tensor


def electrode_mask(
    shape: tuple[int, ...],
    dropout: float,
    device: torch.device | str = "cpu",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Which electrodes are kept, drawn for every sample: (..., electrodes) bool.

    A sample that would lose all electrodes keeps all of them.
    """
    keep = torch.rand(shape, device=device, generator=generator) >= dropout
    return keep | ~keep.any(-1, keepdim=True)


def augment(
    values: Tensor,
    noise_std: float,
    electrode_dropout: float,
    masks_electrodes: bool,
    generator: torch.Generator | None = None,
    bins: int = 1,
) -> tuple[Tensor, Tensor | None]:
    """Noisy responses with some electrodes dropped.

    Args:
        values: standardised responses (..., bins * electrodes).
        noise_std: standard deviation of the added noise, in units of each column's own.
        electrode_dropout: share of electrodes dropped in each sample, in all their bins.
        masks_electrodes: the network takes a mask. Otherwise dropped electrodes are set to their
            training mean, 0, and the others grow by 1 / (1 - electrode_dropout), which keeps the
            expected input of the first layer.
        bins: of time.

    Returns:
        values, and the mask (..., bins * electrodes) of columns that are kept, or None.
    """
    if noise_std:
        noise = torch.empty_like(values).normal_(generator=generator)
        values = torch.add(values, noise, alpha=noise_std)
    if not electrode_dropout:
        return values, None
    shape = (*values.shape[:-1], values.shape[-1] // bins)
    keep = electrode_mask(shape, electrode_dropout, values.device, generator)
    if bins > 1:
        keep = keep.repeat(*[1] * (keep.ndim - 1), bins)
    if masks_electrodes:
        return values, keep
    return values * (keep / (1 - electrode_dropout)), None
