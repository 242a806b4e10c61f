"""A fitted reconstructor: from responses to an embedding and latents, and how to draw from them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikeline.artifacts.formats import safetensors_file
from spikeline.bridge.aligned_member import AffineMap
from spikeline.bridge.preprocessing import ResponseScaler
from spikeline.bridge.reconstruction.factor_reader import FactorReader
from spikeline.bridge.reconstruction.standardising import Moments, standardised
from spikeline.errors import InputError

CONTRACT = "reconstructor/1"
# What may be predicted.
EMBEDDING, LATENTS = "embedding", "latents"
_FACTORS = "factors."


@dataclass(frozen=True)
class Prediction:
    """One target and how it is predicted.

    Attributes:
        targets: of the training images.
        left_out: of predictions of training rows by regressions without them.
        map: from standardised responses; None where a decoder of the house predicts.
    """

    targets: Moments
    left_out: Moments
    map: AffineMap | None

    def tensors(self) -> dict[str, np.ndarray]:
        moments = {"targets": self.targets, "left_out": self.left_out}
        arrays = {f"{n}.{k}": v for n, one in moments.items() for k, v in vars(one).items()}
        if self.map is not None:
            arrays |= {f"map.{name}": array for name, array in self.map.tensors().items()}
        return arrays

    @classmethod
    def from_tensors(cls, arrays: Mapping[str, np.ndarray]) -> Prediction:
        moments = [
            Moments(arrays[f"{n}.mean"], arrays[f"{n}.std"]) for n in ("targets", "left_out")
        ]
        affine = None
        if "map.coefficients" in arrays:
            affine = AffineMap(arrays["map.coefficients"], arrays["map.intercept"])
        return cls(*moments, affine)


@dataclass(frozen=True)
class Reconstructor:
    """What is learnt from training rows.

    Attributes:
        n_electrodes: columns of the responses file, before selection.
        electrodes: indices of those that are read.
        scaler: of these columns.
        predictions: by name, `EMBEDDING` or `LATENTS`, those that the kind needs.
        latent_shape: (channels, height, width).
        settings: of the entry.
        choices: guidance, strength and start_weight, as chosen on validation images.
        images: names of the training images.
        metadata: identities of encoder, autoencoder and generator; JSON.
        factor_reader: reads factors of the image from the same features, where the settings name
            some.
    """

    n_electrodes: int
    electrodes: np.ndarray
    scaler: ResponseScaler
    predictions: Mapping[str, Prediction]
    latent_shape: tuple[int, int, int]
    settings: Mapping[str, Any]
    images: np.ndarray
    choices: Mapping[str, float] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    factor_reader: FactorReader | None = None

    def features(self, values: np.ndarray) -> np.ndarray:
        """Responses (n, n_electrodes) to standardised features.

        Raises:
            InputError: the number of electrodes differs from training.
        """
        if values.ndim != 2 or values.shape[1] != self.n_electrodes:
            raise InputError(
                f"responses have shape {values.shape}; the reconstructor was fitted to "
                f"{self.n_electrodes} electrodes; use responses of the same file"
            )
        return self.scaler.apply(values[:, self.electrodes])

    def predict(self, name: str, values: np.ndarray, given: np.ndarray | None = None) -> np.ndarray:
        """A target of responses (n, n_electrodes), standardised as the settings say.

        Args:
            name: `EMBEDDING` or `LATENTS`, flat.
            given: a decoder's predictions (n, dim), where it predicts and no regression does.
        """
        prediction = self.predictions[name]
        rows = given if given is not None else prediction.map.predict(self.features(values))
        return standardised(
            rows, prediction.targets, prediction.left_out, self.settings["standardise"]
        )

    def save(self, path: str | os.PathLike[str], record: Mapping[str, Any]) -> None:
        """Write safetensors atomically; the header carries the description as JSON."""
        arrays = {"electrodes": self.electrodes.astype(np.int32), **self.scaler.tensors()}
        for name, prediction in self.predictions.items():
            arrays |= {f"{name}.{key}": value for key, value in prediction.tensors().items()}
        levels = []
        if self.factor_reader is not None:
            arrays |= {
                f"{_FACTORS}{key}": value for key, value in self.factor_reader.tensors().items()
            }
            # Pairs: the order of the factors is that of the arrays.
            levels = [(name, own.tolist()) for name, own in self.factor_reader.levels.items()]
        description = {
            "n_electrodes": self.n_electrodes,
            "transform": self.scaler.transform,
            "latent_shape": list(self.latent_shape),
            "predictions": list(self.predictions),
            "levels": levels,
            "settings": dict(self.settings),
            "choices": dict(self.choices),
            "images": [str(name) for name in self.images],
            "metadata": dict(self.metadata),
        }
        safetensors_file.write(path, CONTRACT, arrays, description, record)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Reconstructor:
        """Read what `save` wrote.

        Raises:
            InputError: a damaged file, or one that is not a reconstructor.
        """
        described, arrays = safetensors_file.read(path, CONTRACT)
        with safetensors_file.whole(path):
            predictions = {
                name: Prediction.from_tensors(_below(f"{name}.", arrays))
                for name in described["predictions"]
            }
            levels = described.get("levels")
            reader = FactorReader.from_tensors(levels, _below(_FACTORS, arrays)) if levels else None
            return cls(
                described["n_electrodes"],
                arrays["electrodes"],
                ResponseScaler.from_tensors(described["transform"], arrays),
                predictions,
                tuple(described["latent_shape"]),
                described["settings"],
                np.asarray(described["images"], object),
                described["choices"],
                described["metadata"],
                reader,
            )


def _below(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays whose names begin so, by the rest of their names."""
    return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}
