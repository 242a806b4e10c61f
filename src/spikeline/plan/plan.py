"""The plan of a config: one object that answers what a rule asks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from spikeline.errors import InputError
from spikeline.plan import decoders
from spikeline.plan.ablations import Ablations
from spikeline.plan.cohorts import Cohorts
from spikeline.plan.config import Config, as_settings, merged
from spikeline.plan.decoders import Decoders
from spikeline.plan.devices import Devices
from spikeline.plan.forecasters import Forecasters
from spikeline.plan.overview import Overview
from spikeline.plan.patterns import models_but, models_of, none_of, one_of
from spikeline.plan.reconstruction.extractors import Extractors
from spikeline.plan.reconstruction.generators import Generators
from spikeline.plan.reconstruction.reconstructions import RECONSTRUCTIONS, SCORES, Reconstructions
from spikeline.plan.reconstruction.reconstructions import SYSTEM as RECONSTRUCTION
from spikeline.plan.sources import Sources
from spikeline.settings.schema import load_yaml
from spikeline.settings.steps import selected

DEMO = "config/config.yaml"


class Plan:
    """What each rule of the workflow asks.

    Attributes:
        config: the validated config; devices, sources, decoders, generators, extractors,
            reconstructions, cohorts, forecasters, ablations, overview: see there.
    """

    def __init__(self, config: Mapping[str, Any]):
        """
        Args:
            config: as written, whole.

        Raises:
            InputError: it breaks the schema, or a release table cannot be read.
        """
        self.config = Config(config)
        self.devices = Devices(self.config)
        self.sources = Sources(self.config)
        self.cohorts = Cohorts(self.config, self.sources)
        self.ablations = Ablations(self.config, self.cohorts)
        self.overview = Overview(self.config, self.ablations)
        self.decoders = Decoders(
            self.config, self.sources, lambda model, subject: self._seeds.get((model, subject))
        )
        self.generators = Generators(self.config, self.sources)
        self.extractors = Extractors(self.config, self.sources)
        self.reconstructions = Reconstructions(
            self.config,
            self.sources,
            self.generators,
            self.decoders,
            lambda model, subject: self._seeds.get((model, subject)),
        )
        self.forecasters = Forecasters(
            self.config, self.sources, self.cohorts, lambda model: self._seeds.get((model, None))
        )

    @classmethod
    def of(cls, root: Path, given: Mapping[str, Any]) -> Plan:
        """The plan of a checkout's demo config, completed by what the user gave.

        Args:
            root: of the checkout.
            given: the user's overlay; may be empty.
        """
        return cls(merged(load_yaml(root / DEMO), given))

    @cached_property
    def _seeds(self) -> dict[tuple[str, str | None], int]:
        return self.ablations.seeds()

    # --- patterns of names ------------------------------------------------------------------------

    def named(self, section: str, *kinds: str) -> str:
        """The names of a section's entries of these kinds."""
        return one_of(self.config.names(section, *kinds))

    def named_else(self, section: str, *kinds: str) -> str:
        """All other names of a section, known or not."""
        return none_of(self.config.names(section, *kinds))

    def models(self, *kinds: str) -> str:
        """The names of models of these kinds."""
        return models_of(self.config.names("models", *kinds))

    def models_else(self, *kinds: str) -> str:
        """The names of all other models, known or not."""
        return models_but(self.config.names("models", *kinds))

    @property
    def closed_forms(self) -> str:
        """Models that `fit` makes: all that no other rule does, unknown ones too."""
        return self.models_else(*decoders.NETWORKS, *decoders.ENSEMBLES, *decoders.AUTOMATIC)

    @property
    def networks(self) -> str:
        """Models that `train` makes."""
        return self.models(*decoders.NETWORKS)

    @property
    def automatic(self) -> str:
        """Models that `fit-auto` makes."""
        return self.models(*decoders.AUTOMATIC)

    @property
    def ensembles(self) -> str:
        """Models that `combine` makes."""
        return self.models(*decoders.ENSEMBLES)

    def ablation_names(self, system: str) -> str:
        """The ablations of a system; those that are unknown count as the Bridge's."""
        if system == "bridge":
            others = ("horizon", RECONSTRUCTION)
            return none_of(name for one in others for name in self.ablations.names(one))
        return one_of(self.ablations.names(system))

    @property
    def reconstruction_tables(self) -> str:
        """The names of the tables of reconstructed images."""
        names = self.ablations.names(RECONSTRUCTION)
        return one_of(self.ablations.table(name) for name in names)

    # --- the wheel --------------------------------------------------------------------------------

    def wheel_settings(self, step: str) -> str:
        """The settings by which wheel velocity is decoded."""
        return as_settings(selected(step, self.config["wheel"]))

    @property
    def joint_wheel(self) -> list[str]:
        """The sessions that one network is trained on; none where each has its own alone."""
        wheel = self.config["wheel"]
        if wheel["joint"] is not None:
            return list(wheel["joint"])
        return list(wheel["sessions"]) if len(wheel["sessions"]) > 1 else []

    def decodings(self) -> list[str]:
        """Every seed of every session whose wheel is decoded, then of those decoded jointly."""
        wheel = self.config["wheel"]
        for session in wheel["sessions"]:
            self.config.entry("sessions", session)
        seeds = range(wheel["seeds"])
        alone = [
            f"results/wheel/{name}/seed{seed}.json" for name in wheel["sessions"] for seed in seeds
        ]
        joint = [f"results/wheel_joint/seed{seed}.json" for seed in seeds if self.joint_wheel]
        return [*alone, *joint]

    # --- tables -----------------------------------------------------------------------------------

    def baselines(self, ablation: str) -> list[str]:
        """The baselines of every session that the forecasters of a table are tested on."""
        return self.ablations.baselines(ablation, self.forecasters.sessions)

    def tabulated_scores(self, table: str) -> list[str]:
        """The scores that a table of reconstructions collects, in the order of its conditions."""
        conditions = self.ablations.conditions(self.ablations.of_table(table))
        return [SCORES.format(**condition) for condition in conditions]

    def tabulated_reconstructions(self, table: str) -> list[str]:
        """The reconstructions of each condition's first seed, for the galleries."""
        conditions = self.ablations.conditions(self.ablations.of_table(table))
        return [RECONSTRUCTIONS.format(**condition, seed=0) for condition in conditions]

    def tabulated_stimuli(self, table: str) -> str:
        """The images that were shown, and those that were found; all subjects saw the same.

        Raises:
            InputError: they did not, or two banks were looked among.
        """
        conditions = self.ablations.conditions(self.ablations.of_table(table))
        found = {self.sources.subject_stimuli(one["subject"]) for one in conditions}
        if len(found) > 1:
            raise InputError(
                f"table {table!r}: its subjects saw different stimuli, {sorted(found)}; make a "
                "table for each"
            )
        # A bank holds the shown images too.
        stimuli = self.reconstructions.stimuli
        banks = {stimuli(one["model"], one["subject"]) for one in conditions} - found
        if len(banks) > 1:
            raise InputError(
                f"table {table!r}: its models look among different banks, {sorted(banks)}; make a "
                "table for each"
            )
        return (banks or found).pop()
