"""Pretrain an encoder of electrodes by masking, on responses alone; no image is read.

The model with the least masked error on validation rows is kept. Beside it stand the errors, on the
same rows and masks, of predicting each column's mean and of ridge regression on what is visible.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spikeline.artifacts.responses import Responses
from spikeline.bridge.preprocessing import ResponseScaler, electrode_selection
from spikeline.bridge.pretraining.linear_prediction import linear_error
from spikeline.bridge.pretraining.pretrained import Columns, Pretrained
from spikeline.bridge.splits import (
    ValidationSplit,
    training_rows_of,
    validation_split,
    validation_split_of,
)
from spikeline.errors import InputError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from spikeline.training.state import StateFile

# Distinct masks of the validation rows: each costs a ridge regression.
VALIDATION_MASKS = 4
# Share of the test images whose presentations validate, where pretraining reads those.
_VALIDATION_SHARE = 0.1
_BATCH = 256


@dataclass(frozen=True)
class MaskingRows:
    """What pretraining reads: `values` (rows, columns of the file), which rows train, which
    validate, and how many repetitions of the test images are among them."""

    values: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    test_repetitions: int = 0


def masking_rows(
    recorded: Responses, settings: Mapping[str, Any], seed: int, where: str = "responses"
) -> MaskingRows:
    """The rows of a recording that pretraining of these settings may read.

    From `training`: the rows that a decoder of the same settings and seed trains on, validated on
    the same images. From `test_phase`: the first `reserved_repetitions` presentations of each test
    image, validated on a tenth of the images; evaluation leaves them out.

    Raises:
        InputError: no repetitions are reserved, or fewer are recorded.
    """
    test = recorded.split(seed)
    if settings["pretraining_data"] == "test_phase":
        count = settings["reserved_repetitions"]
        if not count:
            raise InputError(
                "reserved_repetitions: 0 leaves pretraining_data: test_phase nothing; raise it"
            )
        recorded.without_first(count, where)
        values = recorded.repetitions[:count].reshape(-1, recorded.values.shape[1])
        images = np.tile(recorded.images[test], count)
        held_out = max(1, round(_VALIDATION_SHARE * test.sum()))
        split = validation_split(images, images, held_out, held_out, seed=seed)
        rows = np.flatnonzero(np.isin(images, images[split.galleries]))
        return MaskingRows(values, split.train, rows, count)
    rows = training_rows_of(settings, test, recorded.images, recorded.categories, seed)
    split: ValidationSplit = validation_split_of(
        settings, recorded.images[rows], recorded.categories[rows], int(test.sum()), seed, 0
    )
    return MaskingRows(recorded.values[rows], split.train, split.galleries.ravel())


def pretrain(
    rows: MaskingRows,
    electrodes: Mapping[str, np.ndarray],
    settings: Mapping[str, Any],
    *,
    seed: int,
    fabric: Fabric,
    state_file: StateFile | None = None,
    edges: np.ndarray | None = None,
) -> tuple[Pretrained, list[dict]]:
    """Train an encoder and a decoder of masked responses.

    Args:
        rows: see `masking_rows`.
        electrodes: the electrode table, per column; with time bins it has a column `bin`.
        settings: of the step `pretrain`.
        seed: of initial weights, masks and the order of rows.
        fabric, state_file: see `spikeline.training.loop.train`.
        edges: (bins + 1,) ms, where there are time bins.

    Returns:
        The pretrained model, and one history row per epoch: with validation rows also `masked_mse`,
        `masked_mse_mean` and `masked_mse_linear`, mean squared errors in each column's variance.

    Raises:
        InputError: no electrode is left, or a mask that these responses do not allow.
    """
    import torch

    from spikeline.bridge.networks.batches import ShuffledRows
    from spikeline.bridge.pretraining.masks import Masking
    from spikeline.bridge.pretraining.network import arrays_of, new_decoder, new_encoder
    from spikeline.training.loop import train
    from spikeline.training.schedule import Schedule
    from spikeline.training.state import fingerprint

    chosen = electrode_selection(
        electrodes, settings["regions"], settings["min_snr"], settings["min_reliability"]
    )
    columns = Columns.of(electrodes, chosen, edges)
    regions = columns.regions
    masking = Masking.of(settings, np.array(regions), columns.bins)
    scaler = ResponseScaler.fit(rows.values[rows.train][:, chosen], settings["transform"])
    values = scaler.apply(rows.values[:, chosen])

    torch.manual_seed(2 * seed)  # the loop seeds itself, with another number
    device = fabric.device
    model = torch.nn.ModuleDict(
        {
            "encoder": new_encoder(settings, columns.electrode_regions, columns.bins),
            "decoder": new_decoder(settings),
        }
    ).to(device)
    start = component_identities(values[rows.train], columns.bins, settings["dim"])
    with torch.no_grad():
        kept = start.shape[1]
        model["encoder"].electrodes.identity[:, :kept] = torch.from_numpy(start).to(device)
    masked = _Masked(model, masking, values, scaler.inverse_std > 0, rows.validation, seed, device)
    batches = ShuffledRows(
        [torch.from_numpy(rows.train).to(device)],
        settings["batch_size"],
        2 * seed + 1,
        fabric.world_size,
    )
    schedule = Schedule(
        settings["pretraining_epochs"],
        batches.steps,
        settings["pretraining_learning_rate"],
        settings["weight_decay"],
        settings["warmup_epochs"],
        settings["pretraining_patience"],
    )
    history = train(
        model,
        lambda number: masked.loss(batches(number)[0]),
        schedule,
        fabric=fabric,
        seed=2 * seed + 1,
        score=masked.score if len(rows.validation) else None,
        state_file=state_file,
        fingerprint=fingerprint(
            [dict(settings), seed, regions, columns.bins], rows.values, rows.train, rows.validation
        ),
    )
    errors: dict[str, float] = {}
    if len(rows.validation):
        errors = masked.compared(values[rows.train], float(masked.score()["masked_mse"]))
        for row in history:
            row |= {name: errors[name] for name in ("masked_mse_mean", "masked_mse_linear")}
    return Pretrained(
        settings=dict(settings),
        n_columns=rows.values.shape[1],
        columns=chosen,
        regions=regions,
        edges=None if edges is None else [float(edge) for edge in edges],
        encoder=arrays_of(model["encoder"]),
        decoder=arrays_of(model["decoder"]),
        errors=errors,
        test_repetitions=rows.test_repetitions,
    ), history


def component_identities(values: np.ndarray, bins: int, dim: int) -> np.ndarray:
    """Identities to start from: the place of each electrode among the others' responses.

    These are its loadings on the principal components of the training rows, so that electrodes that
    vary together have like identities. From random ones the masked error of the demo's recording
    stays at that of the mean for as many epochs as these take to come near ridge regression.

    Args:
        values: standardised responses (rows, bins * electrodes); bins of an electrode are averaged.
        dim: components, at most as many as electrodes.

    Returns:
        (electrodes, components) float32 of mean square 1.
    """
    rows = values.reshape(len(values), bins, -1).mean(1, dtype=np.float64)
    rows -= rows.mean(0)
    variance, axes = np.linalg.eigh(rows.T @ rows)
    variance, axes = variance[::-1][:dim].clip(0), axes[:, ::-1][:, :dim]
    # The sign of an eigenvector is arbitrary: make its largest entry positive.
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    loadings = axes * np.sqrt(variance)
    return (loadings / np.sqrt(np.square(loadings).mean())).astype(np.float32)


class _Masked:
    """Responses on the device, with the loss and the score that the training loop needs."""

    def __init__(self, model, masking, values, varying, validation, seed, device):
        import torch

        self.model, self.masking, self.device = model, masking, device
        self.values = torch.from_numpy(values).to(device)
        self.varying = torch.from_numpy(varying).to(device)
        self.validation = torch.from_numpy(validation).to(device)
        # The same masks in every epoch, and few: rows take them in turn.
        generator = torch.Generator().manual_seed(2 * seed)
        drawn = masking.draw(VALIDATION_MASKS, generator)
        self.hidden = drawn[torch.arange(len(validation)) % VALIDATION_MASKS].to(device)

    def loss(self, rows):
        """(1,) masked error of these rows under new masks."""
        hidden = self.masking.draw(len(rows)).to(self.device)
        return self._error(self.values[rows], hidden)[None]

    def score(self):
        """Masked error of the validation rows; less is better."""
        import torch

        with torch.no_grad():
            sizes = [len(part) for part in self.validation.split(_BATCH)]
            parts = zip(self.validation.split(_BATCH), self.hidden.split(_BATCH), strict=True)
            errors = [self._error(self.values[rows], hidden) for rows, hidden in parts]
        error = sum(e * n for e, n in zip(errors, sizes, strict=True)) / sum(sizes)
        if not error.isfinite():
            raise FloatingPointError("the masked error is not finite")
        return {"score": -error[None], "masked_mse": error[None]}

    def compared(self, train: np.ndarray, error: float) -> dict[str, float]:
        """The error beside those of the columns' means and of ridge regression."""
        held_out, hidden = self.values[self.validation].cpu().numpy(), self.hidden.cpu().numpy()
        varying = self.varying.cpu().numpy()
        return {
            "masked_mse": error,
            "masked_mse_mean": float(np.square(held_out[hidden & varying]).mean()),
            "masked_mse_linear": linear_error(train, held_out, hidden, varying),
        }

    def _error(self, values, hidden):
        from spikeline.bridge.pretraining.network import masked_error
        from spikeline.training.device import mixed_precision

        with mixed_precision(self.device):
            return masked_error(
                self.model["encoder"], self.model["decoder"], values, hidden, self.varying
            )
