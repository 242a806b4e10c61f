"""The target space against scikit-learn's principal components."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from spikeline.bridge.targets import TargetSpace, unit_rows
from spikeline.errors import InputError


@pytest.fixture
def embeddings():
    rng = np.random.default_rng(0)
    return (rng.standard_normal((80, 12)) @ rng.standard_normal((12, 12)) + 1).astype(np.float32)


@pytest.mark.parametrize("components", [0, 4])
def test_components_are_the_principal_axes(embeddings, components):
    oracle = PCA(components or 12, svd_solver="full").fit_transform(embeddings)
    ours = TargetSpace.fit(embeddings, components, normalise=False).project(embeddings)
    np.testing.assert_allclose(np.abs(ours), np.abs(oracle), rtol=1e-3, atol=1e-4)


def test_fewer_images_than_dimensions_have_the_same_axes_and_signs(monkeypatch):
    rng = np.random.default_rng(0)
    rows = (rng.standard_normal((40, 300)) * np.arange(1, 301) ** -0.5).astype(np.float32)
    sizes = []
    eigh = np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda a: sizes.append(a.shape) or eigh(a))
    space = TargetSpace.fit(rows, normalise=False)
    assert sizes == [(40, 40)]
    axes = eigh(np.cov(rows.astype(float), rowvar=False, bias=True))[1]
    axes = axes[:, ::-1][:, :39]
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(39)])
    np.testing.assert_allclose(space.matrix, axes, atol=1e-5)


def test_without_whitening_and_all_axes_the_geometry_is_that_of_the_centred_embeddings(embeddings):
    centred = unit_rows(embeddings) - unit_rows(embeddings).mean(0)
    expected = unit_rows(centred) @ unit_rows(centred).T
    ours = TargetSpace.fit(embeddings).embed(embeddings)
    np.testing.assert_allclose(ours @ ours.T, expected, atol=1e-4)


def test_whitening_gives_all_components_the_same_variance(embeddings):
    projected = TargetSpace.fit(embeddings, 6, whitening=1.0).project(embeddings)
    np.testing.assert_allclose(projected.var(0) / projected.var(), 1, rtol=1e-3)
    half = TargetSpace.fit(embeddings, 6, whitening=0.5).project(embeddings).var(0)
    none = TargetSpace.fit(embeddings, 6).project(embeddings).var(0)
    np.testing.assert_allclose(half / half[0], np.sqrt(none / none[0]), rtol=1e-3)


def test_axes_without_variance_are_left_out():
    rows = np.random.default_rng(0).standard_normal((10, 30)).astype(np.float32)
    space = TargetSpace.fit(rows, whitening=1.0)
    assert space.components == 9
    assert np.isfinite(space.embed(rows)).all()


def test_embedded_rows_have_length_1_and_weights_scale_components(embeddings):
    space = TargetSpace.fit(embeddings, 3)
    np.testing.assert_allclose(np.linalg.norm(space.embed(embeddings), axis=1), 1, rtol=1e-5)
    weights = np.array([1.0, 0.0, 3.0])
    weighted = space.weighted(weights).project(embeddings)
    np.testing.assert_allclose(weighted, space.project(embeddings) * weights, atol=1e-5)


def test_root_takes_the_signed_square_root_first(embeddings):
    rooted = np.sign(embeddings) * np.sqrt(np.abs(embeddings))
    ours = TargetSpace.fit(embeddings, 5, root=True).project(embeddings)
    np.testing.assert_allclose(ours, TargetSpace.fit(rooted, 5).project(rooted), atol=1e-5)


def test_embeddings_that_do_not_vary_are_refused():
    with pytest.raises(InputError, match="same embedding"):
        TargetSpace.fit(np.ones((5, 3), dtype=np.float32))
