"""What autoencoders and generators are made from, and where they lie."""

from __future__ import annotations

from typing import Any

from spikeline.errors import InputError
from spikeline.plan.config import Config, as_settings
from spikeline.plan.locations import flag
from spikeline.plan.sources import Files, Sources
from spikeline.settings.steps import selected

AUTOENCODER = "resources/autoencoders/{autoencoder}"
GENERATOR = "resources/generators/{name}"
IP_ADAPTER = "resources/ip_adapters/{generator}.safetensors"
PROMPTS = "results/prompts/{generator}/{stimuli}.h5"
LATENTS = "results/latents/{autoencoder}/{stimuli}.h5"


class Generators:
    """The autoencoders and generators of a config, by name."""

    def __init__(self, config: Config, sources: Sources):
        self.config, self.sources = config, sources

    # --- autoencoders -----------------------------------------------------------------------------

    def autoencoder(self, autoencoder: str) -> str:
        """The folder of an autoencoder, trained or part of a pipeline."""
        entry = self.config.entry("autoencoders", autoencoder)
        if entry["kind"] == "pipeline":
            return f"{self.pipeline(entry['generator'])}/vae"
        return AUTOENCODER.format(autoencoder=autoencoder)

    def autoencoder_made(self, autoencoder: str) -> str:
        """What a job waits for to read it: a folder that a rule makes."""
        entry = self.config.entry("autoencoders", autoencoder)
        if entry["kind"] == "pipeline":
            return self.pipeline(entry["generator"])
        return AUTOENCODER.format(autoencoder=autoencoder)

    def latents(self, autoencoder: str, stimuli: str) -> str:
        """Latents of a stimulus set."""
        self.config.entry("autoencoders", autoencoder)
        return LATENTS.format(autoencoder=autoencoder, stimuli=stimuli)

    def latents_arguments(self, autoencoder: str) -> list[str]:
        """How `encode-latents` finds an autoencoder, and the size of its images."""
        entry = self.config.entry("autoencoders", autoencoder)
        size = entry.get("image_size") or entry["training"]["image_size"]
        return [
            "--autoencoder", self.autoencoder(autoencoder), "--name", autoencoder,
            "--image-size", str(size),
        ]  # fmt: skip

    def autoencoder_settings(self, autoencoder: str) -> str:
        """The settings by which an autoencoder is trained."""
        return as_settings(self.config.entry("autoencoders", autoencoder)["training"])

    def images_of(self, autoencoder: str) -> tuple[str, str]:
        """(responses, packed images) of the subject whose training images are learnt."""
        subject = self._subject(autoencoder)
        return f"results/responses/{subject}.h5", self.sources.subject_stimuli(subject)

    def _subject(self, autoencoder: str) -> str:
        """The subject whose training images an autoencoder was trained on."""
        return self.config.entry("autoencoders", autoencoder)["subject"]

    # --- generators -------------------------------------------------------------------------------

    def pipeline(self, name: str) -> str:
        """The folder of a generator, trained or fetched."""
        self.config.entry("generators", name)
        return GENERATOR.format(name=name)

    def training_files(self, generator: str) -> dict[str, Files]:
        """What a generator is trained on, by option of `train-generator`."""
        entry = self.config.entry("generators", generator)
        autoencoder = entry["autoencoder"]
        if self.config.entry("autoencoders", autoencoder)["kind"] != "trained":
            raise InputError(
                f"config generators.{generator}.autoencoder: {autoencoder!r} is part of a "
                "pipeline; a generator that is trained here needs one of kind trained"
            )
        subject = self._subject(autoencoder)
        return {
            "responses": f"results/responses/{subject}.h5",
            "latents": self.latents(autoencoder, self.sources.stimuli_of(subject)),
            "autoencoder": self.autoencoder(autoencoder),
            **self._told(generator, subject),
        }

    def _told(self, generator: str, subject: str) -> dict[str, Files]:
        """What a trained generator is conditioned on."""
        entry = self.config.entry("generators", generator)
        if entry["conditioning"] == "image":
            return {"embeddings": self.sources.embeddings(entry["encoder"], subject)}
        return {"prompts": self.prompts(generator, subject), "clip": self.text_encoder(generator)}

    # --- text -------------------------------------------------------------------------------------

    def prompts(self, generator: str, subject: str) -> str:
        """Text-encoder states of the captions of the images that a subject saw."""
        self.config.entry("generators", generator)
        return PROMPTS.format(generator=generator, stimuli=self.sources.stimuli_of(subject))

    def text_encoder(self, generator: str) -> str:
        """The folder of the text encoder: of the generator's CLIP, or of the fetched pipeline.

        Raises:
            InputError: the encoder of a generator that is trained here has no folder of weights.
        """
        entry = self.config.entry("generators", generator)
        if entry["kind"] == "diffusers":
            return self.pipeline(generator)
        folder = self.sources.local_weights(entry["encoder"])
        if not folder:
            raise InputError(
                f"config generators.{generator}.encoder: {entry['encoder']!r} has no text encoder "
                "in a folder; name one of kind demo_clip, or open_clip with local-dir:FOLDER"
            )
        return folder

    def prompt_source(self, stimuli: str) -> str:
        """Captions of a stimulus set or, without, responses whose categories name its images.

        Raises:
            InputError: there are neither.
        """
        if self.config.entry("stimuli", stimuli).get("captions"):
            return f"resources/captions/{stimuli}.tsv"
        for name in self.config["subjects"]:
            if self.sources.stimuli_of(name) == stimuli:
                return f"results/responses/{name}.h5"
        raise InputError(f"config stimuli.{stimuli}: has neither captions nor a subject who saw it")

    def prompt_arguments(self, generator: str, stimuli: str) -> list[str]:
        """How `encode-prompts` finds the text and its encoder."""
        source = self.prompt_source(stimuli)
        trained = self.config.entry("generators", generator)["kind"] == "trained"
        return [
            "--captions" if source.endswith(".tsv") else "--responses", source,
            "--clip" if trained else "--generator", self.text_encoder(generator),
        ]  # fmt: skip

    def ip_adapter(self, generator: str) -> str:
        """The IP-Adapter of a generator of text, trained or fetched with it."""
        if self.config.entry("generators", generator)["kind"] == "diffusers":
            return f"{self.pipeline(generator)}/ip_adapter.safetensors"
        return IP_ADAPTER.format(generator=generator)

    def ip_adapter_made(self, generator: str) -> str:
        """What a job waits for to read it."""
        if self.config.entry("generators", generator)["kind"] == "diffusers":
            return self.pipeline(generator)
        return IP_ADAPTER.format(generator=generator)

    def ip_adapter_files(self, generator: str) -> dict[str, Files]:
        """What an IP-Adapter is trained on, by option of `train-ip-adapter`."""
        entry = self.config.entry("generators", generator)
        subject = self._subject(entry["autoencoder"])
        return {
            "responses": f"results/responses/{subject}.h5",
            "latents": self.latents(entry["autoencoder"], self.sources.stimuli_of(subject)),
            "embeddings": self.sources.embeddings(entry["encoder"], subject),
            "generator": self.pipeline(generator),
        }

    def ip_adapter_arguments(self, generator: str) -> list[str]:
        """The same, as arguments."""
        files = self.ip_adapter_files(generator).items()
        return [part for name, file in files for part in flag(f"--{name}", file)]

    def ip_adapter_settings(self, generator: str) -> str:
        """The settings by which an IP-Adapter is trained."""
        return as_settings(self.config.entry("generators", generator)["ip_adapter"])

    def training_arguments(self, generator: str) -> list[str]:
        """The same, as arguments."""
        files = self.training_files(generator).items()
        return [part for name, file in files for part in flag(f"--{name}", file)]

    def generator_settings(self, generator: str) -> str:
        """The settings by which a generator is trained."""
        entry = self.config.entry("generators", generator)
        training = {**entry["training"], "kind": entry["kind"]}
        return as_settings(selected("train-generator", training, entry))

    def check(self, name: str, subject: str) -> Any:
        """Raise InputError where a generator, or what it names, is not there for a subject."""
        entry = self.config.entry("generators", name)
        self.config.entry("encoders", entry["encoder"])
        autoencoder = self.config.entry("autoencoders", entry["autoencoder"])
        if autoencoder["kind"] == "trained":
            own = self.sources.stimuli_of(autoencoder["subject"])
            if own != self.sources.stimuli_of(subject):
                raise InputError(
                    f"config generators.{name}: was trained on images of {own!r}, and subject "
                    f"{subject!r} saw {self.sources.stimuli_of(subject)!r}; name another generator"
                )
        return entry
