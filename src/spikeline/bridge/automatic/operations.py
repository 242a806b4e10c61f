"""How many operations it takes to fit a decoder, counted from shapes and settings alone.

A multiplication and an addition are two operations. Nothing is timed, so that a config gives the
same decoder on every machine. Counted are matrix products and decompositions, to which almost all
time goes; the epochs of a network are an upper bound, since training may stop early.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from spikeline.bridge.bayesian.fitting import POWER_LANDMARKS, POWER_ROWS, SPECTRUM_POWERS
from spikeline.bridge.bayesian.gaussian_models import (
    DECODING_PENALTIES,
    ENCODING_PENALTIES,
    LANDMARKS,
    MOST_COMPONENTS,
    BayesianSettings,
)
from spikeline.bridge.bayesian.model_selection import FOLDS, SHRINKAGES, VALIDATION_IMAGES

# Eigenvalues and vectors of a symmetric matrix (n, n) take about 9 n^3 (Golub and Van Loan, Matrix
# Computations, 8.3), its Cholesky factor and the inverse of that 2/3 n^3.
_EIGEN, _WHITENER = 9, 2 / 3
# Products of the rows with each factor of their covariance; see `bridge.bayesian.noise`.
_FACTOR_PASSES = 9


@dataclass(frozen=True)
class Shapes:
    """What a decoder is fitted to: rows of so many images, on electrodes chosen already.

    Each electrode has a response in each of `bins` time bins.
    """

    rows: int
    images: int
    electrodes: int
    dim: int
    layer_dims: tuple[int, ...] = ()
    bins: int = 1


def operations(settings: Mapping[str, Any], shapes: Shapes) -> float:
    """Operations of one fit.

    Args:
        settings: resolved settings of a `ridge`, `bayesian`, `linear`, `mlp` or `capoyo` entry.
    """
    axes = min(shapes.images, shapes.dim)
    features = _features(settings, shapes)
    target_space = _spectrum(shapes.images, shapes.dim)
    if settings["kind"] == "bayesian":
        resolved = BayesianSettings.of(settings, shapes.layer_dims)
        return target_space + _bayesian(resolved, replace(shapes, electrodes=features), axes)
    components = min(settings["target_components"] or axes, axes)
    if settings["kind"] == "ridge":
        penalties = len(settings["penalties"])
        return target_space + _path(shapes.rows, features, components, penalties)
    members = settings.get("members", 1)
    return members * target_space + _network(settings, shapes, components, members)


def _features(settings: Mapping[str, Any], shapes: Shapes) -> int:
    """What a closed form reads. Weighing bins takes next to nothing: few rows and electrodes do."""
    each = {"gate": 1, "low_rank": settings.get("time_rank")}
    return shapes.electrodes * each.get(settings.get("time"), shapes.bins)


# --- closed forms ---------------------------------------------------------------------------------


def _spectrum(rows: int, columns: int) -> float:
    """The smaller Gram matrix of a matrix and its decomposition."""
    small = min(rows, columns)
    return 2 * rows * columns * small + _EIGEN * small**3


def _path(rows: int, features: int, outputs: int, penalties: int) -> float:
    """A ridge regression with leave-one-out predictions for each penalty."""
    rank = min(rows, features)
    rotation = 2 * rows * features * rank
    return _spectrum(rows, features) + rotation + 2 * (penalties + 1) * rows * rank * outputs


def _smoother(
    kernel: str, rows: int, features: int, outputs: int, penalties: int, landmarks: int
) -> float:
    """`bridge.kernel_ridge.fit_smoother`."""
    if kernel == "linear":
        return _path(rows, features, outputs, penalties)
    points = min(rows, landmarks)
    kernel_matrix = 2 * points**2 * features + _EIGEN * points**3
    if points == rows:
        return kernel_matrix + 2 * (penalties + 1) * rows * points * outputs
    nystrom = 2 * rows * points * (features + points)
    return kernel_matrix + nystrom + _path(rows, points, outputs, penalties)


def _bayesian(settings: BayesianSettings, shapes: Shapes, axes: int) -> float:
    """Powers of the spectrum, cross-validation of shrinkages, and the fit to all rows."""
    powers = sum(
        _smoother(
            kernel,
            min(shapes.rows, POWER_ROWS),
            axes,
            shapes.electrodes,
            len(ENCODING_PENALTIES[1::2]),
            POWER_LANDMARKS,
        )
        for kernel in settings.kernels.get("encoding", ())
    )
    folds = max(FOLDS, shapes.images // VALIDATION_IMAGES)
    run = min(folds, -(-VALIDATION_IMAGES * folds // shapes.images))
    fold = _gaussian_models(settings, shapes, axes, shapes.rows * (folds - 1) // folds)
    held = shapes.rows // folds
    components = _components(settings, shapes, axes)
    outputs = [(shapes.electrodes, settings.noise_rank), (components, 0)]
    scored = sum(2 * held**2 * width + _whitener(width, rank) for width, rank in outputs)
    whole = _gaussian_models(settings, shapes, axes, shapes.rows)
    return len(SPECTRUM_POWERS) * powers + run * (fold + len(SHRINKAGES) * scored) + whole


def _gaussian_models(settings: BayesianSettings, shapes: Shapes, axes: int, rows: int) -> float:
    components = _components(settings, shapes, axes)
    sides = {
        "encoding": (axes, shapes.electrodes, len(ENCODING_PENALTIES)),
        "decoding": (shapes.electrodes, components, len(DECODING_PENALTIES)),
    }
    total = _spectrum(rows, axes)
    for side, kernels in settings.kernels.items():
        features, outputs, penalties = sides[side]
        rank = settings.noise_rank if side == "encoding" else 0
        total += 2 * rows * outputs * (_FACTOR_PASSES * rank or outputs)
        for kernel in kernels:
            stacked = settings.stacked and (side, kernel) == ("encoding", "linear")
            for width in settings.layer_dims if stacked else (features,):
                total += _smoother(kernel, rows, width, outputs, penalties, LANDMARKS)
    return total


def _whitener(width: int, rank: int) -> float:
    """Of a full covariance, or of one with so many factors."""
    return _EIGEN * width * rank**2 if rank else _WHITENER * width**3


def _components(settings: BayesianSettings, shapes: Shapes, axes: int) -> int:
    wanted = settings.components or min(MOST_COMPONENTS, max(1, shapes.images // 3))
    return min(wanted, axes)


# --- networks -------------------------------------------------------------------------------------


def _network(settings: Mapping[str, Any], shapes: Shapes, components: int, members: int) -> float:
    """All steps of a training; one is counted by torch on tensors without storage."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils.flop_counter import FlopCounterMode

    from spikeline.bridge.networks.architectures import build_network
    from spikeline.bridge.networks.losses import AlignmentLoss

    batch = min(settings["batch_size"], shapes.rows)
    with FakeTensorMode(), FlopCounterMode(display=False) as counter:
        network = build_network(settings, shapes.electrodes, None, components, members, shapes.bins)
        criterion = AlignmentLoss(
            settings["loss"],
            members,
            settings["label_smoothing"],
            settings["softclip_temperature"],
        )
        values = torch.empty(members, batch, shapes.bins * shapes.electrodes)
        targets = torch.empty(members, batch, components)
        criterion(network(values), targets).sum().backward()
    return counter.get_total_flops() * (shapes.rows // batch) * settings["epochs"]
