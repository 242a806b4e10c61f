"""How long a training lasts and how fast it learns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up from 0, then half a cosine down to 0.

    Attributes:
        epochs: at most.
        steps: of the optimiser in one epoch.
        learning_rate: at the end of the warm-up.
        weight_decay: of AdamW.
        warmup_epochs: may be a fraction.
        patience: epochs without a better score after which a member stops; 0 never stops early.
    """

    epochs: int
    steps: int
    learning_rate: float
    weight_decay: float = 0.0
    warmup_epochs: float = 0.0
    patience: int = 0

    @classmethod
    def of(cls, settings: Mapping[str, Any], steps: int) -> Schedule:
        """From a model's resolved settings, with `steps` steps per epoch."""
        names = ("epochs", "learning_rate", "weight_decay", "warmup_epochs", "patience")
        return cls(steps=steps, **{name: settings[name] for name in names})

    def rate(self, epoch: float) -> float:
        """Learning rate at a moment counted in epochs."""
        if epoch < self.warmup_epochs:
            return self.learning_rate * epoch / self.warmup_epochs
        done = (epoch - self.warmup_epochs) / max(self.epochs - self.warmup_epochs, 1e-9)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
