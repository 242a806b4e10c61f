r"""What a forecast costs: the negative log likelihood of counts, or the error of their logs.

A lead bin of L bins whose rate is r per bin has the mean m = L r and n spikes:

| loss | of a lead bin, without what no model changes |
|---|---|
| poisson | ( m - n log m ) / L |
| negative_binomial | ( (n + 1/a) log(1 + a m) - n log(a m) + log G(1/a) / G(n + 1/a) ) / L |
| log_mse | ( log(1 + n) - log(1 + m) )^2 |

with G the gamma function and a dispersion a for each lead bin, learned; the variance is m + a m^2
(Lawless 1987, Canadian Journal of Statistics 15). The last is what regression of log counts does:
what it forecasts is not the mean but about the median, which is below it.

All spikes of the future count at the cost of a few bins. Long lead bins hold most of the spikes and
least of what can be known, so that a likelihood weighs by a power of its length.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

# 1 would weigh all spikes of the future alike, 0 all lead bins.
_LEAD_BIN_WEIGHT = 0.4
# Of variances, as a share of squared means, before any is learned.
_FIRST_DISPERSION = 0.3


class LeadBinLoss(nn.Module):
    """Mean over windows, lead bins and units; see the module.

    Args:
        name: of the loss.
        lengths: (lead bins,) bins of each.

    Raises:
        KeyError: unknown name; settings are checked before.
    """

    def __init__(self, name: str, lengths: Tensor):
        super().__init__()
        self.register_buffer("lengths", lengths.float()[:, None], persistent=False)
        self.measure = {
            "poisson": self._poisson,
            "negative_binomial": self._negative_binomial,
            "log_mse": self._log_mse,
        }[name]
        if name == "negative_binomial":
            first = torch.tensor(_FIRST_DISPERSION).log()
            self.log_dispersion = nn.Parameter(first.repeat(len(lengths), 1))

    def forward(self, log_rates: Tensor, counts: Tensor) -> Tensor:
        """() cost in nats, or in squared nats.

        Args:
            log_rates: (windows, lead bins, units) per bin.
            counts: (windows, lead bins, units) summed over each lead bin.
        """
        return self.measure(log_rates.float(), counts).mean()

    def _poisson(self, log_rates: Tensor, counts: Tensor) -> Tensor:
        loss = log_rates.exp() - counts / self.lengths * log_rates
        return loss * self.lengths**_LEAD_BIN_WEIGHT

    def _negative_binomial(self, log_rates: Tensor, counts: Tensor) -> Tensor:
        log_mean, log_a = log_rates + self.lengths.log(), self.log_dispersion
        size = (-log_a).exp()
        excess = functional.softplus(log_a + log_mean)  # log(1 + a m)
        loss = (counts + size) * excess - counts * (log_mean + log_a)
        loss = loss + torch.lgamma(size) - torch.lgamma(counts + size)
        return loss / self.lengths * self.lengths**_LEAD_BIN_WEIGHT

    def _log_mse(self, log_rates: Tensor, counts: Tensor) -> Tensor:
        return (counts.log1p() - (self.lengths * log_rates.exp()).log1p()) ** 2
