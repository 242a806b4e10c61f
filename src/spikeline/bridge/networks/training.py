"""Train networks that align responses with image embeddings, by gradient descent.

Only training rows are read. A network is chosen on validation rows that are scored as the test is:
N-way, in galleries of as many images as the test has. The scaler and the target space of each
member are fitted to that member's own training rows, without its validation rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spikeline.bridge.aligned_member import AffineMap, AlignedMember, NetworkMap
from spikeline.bridge.decoder import Decoder
from spikeline.bridge.preprocessing import (
    ResponseScaler,
    electrode_selection,
    stabilised,
    time_bins,
)
from spikeline.bridge.pretraining.pretrained import Columns
from spikeline.bridge.pretraining.transfer import frozen_parameters, learning_settings
from spikeline.bridge.splits import left_out_together, validation_split_of
from spikeline.bridge.targets import fit_target_space

if TYPE_CHECKING:
    import torch
    from lightning_fabric import Fabric

    from spikeline.bridge.pretraining.start import Start
    from spikeline.training.state import StateFile

# The scale of what a layer over time returns is measured on so many rows.
CALIBRATION_ROWS = 2048


def fit_network(
    responses: np.ndarray,
    embeddings: np.ndarray,
    images: np.ndarray,
    categories: np.ndarray,
    electrodes: Mapping[str, np.ndarray],
    settings: Mapping[str, Any],
    *,
    seed: int,
    gallery: int,
    fabric: Fabric,
    state_file: StateFile | None = None,
    layer_dims: Sequence[int] = (),
    edges: Sequence[float] | None = None,
    start: Start | None = None,
) -> tuple[Decoder, list[dict]]:
    """Train a `linear`, `mlp` or `capoyo` decoder, or `members` of them side by side.

    Each member starts from its own weights and is stopped on its own validation images; the
    decoder is their mean.

    Args:
        responses: training rows (rows, columns of the file), float32 or, in time bins, float16.
        embeddings: of the image of each row (rows, dim).
        images, categories: str (rows,).
        electrodes: the electrode table.
        settings: resolved settings of the entry; `members` only of linear and mlp.
        seed: of validation images, initial weights, shuffling and augmentation.
        gallery: number of test images: validation galleries are as large.
        fabric, state_file: see `spikeline.training.loop.train`.
        edges: of the responses' time bins, ms, where there are some.
        start: the initial weights of a `capoyo`, of which those learn that `transfer` says.

    Returns:
        The decoder, and one history row per epoch and member.

    Raises:
        InputError: a start that does not fit.
    """
    import torch

    from spikeline.bridge.networks.architectures import build_network
    from spikeline.bridge.networks.batches import ShuffledRows
    from spikeline.bridge.networks.losses import AlignmentLoss
    from spikeline.bridge.pretraining.masks import Masking
    from spikeline.training.loop import train
    from spikeline.training.schedule import Schedule
    from spikeline.training.state import fingerprint

    chosen = electrode_selection(
        electrodes, settings["regions"], settings["min_snr"], settings["min_reliability"]
    )
    bins = time_bins(electrodes, chosen, settings)
    columns = Columns.of(electrodes, chosen, edges)
    regions = columns.electrode_regions
    if start is not None:
        start.check(settings, columns)
    members = settings.get("members", 1)
    responses_chosen = responses[:, chosen]
    units = left_out_together(images, categories, settings["drop_test_concepts"])
    transform = settings["transform"]
    splits, scalers, spaces = [], [], []
    for fold in range(members):
        split = validation_split_of(settings, images, categories, gallery, seed, fold)
        scaler = ResponseScaler.fit(responses_chosen[split.train], transform)
        if start is not None and start.target is not None:
            spaces.append(start.target)
        else:
            spaces.append(
                fit_target_space(
                    embeddings[split.train],
                    images[split.train],
                    settings,
                    lambda scaler=scaler, rows=split.train: scaler.apply(responses_chosen[rows]),
                    units[split.train],
                    layer_dims,
                )
            )
        splits.append(split)
        scalers.append(scaler)
    # members may find a different number of axes with variance; their networks share one size
    components = min(space.components for space in spaces)
    spaces = [space.truncated(components) for space in spaces]

    torch.manual_seed(2 * seed)  # the loop seeds itself, with another number
    network = build_network(settings, len(regions), regions, components, members, bins)
    criterion = AlignmentLoss(
        settings["loss"],
        members,
        settings["label_smoothing"],
        settings["softclip_temperature"],
    )
    device = fabric.device
    model = torch.nn.ModuleDict({"network": network, "criterion": criterion})
    frozen = masking = None
    if start is not None:
        start.load(network, columns)
        if settings["transfer"] == "joint":
            model["mask_decoder"] = start.mask_decoder(settings)
            masking = Masking.of(settings, np.array(columns.regions), bins)
        frozen = frozen_parameters(settings, dict(model.named_parameters()))
    model = model.to(device)
    alignment = _Alignment(
        model,
        settings,
        scalers,
        spaces,
        splits,
        responses_chosen,
        embeddings,
        images,
        device,
        bins,
        masking,
    )
    alignment.calibrate([split.train for split in splits])
    batches = ShuffledRows(
        [torch.from_numpy(split.train).to(device) for split in splits],
        settings["batch_size"],
        2 * seed + 1,
        fabric.world_size,
    )
    history = train(
        model,
        lambda number: alignment.loss(batches(number)),
        Schedule.of(learning_settings(settings), batches.steps),
        fabric=fabric,
        seed=2 * seed + 1,
        members=members,
        score=alignment.score if settings["validation_images"] else None,
        frozen=frozen,
        state_file=state_file,
        fingerprint=fingerprint(
            [settings, seed, gallery, regions],
            responses_chosen,
            embeddings,
            images,
            categories,
            *(() if start is None else network.state_dict().values()),
        ),
    )
    trained = [
        AlignedMember(
            chosen,
            scalers[member],
            _map(settings, network, member, regions, components, bins),
            spaces[member],
            weight=1 / members,
        )
        for member in range(members)
    ]
    known = {"settings": dict(settings), **({} if start is None else start.record)}
    return Decoder(responses.shape[1], tuple(trained), known), history


class _Alignment:
    """The training data on the device, with the loss and the score that the training loop needs."""

    def __init__(
        self,
        model,
        settings,
        scalers,
        spaces,
        splits,
        responses,
        embeddings,
        images,
        device,
        bins,
        masking=None,
    ):
        import torch

        def resident(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(device)

        self.model, self.settings, self.device = model, settings, device
        self.bins, self.masking = bins, masking
        # responses once and in their own precision, standardised per member batch by batch;
        # targets per member
        transform = scalers[0].transform
        self.values = resident(
            responses if transform == "none" else stabilised(responses, transform)
        )
        self.mean = resident(np.stack([scaler.mean for scaler in scalers]))[:, None]
        self.inverse_std = resident(np.stack([scaler.inverse_std for scaler in scalers]))[:, None]
        self.targets = resident(np.stack([space.project(embeddings) for space in spaces]))
        if settings["loss"] == "mse":  # errors in units of the mean target
            self.targets /= self.targets.square().mean((1, 2), keepdim=True).sqrt()
        self.member = torch.arange(len(splits), device=device)[:, None]
        self.galleries = resident(np.stack([split.galleries for split in splits]))
        names, image = np.unique(images, return_inverse=True)
        self.image = resident(image) if len(names) < len(images) else None

    def standardised(self, rows: torch.Tensor) -> torch.Tensor:
        """(members, batch) row indices to (members, batch, columns) float32."""
        return (self.values[rows] - self.mean) * self.inverse_std

    def calibrate(self, rows: Sequence[np.ndarray]) -> None:
        """Give a layer over time its scale, on at most `CALIBRATION_ROWS` rows of each member."""
        import torch

        time = getattr(self.model["network"], "time", None)
        if time is not None:
            count = min(CALIBRATION_ROWS, *map(len, rows))
            # spread over the recording, whose days differ
            chosen = [own[np.linspace(0, len(own) - 1, count).astype(int)] for own in rows]
            taken = torch.from_numpy(np.stack(chosen)).to(self.device)
            time.calibrate(self.standardised(part) for part in taken.split(256, dim=1))

    def loss(self, rows: torch.Tensor) -> torch.Tensor:
        import torch

        from spikeline.bridge.networks.augmentation import augment
        from spikeline.training.device import mixed_precision

        network = self.model["network"]
        values, keep = augment(
            self.standardised(rows),
            self.settings["noise_std"],
            self.settings["electrode_dropout"],
            network.masks_electrodes,
            bins=self.bins,
        )
        same = None
        if self.image is not None:
            image = self.image[rows]
            same = image[:, :, None] == image[:, None]
            same &= ~torch.eye(rows.shape[1], dtype=torch.bool, device=rows.device)
        with mixed_precision(self.device):
            predictions = network(values, keep)
        loss = self.model["criterion"](predictions, self.targets[self.member, rows], same)
        if self.masking is None:
            return loss
        return loss + self.settings["masking_weight"] * self._masked_error(rows)

    def _masked_error(self, rows: torch.Tensor) -> torch.Tensor:
        """(1,) error of hidden responses of these rows (1, batch), none of them augmented."""
        from spikeline.bridge.pretraining.network import masked_error
        from spikeline.training.device import mixed_precision

        hidden = self.masking.draw(rows.shape[1]).to(self.device)
        encoder, decoder = self.model["network"].encoder, self.model["mask_decoder"]
        varying = self.inverse_std[0, 0] > 0
        with mixed_precision(self.device):
            return masked_error(encoder, decoder, self.standardised(rows)[0], hidden, varying)[None]

    def score(self) -> dict[str, torch.Tensor]:
        """N-way top-1 and top-5 from responses to images on the validation galleries."""
        from torch.nn import functional

        from spikeline.training.device import mixed_precision

        members, galleries, size = self.galleries.shape
        rows = self.galleries.flatten(1)
        with mixed_precision(self.device):
            predictions = self.model["network"](self.standardised(rows))
        if not predictions.isfinite().all():
            # no comparison with NaN is true: every rank would be 0
            raise FloatingPointError("a prediction is not finite")
        predictions = functional.normalize(predictions.float(), dim=-1)
        targets = functional.normalize(self.targets[self.member, rows], dim=-1)
        shape = (members, galleries, size, -1)
        similarity = predictions.reshape(shape) @ targets.reshape(shape).mT
        own = similarity.diagonal(dim1=-2, dim2=-1)[..., None]
        rank = (similarity >= own).sum(-1) - 1  # ties count against the decoder
        top1, top5 = ((rank < k).float().mean((1, 2)) for k in (1, 5))
        return {
            "score": (top1 + top5) / 2,
            "validation_top1": top1,
            "validation_top5": top5,
            "validation_cosine": own.mean((1, 2, 3)),
        }


def _map(
    settings: Mapping[str, Any],
    network,
    member: int,
    regions: Sequence[str],
    components: int,
    bins: int,
) -> AffineMap | NetworkMap:
    """What a decoder keeps of one member of a trained network."""
    state = {name: tensor.cpu().numpy() for name, tensor in network.state_dict().items()}
    if network.members > 1:
        state = {name: array[member : member + 1].copy() for name, array in state.items()}
    if settings["kind"] == "linear" and not hasattr(network, "time"):
        return AffineMap(state["output.weight"][0], state["output.bias"][0])
    return NetworkMap(dict(settings), list(regions), components, state, bins)
