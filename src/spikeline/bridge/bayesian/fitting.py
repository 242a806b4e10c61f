"""A closed-form Bayesian decoder: two Gaussian models of responses and images share one score.

The encoding model predicts the response from the image's embedding and scores an image by
log p(response | image) - log p(response) (Kay, Naselaris, Prenger and Gallant 2008). The decoding
model predicts the embedding's whitened principal components from the response and scores by
log p(image | response) - log p(image) (Naselaris et al. 2009 combine the two directions with a
prior over images). Both use the full covariance of leave-one-out residuals, shrunk towards its
diagonal. The score is their weighted sum.

Penalties and the weighting of the embedding's spectrum have the least leave-one-out error;
`bridge.bayesian.model_selection` chooses shrinkages and the weights of the two models. Rows of one
image, or of one concept, are always left out together.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spikeline.bridge.bayesian.member import (
    BayesianMember,
    Decoding,
    Encoding,
    Padding,
    response_features,
)
from spikeline.bridge.bayesian.model_selection import Mixture, Trials, choose_mixture
from spikeline.bridge.kernel_ridge import (
    Smoother,
    fit_smoother,
    shrunk_to_diagonal,
    whitener,
)
from spikeline.bridge.preprocessing import ResponseScaler
from spikeline.bridge.targets import TargetSpace
from spikeline.errors import InputError

logger = logging.getLogger(__name__)

# In the scale of a kernel whose mean diagonal is 1.
ENCODING_PENALTIES = 10.0 ** np.arange(-2.5, 3.1, 0.5)
DECODING_PENALTIES = 10.0 ** np.arange(-2.5, 2.1, 0.5)
# A principal axis of standard deviation s enters the encoding kernel as s^power.
SPECTRUM_POWERS = (0.75, 1.0, 1.25, 1.5, 2.0)
MOST_COMPONENTS = 300
LEAST_GROUPS = 10
# The power is chosen on at most this many rows, with this many landmarks of the rbf kernel.
POWER_ROWS = 6000
POWER_LANDMARKS = 1500
LANDMARKS = 4000


def fit_bayesian(
    responses: np.ndarray,
    embeddings: np.ndarray,
    images: Sequence[str] | np.ndarray,
    settings: Mapping[str, Any],
    gallery: int,
    *,
    groups: Sequence[str] | np.ndarray | None = None,
    electrodes: np.ndarray | None = None,
    seed: int = 0,
) -> BayesianMember:
    """Fit on training rows; nothing else is looked at.

    Args:
        responses: (rows, electrodes of the file); NaN is a missing value.
        embeddings: (rows, dim), of each row's image.
        images: (rows,) names; rows may repeat an image.
        settings: transform, target_transform, target_normalise, target_components (0: at most 300
            and a third of the images), encoding_kernels, decoding_kernels (lists of `linear` and
            `rbf`, whose predictions are averaged, or [`none`]).
        gallery: number of test images, the N of N-way validation.
        groups: (rows,) labels of what is left out together, e.g. concepts, to foresee images of
            new concepts; a validation gallery shows one image of each. None: each image alone.
        electrodes: indices of the electrodes to use; None takes all. One that never varies is
            left out.
        seed: of the folds.

    Raises:
        InputError: too few images, no electrode that varies, or what `ResponseScaler` and
            `TargetSpace` raise.
    """
    plan = _Plan.of(settings)
    images = np.unique(np.asarray(images), return_inverse=True)[1]
    what = "images" if groups is None else "concepts"
    groups = images if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    if groups.max(initial=-1) + 1 < LEAST_GROUPS:
        raise InputError(
            f"responses: {groups.max(initial=-1) + 1} training {what} are too few for a bayesian "
            f"model; it takes at least {LEAST_GROUPS}"
        )
    embeddings = np.asarray(embeddings, dtype=np.float32)
    electrodes = np.arange(responses.shape[1]) if electrodes is None else np.asarray(electrodes)
    values = np.asarray(responses, dtype=np.float32)[:, electrodes]
    varies = ResponseScaler.fit(values, plan.transform).inverse_std > 0
    if not varies.any():
        raise InputError("responses: no electrode varies over the training rows")
    electrodes = electrodes[varies].astype(np.int32)
    trials = Trials(values[:, varies], embeddings, images, groups)

    powers = _choose_powers(plan, trials, seed)
    sides = tuple(plan.kernels)
    mixture, choices = choose_mixture(
        lambda fold: _Models.fit(plan, powers, fold, sides), trials, sides, gallery, seed
    )
    models = _Models.fit(plan, powers, trials, mixture.sides)
    choices = {"powers": powers, "components": models.components, **choices}
    logger.info("chosen on training rows: %s", json.dumps(choices, sort_keys=True))
    return _member(models, mixture, electrodes, choices, trials)


@dataclass(frozen=True)
class _Plan:
    """The settings, read once."""

    transform: str
    root: bool
    normalise: bool
    components: int
    kernels: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> _Plan:
        sides = {side: tuple(settings[f"{side}_kernels"]) for side in ("encoding", "decoding")}
        return cls(
            transform=settings["transform"],
            root=settings["target_transform"] == "sqrt",
            normalise=bool(settings["target_normalise"]),
            components=int(settings["target_components"]),
            kernels={side: names for side, names in sides.items() if names != ("none",)},
        )


@dataclass(frozen=True)
class _ImageAxes:
    """Principal axes of the training embeddings, and what is read off along them."""

    space: TargetSpace
    deviations: np.ndarray  # (r,) standard deviation along each axis

    @classmethod
    def fit(cls, plan: _Plan, embeddings: np.ndarray) -> _ImageAxes:
        space = TargetSpace.fit(embeddings, root=plan.root, normalise=plan.normalise)
        return cls(space, space.project(embeddings).astype(np.float64).std(0))

    def weighted(self, power: float) -> TargetSpace:
        """Features of the encoding kernels, of mean squared length 1."""
        length = np.sqrt((self.deviations ** (2 * power)).sum())
        return self.space.weighted(self.deviations ** (power - 1) / length)

    def whitened(self, components: int) -> TargetSpace:
        space = self.space.truncated(components)
        return space.weighted(1 / self.deviations[:components])


@dataclass(frozen=True)
class _Side:
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
class _Models:
    """All that is fitted and does not depend on shrinkages and weights."""

    scaler: ResponseScaler
    axes: _ImageAxes
    components: int
    encoding: _Side | None
    decoding: _Side | None

    @classmethod
    def fit(
        cls, plan: _Plan, powers: Mapping[str, float], trials: Trials, sides: Sequence[str]
    ) -> _Models:
        scaler = ResponseScaler.fit(trials.values, plan.transform)
        axes = _ImageAxes.fit(plan, trials.embeddings)
        wanted = plan.components or min(MOST_COMPONENTS, max(1, len(np.unique(trials.images)) // 3))
        components = min(wanted, axes.space.components)
        y = scaler.apply(trials.values)
        encoding = decoding = None
        if "encoding" in sides:
            spaces = {kernel: axes.weighted(power) for kernel, power in powers.items()}
            inputs = {kernel: space.project(trials.embeddings) for kernel, space in spaces.items()}
            encoding = cls._side(inputs, y, ENCODING_PENALTIES, trials.groups, spaces)
        if "decoding" in sides:
            z = axes.whitened(components).project(trials.embeddings)
            inputs = dict.fromkeys(plan.kernels["decoding"], response_features(y))
            decoding = cls._side(inputs, z, DECODING_PENALTIES, trials.groups, {})
        return cls(scaler, axes, components, encoding, decoding)

    @staticmethod
    def _side(
        inputs: Mapping[str, np.ndarray],
        outputs: np.ndarray,
        penalties: np.ndarray,
        groups: np.ndarray,
        spaces: dict[str, TargetSpace],
    ) -> _Side:
        smoothers = {}
        residuals = outputs.astype(np.float64)
        for kernel, x in inputs.items():
            # the rbf kernel has a diagonal of 1, the linear one a mean diagonal of 1
            smoothers[kernel], left_out = fit_smoother(
                kernel, x, outputs, penalties, groups=groups, landmarks=LANDMARKS
            )
            residuals -= left_out / len(inputs)
        return _Side(smoothers, residuals.T @ residuals / len(residuals), spaces)

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
        """Of the side's residuals, their covariance shrunk towards its diagonal."""
        return whitener(shrunk_to_diagonal(getattr(self, side).covariance, shrinkage))


