"""Where a model is trained and run: on a GPU, or on one thread of the CPU."""

from __future__ import annotations

from spikeline.settings.entries import Models


class Devices:
    """What the models of a config ask for."""

    def __init__(self, models: Models):
        self.models = models

    def gpu(self, model: str) -> int:
        """How many GPUs a model asks for."""
        return self.models.settings(model).get("gpu", 0)

    def threads(self, model: str) -> int:
        """One on the CPU: threads of a small network wait for each other more than they work."""
        return 2 if self.gpu(model) else 1

    def arguments(self, model: str) -> list[str]:
        """A model that asks for no GPU uses none, even where there is one."""
        return [] if self.gpu(model) else ["--device", "cpu"]
