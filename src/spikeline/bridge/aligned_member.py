"""A member of a decoder that maps responses into the target space of image embeddings.

The map is affine (ridge, a trained linear layer), which needs no torch, or a network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikeline.bridge.preprocessing import ResponseScaler
from spikeline.bridge.targets import TargetSpace, unit_rows


@dataclass(frozen=True)
class AffineMap:
    """Responses @ coefficients + intercept: a ridge regression or a trained linear layer."""

    coefficients: np.ndarray
    intercept: np.ndarray

    def predict(self, values: np.ndarray) -> np.ndarray:
        return values @ self.coefficients + self.intercept

    def tensors(self) -> dict[str, np.ndarray]:
        return {"coefficients": self.coefficients, "intercept": self.intercept}

    def description(self) -> dict[str, Any]:
        return {"map": "affine"}


@dataclass
class NetworkMap:
    """A network of `bridge.networks.architectures`, as its settings and the arrays of its state."""

    settings: dict[str, Any]
    regions: list[str]  # of each electrode
    target_dim: int
    state: dict[str, np.ndarray]
    bins: int = 1  # of time
    _network: Any = field(default=None, repr=False, compare=False)

    def predict(self, values: np.ndarray, batch: int = 1024) -> np.ndarray:
        import torch

        if self._network is None:
            from spikeline.bridge.networks.architectures import build_network

            with torch.random.fork_rng(devices=[]):
                network = build_network(
                    self.settings,
                    len(self.regions),
                    self.regions,
                    self.target_dim,
                    bins=self.bins,
                )
            network.load_state_dict(
                {name: torch.from_numpy(array.copy()) for name, array in self.state.items()}
            )
            self._network = network.eval()
        with torch.inference_mode():
            parts = [
                self._network(torch.from_numpy(values[None, i : i + batch]))[0].numpy()
                for i in range(0, len(values), batch)
            ]
        return np.concatenate(parts) if parts else np.zeros((0, self.target_dim), np.float32)

    def tensors(self) -> dict[str, np.ndarray]:
        return {f"network.{name}": array for name, array in self.state.items()}

    def description(self) -> dict[str, Any]:
        return {
            "map": "network",
            "settings": self.settings,
            "regions": self.regions,
            "target_dim": self.target_dim,
            "bins": self.bins,
        }


@dataclass(frozen=True)
class AlignedMember:
    """One trained model of a decoder and its weight in the mean (weights sum to 1).

    Attributes:
        electrodes: indices in the responses file, of columns.
        columns: of the embeddings that are read, where not all; see `Decoder`.
    """

    electrodes: np.ndarray
    scaler: ResponseScaler
    map: AffineMap | NetworkMap
    target: TargetSpace
    columns: np.ndarray | None = None
    weight: float = 1.0

    @property
    def similarity_unit(self) -> str:
        return "cosine"

    @property
    def embedding_dim(self) -> int:
        """Length of the image embeddings that `embed_images` takes."""
        return len(self.target.mean)

    @property
    def parameters(self) -> int:
        """Number of fitted values in its map."""
        return sum(int(array.size) for array in self.map.tensors().values())

    def embed_responses(self, values: np.ndarray) -> np.ndarray:
        """Responses (n, columns of the file) to unit rows (n, k) float32."""
        return unit_rows(self.map.predict(self.scaler.apply(values[:, self.electrodes])))

    def embed_images(self, embeddings: np.ndarray) -> np.ndarray:
        """Image embeddings (n, dim) to unit rows (n, k) float32."""
        return self.target.embed(embeddings)

    def tensors(self) -> dict[str, np.ndarray]:
        """All arrays by name; `from_tensors` needs them and the `description`."""
        read = {} if self.columns is None else {"columns": self.columns}
        return {
            **read,
            "electrodes": self.electrodes.astype(np.int32),
            **self.scaler.tensors(),
            "target.mean": self.target.mean,
            "target.matrix": self.target.matrix,
            **{f"map.{name}": array for name, array in self.map.tensors().items()},
        }

    def description(self) -> dict[str, Any]:
        """Everything that is not an array, as JSON."""
        return {
            "weight": self.weight,
            "transform": self.scaler.transform,
            "target": self.target.preparation(),
            **self.map.description(),
        }

    @classmethod
    def from_tensors(
        cls, description: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> AlignedMember:
        """The member that returned this `description` and these `tensors`."""
        if description["map"] == "affine":
            mapping = AffineMap(arrays["map.coefficients"], arrays["map.intercept"])
        else:
            prefix = "map.network."
            state = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
            mapping = NetworkMap(
                description["settings"],
                description["regions"],
                description["target_dim"],
                state,
                description.get("bins", 1),  # files from before there were bins have none
            )
        return cls(
            electrodes=arrays["electrodes"],
            scaler=ResponseScaler.from_tensors(description["transform"], arrays),
            map=mapping,
            target=TargetSpace(
                arrays["target.mean"], arrays["target.matrix"], **description["target"]
            ),
            columns=arrays.get("columns"),
            weight=description["weight"],
        )
