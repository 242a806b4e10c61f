"""What the Horizon's forecasters are made from, and what they are scored on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from spikeline.errors import InputError
from spikeline.plan.cohorts import Cohorts
from spikeline.plan.config import Config, as_settings
from spikeline.plan.decoders import check_system
from spikeline.plan.locations import flag
from spikeline.plan.sources import Sources
from spikeline.settings.schema import unknown
from spikeline.settings.steps import STEPS, selected

COUNTS = "results/counts/{session}.h5"
FEATURES = "results/features/{session}.h5"
BASELINES = "results/baselines/{session}.json"
FORECASTER = "results/forecasters/{model}/seed{seed}.safetensors"
REGRESSION = "results/regressions/{model}/{session}.safetensors"
FORECASTS = "results/forecasts/{model}.json"
NETWORKS = STEPS["train-forecaster"][0].kinds
REGRESSIONS = STEPS["fit-regression"][0].kinds
COMBINED = "auto_forecaster"
# Minutes of an evaluation at least; beyond, one for each session and seed.
_LEAST_MINUTES = 120
# Of a combination, for each session.
_SESSION_MINUTES = 30


class Forecasters:
    """The forecasters of a config, by model.

    Args:
        asked: how many seeds the ablations ask for, by model.
    """

    def __init__(
        self,
        config: Config,
        sources: Sources,
        cohorts: Cohorts,
        asked: Callable[[str], int | None],
    ):
        self.config, self.models = config, config.models
        self.sources, self.cohorts, self._asked = sources, cohorts, asked
        self.sessions = cache(self._sessions)
        self.check = cache(self._check)

    # --- cohorts ----------------------------------------------------------------------------------

    def _sessions(self, model: str) -> tuple[list[str], list[str]]:
        """(training sessions, held-out sessions): the first `training_sessions` of its cohort."""
        settings = self.models.settings(model)
        train, held_out = self.cohorts.sessions(settings["cohort"])
        count = settings["training_sessions"] or len(train)
        try:
            return self.cohorts.first(settings["cohort"], count), held_out
        except InputError as error:
            raise InputError(f"model {model!r}, training_sessions: {error}") from None

    def roles(self, model: str) -> list[str]:
        """Whether the forecaster has seen each session: seen, or held_out."""
        train, held_out = self.sessions(model)
        return ["seen"] * len(train) + ["held_out"] * len(held_out)

    def role(self, model: str, session: str) -> str:
        """The role of one session.

        Raises:
            InputError: it is not in the forecaster's cohort.
        """
        self._check_kind(model, REGRESSIONS)
        train, held_out = self.sessions(model)
        if session not in train + held_out:
            raise unknown("session", session, train + held_out, f"model {model!r}")
        return "held_out" if session in held_out else "seen"

    def cohort(self, model: str) -> str:
        """The names behind the roles: if two sessions swap places, roles and inputs stay alike."""
        train, held_out = self.sessions(model)
        return as_settings({"seen": train, "held_out": held_out})

    # --- inputs -----------------------------------------------------------------------------------

    def training_inputs(self, model: str) -> dict[str, Any]:
        """What training reads: features in one file, of hundreds of sessions even."""
        self._check_kind(model, NETWORKS)
        self.check(model)
        sessions, _ = self.sessions(model)
        cohort = self.models.settings(model)["cohort"]
        return {
            "counts": [COUNTS.format(session=one) for one in sessions],
            "normalisation": f"results/normalisations/{cohort}/{len(sessions)}_sessions.h5",
            "embeddings": self.embeddings(model, sessions),
        }

    def evaluation_inputs(self, model: str) -> dict[str, Any]:
        """All of a forecaster, and every session; a network knows its own feature scale."""
        self.check(model)
        trained = self.models.trained_name(model)
        train, held_out = self.sessions(trained)
        sessions = train + held_out
        counts = [COUNTS.format(session=one) for one in sessions]
        if self.is_regression(model):
            files = [REGRESSION.format(model=trained, session=one) for one in sessions]
            return {"forecasters": files, "counts": counts}
        return {
            "forecasters": [
                FORECASTER.format(model=trained, seed=seed) for seed in self.seeds(model)
            ],
            "counts": counts,
            "features": [FEATURES.format(session=one) for one in sessions],
            "embeddings": self.embeddings(model, sessions),
        }

    def combination_inputs(self, model: str) -> dict[str, Any]:
        """All that the candidates read, and every session."""
        train, held_out = self.sessions(model)
        sessions = train + held_out
        inputs: dict[str, Any] = {
            "forecasters": [],
            "counts": [COUNTS.format(session=one) for one in sessions],
        }
        for candidate, files in self.candidates(model).items():
            inputs["forecasters"] += files
            if not self.is_regression(candidate):
                inputs["features"] = [FEATURES.format(session=one) for one in sessions]
                known = set(inputs.get("embeddings", ()))
                inputs["embeddings"] = sorted(known | set(self.embeddings(candidate, sessions)))
        return inputs

    def candidates(self, model: str) -> dict[str, list[str]]:
        """{candidate: its files}: one for each session, or of a network the first seed.

        Candidates are trained on the sessions of the model that combines them.

        Raises:
            InputError: a candidate that is unknown, of another kind, or given twice.
        """
        self._check_kind(model, [COMBINED])
        settings, found = self.models.settings(model), {}
        sessions = {key: settings[key] for key in ("cohort", "training_sessions")}
        for name in settings["of"]:
            try:
                candidate = self._candidate(name, sessions)
                inputs = self.evaluation_inputs(candidate)
            except InputError as error:
                raise InputError(f"model {model!r}: candidate {name!r}: {error}") from None
            if candidate in found:
                raise InputError(f"model {model!r}: of: {name!r} is there twice; keep one")
            files = inputs["forecasters"]
            found[candidate] = files if self.is_regression(candidate) else files[:1]
        return found

    def _candidate(self, name: str, sessions: dict[str, Any]) -> str:
        """The trained form of a candidate, on these sessions."""
        kinds, kind = (*NETWORKS, *REGRESSIONS), self.models.settings(name)["kind"]
        if kind not in kinds:
            raise InputError(f"is of kind {kind!r}; expected one of {', '.join(kinds)}")
        return self.models.trained_name(self.models.with_overrides(name, sessions))

    def candidate_names(self, model: str) -> list[str]:
        """The candidate that each file of `combination_inputs` belongs to."""
        return [name for name, files in self.candidates(model).items() for _ in files]

    def embeddings(self, model: str, sessions: Sequence[str]) -> list[str]:
        """The image embeddings that a forecaster looks up, of every set its sessions were shown."""
        settings = self.models.settings(model)
        if "image" not in settings.get("modalities", ()):
            return []
        self.config.entry("encoders", settings["encoder"])
        stimuli = sorted({s for s in map(self.sources.session_stimuli, sessions) if s})
        return [f"results/embeddings/{settings['encoder']}/{name}.h5" for name in stimuli]

    def features(self, cohort: str, size: str | int) -> list[str]:
        """The features that a cohort's normalisation is fitted on, and holds."""
        return [FEATURES.format(session=one) for one in self.cohorts.first(cohort, int(size))]

    # --- settings and resources -------------------------------------------------------------------

    def is_regression(self, model: str) -> bool:
        """Whether a forecaster is one fit for each session, rather than a network over many."""
        return self.models.settings(model)["kind"] in REGRESSIONS

    def seeds(self, model: str) -> list[int]:
        """The seeds of an evaluation: none of a regression or a combination, where nothing is
        random, and one of the shared regression, where only the draw of its rows is."""
        if self.is_regression(model) or self.models.settings(model)["kind"] == COMBINED:
            return []
        if self.models.settings(model)["kind"] == "shared_glm":
            return [0]
        return list(range(self._asked(model) or self.config["evaluation"]["seeds"]))

    def minutes(self, model: str) -> int:
        """Wall time of an evaluation, which is one job for all sessions and seeds."""
        scored = len(self.roles(model)) * max(1, len(self.seeds(model)))
        return max(_LEAST_MINUTES, scored)

    def combination_minutes(self, model: str) -> int:
        """Wall time of a combination, which fits plain forecasts and regressions itself."""
        return max(_LEAST_MINUTES, _SESSION_MINUTES * len(self.roles(model)))

    def training_settings(self, model: str) -> str:
        """The settings that training reads. The model's name must be written canonically."""
        self.models.checked(model)
        return as_settings(self.models.training_settings(model))

    def evaluation_settings(self, model: str) -> str:
        """The settings that scoring a forecaster reads."""
        entry = self.models.checked(model)
        return as_settings(selected("evaluate-forecaster", self.config["evaluation"], entry))

    def combination_settings(self) -> str:
        """The settings that combining forecasters reads."""
        return as_settings(selected("combine-forecasters", self.config["evaluation"]))

    def baseline_settings(self) -> str:
        """The settings that scoring the baselines reads."""
        return as_settings(selected("score-baselines", self.config["evaluation"]))

    def rates_arguments(self, session: str) -> list[str]:
        """Where a simulated session's true rates are; none of a real one."""
        simulation = self.sources.true_rates(session)
        if not simulation or simulation.endswith(".h5"):
            return flag("--rates", simulation)
        return ["--rates", f"{simulation}/{session}.rates.h5"]

    # --- checks -----------------------------------------------------------------------------------

    def _check(self, model: str) -> None:
        """Raise InputError where a model is no forecaster of the horizons that are scored."""
        settings = self.models.checked(model)
        check_system(model, settings["system"], "horizon")
        longest = max(self.config["evaluation"]["horizons_ms"])
        trained = settings.get("horizon_ms", longest)
        if trained < longest:
            raise InputError(
                f"model {model!r}: horizon_ms is {trained}, but evaluation.horizons_ms asks for "
                f"{longest}"
            )

    def _check_kind(self, model: str, kinds: Sequence[str]) -> None:
        kind = self.models.checked(model)["kind"]
        if kind not in kinds:
            raise InputError(
                f"model {model!r}: expected a model of kind {' or '.join(kinds)}, got {kind!r}"
            )
