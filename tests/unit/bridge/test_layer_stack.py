"""Stacked regressions of layers: weights, and what a Bayesian decoder makes of them."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from spikeline.bridge.bayesian.fitting import fit_bayesian
from spikeline.bridge.bayesian.layer_stack import fit_layer_stack, stacking_weights
from spikeline.bridge.bayesian.member import BayesianMember
from spikeline.bridge.targets import TargetSpace

SETTINGS = {
    "transform": "none", "target_transform": "none", "target_normalise": True,
    "target_components": 0, "target_layers": ["early", "late"], "layer_mix": "stacked",
    "noise_rank": 0,
    "encoding_kernels": ["linear", "rbf"], "decoding_kernels": ["linear"],
}  # fmt: skip


def test_an_output_is_weighted_towards_the_model_that_predicts_it():
    rng = np.random.default_rng(0)
    y = rng.standard_normal((500, 2))
    noise = rng.standard_normal((500, 2))
    # The first model knows output 0 and nothing of output 1; the second the other way round.
    first = np.column_stack([y[:, 0], noise[:, 0]])
    second = np.column_stack([-y[:, 0], y[:, 1] / 2])
    weights = stacking_weights(np.stack([first, second]), y)
    np.testing.assert_allclose(weights[:, 0], [1, 0], atol=1e-9)
    np.testing.assert_allclose(weights[:, 1], [0, 2], atol=0.1)


def recording(images=120, seed=0):
    """Electrode 0 follows the first layer, electrode 1 the second, 2 both."""
    rng = np.random.default_rng(seed)
    layers = rng.standard_normal((2, images, 6))
    drive = layers @ rng.standard_normal((2, 6, 1)) / 6**0.5
    signal = np.column_stack([drive[0], drive[1], drive.sum(0)])
    noisy = signal + 0.2 * rng.standard_normal(signal.shape)
    return (noisy - noisy.mean(0)).astype(np.float32), np.concatenate(layers, 1).astype(np.float32)


def test_a_stack_is_the_weighted_sum_of_the_layers_own_ridges():
    y, embeddings = recording()
    layers = [slice(0, 6), slice(6, 12)]
    spaces = [TargetSpace.fit(embeddings[:, layer], normalise=False) for layer in layers]
    stack, left_out = fit_layer_stack(spaces, layers, embeddings, y, [0.5], np.arange(120))
    expected = 0
    for layer, weights in zip(layers, stack.weights, strict=True):
        own = embeddings[:, layer] - embeddings[:, layer].mean(0)
        expected = expected + weights * Ridge(alpha=0.5).fit(own, y).predict(own)
    predicted = stack.predict(embeddings - embeddings.mean(0))
    np.testing.assert_allclose(predicted, expected, atol=1e-3)
    # Left out, a row is predicted worse than where it was fitted.
    assert np.square(y - left_out).mean() > np.square(y - predicted).mean()
    assert stack.weights[0, 0] > 0.9 and stack.weights[1, 0] < 0.2
    assert stack.weights[1, 1] > 0.9 and stack.weights[0, 1] < 0.2
    assert (stack.weights[:, 2] > 0.7).all()


@pytest.mark.parametrize("mix", ["stacked", "joined"])
def test_a_decoder_of_several_layers_comes_back_from_its_arrays_and_identifies_images(mix):
    y, embeddings = recording(150)
    names = np.array([f"{k}.jpg" for k in range(150)])
    train = slice(0, 120)
    member = fit_bayesian(
        y[train], embeddings[train], names[train], {**SETTINGS, "layer_mix": mix}, 30,
        layer_dims=(6, 6),
    )  # fmt: skip
    again = BayesianMember.from_tensors(member.description(), member.tensors())
    similarity = member.embed_responses(y[120:]) @ member.embed_images(embeddings[120:]).T
    ours = again.embed_responses(y[120:]) @ again.embed_images(embeddings[120:]).T
    np.testing.assert_array_equal(similarity, ours)
    best = similarity.argmax(1) == np.arange(30)
    assert best.mean() > 0.25  # chance is .03
    assert ("layer_weights" in member.choices) == (mix == "stacked")
