"""The embedding that a retrieval decoder predicts, against regressions fitted without it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from defaults import settings as complete
from planted_code import LATENT_SHAPE, electrodes, recording, settings

from spikeline.bridge.closed_form import fit_bayesian_decoder, fit_ridge_decoder
from spikeline.bridge.decoder import combine
from spikeline.bridge.reconstruction.decoder_embeddings import of_output, predicted_embeddings
from spikeline.bridge.reconstruction.decoding import decode
from spikeline.bridge.reconstruction.drawing import correlations
from spikeline.bridge.reconstruction.fitting import fit_reconstructor
from spikeline.bridge.reconstruction.reconstructor import EMBEDDING
from spikeline.bridge.ridge import fit_ridge
from spikeline.errors import InputError


def fitted(kind, **given):
    """A decoder of a planted code, with its test responses and their true embeddings."""
    recorded = recording(signal=1.0)
    values, shown = recorded.part(test=False)
    images = recorded.images[: recorded.training]
    own = complete("fit", kind=kind, encoder="e", regions=["V4"], **given)
    arrays = values, shown.embeddings, images, images, electrodes(), own
    decoder = fit_ridge_decoder(*arrays) if kind == "ridge" else fit_bayesian_decoder(*arrays, 60)
    return decoder, values, shown.embeddings, *recorded.part(test=True)


@pytest.mark.parametrize("whitening", [0, 0.5, 1])
def test_a_ridge_decoder_predicts_what_ridge_to_the_embedding_does(whitening):
    given = {"target_whitening": whitening, "target_normalise": False, "penalties": [10]}
    decoder, values, embeddings, tested, _ = fitted("ridge", **given)
    features = (values - values.mean(0)) / values.std(0)
    new = (tested - values.mean(0)) / values.std(0)
    expected = fit_ridge(features, embeddings, [10]).predict(new)
    predicted = predicted_embeddings(decoder, tested)
    # Up to one scale and each dimension's mean, which drawing sets anew.
    expected = expected - expected.mean(0)
    expected /= np.sqrt(np.square(expected).mean(0).mean())
    np.testing.assert_allclose(predicted, expected, atol=2e-3)


@pytest.mark.parametrize("kernels", [["linear"], ["rbf"], ["linear", "rbf"]])
@pytest.mark.parametrize("normalise", [True, False])
def test_a_bayesian_decoder_predicts_the_embedding_of_new_responses(kernels, normalise):
    given = {"decoding_kernels": kernels, "target_normalise": normalise}
    decoder, _, _, tested, shown = fitted("bayesian", **given)
    predicted = predicted_embeddings(decoder, tested)
    assert correlations(predicted.T, shown.embeddings.T).mean() > 0.8


def test_an_ensemble_predicts_the_mean_of_its_members():
    one, _, _, tested, _ = fitted("ridge", penalties=[10])
    other, *_ = fitted("ridge", penalties=[1000])
    both = predicted_embeddings(combine([one, other]), tested)
    weights = [member.weight for member in combine([one, other]).members]
    parts = [predicted_embeddings(decoder, tested) for decoder in (one, other)]
    expected = sum(weight * part for weight, part in zip(weights, parts, strict=True))
    np.testing.assert_allclose(both, expected, atol=1e-5)


def test_a_decoder_without_that_direction_is_refused():
    decoder, _, _, tested, _ = fitted("bayesian", decoding_kernels=["none"])
    with pytest.raises(InputError, match=r"own\.safetensors: has no model from response to image"):
        predicted_embeddings(decoder, tested, "own.safetensors")


def test_a_decoder_that_only_looks_for_images_needs_no_such_direction():
    decoder, values, _, tested, shown = fitted("bayesian", decoding_kernels=["none"])
    recorded = recording(signal=1.0)
    _, seen = recorded.part(test=False)
    images = recorded.images[: recorded.training]
    targets, own = {EMBEDDING: seen.embeddings}, settings("retrieval")
    given = {EMBEDDING: decoder}
    arrays = values, targets, images, images, electrodes(), own, LATENT_SHAPE
    fit = fit_reconstructor(*arrays, given=given)
    found = decode(fit, "responses", tested, shown, seen, decoder)
    similarity = decoder.embed_responses(tested) @ decoder.embed_images(seen.embeddings).T
    np.testing.assert_array_equal(found.retrieved, similarity.argmax(1))
    arrays = *arrays[:5], settings("img2img"), LATENT_SHAPE
    with pytest.raises(InputError, match="has no model from response to image"):
        fit_reconstructor(*arrays, given=given)


def test_a_decoder_of_the_output_among_layers_reads_the_output_alone():
    decoder, _, embeddings, tested, _ = fitted("ridge", penalties=[10])
    dim = embeddings.shape[1]
    among = decoder.reading(np.arange(dim), dim + 4)
    alone = of_output(among, dim, "own.safetensors")
    np.testing.assert_array_equal(
        predicted_embeddings(alone, tested), predicted_embeddings(decoder, tested)
    )
    np.testing.assert_array_equal(alone.embed_images(embeddings), decoder.embed_images(embeddings))
    layers = replace(among, members=(replace(among.members[0], columns=np.arange(4, 4 + dim)),))
    with pytest.raises(InputError, match=r"own\.safetensors: predicts some layers"):
        of_output(layers, dim, "own.safetensors")
