"""Masking pretraining on a toy whose answer is known: it learns, resumes, and reads what it may."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from artifact_examples import electrodes_of_one_area
from pretraining_toys import HELD_OUT, ROWS, TABLE, masking, pretraining_settings, recording

from spikeline.artifacts.responses import Responses
from spikeline.bridge.pretraining import training
from spikeline.bridge.pretraining.linear_prediction import linear_error
from spikeline.bridge.pretraining.network import (
    masked_error,
    new_decoder,
    new_encoder,
    parameters_of,
)
from spikeline.bridge.pretraining.training import masking_rows, pretrain
from spikeline.errors import InputError
from spikeline.training.device import make_fabric
from spikeline.training.state import StateFile

FABRIC = make_fabric("cpu")
REGIONS = [str(region) for region in TABLE["region"]]


def fit(responses, settings, **options):
    return pretrain(masking(responses), TABLE, settings, seed=0, fabric=FABRIC, **options)


def test_the_decoder_of_masked_responses_has_about_330_thousand_parameters():
    decoder = new_decoder({"dim": 128, "heads": 4, "dropout": 0.0})
    inner, dim = 4 * 64, 128
    attention = 2 * 2 * dim + 3 * dim * inner + inner * dim + dim
    feed_forward = 2 * dim + 2 * (dim * 4 * dim + 4 * dim) + 4 * dim * dim + dim
    assert parameters_of(decoder) == attention + feed_forward + dim + 1 == 329_857


def one_step(settings, responses, hidden, varying=None):
    """Encoder, decoder, values and the gradient of the values that a masked error has."""
    torch.manual_seed(0)
    encoder, decoder = new_encoder(settings, REGIONS), new_decoder(settings)
    values = torch.from_numpy(responses).requires_grad_()
    varying = torch.ones(values.shape[1], dtype=torch.bool) if varying is None else varying
    error = masked_error(encoder.eval(), decoder.eval(), values, hidden, varying)
    error.backward()
    return encoder, decoder, values, error


def test_the_masked_error_is_that_of_the_hidden_responses_alone():
    settings, responses = pretraining_settings(), recording()[0][:4]
    hidden = torch.zeros(4, 24, dtype=torch.bool)
    for row, columns in enumerate([(0, 9), (3, 5), (20, 23), (9, 0)]):
        hidden[row, list(columns)] = True
    encoder, decoder, values, error = one_step(settings, responses, hidden)
    identities = encoder.electrodes._identities()
    latents = encoder(values, ~hidden)
    by_hand = []
    for row in range(4):
        columns = hidden[row].nonzero()[:, 0]
        predicted = decoder(identities[columns][None], latents[row : row + 1])[0]
        by_hand += ((predicted - values[row, columns]) ** 2).tolist()
    assert error.item() == pytest.approx(np.mean(by_hand), rel=1e-5)


def test_what_is_hidden_is_no_input_and_what_is_visible_no_target():
    settings, responses = pretraining_settings(), recording()[0][:4]
    hidden = torch.zeros(4, 24, dtype=torch.bool)
    hidden[:, :6] = True
    encoder, decoder, values, _ = one_step(settings, responses, hidden)
    other = values.detach().clone()
    other[:, :6] += 5
    torch.testing.assert_close(encoder(other, ~hidden), encoder(values, ~hidden))
    # As a target a response enters the error by its difference from the prediction, which pushes
    # the decoder's offset; visible responses push it nowhere.
    everywhere = torch.ones(24, dtype=torch.bool)

    def offset(hide):
        decoder.zero_grad()
        masked_error(encoder, decoder, values.detach(), hide, everywhere).backward()
        return decoder.output.bias.grad.clone()

    def wanted(hide):
        columns = hide.nonzero()[:, 1].view(4, -1)
        latents = encoder(values.detach(), ~hide)
        predicted = decoder(encoder.electrodes._identities()[columns], latents)
        return 2 * (predicted - values.detach().gather(1, columns)).mean()

    torch.testing.assert_close(offset(hidden)[0], wanted(hidden))


def test_a_dead_electrode_does_not_count():
    settings, responses = pretraining_settings(), recording()[0][:4]
    hidden = torch.zeros(4, 24, dtype=torch.bool)
    hidden[:, [2, 7]] = True
    varying = torch.arange(24) != 7
    *_, both = one_step(settings, responses, hidden, varying)
    responses = responses.copy()
    responses[:, 7] = 1e3
    *_, changed = one_step(settings, responses, hidden, varying)
    assert both.item() == changed.item()


def test_identities_start_from_the_loadings_of_the_responses():
    # Electrodes 0 and 1 share one factor, 2 and 3 another of a quarter of its variance.
    factors = np.random.default_rng(0).standard_normal((4000, 2)) * [2, 1]
    values = factors[:, [0, 0, 1, 1]] * [1, -0.9, 1, 0.9]
    found = training.component_identities(values, bins=1, dim=2)
    expected = np.array([[2, 0], [-1.8, 0], [0, 1], [0, 0.9]])
    np.testing.assert_allclose(found, expected / np.sqrt((expected**2).mean()), atol=0.1)
    # Two bins of each electrode, columns in the order (bin, electrode).
    binned = np.concatenate([values + 1, values - 1], axis=1)
    np.testing.assert_allclose(training.component_identities(binned, 2, 2), found, atol=1e-5)


@pytest.mark.slow
def test_masked_responses_of_few_factors_are_predicted_far_better_than_by_their_mean():
    settings = pretraining_settings(pretraining_epochs=60)
    pretrained, history = fit(recording()[0], settings)
    errors = pretrained.errors
    assert errors["masked_mse"] < 0.5 * errors["masked_mse_mean"]
    assert errors["masked_mse"] > errors["masked_mse_linear"]  # the toy is linear
    assert errors["masked_mse"] == pytest.approx(min(row["masked_mse"] for row in history))


def test_ridge_beside_it_knows_a_linear_toy_to_its_noise():
    rng = np.random.default_rng(0)
    shown = rng.standard_normal((500, 2))
    values = shown @ rng.standard_normal((2, 30)) + 0.1 * rng.standard_normal((500, 30))
    hidden = np.zeros((100, 30), bool)
    hidden[:50, :5] = hidden[50:, 10:15] = True
    varying = np.ones(30, bool)
    error = linear_error(values[:400], values[400:], hidden, varying)
    assert 0.01 < error < 0.015  # noise 0.01, and that of 25 predictors
    broken = values.copy()
    broken[:, 3] = 100.0
    varying[3] = False
    assert linear_error(broken[:400], broken[400:], hidden, varying) == pytest.approx(
        error, rel=0.2
    )


def test_noise_is_predicted_no_better_than_by_its_mean():
    noise = np.random.default_rng(3).standard_normal((ROWS + HELD_OUT, 24)).astype(np.float32)
    pretrained, _ = fit(noise, pretraining_settings(pretraining_epochs=8))
    errors = pretrained.errors
    assert errors["masked_mse"] == pytest.approx(errors["masked_mse_mean"], abs=0.05)


def test_an_interrupted_pretraining_resumes_to_the_same_weights(tmp_path, monkeypatch):
    responses, settings = recording()[0], pretraining_settings()
    unbroken, whole = fit(responses, settings)
    state, calls, original = StateFile(tmp_path / "x.state", 0), [], training._Masked.score

    def failing(self):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(self)

    monkeypatch.setattr(training._Masked, "score", failing)
    with pytest.raises(KeyboardInterrupt):
        fit(responses, settings, state_file=state)
    resumed, history = fit(responses, settings, state_file=state)
    assert len(calls) == 3 + 2 + 1  # and once for the best epoch's errors
    assert history == whole
    for part in ("encoder", "decoder"):
        for name, array in getattr(unbroken, part).items():
            np.testing.assert_array_equal(getattr(resumed, part)[name], array)


# --- which rows it reads --------------------------------------------------------------------------


def recorded(repetitions=6):
    rng = np.random.default_rng(0)
    values = rng.standard_normal((60, 5)).astype(np.float32)
    single = rng.standard_normal((repetitions, 20, 5)).astype(np.float32)
    values[40:] = single.mean(0)
    return Responses(
        values=values,
        images=np.array([f"c{row}/{row}.jpg" for row in range(60)], object),
        categories=np.array([f"c{row}" for row in range(60)], object),
        test=(np.arange(60) >= 40)[None],
        electrodes=electrodes_of_one_area("V1", 5),
        repetitions=single,
    )


def test_no_test_row_is_read_and_validation_is_on_the_images_of_the_decoder():
    settings = pretraining_settings(regions=["V1"], validation_images=10)
    one = recorded()
    rows = masking_rows(one, settings, seed=3)
    np.testing.assert_array_equal(rows.values, one.values[:40])
    assert len(rows.validation) == 10 and not set(rows.validation) & set(rows.train)
    assert rows.test_repetitions == 0
    other = replace(one, values=np.where(one.test[0][:, None], 9, one.values), repetitions=None)
    np.testing.assert_array_equal(masking_rows(other, settings, seed=3).values, rows.values)


def test_the_test_phase_gives_its_reserved_presentations_and_no_other():
    settings = pretraining_settings(
        regions=["V1"], pretraining_data="test_phase", reserved_repetitions=2
    )
    one = recorded()
    rows = masking_rows(one, settings, seed=0)
    assert rows.test_repetitions == 2 and rows.values.shape == (40, 5)
    np.testing.assert_array_equal(rows.values, one.repetitions[:2].reshape(40, 5))
    # Both presentations of two of the 20 images validate.
    assert len(rows.validation) == 4 and len(rows.train) == 36
    assert len(set(rows.validation % 20)) == 2


@pytest.mark.parametrize(("count", "words"), [(0, "0 leaves pretraining_data"), (6, "leave none")])
def test_a_test_phase_without_reserved_presentations_is_refused(count, words):
    settings = pretraining_settings(
        regions=["V1"], pretraining_data="test_phase", reserved_repetitions=count
    )
    with pytest.raises(InputError, match=words):
        masking_rows(recorded(), settings, seed=0)


def test_reserved_repetitions_are_not_tested_on():
    one = recorded()
    rest = one.without_first(2)
    np.testing.assert_array_equal(rest.repetitions, one.repetitions[2:])
    np.testing.assert_allclose(rest.test_values(0), one.repetitions[2:].mean(0), rtol=1e-6)
    np.testing.assert_array_equal(rest.values[:40], one.values[:40])
    assert one.without_first(0) is one
