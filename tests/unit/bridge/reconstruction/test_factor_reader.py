"""Factors of an image are read from responses by how likely their levels make these."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from planted_code import recording
from scipy.stats import multivariate_normal
from sklearn.covariance import ledoit_wolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from test_reconstructors import fitted

from spikeline.bridge.reconstruction import decoding
from spikeline.bridge.reconstruction.decoding import Shown, decode
from spikeline.bridge.reconstruction.factor_reader import PENALTIES, FactorReader
from spikeline.bridge.reconstruction.reconstructor import Reconstructor
from spikeline.bridge.ridge import left_out_predictions
from spikeline.errors import InputError

SHAPES, PLACES = np.array(["ring", "star", "arrow"]), np.array(["left", "right"])


def responses(signal, rows=400, seed=0):
    """Responses (rows, 30) with an effect of each level and correlated noise, and the levels."""
    rng, drawn = np.random.default_rng(0), np.random.default_rng([seed, 1])
    effects = signal * rng.standard_normal((len(SHAPES) + len(PLACES), 30))
    mix = rng.standard_normal((30, 30)) / 5 + np.eye(30)
    shape, place = drawn.integers(len(SHAPES), size=rows), drawn.integers(len(PLACES), size=rows)
    noise = drawn.standard_normal((rows, 30)) @ mix
    values = effects[shape] + effects[len(SHAPES) + place] + noise
    return values.astype(np.float32), {"shape": SHAPES[shape], "place": PLACES[place]}


def every_combination():
    grid = np.meshgrid(SHAPES, PLACES, indexing="ij")
    return {"shape": grid[0].ravel(), "place": grid[1].ravel()}


def right(reader, values, levels):
    """Share of responses whose own levels are the likeliest, by factor."""
    among = every_combination()
    best = reader.log_likelihood(values, among).argmax(1)
    return {name: (among[name][best] == levels[name]).mean() for name in among}


def one_hot(levels, names):
    return (levels[:, None] == np.sort(names)).astype(float)


def test_the_likelihood_is_that_of_a_gaussian_with_the_effects_and_the_left_out_noise():
    values, levels = responses(0.5)
    groups = np.arange(len(values))
    reader = FactorReader.fit(values, levels, groups)
    codes = np.hstack([one_hot(levels["shape"], SHAPES), one_hot(levels["place"], PLACES)])
    mean = codes.mean(0)
    among = every_combination()
    asked = np.hstack([one_hot(among["shape"], SHAPES), one_hot(among["place"], PLACES)])
    fits = []
    for penalty in PENALTIES:
        out = left_out_predictions(codes - mean, values, groups, penalty)
        covariance, _ = ledoit_wolf(values - out, assume_centered=True)
        ridge = Ridge(penalty).fit(codes - mean, values)
        means = ridge.predict(asked - mean)
        logs = np.stack([multivariate_normal(m, covariance).logpdf(values) for m in means], axis=1)
        fits.append(logs - logs.mean(1, keepdims=True))
    found = reader.log_likelihood(values, among)
    found = found - found.mean(1, keepdims=True)
    distances = [np.abs(found - logs).max() for logs in fits]
    assert min(distances) < 1e-3 * np.abs(found).max(), distances


def test_one_factor_is_read_as_by_linear_discriminant_analysis():
    values, levels = responses(0.4)
    fresh, truth = responses(0.4, seed=1)
    reader = FactorReader.fit(values, {"shape": levels["shape"]}, np.arange(len(values)))
    lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=[1 / 3] * 3)
    theirs = lda.fit(values, levels["shape"]).predict(fresh)
    ours = np.sort(SHAPES)[reader.log_likelihood(fresh, {"shape": np.sort(SHAPES)}).argmax(1)]
    assert (ours == theirs).mean() > 0.97
    assert (ours == truth["shape"]).mean() > (theirs == truth["shape"]).mean() - 0.01


def test_planted_factors_are_read_and_noise_is_at_chance():
    values, levels = responses(0.6)
    reader = FactorReader.fit(values, levels, np.arange(len(values)))
    assert min(right(reader, *responses(0.6, seed=1)).values()) > 0.9
    values, levels = responses(0.0)
    shares = right(FactorReader.fit(values, levels, np.arange(400)), *responses(0.0, seed=1))
    assert abs(shares["shape"] - 1 / 3) < 0.1 and abs(shares["place"] - 1 / 2) < 0.1


def test_a_level_that_training_never_showed_has_no_effect():
    values, levels = responses(0.6)
    reader = FactorReader.fit(values, levels, np.arange(len(values)))
    asked = {"shape": np.array(["moon", "ring"]), "place": np.array(["below", "left"])}
    unknown, known = reader.log_likelihood(values, asked).T
    assert np.abs(unknown).max() < 1e-3 < np.abs(known).max()
    with pytest.raises(InputError, match=r"no image has a level of 'shape' .* such as 'arrow'"):
        reader.likeliest(values, {**asked, "shape": np.array(["Ring", "Star"])})


def test_images_are_eligible_that_share_the_likeliest_levels_or_the_most_known_ones():
    values, levels = responses(0.6)
    reader = FactorReader.fit(values, levels, np.arange(len(values)))
    bank = {name: np.tile(own, 3) for name, own in every_combination().items()}
    eligible = reader.likeliest(values, bank)
    np.testing.assert_array_equal(eligible.sum(1), 3)
    best = reader.log_likelihood(values, bank).argmax(1)
    assert eligible[np.arange(len(values)), best].all()
    shown = {"shape": np.array(["star", "moon"]), "place": np.array(["left", "right"])}
    shared = reader.shared(shown, bank)
    np.testing.assert_array_equal(shared.sum(1), [3, 9])
    assert (bank["place"][shared[1]] == "right").all()


@pytest.mark.parametrize("kind", ["retrieval", "img2img"])
def test_the_image_that_is_found_has_the_factors_that_were_read(kind, tmp_path, monkeypatch):
    recorded = recording(signal=1.0)
    values, shown = recorded.part(test=True)
    _, seen = recorded.part(test=False)
    # Two signs of what was shown, as factors.
    signs = [np.sign(one.embeddings - 3)[:, :2].astype(int).astype(str) for one in (shown, seen)]
    shown, seen = (
        Shown(one.embeddings, one.latents, {"first": sign[:, 0], "second": sign[:, 1]})
        for one, sign in zip((shown, seen), signs, strict=True)
    )
    fit = fitted(recorded, kind, levels=seen.levels, factors=["first", "second"])
    found = decode(fit, "responses", values, shown, seen).retrieved
    likeliest = fit.factor_reader.likeliest(fit.features(values), seen.levels)
    assert likeliest[np.arange(len(found)), found].all()
    assert (signs[1][found] == signs[0]).mean() > 0.85
    told = decode(fit, "image", values, shown, seen).retrieved
    np.testing.assert_array_equal(signs[1][told], signs[0])
    # What stands for no image has no factors.
    plain = fitted(recorded, kind)
    for source in ("mean", "random"):
        np.testing.assert_array_equal(
            decode(fit, source, values, shown, seen).retrieved,
            decode(plain, source, values, shown, seen).retrieved,
        )
    # A decoder of the house looks among the same images.
    house = SimpleNamespace(
        embed_responses=lambda values: fit.predict("embedding", values),
        embed_images=lambda embeddings: embeddings,
    )
    monkeypatch.setattr(decoding, "predicted_embeddings", lambda one, v: one.embed_responses(v))
    theirs = decode(fit, "responses", values, shown, seen, house).retrieved
    assert likeliest[np.arange(len(theirs)), theirs].all()
    fit.save(tmp_path / "r.safetensors", {})
    again = Reconstructor.load(tmp_path / "r.safetensors")
    np.testing.assert_array_equal(decode(again, "responses", values, shown, seen).retrieved, found)
    assert list(again.factor_reader.levels) == ["first", "second"]
