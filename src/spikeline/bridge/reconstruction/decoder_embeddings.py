"""The image embedding that a retrieval decoder of the house predicts from responses.

A decoder compares responses with images in a space of its own. Where that is an affine image of the
embeddings, as in ridge, networks and the decoding side of the Bayesian decoder, its prediction is
carried back by least squares. The length of an embedding is lost where embeddings are scaled to
unit length first; what draws from it standardises it anyhow.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spikeline.artifacts.embeddings import OUTPUT
from spikeline.bridge.aligned_member import AlignedMember
from spikeline.bridge.bayesian.member import BayesianMember
from spikeline.bridge.bayesian.terms import response_features
from spikeline.bridge.decoder import Decoder, Member
from spikeline.bridge.reconstruction.standardising import Moments
from spikeline.bridge.targets import TargetSpace
from spikeline.errors import InputError


def of_output(decoder: Decoder, dim: int, where: str) -> Decoder:
    """The same decoder, reading embeddings (n, dim) that are the encoder's output alone.

    Raises:
        InputError: it predicts layers of the encoder, or embeddings of another length.
    """
    for member in decoder.members:
        columns = np.arange(member.embedding_dim) if member.columns is None else member.columns
        if not np.array_equal(columns, np.arange(dim)):
            raise InputError(
                f"{where}: predicts some layers of the encoder, and a generator takes its output, "
                f"{OUTPUT}, of {dim} values; name a model without target_layers"
            )
    members = tuple(replace(member, columns=None) for member in decoder.members)
    return replace(decoder, members=members, n_columns=0)


def predicted_embeddings(
    decoder: Decoder, values: np.ndarray, where: str = "decoder"
) -> np.ndarray:
    """Embeddings (n, dim) of responses (n, columns of the file), the mean over the members.

    Each member's predictions are brought to a spread of one first, so that none counts more for
    the scale of its space; their mean has no scale of its own.

    Raises:
        InputError: it predicts rooted embeddings, or a member has no such direction.
    """
    values = np.asarray(values, dtype=np.float32)
    total = np.zeros((len(values), decoder.embedding_dim), dtype=np.float64)
    for member in decoder.members:
        rows = _of_member(member, values, where)
        moments = Moments.of(rows)
        spread = float(np.sqrt(np.square(moments.std).mean())) or 1.0
        total += member.weight * (rows - moments.mean) / spread
    return total.astype(np.float32)


def _of_member(member: Member, values: np.ndarray, where: str) -> np.ndarray:
    if isinstance(member, AlignedMember):
        predicted = member.map.predict(member.scaler.apply(values[:, member.electrodes]))
        return _carried_back(member.target, predicted, where)
    if member.decoding is None:
        raise InputError(
            f"{where}: has no model from response to image: its decoding_kernels are none, or "
            "weighed nothing on its validation images; name another model, such as a ridge"
        )
    return _of_bayesian(member, values, where)


def _of_bayesian(member: BayesianMember, values: np.ndarray, where: str) -> np.ndarray:
    features = member.scaler.apply(values[:, member.electrodes]).astype(np.float64)
    decoding = member.decoding
    whitened = np.zeros((len(values), decoding.whitener.shape[1]))
    if decoding.linear is not None:
        whitened += features @ decoding.linear
    if decoding.rbf is not None:
        whitened += decoding.rbf.predict(response_features(features))
    components = whitened @ np.linalg.pinv(decoding.whitener)
    space = TargetSpace(member.image_mean, decoding.target, member.root, member.normalise)
    embedded = _carried_back(space, components, where)
    return embedded if member.rotation is None else _carried_back(member.rotation, embedded, where)


def _carried_back(space: TargetSpace, predicted: np.ndarray, where: str) -> np.ndarray:
    """Rows of a target space as embeddings."""
    if space.root:
        raise InputError(
            f"{where}: predicts roots of the embedding (target_transform), which lose its signs; "
            "name a model with target_transform none"
        )
    rows = predicted if space.matrix is None else predicted @ np.linalg.pinv(space.matrix)
    return rows + space.mean
