"""A closed-form Bayesian decoder: two Gaussian models of responses and images share one score.

The encoding model predicts the response from the image's embedding and scores an image by
log p(response | image) - log p(response) (Kay, Naselaris, Prenger and Gallant 2008). The decoding
model predicts the embedding's whitened principal components from the response and scores by
log p(image | response) - log p(image) (Naselaris et al. 2009 combine the two directions with a
prior over images). Both use the full covariance of leave-one-out residuals, shrunk towards its
diagonal. The score is their weighted sum.

Penalties and the weighting of the embedding's spectrum have the least leave-one-out error;
shrinkages, temperatures and the weights of the two models have the least log loss of N-way
identification in cross-validation, with N the number of test images. Rows of one image are always
left out together.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import hypergeom

from spikeline.bridge.bayesian_member import (
    BayesianMember,
    Decoding,
    Encoding,
    Padding,
    response_features,
)
from spikeline.bridge.preprocessing import ResponseScaler
from spikeline.bridge.smoothing import (
    KERNELS,
    Smoother,
    fit_smoother,
    shrunk_to_diagonal,
    squared_distances,
    whitener,
)
from spikeline.bridge.targets import TargetSpace
from spikeline.errors import InputError

logger = logging.getLogger(__name__)

# In the scale of a kernel whose mean diagonal is 1.
ENCODING_PENALTIES = 10.0 ** np.arange(-2.5, 3.1, 0.5)
DECODING_PENALTIES = 10.0 ** np.arange(-2.5, 2.1, 0.5)
# A principal axis of standard deviation s enters the encoding kernel as s^power.
SPECTRUM_POWERS = (0.75, 1.0, 1.25, 1.5, 2.0)
SHRINKAGES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8)
DECODING_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
MOST_COMPONENTS = 300
FOLDS = 5
LEAST_IMAGES = 10
# More held-out images than this would cost fits and tell nothing new.
VALIDATION_IMAGES = 2000
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
        electrodes: indices of the electrodes to use; None takes all. One that never varies is
            left out.
        seed: of the folds.

    Raises:
        InputError: no kernel on either side, an unknown one, too few images, no electrode that
            varies, or what `ResponseScaler` and `TargetSpace` raise.
    """
    plan = _Plan.of(settings)
    images = np.unique(np.asarray(images), return_inverse=True)[1]
    if images.max(initial=-1) + 1 < LEAST_IMAGES:
        raise InputError(
            f"responses: {images.max(initial=-1) + 1} training images are too few for a bayesian "
            f"model; it takes at least {LEAST_IMAGES}"
        )
    embeddings = np.asarray(embeddings, dtype=np.float32)
    electrodes = np.arange(responses.shape[1]) if electrodes is None else np.asarray(electrodes)
    values = np.asarray(responses, dtype=np.float32)[:, electrodes]
    varies = ResponseScaler.fit(values, plan.transform).inverse_std > 0
    if not varies.any():
        raise InputError("responses: no electrode varies over the training rows")
    values, electrodes = values[:, varies], electrodes[varies].astype(np.int32)

    powers = _choose_powers(plan, values, embeddings, images, seed)
    mixture, choices = _choose_mixture(plan, powers, values, embeddings, images, gallery, seed)
    models = _Models.fit(plan, powers, values, embeddings, images, mixture.sides)
    choices = {"powers": powers, "components": models.components, **choices}
    logger.info("chosen on training rows: %s", json.dumps(choices, sort_keys=True))
    return _member(models, mixture, electrodes, choices, values, embeddings)


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
        kernels = {}
        for side in ("encoding", "decoding"):
            key = f"{side}_kernels"
            names = tuple(dict.fromkeys(settings[key]))
            if unknown := [name for name in names if name not in (*KERNELS, "none")]:
                raise InputError(f"{key}: {unknown[0]!r} is not one of {', '.join(KERNELS)}, none")
            if "none" in names and len(names) > 1:
                raise InputError(f"{key}: 'none' cannot be combined with other kernels")
            if names and names != ("none",):
                kernels[side] = names
        if not kernels:
            raise InputError(
                "encoding_kernels, decoding_kernels: both are none; name a kernel for one of them"
            )
        if settings["target_transform"] not in ("none", "sqrt"):
            raise InputError(
                f"target_transform: {settings['target_transform']!r} is not one of none, sqrt"
            )
        return cls(
            transform=settings["transform"],
            root=settings["target_transform"] == "sqrt",
            normalise=bool(settings["target_normalise"]),
            components=int(settings["target_components"]),
            kernels=kernels,
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
        cls,
        plan: _Plan,
        powers: Mapping[str, float],
        values: np.ndarray,
        embeddings: np.ndarray,
        images: np.ndarray,
        sides: Sequence[str],
    ) -> _Models:
        scaler = ResponseScaler.fit(values, plan.transform)
        axes = _ImageAxes.fit(plan, embeddings)
        wanted = plan.components or min(MOST_COMPONENTS, max(1, len(np.unique(images)) // 3))
        components = min(wanted, axes.space.components)
        y = scaler.apply(values)
        encoding = decoding = None
        if "encoding" in sides:
            spaces = {kernel: axes.weighted(power) for kernel, power in powers.items()}
            inputs = {kernel: space.project(embeddings) for kernel, space in spaces.items()}
            encoding = cls._side(inputs, y, ENCODING_PENALTIES, images, spaces)
        if "decoding" in sides:
            z = axes.whitened(components).project(embeddings)
            inputs = dict.fromkeys(plan.kernels["decoding"], response_features(y))
            decoding = cls._side(inputs, z, DECODING_PENALTIES, images, {})
        return cls(scaler, axes, components, encoding, decoding)

    @staticmethod
    def _side(
        inputs: Mapping[str, np.ndarray],
        outputs: np.ndarray,
        penalties: np.ndarray,
        images: np.ndarray,
        spaces: dict[str, TargetSpace],
    ) -> _Side:
        smoothers = {}
        residuals = outputs.astype(np.float64)
        for kernel, x in inputs.items():
            # the rbf kernel has a diagonal of 1, the linear one a mean diagonal of 1
            smoothers[kernel], left_out = fit_smoother(
                kernel, x, outputs, penalties, groups=images, landmarks=LANDMARKS
            )
            residuals -= left_out / len(inputs)
        return _Side(smoothers, residuals.T @ residuals / len(residuals), spaces)

    def vectors(
        self, side: str, values: np.ndarray, embeddings: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A vector for each response, one for each image, and each image's own term.

        The score is the image's term minus half the squared distance in residual-whitened space.
        """
        y = self.scaler.apply(values)
        if side == "encoding":
            inputs = {k: s.project(embeddings) for k, s in self.encoding.spaces.items()}
            return y.astype(np.float64), self.encoding.predict(inputs), np.zeros(len(embeddings))
        inputs = dict.fromkeys(self.decoding.smoothers, response_features(y))
        z = self.axes.whitened(self.components).project(embeddings).astype(np.float64)
        return self.decoding.predict(inputs), z, 0.5 * np.square(z).sum(1)


@dataclass(frozen=True)
class _Mixture:
    """Shrinkage and weight of each side that takes part."""

    shrinkages: dict[str, float]
    weights: dict[str, float]

    @property
    def sides(self) -> tuple[str, ...]:
        return tuple(self.weights)


def _choose_powers(
    plan: _Plan, values: np.ndarray, embeddings: np.ndarray, images: np.ndarray, seed: int
) -> dict[str, float]:
    """For each encoding kernel the spectrum power with the least leave-one-out error."""
    kernels = plan.kernels.get("encoding", ())
    if len(values) > POWER_ROWS:
        rows = np.sort(np.random.default_rng(seed).permutation(len(values))[:POWER_ROWS])
        values, embeddings, images = values[rows], embeddings[rows], images[rows]
    if not kernels:
        return {}
    axes = _ImageAxes.fit(plan, embeddings)
    y = ResponseScaler.fit(values, plan.transform).apply(values)
    powers = {}
    for kernel in kernels:
        errors = []
        for power in SPECTRUM_POWERS:
            x = axes.weighted(power).project(embeddings)
            _, left_out = fit_smoother(
                kernel,
                x,
                y,
                ENCODING_PENALTIES[1::2],
                groups=images,
                landmarks=min(LANDMARKS, POWER_LANDMARKS),
            )
            errors.append(float(np.square(y - left_out).sum()))
        powers[kernel] = SPECTRUM_POWERS[int(np.argmin(errors))]
    return powers


@dataclass(frozen=True)
class _HeldOut:
    """One fold: its models, the responses held out, and their images, each once."""

    models: _Models
    values: np.ndarray
    embeddings: np.ndarray
    galleries: list[tuple[np.ndarray, np.ndarray]]  # (rows, images), of equal length each

    def scores(self, side: str, shrinkage: float, vectors: tuple[np.ndarray, ...]) -> np.ndarray:
        """(rows, images), up to a constant of each row."""
        w = whitener(shrunk_to_diagonal(getattr(self.models, side).covariance, shrinkage))
        responses, images, own = vectors
        return own - 0.5 * squared_distances(responses @ w, images @ w)


def folds_by_image(images: np.ndarray, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Row indices (training, held out) of the folds to run; an image is on one side only.

    Args:
        images: (rows,) integer labels 0..images-1.
    """
    n_images = int(images.max()) + 1
    folds = max(FOLDS, n_images // VALIDATION_IMAGES)
    fold = (np.random.default_rng(seed).permutation(n_images) % folds)[images]
    run = min(folds, -(-VALIDATION_IMAGES * folds // n_images))
    return [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(run)]


def _choose_mixture(
    plan: _Plan,
    powers: Mapping[str, float],
    values: np.ndarray,
    embeddings: np.ndarray,
    images: np.ndarray,
    gallery: int,
    seed: int,
) -> tuple[_Mixture, dict[str, Any]]:
    """Shrinkages, temperatures and share with the least cross-validated N-way log loss."""
    folds = folds_by_image(images, seed)
    ways = max(2, min(gallery, *(len(np.unique(images[held])) for _, held in folds)))
    sides = tuple(plan.kernels)
    held_out = []
    for index, (train, held) in enumerate(folds):
        models = _Models.fit(plan, powers, values[train], embeddings[train], images[train], sides)
        _, first, columns = np.unique(images[held], return_index=True, return_inverse=True)
        galleries = _galleries(columns, ways, seed + index)
        held_out.append(_HeldOut(models, values[held], embeddings[held][first], galleries))

    shrinkages, temperatures, scores = {}, {}, {}
    report: dict[str, Any] = {}
    for side in sides:
        vectors = [h.models.vectors(side, h.values, h.embeddings) for h in held_out]
        least = np.inf
        for shrinkage in SHRINKAGES:
            trial = [h.scores(side, shrinkage, v) for h, v in zip(held_out, vectors, strict=True)]
            loss, temperature = _log_loss(_in_galleries(trial, held_out))
            if loss < least:
                least, scores[side] = loss, trial
                shrinkages[side], temperatures[side] = shrinkage, temperature
        report[side] = _figures(scores[side], held_out)

    shares = {sides[0]: 1.0}
    if len(sides) == 2:
        best, shares = np.inf, {}
        for share in DECODING_SHARES:
            trial = [
                (1 - share) * temperatures["encoding"] * e + share * temperatures["decoding"] * d
                for e, d in zip(scores["encoding"], scores["decoding"], strict=True)
            ]
            loss, _ = _log_loss(_in_galleries(trial, held_out))
            if loss < best:
                best, combined = loss, trial
                shares = {"encoding": 1 - share, "decoding": share}
        report["both"] = _figures(combined, held_out)
    weights = {side: share * temperatures[side] for side, share in shares.items() if share > 0}
    return _Mixture(shrinkages, weights), {
        "shrinkages": shrinkages,
        "temperatures": {side: round(t, 6) for side, t in temperatures.items()},
        "decoding_share": shares.get("decoding", 0.0),
        "cross_validated": {"ways": ways, "images": sum(len(h.embeddings) for h in held_out)}
        | report,
    }


def _galleries(columns: np.ndarray, ways: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Two random partitions into galleries of `ways` images, each with one of its rows.

    The images left over by a partition take no part in it.
    """
    rng = np.random.default_rng(seed)
    galleries = []
    for _ in range(2):
        order = rng.permutation(len(columns))
        drawn, at = np.unique(columns[order], return_index=True)
        rows = order[at]
        shuffled = rng.permutation(len(drawn))
        for start in range(0, len(drawn) - ways + 1, ways):
            chosen = shuffled[start : start + ways]
            galleries.append((rows[chosen], drawn[chosen]))
    return galleries


def _in_galleries(scores: Sequence[np.ndarray], held_out: Sequence[_HeldOut]) -> np.ndarray:
    """(galleries, ways, ways); the diagonal is the true image."""
    return np.stack(
        [
            fold[np.ix_(rows, columns)]
            for fold, h in zip(scores, held_out, strict=True)
            for rows, columns in h.galleries
        ]
    )


def _log_loss(scores: np.ndarray) -> tuple[float, float]:
    """Mean -log softmax of the true image at the best temperature, and that temperature."""

    def loss(log_temperature: float) -> float:
        logits = scores * np.exp(log_temperature)
        logits -= logits.max(2, keepdims=True)
        true = np.diagonal(logits, axis1=1, axis2=2)
        return float((np.log(np.exp(logits).sum(2)) - true).mean())

    spread = max(float(scores.std(2).mean()), np.finfo(float).tiny)
    bounds = np.log(0.1 / spread), np.log(20 / spread)
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 0.02})
    return float(best.fun), float(np.exp(best.x))


def _figures(scores: Sequence[np.ndarray], held_out: Sequence[_HeldOut]) -> dict[str, float]:
    """Expected top-1 and top-5 of N-way identification, and the log loss.

    Expected over galleries of the fold's other images: with b of m better than the true one, the
    number of better ones among N - 1 drawn is hypergeometric.
    """
    top = []
    stacked = _in_galleries(scores, held_out)
    for fold, h in zip(scores, held_out, strict=True):
        rows, columns = (np.concatenate(part) for part in zip(*h.galleries, strict=True))
        true = fold[rows, columns]
        better = (fold[rows] > true[:, None]).sum(1)
        drawn = hypergeom(fold.shape[1] - 1, better, stacked.shape[1] - 1)
        top.append([drawn.cdf(0).mean(), drawn.cdf(4).mean()])
    top1, top5 = np.mean(top, 0).tolist()
    loss, _ = _log_loss(stacked)
    return {"top1": round(top1, 4), "top5": round(top5, 4), "log_loss": round(loss, 4)}


def _member(
    models: _Models,
    mixture: _Mixture,
    electrodes: np.ndarray,
    choices: dict[str, Any],
    values: np.ndarray,
    embeddings: np.ndarray,
) -> BayesianMember:
    """Fold weights, whiteners and the mean over kernels into few matrices."""
    encoding = decoding = None
    if "encoding" in mixture.sides:
        encoding = _encoding_terms(models, mixture, models.scaler.apply(values))
    if "decoding" in mixture.sides:
        decoding = _decoding_terms(models, mixture)
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
    every = np.zeros((len(values), int(electrodes.max()) + 1), dtype=np.float32)
    every[:, electrodes] = values
    terms = (*member.response_terms(every), *member.image_terms(embeddings))
    return replace(member, padding=Padding.fit(*terms))


def _whitener_of(side: _Side, name: str, mixture: _Mixture) -> np.ndarray:
    w = whitener(shrunk_to_diagonal(side.covariance, mixture.shrinkages[name]))
    return w * np.sqrt(mixture.weights[name])


def _encoding_terms(models: _Models, mixture: _Mixture, y: np.ndarray) -> Encoding:
    side = models.encoding
    w = _whitener_of(side, "encoding", mixture)
    y = y.astype(np.float64)
    prior = whitener(shrunk_to_diagonal(y.T @ y / len(y), mixture.shrinkages["encoding"]))
    parts: dict[str, Any] = {}
    for kernel, smoother in side.smoothers.items():
        coefficients = smoother.coefficients @ w / len(side.smoothers)
        if kernel == "linear":
            parts["linear"] = (side.spaces[kernel].matrix @ coefficients).astype(np.float32)
        else:
            parts["rbf_projection"] = side.spaces[kernel].matrix
            parts["rbf"] = _compact(smoother, coefficients)
    prior *= np.sqrt(mixture.weights["encoding"])
    return Encoding(w.astype(np.float32), prior.astype(np.float32), **parts)


def _decoding_terms(models: _Models, mixture: _Mixture) -> Decoding:
    side = models.decoding
    w = _whitener_of(side, "decoding", mixture)
    parts: dict[str, Any] = {}
    for kernel, smoother in side.smoothers.items():
        coefficients = smoother.coefficients @ w / len(side.smoothers)
        if kernel == "linear":
            scale = np.sqrt(len(coefficients))  # the smoother read responses / sqrt(q)
            parts["linear"] = (coefficients / scale).astype(np.float32)
        else:
            parts["rbf"] = _compact(smoother, coefficients)
    target = models.axes.whitened(models.components).matrix
    weight = mixture.weights["decoding"]
    return Decoding(target, w.astype(np.float32), weight, **parts)


def _compact(smoother: Smoother, coefficients: np.ndarray) -> Smoother:
    """Landmarks were float32 to begin with; the coefficients cancel, so they stay float64."""
    return Smoother(coefficients, smoother.landmarks.astype(np.float32))
