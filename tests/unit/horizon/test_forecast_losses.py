"""What a forecast costs: likelihoods against torch.distributions, and their minima."""

import pytest
import torch
from torch.distributions import NegativeBinomial, Poisson

from spikeline.horizon.forecaster.losses import LeadBinLoss
from spikeline.settings.schema import load_schema

LENGTHS = torch.tensor([1, 2, 7])
LOG_RATES = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
COUNTS = torch.poisson(LOG_RATES.exp() * LENGTHS[:, None], torch.Generator().manual_seed(1))
MEANS = LOG_RATES.exp() * LENGTHS[:, None]


def test_poisson_of_one_bin_is_the_likelihood():
    found = LeadBinLoss("poisson", torch.ones(3))(LOG_RATES, COUNTS)
    expected = -Poisson(LOG_RATES.exp()).log_prob(COUNTS) - torch.lgamma(COUNTS + 1)
    torch.testing.assert_close(found, expected.mean())


def test_negative_binomial_is_the_likelihood_by_bin_weighted_by_a_power_of_the_length():
    loss = LeadBinLoss("negative_binomial", LENGTHS)
    with torch.no_grad():
        loss.log_dispersion.copy_(torch.tensor([[-1.0], [0.0], [0.7]]))
    dispersion = loss.log_dispersion.exp()
    peer = NegativeBinomial(1 / dispersion, logits=(dispersion * MEANS).log())
    expected = -peer.log_prob(COUNTS) - torch.lgamma(COUNTS + 1)
    expected = expected * LENGTHS[:, None] ** (0.4 - 1)
    torch.testing.assert_close(loss(LOG_RATES, COUNTS), expected.mean())


def test_negative_binomial_without_dispersion_moves_rates_as_poisson_does():
    gradients = []
    for name in ("poisson", "negative_binomial"):
        loss = LeadBinLoss(name, LENGTHS)
        if name == "negative_binomial":
            with torch.no_grad():
                loss.log_dispersion.fill_(-8)
        rates = LOG_RATES.clone().requires_grad_()
        loss(rates, COUNTS).backward()
        gradients.append(rates.grad)
    torch.testing.assert_close(*gradients, rtol=0.02, atol=1e-4)


def test_log_mse_is_the_squared_error_of_log_counts():
    found = LeadBinLoss("log_mse", LENGTHS)(LOG_RATES, COUNTS)
    torch.testing.assert_close(found, ((1 + COUNTS).log() - (1 + MEANS).log()).pow(2).mean())


@pytest.mark.parametrize("name", ["poisson", "negative_binomial"])
def test_likelihoods_are_smallest_at_the_mean_and_log_mse_below_it(name):
    counts = NegativeBinomial(2.0, logits=torch.tensor(0.4)).sample((4000, 1, 1))
    mean = float(counts.mean())
    assert best_rate(name, counts) == pytest.approx(mean, rel=0.02)
    assert best_rate("log_mse", counts) < 0.9 * mean


def test_dispersion_is_learned_from_counts_that_vary_more_than_poisson():
    torch.manual_seed(0)
    size, mean = 2.0, 3.0  # a = 1 / size
    counts = NegativeBinomial(size, logits=torch.tensor(mean / size).log()).sample((20000, 1, 1))
    loss = LeadBinLoss("negative_binomial", torch.ones(1))
    rates = torch.tensor(mean).log().expand(counts.shape)
    optimiser = torch.optim.Adam(loss.parameters(), 0.05)
    for _ in range(200):
        optimiser.zero_grad()
        loss(rates, counts).backward()
        optimiser.step()
    assert loss.log_dispersion.exp().item() == pytest.approx(1 / size, rel=0.1)


def best_rate(name, counts):
    loss = LeadBinLoss(name, torch.ones(1))
    grid = torch.linspace(0.3, 2.0, 171) * counts.mean()
    with torch.no_grad():
        costs = [loss(rate.log().expand(counts.shape), counts) for rate in grid]
    return float(grid[int(torch.stack(costs).argmin())])


def test_every_loss_of_the_settings_has_a_measure():
    known = load_schema()["properties"]["models"]["x-kinds"]["forecaster"]["properties"]["loss"]
    assert len(known["enum"]) == 3
    assert all(
        torch.isfinite(LeadBinLoss(name, LENGTHS)(LOG_RATES, COUNTS)) for name in known["enum"]
    )
