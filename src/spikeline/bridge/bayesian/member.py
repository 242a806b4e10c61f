"""A Bayesian decoder's two towers: a sum of Gaussian log-likelihood ratios as one inner product.

With a response y and an image z, every term of the score is a quadratic form in (y, z), so

    score(y, z) = a(y) . b(z) + alpha(y) + beta(z)
                = [a, alpha, 1] . [b, 1, beta]

and one further coordinate on each side makes both vectors unit rows. Applying it takes numpy only;
`bridge.bayesian.fitting` fits it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikeline.bridge.bayesian.noise import FactorWhitener
from spikeline.bridge.bayesian.terms import Decoding, Encoding, Padding, response_features
from spikeline.bridge.kernel_ridge import Smoother
from spikeline.bridge.preprocessing import ResponseScaler
from spikeline.bridge.targets import TargetSpace


@dataclass(frozen=True)
class BayesianMember:
    """One member of a decoder.

    Attributes:
        electrodes: int32, indices in the responses file, of columns.
        scaler: from these columns to q features.
        image_mean: (dim,) float32, the centre of the embeddings after their preparation.
        root, normalise: that preparation; see `spikeline.bridge.targets.TargetSpace`.
        encoding, decoding: the terms of the score; one may be None.
        padding: see `Padding`.
        rotation: of the embeddings, before all that, to the axes that the training images span;
            None where they are fewer than the images and of one layer.
        columns: of the embeddings that are read, where not all; see `Decoder`.
        choices: what was chosen on training rows, as a record for the user; JSON.
        weight: in the mean over the members of a decoder.
    """

    electrodes: np.ndarray
    scaler: ResponseScaler
    image_mean: np.ndarray
    root: bool
    normalise: bool
    encoding: Encoding | None
    decoding: Decoding | None
    padding: Padding
    rotation: TargetSpace | None = None
    columns: np.ndarray | None = None
    choices: dict[str, Any] = field(default_factory=dict)
    weight: float = 1.0

    @property
    def similarity_unit(self) -> str:
        """The score divided by a constant of the member, which makes rows of unit length."""
        return "scaled log-likelihood ratio"

    @property
    def embedding_dim(self) -> int:
        """Length of the image embeddings that `embed_images` takes."""
        return len(self.image_mean if self.rotation is None else self.rotation.mean)

    @property
    def parameters(self) -> int:
        """Number of coefficients of its regressions."""
        sides = [side for side in (self.encoding, self.decoding) if side is not None]
        linear = [side.linear for side in sides if side.linear is not None]
        rbf = [side.rbf.coefficients for side in sides if side.rbf is not None]
        return sum(int(coefficients.size) for coefficients in linear + rbf)

    def embed_responses(self, values: np.ndarray) -> np.ndarray:
        """Responses (n, columns of the file) to unit rows (n, k) float32."""
        rows = self.padding.responses(*self.response_terms(values))
        return _unit(rows, self.padding.response_length, first=True)

    def embed_images(self, embeddings: np.ndarray) -> np.ndarray:
        """Image embeddings (n, dim) to unit rows (n, k) float32."""
        rows = self.padding.images(*self.image_terms(embeddings))
        return _unit(rows, self.padding.image_length, first=False)

    def response_terms(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """a (n, q + k) and alpha (n,) of the score, float64."""
        y = self.scaler.apply(values[:, self.electrodes]).astype(np.float64)
        vectors, alpha = [], np.zeros(len(y))
        if self.encoding is not None:
            vectors.append(y @ self.encoding.whitener)
            alpha += _half_squares(y @ self.encoding.prior)
        if self.decoding is not None:
            predicted = np.zeros((len(y), self.decoding.whitener.shape[1]))
            if self.decoding.linear is not None:
                predicted += y @ self.decoding.linear
            if self.decoding.rbf is not None:
                predicted += self.decoding.rbf.predict(response_features(y))
            vectors.append(predicted)
        a = np.concatenate(vectors, axis=1)
        return a, alpha - _half_squares(a)

    def image_terms(self, embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """b (n, q + k) and beta (n,) of the score, float64."""
        if self.rotation is not None:
            embeddings = self.rotation.project(embeddings)
        vectors, beta = [], np.zeros(len(embeddings))
        if self.encoding is not None:
            predicted = np.zeros((len(embeddings), self.encoding.whitener.shape[1]))
            if self.encoding.linear is not None:
                predicted += self._projected(embeddings, self.encoding.linear)
            if self.encoding.rbf is not None:
                features = self._projected(embeddings, self.encoding.rbf_projection)
                predicted += self.encoding.rbf.predict(features)
            vectors.append(predicted)
        if self.decoding is not None:
            components = self._projected(embeddings, self.decoding.target).astype(np.float64)
            vectors.append(components @ self.decoding.whitener)
            beta += self.decoding.weight * _half_squares(components)
        b = np.concatenate(vectors, axis=1)
        return b, beta - _half_squares(b)

    def _projected(self, embeddings: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        return TargetSpace(self.image_mean, matrix, self.root, self.normalise).project(embeddings)

    def tensors(self) -> dict[str, np.ndarray]:
        """All arrays by name; `from_tensors` needs them and the `description`."""
        arrays = {
            "electrodes": self.electrodes,
            **self.scaler.tensors(),
            "image.mean": self.image_mean,
        }
        if self.rotation is not None:
            arrays |= {"rotation.mean": self.rotation.mean, "rotation.matrix": self.rotation.matrix}
        if self.columns is not None:
            arrays["columns"] = self.columns
        for name, side in (("encoding", self.encoding), ("decoding", self.decoding)):
            for part, value in vars(side).items() if side is not None else ():
                if isinstance(value, Smoother):
                    arrays[f"{name}.{part}.coefficients"] = value.coefficients
                    arrays[f"{name}.{part}.landmarks"] = value.landmarks
                elif isinstance(value, FactorWhitener):
                    for part_of_it in ("scale", "axes", "cut"):
                        arrays[f"{name}.{part}.{part_of_it}"] = getattr(value, part_of_it)
                elif isinstance(value, np.ndarray):
                    arrays[f"{name}.{part}"] = value
        return arrays

    def description(self) -> dict[str, Any]:
        """Everything that is not an array, as JSON."""
        return {
            "map": "bayesian",
            "transform": self.scaler.transform,
            "root": self.root,
            "normalise": self.normalise,
            "rotation": None if self.rotation is None else self.rotation.preparation(),
            "decoding_weight": None if self.decoding is None else self.decoding.weight,
            "padding": dict(vars(self.padding)),
            "choices": self.choices,
            "weight": self.weight,
        }

    @classmethod
    def from_tensors(
        cls, description: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> BayesianMember:
        """The member that returned this `description` and these `tensors`."""
        encoding, decoding = _parts("encoding", arrays), _parts("decoding", arrays)
        return cls(
            electrodes=arrays["electrodes"],
            scaler=ResponseScaler.from_tensors(description["transform"], arrays),
            image_mean=arrays["image.mean"],
            root=description["root"],
            normalise=description["normalise"],
            encoding=Encoding(**encoding) if encoding else None,
            decoding=(
                Decoding(weight=description["decoding_weight"], **decoding) if decoding else None
            ),
            padding=Padding(**description["padding"]),
            rotation=(
                description["rotation"]
                and TargetSpace(
                    arrays["rotation.mean"], arrays["rotation.matrix"], **description["rotation"]
                )
            ),
            columns=arrays.get("columns"),
            choices=description["choices"],
            weight=description["weight"],
        )


def _parts(side: str, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    prefix = f"{side}."
    parts = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
    if "rbf.coefficients" in parts:
        parts["rbf"] = Smoother(parts.pop("rbf.coefficients"), parts.pop("rbf.landmarks"))
    for name in ("whitener", "prior"):
        if f"{name}.scale" in parts:
            factors = (parts.pop(f"{name}.{part}") for part in ("scale", "axes", "cut"))
            parts[name] = FactorWhitener(*factors)
    return parts


def _half_squares(rows: np.ndarray) -> np.ndarray:
    return 0.5 * np.square(rows).sum(1)


def _unit(rows: np.ndarray, length: float, first: bool) -> np.ndarray:
    """Unit rows whose inner products are those of rows / length.

    Each tower has one padding coordinate, in which the other is 0.
    """
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), length)
    rest = np.sqrt(np.maximum(1 - np.square(rows).sum(1, keepdims=True), 0))
    nothing = np.zeros_like(rest)
    padded = [rows, rest, nothing] if first else [rows, nothing, rest]
    return np.concatenate(padded, axis=1).astype(np.float32)
