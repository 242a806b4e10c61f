"""What the Bridge's decoders are made from: encoders, seeds, members, and the settings of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from spikeline.errors import InputError
from spikeline.plan import automatic, starts
from spikeline.plan.config import Config, as_settings
from spikeline.plan.sources import Sources
from spikeline.settings.schema import unknown
from spikeline.settings.steps import STEPS, selected

RESPONSES = "results/responses/{subject}.h5"
DECODER = "results/decoders/{model}/{subject}/seed{seed}.safetensors"
REDUCED = "results/targets/{encoder}/{subject}.h5"
EVALUATION = "results/evaluations/{model}/{subject}.json"
# Which rule makes a model, by its kind.
CLOSED_FORMS = STEPS["fit"][0].kinds
NETWORKS = STEPS["train"][0].kinds
ENSEMBLES = ("ensemble",)
AUTOMATIC = STEPS["fit-auto"][0].kinds
# Seeds of the members of an ensemble, in splits: from one to the next, and from the members of one
# depth to those of another. An evaluation has fewer seeds than that.
_APART, _ELSEWHERE = 1000, 100
# A job of `auto` may take so many times its budget, and some minutes to start.
_PATIENCE, _START_MINUTES = 4, 30
# Copies of the responses in one time bin, at the size of TVSD: 22,248 x 1,024 in half precision.
_GIGABYTES_PER_BIN = 0.25


class Decoders:
    """The decoders of a config, by model and subject.

    Args:
        asked: how many seeds the ablations ask for, by (model, subject).
    """

    def __init__(self, config: Config, sources: Sources, asked: Callable[[str, str], int | None]):
        self.config, self.models, self.sources = config, config.models, sources
        self._asked = asked
        # Asked once per job; answered once per model.
        self.encoder = cache(self._encoder)
        self.windows = cache(self._windows)
        self.layers = cache(self._layers)
        self.training_settings = cache(self._training_settings)
        self.candidates = cache(self._candidates)
        self.evaluation_settings = cache(self._evaluation_settings)
        self.distinct = cache(self._distinct)
        self.check = cache(self._check)

    def responses(self, model: str, subject: str) -> str:
        """The responses a model reads: the subject's own, or those in the model's windows."""
        self.check(model, subject)
        return self.responses_in(self.windows(model), subject)

    def responses_in(self, windows: str | None, subject: str) -> str:
        """A subject's responses in an entry of `windows`; its own for None."""
        if windows is None:
            return RESPONSES.format(subject=subject)
        return self.sources.windows(windows, subject)

    def embeddings(self, model: str, subject: str) -> str:
        """The embeddings a model is trained on: its encoder's, of the images its subject saw.

        Layers are first reduced to components fitted to the subject's training images.
        """
        self.check(model, subject)
        encoder = self.encoder(model)
        if self.layers(model):
            return REDUCED.format(encoder=encoder, subject=subject)
        return self.sources.embeddings(encoder, subject)

    def seeds(self, model: str, subject: str) -> list[int]:
        """The seeds of an evaluation: as many as an ablation asks for, repeats left out."""
        count = self._asked(model, subject) or self.config["evaluation"]["seeds"]
        return list(range(self.distinct(model, subject, count)))

    def files(self, model: str, subject: str) -> list[str]:
        """The decoder of every seed; settings of evaluation do not enter its path."""
        trained = self.models.trained_name(model)
        seeds = self.seeds(model, subject)
        return [DECODER.format(model=trained, subject=subject, seed=seed) for seed in seeds]

    def start(self, model: str, subject: str, seed: str | int) -> list[str]:
        """The file that a decoder's training starts from; none where it starts afresh."""
        found = starts.source(self.models, model, subject)
        if found is not None:
            self.check(*found)
            return [DECODER.format(model=found[0], subject=found[1], seed=seed)]
        encoder = starts.pretrained(self.models, model)
        known = {"model": encoder, "subject": subject, "seed": seed}
        return [] if encoder is None else [starts.PRETRAINED.format(**known)]

    def start_arguments(self, model: str, subject: str, seed: str | int) -> list[str]:
        """How `train` is told of that file."""
        own = self.models.settings(model)
        option = "--start-from" if own.get("start_from") else "--pretrained"
        return [part for file in self.start(model, subject, seed) for part in (option, file)]

    def members(self, model: str, subject: str, seed: str | int) -> list[str]:
        """The decoders that an ensemble combines: `seeds` of each member, all of one test split.

        Seeds are equal modulo the splits, and far apart, so that no two replicates share a member.
        Ensembles inside step by a higher power, and what stands next to them starts elsewhere, so
        that no decoder counts twice.
        """
        self.check(model, subject)
        splits = self.sources.splits(subject)
        files = []
        depth = self._nesting(model)
        for member in self.models.members(model):
            inside = self._nesting(member)
            first = int(seed) + _ELSEWHERE * splits * (depth - 1 - inside)
            count = self.models.settings(model)["seeds"]
            varies = self.distinct(member, subject, splits + 1) > splits
            for k in range(count if varies else 1):
                own = first + _APART ** (1 + inside) * splits * k
                files.append(DECODER.format(model=member, subject=subject, seed=own))
        return files

    def _encoder(self, model: str) -> str:
        """The encoder of a model; the members of an ensemble share one."""
        settings = self.models.settings(model)
        if settings["kind"] not in ENSEMBLES:
            return settings["encoder"]
        encoders = {self.encoder(member) for member in self.models.members(model)}
        if len(encoders) != 1:
            raise InputError(
                f"model {model!r}: its members have encoders {sorted(encoders)}; use one"
            )
        return encoders.pop()

    def _windows(self, model: str) -> str | None:
        """The windows a model reads; the members of an ensemble share them."""
        settings = self.models.settings(model)
        if settings["kind"] not in ENSEMBLES:
            return settings["windows"]
        windows = {self.windows(member) for member in self.models.members(model)}
        if len(windows) > 1:
            raise InputError(
                f"model {model!r}: its members read windows {sorted(map(str, windows))}; use one"
            )
        return windows.pop()

    def _layers(self, model: str) -> list[str]:
        """The layers a model predicts, none for its encoder's output; of an ensemble, any."""
        settings = self.models.settings(model)
        if settings["kind"] not in ENSEMBLES:
            return settings["target_layers"]
        members = self.models.members(model)
        if len({bool(self.layers(member)) for member in members}) > 1:
            raise InputError(
                f"model {model!r}: some members predict layers and some the encoder's output, "
                "called embedding; name it in their target_layers"
            )
        return [layer for member in members for layer in self.layers(member)]

    def _distinct(self, model: str, subject: str, count: int) -> int:
        """How many of `count` seeds give different decoders.

        Closed forms differ by the test split alone, unless rows are drawn or shuffled.
        """
        settings = self.models.settings(model)
        if settings["kind"] in ENSEMBLES:
            return max(self.distinct(one, subject, count) for one in self.models.members(model))
        drawn = (
            settings["training_fraction"] < 1
            or settings["drop_other_concepts"]
            or settings["shuffle_responses"]
        )
        kinds = {settings["kind"]}
        if settings["kind"] in AUTOMATIC:
            kinds = {own["kind"] for own in automatic.candidates(self.models, model).values()}
        if kinds <= set(CLOSED_FORMS) and not drawn:
            return min(count, self.sources.splits(subject))
        return count

    def _nesting(self, model: str) -> int:
        """How many ensembles deep a model is."""
        if self.models.settings(model)["kind"] not in ENSEMBLES:
            return 0
        return 1 + max(self._nesting(member) for member in self.models.members(model))

    def _training_settings(self, model: str) -> str:
        """The settings that training reads. The model's name must be written canonically."""
        self.models.checked(model)
        return as_settings(self.models.training_settings(model))

    def pretraining_settings(self, model: str, subject: str) -> str:
        """The settings that pretraining reads."""
        self.check(model, subject)
        return starts.settings(self.models, model)

    def _candidates(self, model: str) -> str:
        """The candidates of an `auto` model by name, each with the settings that are its own."""
        self.models.checked(model)
        return as_settings(automatic.candidates(self.models, model))

    def minutes(self, model: str) -> int:
        """How long an `auto` model may take: its budget is reckoned at a nominal speed."""
        return round(_PATIENCE * self.models.settings(model)["budget_minutes"]) + _START_MINUTES

    def gigabytes(self, model: str, of_means: int) -> int:
        """Memory of a job that reads a model's responses, from that on means over time."""
        windows = self.windows(model)
        entry = {"bin_ms": 0} if windows is None else self.config.entry("windows", windows)
        if not entry["bin_ms"]:
            return of_means
        start, end = entry["window"]
        return of_means + math.ceil(_GIGABYTES_PER_BIN * (end - start) / entry["bin_ms"])

    def _evaluation_settings(self, model: str) -> str:
        """The settings that evaluation reads."""
        entry = self.models.checked(model)
        return as_settings(selected("evaluate", self.config["evaluation"], entry))

    def _check(self, model: str, subject: str) -> None:
        """Raise InputError where a model does not fit a subject, naming what is known."""
        settings = self.models.checked(model)
        check_system(model, settings["system"], "bridge")
        known = self.sources.regions(subject)
        if settings["kind"] in ENSEMBLES:
            for member in self.models.members(model):
                self.check(member, subject)
            return
        fitted = {model: settings}
        if settings["kind"] in AUTOMATIC:
            fitted = automatic.candidates(self.models, model)
        for name, own in fitted.items():
            self._check_time(name, own, settings["windows"])
        self.config.entry("encoders", settings["encoder"])
        for region in settings["regions"]:
            if region not in known:
                raise unknown("region", region, known, f"model {model!r}, subject {subject!r}")

    def _check_time(self, model: str, settings: Mapping[str, Any], windows: str | None) -> None:
        """Raise InputError where a decoder weighs time bins and reads none."""
        time = settings.get("time", "concatenated")
        binned = windows is not None and self.config.entry("windows", windows)["bin_ms"]
        if time != "concatenated" and not binned:
            raise InputError(
                f"model {model!r}: time={time} weighs time bins, but its windows, "
                f"{windows or 'none'}, have no bins; name an entry of `windows` with bin_ms"
            )


def check_system(model: str, own: str, expected: str) -> None:
    """Raise InputError where a model is of the other system."""
    if own != expected:
        raise InputError(
            f"model {model!r}: is of the {own.title()}; expected one of the {expected.title()}"
        )
