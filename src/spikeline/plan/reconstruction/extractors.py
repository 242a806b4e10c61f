"""What scores reconstructions: the weights that feature extractors read, and their arguments."""

from __future__ import annotations

from typing import Any

from spikeline.errors import InputError
from spikeline.plan.config import Config, as_settings
from spikeline.plan.locations import flag, flags, local_file
from spikeline.plan.sources import Files, Sources
from spikeline.settings.steps import selected


class Extractors:
    """The feature extractors of a config."""

    def __init__(self, config: Config, sources: Sources):
        self.config, self.sources = config, sources

    def entry(self, extractor: str) -> Any:
        """An entry whose encoder, if it names one, embeds images itself.

        Raises:
            InputError: there is no such extractor or encoder, or it has only given embeddings.
        """
        entry = self.config.entry("extractors", extractor)
        if entry["kind"] == "encoder":
            encoder = self.config.entry("encoders", entry["encoder"])
            if encoder["kind"] == "precomputed":
                raise InputError(
                    f"config extractors.{extractor}.encoder: {entry['encoder']!r} is precomputed "
                    "and cannot embed a reconstruction; name another"
                )
        return entry

    def used(self, subject: str) -> list[str]:
        """The extractors that score images of a subject: all but those made for other stimuli."""
        stimuli, found = self.sources.stimuli_of(subject), []
        for name in self.config["extractors"]:
            entry = self.entry(name)
            made_for = entry.get("stimuli")
            if entry["kind"] == "encoder":
                made_for = self.config.entry("encoders", entry["encoder"]).get("stimuli")
            if made_for in (None, stimuli):
                found.append(name)
        return found

    def local_weights(self, extractor: str) -> Files:
        """What was trained here or lies where the config says; none otherwise."""
        entry = self.entry(extractor)
        if entry["kind"] == "demo_classifier":
            return f"resources/classifiers/{extractor}"
        if entry["kind"] == "encoder":
            return self.sources.local_weights(entry["encoder"])
        if entry["weights"]:
            return local_file(entry["weights"], f"config extractors.{extractor}.weights")
        return []

    def downloaded_weights(self, extractor: str) -> Files:
        """The folder of downloaded weights; none where they are trained here or lie in a file."""
        entry = self.entry(extractor)
        if entry["kind"] == "encoder":
            return self.sources.downloaded_weights(entry["encoder"])
        downloaded = entry["kind"] != "demo_classifier" and not entry["weights"]
        return f"resources/extractors/{extractor}" if downloaded else []

    def weights(self, subject: str) -> list[str]:
        """Every file and folder of weights, as inputs of `score-reconstructions`."""
        names = self.used(subject)
        found = [
            *(self.local_weights(name) for name in names),
            *(self.downloaded_weights(name) for name in names),
        ]
        return [path for path in found if path]

    def arguments(self, subject: str) -> list[str]:
        """Which extractors `score-reconstructions` runs, and where their weights are."""
        names = sorted(self.used(subject))
        entries = {name: self.entry(name) for name in names}
        used = sorted({entry["encoder"] for entry in entries.values() if "encoder" in entry})
        encoders = {name: self.config.entry("encoders", name) for name in used}
        local, caches = (
            [f"{name}={path(name)}" for name in names if path(name)]
            for path in (self.local_weights, self.downloaded_weights)
        )
        return [
            *flag("--extractors", as_settings(entries)),
            *flag("--encoders", used and as_settings(encoders)),
            *flags("--weights", local),
            *flags("--caches", caches),
        ]

    def factors(self, subject: str) -> Files:
        """The true factors of what a subject saw, where an extractor reads them; else none."""
        reads = [name for name in self.used(subject) if "factors" in self.entry(name)]
        return self.sources.factors(self.sources.stimuli_of(subject)) if reads else []

    def scoring_settings(self) -> str:
        """The settings that scoring reads."""
        return as_settings(selected("score-reconstructions", self.config["evaluation"]))

    def training_stimuli(self, extractor: str) -> str:
        """The packed images that the demo's classifier is trained on."""
        return self.sources.packed(self.config.entry("extractors", extractor)["stimuli"])

    def training_factors(self, extractor: str) -> str:
        """The factors of those images.

        Raises:
            InputError: the image set names no table of them.
        """
        return self.sources.factors(self.config.entry("extractors", extractor)["stimuli"])

    def classifier_settings(self, extractor: str) -> str:
        """The settings by which the demo's classifier is trained."""
        entry = self.config.entry("extractors", extractor)
        training = {"kind": entry["kind"], **entry["training"]}
        return as_settings(selected("train-classifier", entry, training))

    def fetched_settings(self, extractor: str) -> str:
        """Which weights `fetch-extractor` downloads."""
        return self.sources.settings("fetch-extractor", "extractors", extractor)
