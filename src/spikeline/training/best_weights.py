"""The weights of each member's best epoch, and how long each member has waited for a better one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class BestWeights:
    """Copies of the parameters, updated member by member where a score is better.

    Several members share each parameter: it has one slice per member on its first axis.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], members: int, patience: int):
        self.parameters, self.patience = parameters, patience
        self.weights = {name: p.detach().clone() for name, p in parameters.items()}
        self.score = torch.full((members,), -math.inf)
        self.waited = torch.zeros(members, dtype=torch.long)

    @property
    def exhausted(self) -> bool:
        """Whether every member has run out of patience."""
        return bool(self.patience) and bool((self.waited >= self.patience).all())

    def update(self, score: Tensor) -> None:
        """Keep the present weights of members whose score (members,) is better than before."""
        # a member that has run out of patience keeps its weights
        active = (self.waited < self.patience) if self.patience else self.waited >= 0
        better = (score > self.score) & active
        self.score = torch.where(better, score, self.score)
        self.waited = torch.where(better, 0, self.waited + 1)
        for name, parameter in self.parameters.items():
            if len(better) == 1:
                if better[0]:
                    self.weights[name].copy_(parameter.detach())
            else:
                chosen = better.to(parameter.device)
                self.weights[name][chosen] = parameter.detach()[chosen]

    @torch.no_grad()
    def restore(self) -> None:
        """Put the best weights back into the parameters."""
        for name, parameter in self.parameters.items():
            parameter.copy_(self.weights[name])

    def state_dict(self) -> dict[str, Any]:
        return {"weights": self.weights, "score": self.score, "waited": self.waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, weight in state["weights"].items():
            self.weights[name].copy_(weight)
        self.score, self.waited = state["score"], state["waited"]
