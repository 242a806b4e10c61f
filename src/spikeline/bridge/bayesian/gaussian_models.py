"""The two Gaussian models of a Bayesian decoder: regressions and the covariance of their errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spikeline.bridge.bayesian.layer_stack import LayerStack, fit_layer_stack
from spikeline.bridge.bayesian.model_selection import Trials
from spikeline.bridge.bayesian.noise import Covariance, Whitener, covariance_of
from spikeline.bridge.bayesian.terms import response_features
from spikeline.bridge.kernel_ridge import Smoother, fit_smoother
from spikeline.bridge.preprocessing import ResponseScaler
from spikeline.bridge.targets import TargetSpace, preparation_of

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
        layer_dims: columns of each layer of the embeddings; none means one layer.
        noise_rank: factors of the responses' covariance; 0: it is full.
        stacked: whether each layer has a linear encoding regression of its own.
    """

    transform: str
    root: bool
    normalise: bool
    components: int
    kernels: dict[str, tuple[str, ...]]
    layer_dims: tuple[int, ...] = ()
    noise_rank: int = 0
    stacked: bool = False

    @classmethod
    def of(cls, settings: Mapping[str, Any], layer_dims: Sequence[int] = ()) -> BayesianSettings:
        sides = {side: tuple(settings[f"{side}_kernels"]) for side in ("encoding", "decoding")}
        return cls(
            transform=settings["transform"],
            **preparation_of(settings),
            components=int(settings["target_components"]),
            kernels={side: names for side, names in sides.items() if names != ("none",)},
            layer_dims=tuple(layer_dims),
            noise_rank=settings["noise_rank"],
            stacked=len(layer_dims) > 1 and settings["layer_mix"] == "stacked",
        )


@dataclass(frozen=True)
class ImageAxes:
    """Principal axes of the training embeddings, and the features and targets along them."""

    space: TargetSpace
    deviations: np.ndarray  # (r,) standard deviation along each axis

    @classmethod
    def fit(cls, settings: BayesianSettings, embeddings: np.ndarray) -> ImageAxes:
        space = TargetSpace.fit(
            embeddings,
            root=settings.root,
            normalise=settings.normalise,
            layer_dims=settings.layer_dims,
        )
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
        noise: covariance of the leave-one-out residuals.
    """

    smoothers: dict[str, Smoother | LayerStack]
    noise: Covariance
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
            encoding = cls._encoding(settings, axes, powers, trials, y)
        if "decoding" in sides:
            z = axes.whitened(components).project(trials.embeddings)
            inputs = dict.fromkeys(settings.kernels["decoding"], response_features(y))
            fits = _fit_smoothers(inputs, z, DECODING_PENALTIES, trials.groups)
            decoding = _side(fits, z, {}, noise_rank=0)
        return cls(scaler, axes, components, encoding, decoding)

    @staticmethod
    def _encoding(
        settings: BayesianSettings,
        axes: ImageAxes,
        powers: Mapping[str, float],
        trials: Trials,
        y: np.ndarray,
    ) -> Side:
        spaces = {kernel: axes.weighted(power) for kernel, power in powers.items()}
        fits: dict[str, Fit] = {}
        if settings.stacked and "linear" in powers:
            layers = axes.space.layers()
            own = [
                ImageAxes.fit(replace(settings, layer_dims=()), trials.embeddings[:, layer])
                for layer in layers
            ]
            fits["linear"] = fit_layer_stack(
                [one.weighted(powers["linear"]) for one in own],
                layers,
                trials.embeddings,
                y,
                ENCODING_PENALTIES,
                trials.groups,
            )
            spaces["linear"] = axes.space.unrotated()
        inputs = {k: s.project(trials.embeddings) for k, s in spaces.items() if k not in fits}
        fits |= _fit_smoothers(inputs, y, ENCODING_PENALTIES, trials.groups)
        own = {kernel: fits[kernel] for kernel in powers}
        return _side(own, y, spaces, settings.noise_rank)

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

    def whitener(self, side: str, shrinkage: float) -> Whitener:
        """Of the side's residuals, with their covariance shrunk towards its diagonal."""
        return getattr(self, side).noise.whitener(shrinkage)


# What predicts an output, and what it predicts for rows it was not fitted to (rows, outputs).
Fit = tuple[Smoother | LayerStack, np.ndarray]


def _fit_smoothers(
    inputs: Mapping[str, np.ndarray], outputs: np.ndarray, penalties: np.ndarray, groups: np.ndarray
) -> dict[str, Fit]:
    """By kernel. The rbf kernel has a diagonal of 1, the linear one a mean diagonal of 1."""
    return {
        kernel: fit_smoother(kernel, x, outputs, penalties, groups=groups, landmarks=LANDMARKS)
        for kernel, x in inputs.items()
    }


def _side(
    fits: Mapping[str, Fit], outputs: np.ndarray, spaces: dict[str, TargetSpace], noise_rank: int
) -> Side:
    residuals = outputs.astype(np.float64)
    for _, left_out in fits.values():
        residuals -= left_out / len(fits)
    smoothers = {kernel: smoother for kernel, (smoother, _) in fits.items()}
    return Side(smoothers, covariance_of(residuals, noise_rank), spaces)
