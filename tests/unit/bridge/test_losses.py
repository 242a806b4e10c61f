"""Losses against open_clip, torch and slow loops."""

import math

import numpy as np
import pytest
import torch
from open_clip.loss import ClipLoss, SigLipLoss
from torch.nn import functional

from spikeline.bridge.networks import losses


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(2, 10, 6, generator=generator)
    return functional.normalize(rows, dim=-1).unbind(0)


SCALE = torch.tensor(7.0)


def alignment(kind, members=1):
    return losses.AlignmentLoss(kind, members, label_smoothing=0.0, softclip_temperature=0.1)


def test_infonce_equals_open_clip(pair):
    expected = ClipLoss()(*pair, SCALE)
    torch.testing.assert_close(losses.infonce(*pair, SCALE), expected)


def test_infonce_with_label_smoothing_equals_torch_cross_entropy(pair):
    logits, labels = SCALE * pair[0] @ pair[1].T, torch.arange(10)
    both = [functional.cross_entropy(m, labels, label_smoothing=0.2) for m in (logits, logits.T)]
    torch.testing.assert_close(losses.infonce(*pair, SCALE, 0.2), sum(both) / 2)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_infonce_takes_no_other_row_of_the_same_image_as_a_negative(pair, smoothing):
    predictions, targets = pair
    targets = targets.clone()
    targets[3] = targets[1]
    same = torch.zeros(10, 10, dtype=torch.bool)
    same[1, 3] = same[3, 1] = True
    total = 0.0
    for a, b in ((predictions, targets), (targets, predictions)):
        for i in range(10):
            candidates = [j for j in range(10) if not same[i, j]]
            log_p = {j: float(SCALE * a[i] @ b[j]) for j in candidates}
            normaliser = math.log(sum(math.exp(v) for v in log_p.values()))
            nll = {j: normaliser - v for j, v in log_p.items()}
            total += (1 - smoothing) * nll[i] + smoothing * sum(nll.values()) / len(nll)
    found = losses.infonce(predictions, targets, SCALE, smoothing, same)
    assert float(found) == pytest.approx(total / 20, rel=1e-5)


def test_siglip_equals_open_clip(pair):
    bias = torch.tensor(-3.0)
    expected = SigLipLoss()(*pair, SCALE, bias)
    torch.testing.assert_close(losses.siglip(*pair, SCALE, bias), expected)


def test_siglip_counts_rows_of_the_same_image_as_matches(pair):
    bias = torch.tensor(-3.0)
    same = torch.zeros(10, 10, dtype=torch.bool)
    same[1, 3] = True
    logit = SCALE * pair[0][1] @ pair[1][3] + bias
    change = (functional.softplus(-logit) - functional.softplus(logit)) / 10
    found = losses.siglip(*pair, SCALE, bias, same) - losses.siglip(*pair, SCALE, bias)
    torch.testing.assert_close(found, change)


def test_softclip_equals_a_slow_loop(pair):
    predictions, targets = (rows.double().numpy() for rows in pair)
    total = 0.0
    for i in range(10):
        label = np.exp(targets @ targets[i] / 0.2)
        label /= label.sum()
        for logits in (7 * targets @ predictions[i], 7 * predictions @ targets[i]):
            total -= (label * (logits - np.log(np.exp(logits).sum()))).sum()
    found = losses.softclip(*pair, SCALE, 0.2)
    assert float(found) == pytest.approx(total / 20, rel=1e-5)


def test_softclip_with_cold_labels_is_infonce(pair):
    torch.testing.assert_close(
        losses.softclip(*pair, SCALE, 1e-4), losses.infonce(*pair, SCALE), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("kind", losses.LOSSES)
def test_each_member_has_the_loss_it_would_have_alone(kind):
    torch.manual_seed(0)
    predictions, targets = torch.randn(2, 3, 8, 5)
    image = torch.tensor([0, 1, 2, 3, 4, 5, 6, 0])
    same = (image[:, None] == image) & ~torch.eye(8, dtype=torch.bool)
    together = alignment(kind, 3)(predictions, targets, same.expand(3, 8, 8))
    for member in range(3):
        alone = alignment(kind)(predictions[member, None], targets[member, None], same)
        torch.testing.assert_close(together[member], alone[0])


def test_perfect_predictions_have_no_cosine_or_squared_error(pair):
    assert float(losses.cosine(pair[0], pair[0])) == pytest.approx(0, abs=1e-6)
    assert float(losses.mse(pair[0], pair[0])) == 0


def test_learned_temperature_stays_in_its_bounds_and_comes_back(pair):
    criterion = alignment("infonce")
    criterion.log_scale.data.fill_(9.0)
    loss = criterion(pair[0][None], pair[1][None])
    assert float(criterion.log_scale.detach().exp()) == pytest.approx(100)
    loss.sum().backward()
    assert float(criterion.log_scale.grad) > 0
