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
        """See `threads_beside`."""
        return threads_beside(self.gpu(model))

    def arguments(self, model: str) -> list[str]:
        """See `device_arguments`."""
        return device_arguments(self.gpu(model))


def threads_beside(gpu: int) -> int:
    """One on the CPU: threads of a small network wait for each other more than they work."""
    return 2 if gpu else 1


def device_arguments(gpu: int) -> list[str]:
    """What asks for no GPU uses none, even where there is one."""
    return [] if gpu else ["--device", "cpu"]
