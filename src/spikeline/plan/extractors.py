"""Which feature extractors judge the reconstructions of a subject, and where their weights lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikeline.plan.config import Config, as_settings
from spikeline.plan.locations import flag, local_file
from spikeline.plan.sources import Files, Sources
from spikeline.settings.steps import selected

CLASSIFIER = "resources/classifiers/{extractor}"
FETCHED = "resources/extractors/{extractor}"
_NETWORKS = ("torchvision", "swav")


class Extractors:
    """The extractors of a config."""

    def __init__(self, config: Config, sources: Sources):
        self.config, self.sources = config, sources

    def of(self, subject: str) -> dict[str, Mapping[str, Any]]:
        """The entries that judge a subject's images: all but those made for other stimuli."""
        stimuli = self.sources.stimuli_of(subject)
        found = {}
        for name, entry in self.config["extractors"].items():
            made_for = entry.get("stimuli")
            if entry["kind"] == "encoder":
                made_for = self.config.entry("encoders", entry["encoder"]).get("stimuli")
            if made_for in (None, stimuli):
                found[name] = entry
        return found

    def local(self, name: str) -> Files:
        """Weights of an extractor that are made here, or that the config names."""
        entry = self.config.entry("extractors", name)
        if entry["kind"] == "demo_classifier":
            return CLASSIFIER.format(extractor=name)
        if entry["kind"] == "encoder":
            return self.sources.local_weights(entry["encoder"])
        weights = entry["weights"]
        return local_file(weights, f"config extractors.{name}.weights") if weights else []

    def downloaded(self, name: str) -> Files:
        """Weights of an extractor that a rule downloads."""
        entry = self.config.entry("extractors", name)
        if entry["kind"] == "encoder":
            return self.sources.downloaded_weights(entry["encoder"])
        if entry["kind"] in _NETWORKS and not entry["weights"]:
            return FETCHED.format(extractor=name)
        return []

    def files(self, subject: str) -> list[str]:
        """All weights that judge a subject's images."""
        found = [
            one for name in self.of(subject) for one in (self.local(name), self.downloaded(name))
        ]
        return [file for file in found if file]

    def factors(self, subject: str) -> Files:
        """The true factors of simulated images; none of real ones."""
        stimuli = self.sources.stimuli_of(subject)
        known = self.config.entry("stimuli", stimuli).get("factors")
        return f"resources/factors/{stimuli}.tsv" if known else []

    def arguments(self, subject: str) -> list[str]:
        """How `score-reconstructions` finds them all."""
        entries = self.of(subject)
        named = {entry["encoder"] for entry in entries.values() if entry["kind"] == "encoder"}
        encoders = {name: self.config.entry("encoders", name) for name in sorted(named)}
        weights = [f"{name}={self.local(name)}" for name in entries if self.local(name)]
        caches = [f"{name}={self.downloaded(name)}" for name in entries if self.downloaded(name)]
        return [
            "--extractors", as_settings(entries),
            "--encoders", as_settings(encoders),
            *(["--weights", *weights] if weights else []),
            *(["--caches", *caches] if caches else []),
            *flag("--factors", self.factors(subject)),
        ]  # fmt: skip

    def scoring_settings(self) -> str:
        """The settings that scoring reads."""
        return as_settings(selected("score-reconstructions", self.config["evaluation"]))

    def classifier_settings(self, extractor: str) -> str:
        """The settings by which the demo's classifier is trained."""
        entry = self.config.entry("extractors", extractor)
        training = {**entry["training"], "kind": entry["kind"]}
        return as_settings(selected("train-classifier", entry, training))

    def training_images(self, extractor: str) -> str:
        """The packed images that it is trained on."""
        return f"resources/stimuli/{self.config.entry('extractors', extractor)['stimuli']}.zip"

    def training_factors(self, extractor: str) -> str:
        """Their factors."""
        return f"resources/factors/{self.config.entry('extractors', extractor)['stimuli']}.tsv"
