"""What reconstructors are made from: generators, autoencoders, decoders; settings of each."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from spikeline.errors import InputError
from spikeline.plan.config import Config, as_settings
from spikeline.plan.decoders import DECODER, Decoders, check_system
from spikeline.plan.devices import device_arguments, threads_beside
from spikeline.plan.locations import flag
from spikeline.plan.reconstruction.generators import Generators
from spikeline.plan.sources import Files, Sources
from spikeline.settings.schema import unknown
from spikeline.settings.steps import STEPS, selected

SYSTEM = "reconstruction"
RECONSTRUCTOR = "results/reconstructors/{model}/{subject}/seed{seed}.safetensors"
RECONSTRUCTIONS = "results/reconstructions/{model}/{subject}/seed{seed}.h5"
SCORES = "results/reconstruction_scores/{model}/{subject}.json"
ADAPTER = RECONSTRUCTOR.replace("seed{seed}", "seed{seed}.adapter")
# Which rule makes a reconstructor, by its kind.
FITTED = STEPS["fit-reconstructor"][0].kinds
TRAINED = STEPS["train-adapter"][0].kinds
_DRAWING = ("unclip", "img2img", "ip_adapter", *TRAINED)
# Which rows and electrodes a reconstructor reads, its decoder reads too.
_OF_ROWS = (
    "windows", "regions", "min_snr", "min_reliability", "drop_test_concepts",
    "drop_other_concepts", "training_fraction", "shuffle_responses",
)  # fmt: skip
# Of the training images, what the decoder sees that the choice of how to draw is made with.
_CHOOSING = 0.9


class Reconstructions:
    """The reconstructors of a config, by model and subject.

    Args:
        asked: how many seeds the ablations ask for, by (model, subject).
    """

    def __init__(
        self,
        config: Config,
        sources: Sources,
        generators: Generators,
        decoders: Decoders,
        asked: Callable[[str, str], int | None],
    ):
        self.config, self.models, self.sources = config, config.models, sources
        self.generators, self.decoders = generators, decoders
        self._asked = asked
        self.settings = cache(self._settings)
        self.drawing_settings = cache(self._drawing_settings)
        self.check = cache(self._check)

    def responses(self, model: str, subject: str) -> str:
        """The responses a model reads: the subject's own, or those in the model's windows."""
        self.check(model, subject)
        return self.decoders.responses_in(self.models.settings(model)["windows"], subject)

    def stimuli_of(self, model: str, subject: str) -> str:
        """The entry of `stimuli` that a model reads: its bank, or what the subject saw."""
        return self._bank(model) or self.sources.stimuli_of(subject)

    def stimuli(self, model: str, subject: str) -> str:
        """The packed images of it."""
        return self.sources.packed(self.stimuli_of(model, subject))

    def embeddings(self, model: str, subject: str) -> str:
        """Embeddings of them, of the encoder that the generator is conditioned on."""
        self.check(model, subject)
        encoder = self._generator(model)["encoder"]
        return self.sources.embeddings_of(encoder, self.stimuli_of(model, subject))

    def latents(self, model: str, subject: str) -> str:
        """Their latents, of the generator's autoencoder."""
        stimuli = self.stimuli_of(model, subject)
        return self.generators.latents(self._generator(model)["autoencoder"], stimuli)

    def factors(self, model: str, subject: str) -> Files:
        """Their factors, where responses are read for some; else none."""
        if not self.models.settings(model).get("factors"):
            return []
        return self.sources.factors(self.stimuli_of(model, subject))

    def _bank(self, model: str) -> str | None:
        return self.models.settings(model).get("bank")

    def generator(self, model: str) -> Files:
        """The pipeline that draws; none for kinds that do not."""
        if self.models.settings(model)["kind"] not in _DRAWING:
            return []
        return self.generators.pipeline(self.models.settings(model)["generator"])

    def ip_adapter(self, model: str) -> Files:
        """The IP-Adapter of the generator; none for other kinds."""
        settings = self.models.settings(model)
        if settings["kind"] != "ip_adapter":
            return []
        return self.generators.ip_adapter_made(settings["generator"])

    def adapter(self, model: str, subject: str, seed: str | int) -> Files:
        """The adapter that was trained with the reconstructor; none for other kinds."""
        if self.models.settings(model)["kind"] not in TRAINED:
            return []
        trained = self.models.trained_name(model)
        return ADAPTER.format(model=trained, subject=subject, seed=seed)

    def adapter_arguments(self, model: str, subject: str, seed: str | int) -> list[str]:
        """How `reconstruct` is told of it."""
        return flag("--adapter", self.adapter(model, subject, seed))

    def prompts(self, model: str, subject: str) -> str:
        """Text-encoder states of the images' captions."""
        return self.generators.prompts(self.models.settings(model)["generator"], subject)

    def autoencoder(self, model: str) -> Files:
        """The folder of the latents' autoencoder."""
        return self.generators.autoencoder(self._generator(model)["autoencoder"])

    def autoencoder_made(self, model: str) -> Files:
        """What a job waits for to read it."""
        return self.generators.autoencoder_made(self._generator(model)["autoencoder"])

    def decoder(self, model: str, subject: str, seed: str | int) -> Files:
        """The decoder of the house that predicts the embedding, if the model names one.

        Raises:
            InputError: it is of another encoder than the generator's.
        """
        name = self._decoder(model)
        if name is None:
            return []
        self.decoders.check(name, subject)
        own, expected = self.decoders.encoder(name), self._generator(model)["encoder"]
        if own != expected:
            raise InputError(
                f"model {model!r}: its decoder {name!r} predicts encoder {own!r}, and its "
                f"generator takes {expected!r}; name a decoder of that encoder"
            )
        return DECODER.format(model=self.models.trained_name(name), subject=subject, seed=seed)

    def choosing_decoder(self, model: str, subject: str, seed: str | int) -> Files:
        """The same decoder of fewer images; how to draw is chosen on the others.

        None where nothing is chosen, or where a decoder has no such setting.
        """
        name, settings = self._decoder(model), self.models.settings(model)
        if name is None or settings["kind"] not in _DRAWING:
            return []
        lists = ("guidance", "strength", "start_weight")
        share = self.models.settings(name).get("training_fraction")
        if share is None or all(len(settings[key]) == 1 for key in lists):
            return []
        fewer = self.models.with_overrides(name, {"training_fraction": round(_CHOOSING * share, 5)})
        return DECODER.format(model=self.models.trained_name(fewer), subject=subject, seed=seed)

    def _decoder(self, model: str) -> str | None:
        """The decoder's canonical name, on the rows and electrodes of the model."""
        settings = self.models.settings(model)
        name = settings.get("decoder")
        if name is None:
            return None
        known = self.models.settings(name)
        own = {key: settings[key] for key in _OF_ROWS if key in known}
        changed = {key: value for key, value in own.items() if value != known[key]}
        return self.models.with_overrides(name, changed)

    def weights(self, model: str) -> list[str]:
        """The weights of the encoder, which judges what is drawn; none where it was precomputed."""
        encoder = self._generator(model)["encoder"]
        if self.config.entry("encoders", encoder)["kind"] == "precomputed":
            return []
        return [f for f in (
            self.sources.local_weights(encoder), self.sources.downloaded_weights(encoder)
        ) if f]  # fmt: skip

    def judge_arguments(self, model: str) -> list[str]:
        """How the encoder that judges is loaded."""
        encoder = self._generator(model)["encoder"]
        if self.config.entry("encoders", encoder)["kind"] == "precomputed":
            return []
        settings = self.sources.settings("embed", "encoders", encoder)
        return ["--encoder-settings", settings, *self.sources.weights_arguments(encoder)]

    def file_arguments(self, model: str, subject: str, seed: str | int) -> list[str]:
        """The files of which a kind reads some."""
        return [
            *flag("--generator", self.generator(model)),
            *flag("--autoencoder", self.autoencoder(model)),
            *flag("--decoder", self.decoder(model, subject, seed)),
            *flag("--ip-adapter", self._ip_adapter_file(model)),
            *flag("--factors", self.factors(model, subject)),
            *(["--bank"] if self._bank(model) else []),
        ]

    def choosing_arguments(self, model: str, subject: str, seed: str | int) -> list[str]:
        """How `fit-reconstructor` is told of it."""
        return flag("--choosing-decoder", self.choosing_decoder(model, subject, seed))

    def _ip_adapter_file(self, model: str) -> Files:
        settings = self.models.settings(model)
        return self.ip_adapter(model) and self.generators.ip_adapter(settings["generator"])

    def gpu(self, model: str) -> int:
        """How many GPUs a model asks for: none where nothing is drawn."""
        settings = self.models.settings(model)
        return settings["gpu"] if settings["kind"] in _DRAWING else 0

    def threads(self, model: str) -> int:
        """See `Devices.threads`."""
        return threads_beside(self.gpu(model))

    def device_arguments(self, model: str) -> list[str]:
        """See `Devices.arguments`."""
        return device_arguments(self.gpu(model))

    def seeds(self, model: str, subject: str) -> list[int]:
        """As many as an ablation asks for, or the config's."""
        return list(range(self._asked(model, subject) or self.config["evaluation"]["seeds"]))

    def fitted(self, model: str, subject: str, seed: str | int) -> str:
        """The reconstructor; settings that only drawing reads do not enter its path."""
        self.check(model, subject)
        trained = self.models.trained_name(model)
        return RECONSTRUCTOR.format(model=trained, subject=subject, seed=seed)

    def files(self, model: str, subject: str) -> list[str]:
        """The reconstructions of every seed."""
        return [
            RECONSTRUCTIONS.format(model=model, subject=subject, seed=seed)
            for seed in self.seeds(model, subject)
        ]

    def _generator(self, model: str) -> Any:
        return self.config.entry("generators", self.models.settings(model)["generator"])

    def _settings(self, model: str) -> str:
        """The settings that fitting reads. The model's name must be written canonically."""
        self.models.checked(model)
        own = self.models.training_settings(model)
        step = "train-adapter" if own["kind"] in TRAINED else "fit-reconstructor"
        return as_settings(selected(step, own, self._generator(model)))

    def _drawing_settings(self, model: str) -> str:
        """The settings that drawing reads."""
        entry = self.models.checked(model)
        return as_settings(selected("reconstruct", entry, self._generator(model)))

    def _check(self, model: str, subject: str) -> None:
        """Raise InputError where a model does not fit a subject, naming what is known."""
        settings = self.models.checked(model)
        check_system(model, settings["system"], SYSTEM)
        self.generators.check(settings["generator"], subject)
        if bank := self._bank(model):
            self.sources.check_design(bank, subject, f"model {model!r}, bank {bank!r}")
        encoder = self._generator(model)["encoder"]
        if learnt := self.config.entry("encoders", encoder).get("stimuli"):
            self.sources.check_design(learnt, subject, f"model {model!r}, encoder {encoder!r}")
        for region in settings["regions"]:
            known = self.sources.regions(subject)
            if region not in known:
                raise unknown("region", region, known, f"model {model!r}, subject {subject!r}")
