"""A closed-form Bayesian decoder: two Gaussian models of responses and images share one score.

The encoding model predicts the response from the image's embedding and scores an image by
log p(response | image) - log p(response) (Kay, Naselaris, Prenger and Gallant 2008). The decoding
model predicts the embedding's whitened principal components from the response and scores by
log p(image | response) - log p(image) (Naselaris et al. 2009 combine the two directions with a
prior over images). Both use the full covariance of leave-one-out residuals, or one of few factors,
shrunk towards its diagonal. The score is their weighted sum.

Penalties and the weighting of the embedding's spectrum have the least leave-one-out error;
`bridge.bayesian.model_selection` chooses shrinkages and the weights of the two models. Rows of one
image, or of one concept, are always left out together.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from spikeline.bridge.bayesian.gaussian_models import (
    ENCODING_PENALTIES,
    BayesianSettings,
    GaussianModels,
    ImageAxes,
)
from spikeline.bridge.bayesian.layer_stack import LayerStack
from spikeline.bridge.bayesian.member import BayesianMember
from spikeline.bridge.bayesian.model_selection import Mixture, Trials, choose_mixture
from spikeline.bridge.bayesian.noise import covariance_of
from spikeline.bridge.bayesian.terms import Decoding, Encoding, Padding
from spikeline.bridge.kernel_ridge import fit_smoother
from spikeline.bridge.preprocessing import ResponseScaler, stabilised
from spikeline.bridge.targets import TargetSpace
from spikeline.bridge.temporal_components import TemporalComponents
from spikeline.errors import InputError

logger = logging.getLogger(__name__)

# A principal axis of standard deviation s enters the encoding kernel as s^power.
SPECTRUM_POWERS = (0.75, 1.0, 1.25, 1.5, 2.0)
LEAST_GROUPS = 10
# The power is chosen on at most this many rows, with this many landmarks of the rbf kernel.
POWER_ROWS = 6000
POWER_LANDMARKS = 1500


def fit_bayesian(
    responses: np.ndarray,
    embeddings: np.ndarray,
    images: Sequence[str] | np.ndarray,
    settings: Mapping[str, Any],
    gallery: int,
    *,
    groups: Sequence[str] | np.ndarray | None = None,
    electrodes: np.ndarray | None = None,
    components: TemporalComponents | None = None,
    layer_dims: Sequence[int] = (),
    seed: int = 0,
) -> BayesianMember:
    """Fit to training rows only.

    Args:
        responses: (rows, columns of the file); NaN is a missing value.
        embeddings: (rows, dim), of each row's image.
        images: (rows,) names; rows may repeat an image.
        settings: transform, noise_rank, target_transform, target_normalise, target_components (0:
            at most 300 and a third of the images), encoding_kernels, decoding_kernels (lists of
            `linear` and `rbf`, whose predictions are averaged, or [`none`]), target_layers and
            layer_mix (see `bridge.bayesian.layer_stack`).
        gallery: number of test images, the N of N-way validation.
        groups: (rows,) labels of rows that are left out together, e.g. concepts, to estimate
            how well images of new concepts are identified; a validation gallery shows one image
            of each. None: each image is left out on its own.
        electrodes: indices of the columns to use; None takes all. One that never varies is left
            out.
        components: of the time bins of these columns, fitted to the same rows; they are read in
            place of the columns. The folds below do not fit them anew: they are few numbers.
        layer_dims: columns of each layer of the embeddings; none means one layer.
        seed: of the folds.

    Raises:
        InputError: too few images, no electrode that varies, or what `ResponseScaler` and
            `TargetSpace` raise.
    """
    resolved = BayesianSettings.of(settings, layer_dims)
    images = np.unique(np.asarray(images), return_inverse=True)[1]
    what = "images" if groups is None else "concepts"
    groups = images if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    if groups.max(initial=-1) + 1 < LEAST_GROUPS:
        raise InputError(
            f"responses: {groups.max(initial=-1) + 1} training {what} are too few for a bayesian "
            f"model, which needs at least {LEAST_GROUPS}"
        )
    embeddings = np.asarray(embeddings, dtype=np.float32)
    electrodes = np.arange(responses.shape[1]) if electrodes is None else np.asarray(electrodes)
    values = np.asarray(responses)[:, electrodes]
    varies = np.flatnonzero(ResponseScaler.fit(values, resolved.transform, components).inverse_std)
    if not len(varies):
        raise InputError("responses: no electrode varies over the training rows")
    transform = resolved.transform
    if components is None:
        electrodes, values = electrodes[varies], values[:, varies].astype(np.float32)
    else:
        components = components.take(varies)
        values = components.apply(stabilised(values, transform))
        resolved = replace(resolved, transform="none")
    first = np.unique(images, return_index=True)[1]
    rotation = None
    if embeddings.shape[1] > len(first) and not resolved.stacked:
        # everything fitted lies in the span of the training images: rotate into it once
        rotation = TargetSpace.fit(
            embeddings[first],
            root=resolved.root,
            normalise=resolved.normalise,
            layer_dims=layer_dims,
        )
        embeddings = rotation.project(embeddings)
        resolved = replace(resolved, root=False, normalise=False, layer_dims=())
    trials = Trials(values, embeddings, images, groups)

    powers = _choose_powers(resolved, trials, seed)
    sides = tuple(resolved.kernels)
    mixture, choices = choose_mixture(
        lambda fold: GaussianModels.fit(resolved, powers, fold, sides), trials, sides, gallery, seed
    )
    models = GaussianModels.fit(resolved, powers, trials, mixture.sides)
    choices = {"powers": powers, "components": models.components, **choices}
    logger.info("chosen on training rows: %s", json.dumps(choices, sort_keys=True))
    member = _member(models, mixture, choices, trials, resolved.noise_rank)
    return replace(
        member,
        electrodes=electrodes.astype(np.int32),
        scaler=replace(member.scaler, transform=transform, components=components),
        rotation=rotation,
    )


def _choose_powers(resolved: BayesianSettings, trials: Trials, seed: int) -> dict[str, float]:
    """For each encoding kernel the spectrum power with the least leave-one-out error."""
    kernels = resolved.kernels.get("encoding", ())
    if not kernels:
        return {}
    if len(trials) > POWER_ROWS:
        drawn = np.random.default_rng(seed).permutation(len(trials))[:POWER_ROWS]
        trials = trials.take(np.sort(drawn))
    axes = ImageAxes.fit(resolved, trials.embeddings)
    y = ResponseScaler.fit(trials.values, resolved.transform).apply(trials.values)
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
                landmarks=POWER_LANDMARKS,
            )
            errors.append(float(np.square(y - left_out).sum()))
        powers[kernel] = SPECTRUM_POWERS[int(np.argmin(errors))]
    return powers


def _member(
    models: GaussianModels,
    mixture: Mixture,
    choices: dict[str, Any],
    trials: Trials,
    noise_rank: int,
) -> BayesianMember:
    """The member that reads values as those of the trials."""
    encoding = decoding = None
    if "encoding" in mixture.sides:
        side, shrinkage = models.encoding, mixture.shrinkages["encoding"]
        root = np.sqrt(mixture.weights["encoding"])
        y = models.scaler.apply(trials.values).astype(np.float64)
        prior = covariance_of(y, noise_rank).whitener(shrinkage)
        projections = {kernel: space.matrix for kernel, space in side.spaces.items()}
        encoding = Encoding.folded(
            side.smoothers, projections, models.whitener("encoding", shrinkage) * root, prior * root
        )
        stack = side.smoothers.get("linear")
        if isinstance(stack, LayerStack):
            choices["layer_weights"] = stack.weights.mean(1).round(4).tolist()
    if "decoding" in mixture.sides:
        side, weight = models.decoding, mixture.weights["decoding"]
        w = models.whitener("decoding", mixture.shrinkages["decoding"]) * np.sqrt(weight)
        target = models.axes.whitened(models.components).matrix
        decoding = Decoding.folded(side.smoothers, target, w, weight)
    space = models.axes.space
    member = BayesianMember(
        electrodes=np.arange(trials.values.shape[1]),
        scaler=models.scaler,
        image_mean=space.mean,
        root=space.root,
        normalise=space.normalise,
        encoding=encoding,
        decoding=decoding,
        padding=Padding(),
        choices=choices,
    )
    terms = *member.response_terms(trials.values), *member.image_terms(trials.embeddings)
    return replace(member, padding=Padding.fit(*terms))
