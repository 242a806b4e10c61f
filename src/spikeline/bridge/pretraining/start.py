"""What a decoder may start from: a pretrained encoder, or another subject's decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from spikeline.bridge.aligned_member import AlignedMember, NetworkMap
from spikeline.bridge.decoder import Decoder
from spikeline.bridge.pretraining.pretrained import Columns, Pretrained
from spikeline.bridge.targets import TargetSpace
from spikeline.errors import InputError

if TYPE_CHECKING:
    from torch import nn

_IDENTITY = "encoder.electrodes.identity"
# Settings that make two networks the same but for their electrodes.
_NETWORK = (
    "kind", "dim", "latents", "depth", "heads", "readout_queries", "hidden", "region_embedding",
    "target_layers",
)  # fmt: skip


class Start(Protocol):
    """A source of initial weights.

    Attributes:
        target: the space of the predictions where the start brings one, else None.
        record: what the decoder's metadata keep of it.
    """

    target: TargetSpace | None
    record: dict[str, Any]

    def check(self, settings: Mapping[str, Any], columns: Columns) -> None:
        """Raise InputError where it does not fit a model."""

    def load(self, network: nn.Module, columns: Columns) -> None:
        """Put the weights into a new network; those that it has none for stay as they are."""


class EncoderStart:
    """From a pretrained encoder of the same electrodes; the head is new.

    Args:
        path: names the file in errors.
    """

    target = None

    def __init__(self, pretrained: Pretrained, path: str):
        self.pretrained, self.path = pretrained, path
        self.record = {
            "pretraining": {
                "errors": dict(pretrained.errors),
                "test_repetitions": pretrained.test_repetitions,
            }
        }

    def check(self, settings: Mapping[str, Any], columns: Columns) -> None:
        if settings["transfer"] == "identities":
            raise InputError(
                f"{self.path}: transfer 'identities' keeps another subject's decoder, and this is "
                "a pretrained encoder; choose another transfer"
            )
        self.pretrained.check(settings, columns, self.path)

    def load(self, network: nn.Module, columns: Columns) -> None:
        from spikeline.bridge.pretraining.network import tensors_of

        network.encoder.load_state_dict(tensors_of(self.pretrained.encoder))

    def mask_decoder(self, settings: Mapping[str, Any]) -> nn.Module:
        """The decoder of hidden responses that the encoder was trained with."""
        from spikeline.bridge.pretraining.network import new_decoder, tensors_of

        decoder = new_decoder(settings)
        decoder.load_state_dict(tensors_of(self.pretrained.decoder))
        return decoder


class SubjectStart:
    """From the decoder of another subject: all weights but the electrodes' identities.

    An identity is drawn around the mean of those that the source has for the same area, with their
    spread. The source's target space is kept, so that outputs mean the same.

    Args:
        path: names the file in errors.

    Raises:
        InputError: no decoder of one network of kind capoyo.
    """

    def __init__(self, decoder: Decoder, path: str):
        member = decoder.members[0]
        if (
            len(decoder.members) > 1
            or not isinstance(member, AlignedMember)
            or not isinstance(member.map, NetworkMap)
            or member.map.settings["kind"] != "capoyo"
        ):
            raise InputError(f"{path}: is no decoder of one network of kind capoyo; start from one")
        self.source, self.path = member.map, path
        self.target = member.target
        self.record: dict[str, Any] = {}

    def check(self, settings: Mapping[str, Any], columns: Columns) -> None:
        if settings["transfer"] == "joint":
            raise InputError(
                f"{self.path}: transfer 'joint' needs a pretrained encoder, and this is a decoder; "
                "choose another transfer"
            )
        for key in _NETWORK:
            own = self.source.settings[key]
            if own != settings[key]:
                raise InputError(
                    f"{self.path}: was trained with {key} {own}, and this model has "
                    f"{settings[key]}; start from the same model"
                )
        own, wanted = sorted(set(self.source.regions)), sorted(set(columns.regions))
        if own != wanted:
            raise InputError(
                f"{self.path}: was trained on the areas {', '.join(own)}, and this subject has "
                f"{', '.join(wanted)}; set regions to those that both have"
            )

    def load(self, network: nn.Module, columns: Columns) -> None:
        import torch

        from spikeline.bridge.pretraining.network import tensors_of

        state = tensors_of(self.source.state)
        wanted = columns.electrode_regions
        identity = new_identities(state[_IDENTITY], self.source.regions, wanted)
        network.load_state_dict({**state, _IDENTITY: identity.to(torch.float32)})


def new_identities(identities, regions: Sequence[str], wanted: Sequence[str]):
    """Identities for other electrodes, drawn with torch's own generator.

    Args:
        identities: (electrodes, dim) tensor; regions: (electrodes,) their areas.
        wanted: the areas of the new electrodes, all among `regions`.

    Returns:
        (new electrodes, dim) tensor: each area's mean, and around it Gaussian values with the
        standard deviation of that area in each dimension.
    """
    import torch

    own, new = np.asarray(regions), np.asarray(wanted)
    found = torch.empty(len(new), identities.shape[1])
    for region in np.unique(new):
        of_area = identities[torch.from_numpy(own == region)]
        noise = torch.randn(int((new == region).sum()), identities.shape[1])
        found[torch.from_numpy(new == region)] = of_area.mean(0) + noise * of_area.std(
            0, correction=0
        )
    return found
