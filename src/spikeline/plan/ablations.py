"""Ablations: the conditions of each table, who makes it, and how many seeds it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from spikeline.errors import InputError
from spikeline.plan.cohorts import Cohorts
from spikeline.plan.config import Config, as_settings
from spikeline.plan.decoders import EVALUATION
from spikeline.plan.forecasters import BASELINES, FORECASTS
from spikeline.plan.locations import flag
from spikeline.plan.reconstruction.reconstructions import SYSTEM as RECONSTRUCTION
from spikeline.plan.rotations import check_turns, tested_in_turn

WHEEL = "poyo_wheel"
# Systems whose tables have a row per condition and subject, and a control.
_OF_SUBJECTS = ("bridge", RECONSTRUCTION)


def models_of(condition: Mapping[str, Any]) -> list[str]:
    """The models behind a condition: itself, or one for each cohort that takes its turn."""
    return condition.get("rotations", [condition["model"]])


class Ablations:
    """The ablations of a config, by name."""

    def __init__(self, config: Config, cohorts: Cohorts):
        self.config, self.models, self.cohorts = config, config.models, cohorts
        self.system = cache(self._system)
        self.conditions = cache(self._conditions)

    def _system(self, ablation: str) -> str:
        """The system whose models an ablation compares: bridge, reconstruction or horizon.

        Raises:
            InputError: of both; or `subjects` missing, or given to forecasters.
        """
        entry, where = self.config.entry("ablations", ablation), f"config ablations.{ablation}"
        groups = entry.get("groups", [])
        bases = [base for one in groups or [entry] for base in one.get("models") or [one["base"]]]
        systems = {self.models.settings(base)["system"] for base in bases}
        if len(systems) > 1:
            raise InputError(f"{where}: mixes models of {' and '.join(sorted(systems))}")
        (system,) = systems
        if system in _OF_SUBJECTS and not (groups or entry.get("subjects")):
            raise InputError(f"{where}: the key 'subjects' is missing")
        if system == "horizon" and (groups or entry.get("subjects")):
            raise InputError(f"{where}: forecasters have a cohort, not 'subjects'")
        if system in _OF_SUBJECTS and entry.get("reference"):
            raise InputError(
                f"{where}: decoders are compared with the first of them, not 'reference'"
            )
        if system in _OF_SUBJECTS and entry.get("rotations"):
            raise InputError(f"{where}: 'rotations' are cohorts, which decoders have not")
        return system

    def _conditions(self, ablation: str) -> list[dict[str, Any]]:
        """[{model, subject, varied}], one per row of the table; a forecaster has no subject.

        Conditions that turn out equal, as an override that an overlay's own entry repeats, are one.
        A table of decoders has a row more, with `control` true: its first model, the reference,
        trained on broken pairs and otherwise treated alike. One that is listed already is that row.
        One of groups has for each its number, counted from 1, as `group`, and a control of the
        reference alone, which is the group's first model on its first subject.
        """
        entry = self.config.entry("ablations", ablation)
        if "groups" in entry:
            self.system(ablation)
            return [
                {**condition, "group": number}
                for number, group in enumerate(entry["groups"], 1)
                for condition in self._decoders(group, group["subjects"][:1])
            ]
        if self.system(ablation) == "horizon":
            turns = self._turns(ablation, entry)
            return [
                {"model": model, "varied": self._named(model, v), **self._rotated(model, turns)}
                for model, v in self._grid(entry).items()
            ]
        return self._decoders(entry, entry["subjects"])

    def _grid(self, entry: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
        """{model: varied settings} in order; of models that turn out equal the first counts."""
        found: dict[str, Mapping[str, Any]] = {}
        for model, varied in self.models.grid(entry):
            found.setdefault(model, varied)
        return found

    def _decoders(self, entry: Mapping[str, Any], controlled: list[str]) -> list[dict[str, Any]]:
        """The conditions of a grid of decoders, its control on the subjects `controlled`."""
        grid = self._grid(entry)
        reference = next(iter(grid))
        control = self.models.with_overrides(reference, {"shuffle_responses": True})
        marked = {control: {"control": True}} if control != reference else {}
        subjects = dict.fromkeys(entry["subjects"])
        rows = [(model, subject, varied) for model, varied in grid.items() for subject in subjects]
        if control not in grid:
            rows += [(control, subject, grid[reference]) for subject in dict.fromkeys(controlled)]
        return [
            {"model": model, "subject": subject, "varied": varied, **marked.get(model, {})}
            for model, subject, varied in rows
        ]

    def _turns(self, ablation: str, entry: Mapping[str, Any]) -> list[str]:
        """The cohorts that take turns; none where an ablation names none.

        Raises:
            InputError: see `check_turns`.
        """
        cohorts = entry.get("rotations", [])
        check_turns(
            {cohort: self.cohorts.sessions(cohort) for cohort in cohorts},
            self.config["sessions"],
            self.cohorts.sources.recording,
            f"config ablations.{ablation}.rotations",
        )
        return cohorts

    def _rotated(self, model: str, turns: list[str]) -> dict[str, list[str]]:
        """The model on each of the cohorts that take turns, as `rotations`; nothing without."""
        found = [self.models.with_overrides(model, {"cohort": cohort}) for cohort in turns]
        return {"rotations": found} if found else {}

    def _named(self, model: str, varied: Mapping[str, Any]) -> Mapping[str, Any]:
        """Varied settings as the table shows them: how many sessions "all" are."""
        if varied.get("training_sessions") != 0:
            return varied
        every, _ = self.cohorts.sessions(self.models.settings(model)["cohort"])
        return {**varied, "training_sessions": len(every)}

    def names(self, system: str) -> list[str]:
        """The ablations of a system. One whose models are unknown belongs to none."""
        found = []
        for name in self.config["ablations"]:
            try:
                if self.system(name) == system:
                    found.append(name)
            except InputError:
                continue
        return found

    def wanted(self) -> list[str]:
        """The tables that are made when no target is given: the config's list, or all."""
        tables = self.config["tables"]
        return [*self.config["ablations"], WHEEL] if tables is None else tables

    def tables(self, system: str) -> list[str]:
        """The tables of a system that are made when no target is given."""
        wanted = self.wanted()
        ablations = [name for name in wanted if name != WHEEL and self.system(name) == system]
        tables = [f"results/{self.table(name)}.tsv" for name in ablations]
        if system == "horizon" and WHEEL in wanted and self.config["wheel"]["sessions"]:
            tables.append(f"results/{WHEEL}.tsv")
        return tables

    def table(self, ablation: str) -> str:
        """The name of an ablation's table; the one called `reconstruction` is no ablation."""
        return ablation if ablation == RECONSTRUCTION else f"ablation_{ablation}"

    def of_table(self, table: str) -> str:
        """The ablation that a table collects."""
        return table if table == RECONSTRUCTION else table.removeprefix("ablation_")

    def seeds(self) -> dict[tuple[str, str | None], int]:
        """How many seeds the ablations ask for, by (model, subject): the most of any."""
        seeds: dict[tuple[str, str | None], int] = {}
        for name, entry in self.config["ablations"].items():
            try:
                conditions = self.conditions(name)
            except InputError:
                continue  # said when that table is asked for
            for condition in conditions:
                for model in models_of(condition):
                    key = model, condition.get("subject")
                    seeds[key] = max(seeds.get(key, 0), entry["seeds"])
        return seeds

    # --- what the rules that make tables ask ------------------------------------------------------

    def conditions_setting(self, ablation: str) -> str:
        return as_settings(self.conditions(ablation))

    def title_arguments(self, ablation: str) -> list[str]:
        return flag("--title", self.config.entry("ablations", ablation)["title"])

    def reference_arguments(self, ablation: str) -> list[str]:
        return flag("--reference", self.config.entry("ablations", ablation)["reference"])

    def evaluations(self, ablation: str) -> list[str]:
        """The evaluations that a Bridge table collects, in the order of its conditions."""
        return [EVALUATION.format(**condition) for condition in self.conditions(ablation)]

    def forecasts(self, ablation: str) -> list[str]:
        """The forecasts that a Horizon table collects, in the order of its conditions."""
        conditions = self.conditions(ablation)
        return [FORECASTS.format(model=model) for one in conditions for model in models_of(one)]

    def baselines(self, ablation: str, sessions: Any) -> list[str]:
        """The baselines of every session that the forecasters of a table are tested on.

        Args:
            sessions: {model} -> (training sessions, held-out sessions).
        """
        found = {}
        for condition in self.conditions(ablation):
            for model in models_of(condition):
                train, held_out = sessions(model)
                turns = "rotations" in condition
                tested = tested_in_turn(train, held_out) if turns else train + held_out
                found |= dict.fromkeys(tested)
        return [BASELINES.format(session=session) for session in found]
