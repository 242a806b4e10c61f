"""From a trained start to a decoder: which weights are taken over, and which learn in which epoch.

The network is a stack of stages, from the electrodes up: `identities` (each electrode's and each
area's vector), `attention` of the latents to the electrodes with its feed-forward block, the
self-attention layers `layer0`, `layer1` ..., and `head` (readout, projector and the loss's own).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

IDENTITIES, ATTENTION, HEAD = "identities", "attention", "head"
_VECTORS = (
    "network.encoder.electrodes.identity",
    "network.encoder.electrodes.region",
    "network.encoder.electrodes.time",
)


def stages(depth: int) -> list[str]:
    """The stages of an encoder with so many self-attention layers, from the bottom."""
    return [IDENTITIES, ATTENTION, *(f"layer{layer}" for layer in range(depth))]


def learning(
    transfer: str, epoch: int, depth: int, freeze_epochs: int, unfreeze_every: int
) -> list[str]:
    """The stages that learn in an epoch, counted from 0.

    Args:
        transfer: `full` and `joint`: all. `freeze`: the head alone. `freeze_then_unfreeze`: the
            head alone for `freeze_epochs`, then all. `gradual`: the head, and one stage more, from
            the top, after each `unfreeze_every` epochs. `identities`: those alone.
        depth: self-attention layers.
    """
    encoder = stages(depth)
    if transfer == "identities":
        return [IDENTITIES]
    thawed = {
        "full": len(encoder),
        "joint": len(encoder),
        "freeze": 0,
        "freeze_then_unfreeze": len(encoder) if epoch >= freeze_epochs else 0,
        "gradual": min(epoch // unfreeze_every, len(encoder)),
    }[transfer]
    return [*encoder[len(encoder) - thawed :], HEAD]


def stage_of(parameter: str) -> str:
    """The stage of a parameter, by its name among those of {network, criterion, ...}."""
    if parameter in _VECTORS:
        return IDENTITIES
    if parameter.startswith("network.encoder.layers."):
        return f"layer{parameter.split('.')[3]}"
    if parameter.startswith("network.encoder."):
        return ATTENTION
    return HEAD


def frozen_parameters(
    settings: Mapping[str, Any], parameters: Collection[str]
) -> Callable[[int], set[str]]:
    """For the training loop: epoch -> the names of the parameters that do not learn in it.

    Args:
        settings: of a capoyo entry.
        parameters: all names, as `stage_of` knows them.
    """

    def frozen(epoch: int) -> set[str]:
        learn = learning(
            settings["transfer"],
            epoch,
            settings["depth"],
            settings["freeze_epochs"],
            settings["unfreeze_every"],
        )
        return {name for name in parameters if stage_of(name) not in learn}

    return frozen


def learning_settings(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings with the learning rate that counts: identities alone have their own."""
    if settings.get("transfer") != "identities":
        return settings
    return {**settings, "learning_rate": settings["identities_learning_rate"]}
