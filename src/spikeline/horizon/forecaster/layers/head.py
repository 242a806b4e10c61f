"""Log rates of any number of units from shared weights: the population's future meets each unit.

With h the state of a future time, e a unit's embedding and g its recent history, a head on the
concatenation would run its first layer once for each time and unit. Split by rows,

    W [h; e; g] = W_h h + W_e e + W_g g,

it runs once per time, once per unit and once per history; only the sum is per time and unit. Two
further paths are products of a time's part and a unit's part, one matrix product each: how strongly
the state moves a unit, (A h) . (B e + D e * C g), depends on who it is and on what it just did; and
its own history goes on with gains of the time and of the unit, (E h + F e) . g.

What follows from a unit's own history and who it is, whatever the population's state, has a network
of its own, one pass for all times: that is most of what can be known.

All last layers start at zero: an untrained head returns 0, the forecast its offset.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class UnitHead(nn.Module):
    """The head's weights.

    Args:
        dim: features of a time's state and of a unit's embedding.
        history: features of a unit's recent history.
        hidden: features of the hidden layer.
        rank: products of the bilinear path.
        times: of the forecast; own_hidden: features of the unit's own network.
    """

    def __init__(self, dim: int, history: int, hidden: int, rank: int, times: int, own_hidden: int):
        super().__init__()
        self.from_state = nn.Linear(dim, hidden)
        self.from_identity = nn.Linear(dim, hidden, bias=False)
        self.from_history = nn.Linear(history, hidden, bias=False)
        self.output = nn.Linear(hidden, 1)
        self.state_factor = nn.Linear(dim, rank)
        self.unit_factor = nn.Linear(dim, rank, bias=False)
        self.history_factor = nn.Linear(history, rank, bias=False)
        self.history_gate = nn.Linear(dim, rank)
        self.state_gain = nn.Linear(dim, history)
        self.identity_gain = nn.Linear(dim, history)
        self.own_history = nn.Linear(history, own_hidden)
        self.own_identity = nn.Linear(dim, own_hidden, bias=False)
        self.own_layer = nn.Linear(own_hidden, own_hidden)
        self.own_output = nn.Linear(own_hidden, times)
        self.own_linear = nn.Linear(history, times)
        for layer in (
            self.output, self.state_factor, self.state_gain, self.identity_gain, self.own_output,
            self.own_linear,
        ):  # fmt: skip
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, states: Tensor, identity: Tensor, history: Tensor) -> Tensor:
        """(windows, times, units) log rates above the offset.

        Args:
            states: (windows, times, dim).
            identity: (units, dim).
            history: (windows, units, history).
        """
        unit = self.from_identity(identity) + self.from_history(history)
        hidden = functional.gelu(self.from_state(states)[:, :, None] + unit[:, None])
        met = self.output(hidden).squeeze(-1) + self.products(states, identity, history)
        return met + self.own(identity, history, states.shape[1])

    def own(self, identity: Tensor, history: Tensor, times: int) -> Tensor:
        """(windows, times, units) what each unit's own history says, for the first `times`."""
        x = functional.gelu(self.own_history(history) + self.own_identity(identity))
        x = x + functional.gelu(self.own_layer(x))
        return (self.own_output(x) + self.own_linear(history)).mT[:, :times]

    def products(self, states: Tensor, identity: Tensor, history: Tensor) -> Tensor:
        """(windows, times, units): the two paths that are products."""
        gated = self.history_gate(identity) * self.history_factor(history)
        factors = self.unit_factor(identity) + gated
        held = (self.identity_gain(identity) * history).sum(-1)
        moved = self.state_factor(states) @ factors.mT
        return moved + self.state_gain(states) @ history.mT + held[:, None]

    def forward_concatenated(self, states: Tensor, identity: Tensor, history: Tensor) -> Tensor:
        """The same, with the first layer applied to concatenations: slow, to test and compare."""
        windows, times, units = len(states), states.shape[1], len(identity)
        weight = torch.cat(
            [layer.weight for layer in (self.from_state, self.from_identity, self.from_history)], 1
        )
        joined = torch.cat(
            [
                states[:, :, None].expand(-1, -1, units, -1),
                identity.expand(windows, times, -1, -1),
                history[:, None].expand(-1, times, -1, -1),
            ],
            -1,
        )
        hidden = functional.gelu(functional.linear(joined, weight, self.from_state.bias))
        met = self.output(hidden).squeeze(-1) + self.products(states, identity, history)
        return met + self.own(identity, history, times)