def _choose_powers(plan: _Plan, trials: Trials, seed: int) -> dict[str, float]:
    """For each encoding kernel the spectrum power with the least leave-one-out error."""
    kernels = plan.kernels.get("encoding", ())
    if not kernels:
        return {}
    if len(trials) > POWER_ROWS:
        drawn = np.random.default_rng(seed).permutation(len(trials))[:POWER_ROWS]
        trials = trials.take(np.sort(drawn))
    axes = _ImageAxes.fit(plan, trials.embeddings)
    y = ResponseScaler.fit(trials.values, plan.transform).apply(trials.values)
    powers = {}
    for kernel in kernels:
        errors = []
        for power in SPECTRUM_POWERS:
            _, left_out = fit_smoother(
                kernel,
                axes.weighted(power).project(trials.embeddings),
                y,
                ENCODING_PENALTIES[1::2],
                groups=trials.groups,
                landmarks=min(LANDMARKS, POWER_LANDMARKS),
            )
            errors.append(float(np.square(y - left_out).sum()))
        powers[kernel] = SPECTRUM_POWERS[int(np.argmin(errors))]
    return powers


def _member(
    models: _Models,
    mixture: Mixture,
    electrodes: np.ndarray,
    choices: dict[str, Any],
    trials: Trials,
) -> BayesianMember:
    encoding = decoding = None
    if "encoding" in mixture.sides:
        side, shrinkage = models.encoding, mixture.shrinkages["encoding"]
        root = np.sqrt(mixture.weights["encoding"])
        y = models.scaler.apply(trials.values).astype(np.float64)
        prior = whitener(shrunk_to_diagonal(y.T @ y / len(y), shrinkage))
        projections = {kernel: space.matrix for kernel, space in side.spaces.items()}
        encoding = Encoding.folded(
            side.smoothers, projections, models.whitener("encoding", shrinkage) * root, prior * root
        )
    if "decoding" in mixture.sides:
        side, weight = models.decoding, mixture.weights["decoding"]
        w = models.whitener("decoding", mixture.shrinkages["decoding"]) * np.sqrt(weight)
        target = models.axes.whitened(models.components).matrix
        decoding = Decoding.folded(side.smoothers, target, w, weight)
    space = models.axes.space
    member = BayesianMember(
        electrodes=electrodes,
        scaler=models.scaler,
        image_mean=space.mean,
        root=space.root,
        normalise=space.normalise,
        encoding=encoding,
        decoding=decoding,
        padding=Padding(),
        choices=choices,
    )
    every = np.zeros((len(trials), int(electrodes.max()) + 1), dtype=np.float32)
    every[:, electrodes] = trials.values
    terms = (*member.response_terms(every), *member.image_terms(trials.embeddings))
    return replace(member, padding=Padding.fit(*terms))
