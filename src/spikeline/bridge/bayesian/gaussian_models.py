"""The two Gaussian models of a Bayesian decoder: regressions and the covariance of their errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeline.bridge.bayesian.model_selection import Trials
from spikeline.bridge.bayesian.terms import response_features
from spikeline.bridge.kernel_ridge import (
    Smoother,
    fit_smoother,
    shrunk_to_diagonal,
    whitener,
)
from spikeline.bridge.preprocessing import ResponseScaler
from spikeline.bridge.targets import TargetSpace

# In the scale of a kernel whose mean diagonal is 1.
ENCODING_PENALTIES = 10.0 ** np.arange(-2.5, 3.1, 0.5)
DECODING_PENALTIES = 10.0 ** np.arange(-2.5, 2.1, 0.5)
MOST_COMPONENTS = 300
LANDMARKS = 4000


@dataclass(frozen=True)
class BayesianSettings:
    """The settings of a `bayesian` entry, checked.

    Attributes:
        transform: of responses; see `preprocessing.TRANSFORMS`.
        root, normalise: of embeddings; see `targets.TargetSpace`.
        components: of the decoding model's targets; 0: see `fit_bayesian`.
        kernels: {side: names}, of each side that has a model.
    """

    transform: str
    root: bool
    normalise: bool
    components: int
    kernels: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> BayesianSettings:
        sides = {side: tuple(settings[f"{side}_kernels"]) for side in ("encoding", "decoding")}
        return cls(
            transform=settings["transform"],
            root=settings["target_transform"] == "sqrt",
            normalise=bool(settings["target_normalise"]),
            components=int(settings["target_components"]),
            kernels={side: names for side, names in sides.items() if names != ("none",)},
        )


@dataclass(frozen=True)
class ImageAxes:
    """Principal axes of the training embeddings, and the features and targets along them."""

    space: TargetSpace
    deviations: np.ndarray  # (r,) standard deviation along each axis

    @classmethod
    def fit(cls, settings: BayesianSettings, embeddings: np.ndarray) -> ImageAxes:
        space = TargetSpace.fit(embeddings, root=settings.root, normalise=settings.normalise)
        return cls(space, space.project(embeddings).astype(np.float64).std(0))

    def weighted(self, power: float) -> TargetSpace:
        """Features of the encoding kernels, of mean squared length 1."""
        length = np.sqrt((self.deviations ** (2 * power)).sum())
        return self.space.weighted(self.deviations ** (power - 1) / length)

    def whitened(self, components: int) -> TargetSpace:
        space = self.space.truncated(components)
        return space.weighted(1 / self.deviations[:components])


@dataclass(frozen=True)
class Side:
    """Kernel ridge smoothers whose mean is the prediction, and their errors.

    Attributes:
        smoothers: one per kernel; spaces: the features of each (encoding only).
        covariance: of the leave-one-out residuals (outputs, outputs).
    """

    smoothers: dict[str, Smoother]
    covariance: np.ndarray
    spaces: dict[str, TargetSpace]

    def predict(self, kernel_inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        predictions = [s.predict(kernel_inputs[name]) for name, s in self.smoothers.items()]
        return sum(predictions[1:], predictions[0]) / len(predictions)


@dataclass(frozen=True)
class GaussianModels:
    """What is fitted before shrinkages and weights are chosen."""

    scaler: ResponseScaler
    axes: ImageAxes
    components: int
    encoding: Side | None
    decoding: Side | None

    @classmethod
    def fit(
        cls,
        settings: BayesianSettings,
        powers: Mapping[str, float],
        trials: Trials,
        sides: Sequence[str],
    ) -> GaussianModels:
        scaler = ResponseScaler.fit(trials.values, settings.transform)
        axes = ImageAxes.fit(settings, trials.embeddings)
        wanted = settings.components or min(
            MOST_COMPONENTS, max(1, len(np.unique(trials.images)) // 3)
        )
        components = min(wanted, axes.space.components)
        y = scaler.apply(trials.values)
        encoding = decoding = None
        if "encoding" in sides:
            spaces = {kernel: axes.weighted(power) for kernel, power in powers.items()}
            inputs = {kernel: space.project(trials.embeddings) for kernel, space in spaces.items()}
            encoding = cls._side(inputs, y, ENCODING_PENALTIES, trials.groups, spaces)
        if "decoding" in sides:
            z = axes.whitened(components).project(trials.embeddings)
            inputs = dict.fromkeys(settings.kernels["decoding"], response_features(y))
            decoding = cls._side(inputs, z, DECODING_PENALTIES, trials.groups, {})
        return cls(scaler, axes, components, encoding, decoding)

    @staticmethod
    def _side(
        inputs: Mapping[str, np.ndarray],
        outputs: np.ndarray,
        penalties: np.ndarray,
        groups: np.ndarray,
        spaces: dict[str, TargetSpace],
    ) -> Side:
        smoothers = {}
        residuals = outputs.astype(np.float64)
        for kernel, x in inputs.items():
            # the rbf kernel has a diagonal of 1, the linear one a mean diagonal of 1
            smoothers[kernel], left_out = fit_smoother(
                kernel, x, outputs, penalties, groups=groups, landmarks=LANDMARKS
            )
            residuals -= left_out / len(inputs)
        return Side(smoothers, residuals.T @ residuals / len(residuals), spaces)

    def vectors(
        self, side: str, values: np.ndarray, embeddings: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `spikeline.bridge.bayesian.model_selection.Models`."""
        y = self.scaler.apply(values)
        if side == "encoding":
            inputs = {k: s.project(embeddings) for k, s in self.encoding.spaces.items()}
            return y.astype(np.float64), self.encoding.predict(inputs), np.zeros(len(embeddings))
        inputs = dict.fromkeys(self.decoding.smoothers, response_features(y))
        z = self.axes.whitened(self.components).project(embeddings).astype(np.float64)
        return self.decoding.predict(inputs), z, 0.5 * np.square(z).sum(1)

    def whitener(self, side: str, shrinkage: float) -> np.ndarray:
        """Of the side's residuals, with their covariance shrunk towards its diagonal."""
        return whitener(shrunk_to_diagonal(getattr(self, side).covariance, shrinkage))
