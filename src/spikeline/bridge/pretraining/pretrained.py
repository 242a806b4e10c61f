"""The file of a pretrained encoder, and whether it fits the responses and the model at hand."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikeline.artifacts.formats import safetensors_file
from spikeline.artifacts.responses import BIN
from spikeline.errors import InputError

CONTRACT = "pretrained/1"
# Settings of the model that must be those of its encoder.
_ENCODER = ("dim", "latents", "depth", "heads", "region_embedding", "transform")
_MASK = ("mask", "mask_share", "mask_bins")


@dataclass(frozen=True)
class Columns:
    """The columns of responses that a network reads.

    Attributes:
        count: of the responses file.
        chosen: their indices in it, the same electrodes in each time bin; regions: their areas.
        bins: of time; 1 where responses are means over time.
        edges: of the bins, ms, where they are known.
    """

    count: int
    chosen: np.ndarray
    regions: list[str]
    bins: int = 1
    edges: Sequence[float] | np.ndarray | None = None

    @classmethod
    def of(
        cls,
        electrodes: Mapping[str, np.ndarray],
        chosen: np.ndarray,
        edges: Sequence[float] | np.ndarray | None,
    ) -> Columns:
        """Chosen columns of an electrode table."""
        region = np.asarray(electrodes["region"])
        bins = int(np.max(electrodes[BIN])) + 1 if BIN in electrodes else 1
        return cls(len(region), chosen, [str(area) for area in region[chosen]], bins, edges)

    @property
    def electrode_regions(self) -> list[str]:
        """The area of each electrode, however many bins it has."""
        return self.regions[: len(self.regions) // self.bins]


@dataclass(frozen=True)
class Pretrained:
    """An encoder of electrodes and the decoder of masked responses that it was trained with.

    Attributes:
        settings: of the step `pretrain`.
        n_columns: of the responses file: electrodes, times time bins where there are some.
        columns: (columns,) indices in that file of what the encoder reads; regions: their areas.
        edges: of the time bins, ms; None for means over time.
        encoder, decoder: their weights by name.
        errors: `masked_mse` on validation rows and what stands beside it; may be empty.
        test_repetitions: of each test image that were read; evaluation must leave them out.
    """

    settings: Mapping[str, Any]
    n_columns: int
    columns: np.ndarray
    regions: list[str]
    edges: list[float] | None
    encoder: dict[str, np.ndarray]
    decoder: dict[str, np.ndarray]
    errors: Mapping[str, float] = field(default_factory=dict)
    test_repetitions: int = 0

    def save(self, path: str | os.PathLike[str], record: Mapping[str, Any] | None = None) -> None:
        """Write safetensors atomically."""
        arrays = {"columns": self.columns.astype(np.int32)}
        arrays |= {f"encoder.{name}": array for name, array in self.encoder.items()}
        arrays |= {f"decoder.{name}": array for name, array in self.decoder.items()}
        names = ("n_columns", "regions", "edges", "test_repetitions")
        description = {name: getattr(self, name) for name in names}
        description |= {"settings": dict(self.settings), "errors": dict(self.errors)}
        safetensors_file.write(path, CONTRACT, arrays, description, record)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Pretrained:
        """Read what `save` wrote.

        Raises:
            InputError: a damaged file, or one that is no pretrained encoder.
        """
        description, arrays = safetensors_file.read(path, CONTRACT)
        with safetensors_file.whole(path):
            parts: dict[str, dict[str, np.ndarray]] = {"encoder": {}, "decoder": {}}
            for name, array in arrays.items():
                part, _, own = name.partition(".")
                if own:
                    parts[part][own] = array
            names = ("settings", "n_columns", "regions", "edges", "errors", "test_repetitions")
            known = {name: description[name] for name in names}
            return cls(columns=arrays["columns"], **known, **parts)

    def check(self, settings: Mapping[str, Any], columns: Columns, where: str) -> None:
        """Raise InputError where this encoder does not fit a model and its responses.

        Args:
            settings: of the model; columns: that it reads.
            where: names the file of this encoder.
        """
        edges = None if columns.edges is None else [float(edge) for edge in columns.edges]
        compared = [
            ("time bins (ms)", self.edges, edges),
            ("electrodes in all", self.n_columns, columns.count),
            ("areas", sorted(set(self.regions)), sorted(set(columns.regions))),
            ("electrodes", len(self.regions), len(columns.regions)),
            *((key, self.settings[key], settings[key]) for key in (*_ENCODER, *_MASK)),
        ]
        for what, own, expected in compared:
            if own != expected:
                raise InputError(
                    f"{where}: was pretrained with {what} {_said(own)}, and this model has "
                    f"{_said(expected)}; pretrain with the same"
                )
        same = self.regions == columns.regions
        if not same or not np.array_equal(self.columns, columns.chosen):
            raise InputError(
                f"{where}: was pretrained on other electrodes of these responses; pretrain with "
                "the same regions, min_snr and min_reliability"
            )


def _said(value: Any) -> str:
    if value is None:
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
