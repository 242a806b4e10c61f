"""Where a step runs: on a GPU, or on one thread of the CPU."""

from __future__ import annotations

from spikeline.plan.config import Config


class Devices:
    """What the models of a config ask for, and its encoders, autoencoders and generators."""

    def __init__(self, config: Config):
        self.config = config

    def gpu(self, model: str) -> int:
        """How many GPUs a model asks for."""
        return self.config.models.settings(model).get("gpu", 0)

    def threads(self, model: str) -> int:
        """See `threads_beside`."""
        return threads_beside(self.gpu(model))

    def arguments(self, model: str) -> list[str]:
        """See `device_arguments`."""
        return device_arguments(self.gpu(model))

    def gpu_of(self, section: str, name: str) -> int:
        """How many GPUs an entry of a section asks for, to be trained and to be used."""
        return self.config.entry(section, name).get("gpu", 1)

    def threads_of(self, section: str, name: str, beside: int = 2) -> int:
        """See `threads_beside`."""
        return threads_beside(self.gpu_of(section, name), beside)

    def arguments_of(self, section: str, name: str) -> list[str]:
        """See `device_arguments`."""
        return device_arguments(self.gpu_of(section, name))


def threads_beside(gpu: int, beside: int = 2) -> int:
    """Those that serve a GPU, else one: threads of a small network wait for each other more than
    they work."""
    return beside if gpu else 1


def device_arguments(gpu: int) -> list[str]:
    """What asks for no GPU uses none, even where there is one."""
    return [] if gpu else ["--device", "cpu"]
