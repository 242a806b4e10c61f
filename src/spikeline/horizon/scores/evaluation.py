"""Score forecasters of either kind on test blocks of sessions they have seen and not seen.

Each session gets one entry for each seed, next to controls and co-smoothing:

| label | forecasts |
|---|---|
| seed0 | from the past of each window |
| shuffled:seed0 | from the past of a window far away; left out where training was shuffled too |
| co_smoothing:seed0 | of units whose own past is hidden, at the longest horizon; networks only |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from spikeline.artifacts.forecasts import SessionForecasts, Sums
from spikeline.errors import InputError
from spikeline.horizon.regression.covariates import Behaviour
from spikeline.horizon.scores.bits_per_spike import training_mean
from spikeline.horizon.scores.tiled import Forecast, score_horizons
from spikeline.horizon.sessions.loading import image_facts

if TYPE_CHECKING:
    import torch

    from spikeline.artifacts.counts import Counts
    from spikeline.artifacts.embeddings import Embeddings
    from spikeline.artifacts.features import Features
    from spikeline.horizon.forecaster.batches import Geometry, Recording
    from spikeline.horizon.forecaster.checkpoint import TrainedForecaster
    from spikeline.horizon.forecaster.network import Forecaster
    from spikeline.horizon.regression.checkpoint import SessionRegression

# {label: {horizon in ms, as text: sums}}
Scores = dict[str, dict[str, Sums]]


@dataclass(frozen=True)
class Session:
    """A session to score.

    Attributes:
        counts: spikes and domains.
        role: seen, if the forecaster was trained on it, or held_out.
        where: the file that an error names.
        features: reference features of its units; networks only.
    """

    counts: Counts
    role: str
    where: str
    features: Features | None = None

    @property
    def name(self) -> str:
        return self.counts.session


class EvaluatedForecaster(Protocol):
    """What `evaluate` scores.

    Attributes:
        seeds: of its trained models.
        parameters: fitted numbers of one seed.
    """

    seeds: Sequence[int]
    parameters: int

    def check(self, session: Session) -> None:
        """Raise InputError where it cannot forecast a session in the role it is given."""

    def forecasts_of(self, session: Session, first_seed: bool = False) -> dict[str, Forecast]:
        """{label: forecasts} of every seed, from the session's counts as they are given."""

    def score(self, session: Session) -> Scores:
        """Sums of every seed, its controls and its co-smoothing."""


def evaluate(
    forecaster: EvaluatedForecaster,
    sessions: Sequence[Session],
    progress: Callable[[str], None] = lambda session: None,
) -> dict[str, SessionForecasts]:
    """{session: its scores}; all sessions are checked before any is scored.

    Args:
        progress: called with the name of each session that is done.

    Raises:
        InputError: see `EvaluatedForecaster.check`; or a session has no window of a horizon.
    """
    for session in sessions:
        forecaster.check(session)
    found = {}
    for session in sessions:
        counts = session.counts
        found[session.name] = SessionForecasts(
            session.role, counts.source, counts.counts.shape[1], forecaster.score(session)
        )
        progress(session.name)
    return found


class RegressionForecaster:
    """One regression for each session; nothing is random, so there is one seed."""

    def __init__(
        self,
        regressions: Mapping[str, SessionRegression],
        files: Mapping[str, str],
        horizons_ms: Sequence[int],
    ):
        """
        Args:
            regressions: {session: its regression}, of every session to score.
            files: {session: the file that an error names}.
            horizons_ms: lengths of the forecast windows.
        """
        self.regressions, self.files, self.horizons_ms = regressions, files, horizons_ms
        self.seeds = [0]
        self.parameters = sum(one.parameters for one in regressions.values())

    def check(self, session: Session) -> None:
        one, file = self.regressions[session.name], self.files[session.name]
        where = session.where
        if one.role != session.role:
            raise InputError(
                f"{where}: role {session.role} of session {session.name}, but {file} was fitted "
                f"on it as {one.role}; see --roles"
            )
        _check_bins(session, one.regression.bin_s, file)
        if list(one.unit_ids) != list(map(str, session.counts.unit_ids)):
            raise InputError(
                f"{where}: its units are not those that {file} was fitted on; fit again"
            )

    def forecasts_of(self, session: Session, first_seed: bool = False) -> dict[str, Forecast]:
        one, counts = self.regressions[session.name], session.counts
        behaviour = Behaviour.of(counts) if one.regression.covariates is not None else None
        return {"seed0": partial(one.regression.forecasts, counts.counts, behaviour=behaviour)}

    def score(self, session: Session) -> Scores:
        forecast = self.forecasts_of(session)["seed0"]
        return _labelled(_tiled(forecast, session.counts, self.horizons_ms), 0)


class NetworkForecaster:
    """One network for each seed, all trained on the same sessions."""

    def __init__(
        self,
        networks: Sequence[TrainedForecaster],
        files: Sequence[str],
        horizons_ms: Sequence[int],
        *,
        co_smoothing_groups: int = 0,
        unit_mixture: bool = True,
        embeddings: Sequence[Embeddings] = (),
        mapped: bool = False,
        device: torch.device,
    ):
        """
        Args:
            networks: on `device`.
            files: what an error names each network.
            horizons_ms: lengths of the forecast windows.
            co_smoothing_groups: of units that are hidden one after the other; 0 leaves it out.
            unit_mixture: each unit learns how far to trust a network, horizon/forecaster/mixing.py.
            embeddings: image sets of the sessions.
            mapped: leave the counts on disk.

        Raises:
            InputError: embeddings of an encoder that a network does not know, or a horizon longer
                than it was trained for.
        """
        self.networks, self.files, self.horizons_ms = networks, files, horizons_ms
        self.groups, self.embeddings = co_smoothing_groups, embeddings
        self.unit_mixture, self.mapped, self.device = unit_mixture, mapped, device
        self.seeds = [one.seed for one in networks]
        self.parameters = networks[0].model.parameters_count
        for one, file in zip(networks, files, strict=True):
            self._check_settings(one, file)

    def _check_settings(self, one: TrainedForecaster, file: str) -> None:
        if max(self.horizons_ms) > one.settings["horizon_ms"]:
            raise InputError(
                f"horizons_ms: {max(self.horizons_ms)} ms, but {file} was trained for "
                f"{one.settings['horizon_ms']} ms; raise its horizon_ms"
            )
        _, encoder = image_facts(self.embeddings)
        if "image" in _modalities(one) and encoder != one.encoder:
            raise InputError(
                f"--embeddings: of encoder {encoder or 'none'}, but {file} was trained with "
                f"{one.encoder}; remove {file} to train it anew, or embed the images with that one"
            )

    def check(self, session: Session) -> None:
        for one, file in zip(self.networks, self.files, strict=True):
            seen = session.name in one.sessions
            if seen != (session.role == "seen"):
                raise InputError(
                    f"{session.where}: role {session.role} of session {session.name}, but {file} "
                    f"was {'trained on it' if seen else 'never trained on it'}; see --roles"
                )
            _check_bins(session, one.bin_s, file)

    def score(self, session: Session) -> Scores:
        found: Scores = {}
        for one in self.networks:
            found |= _labelled(self._score(one, session), one.seed)
        return found

    def forecasts_of(self, session: Session, first_seed: bool = False) -> dict[str, Forecast]:
        from spikeline.horizon.forecaster.prediction import forecast

        return {
            f"seed{one.seed}": partial(forecast, *self._network(one, session))
            for one in (self.networks[:1] if first_seed else self.networks)
        }

    def _score(self, one: TrainedForecaster, session: Session) -> Scores:
        from spikeline.horizon.forecaster.prediction import co_smoothing, forecast

        counts, shuffled = session.counts, one.settings["shuffle_history"]
        network = self._network(one, session)
        found = _tiled(partial(forecast, *network), counts, self.horizons_ms, shuffled)
        if self.groups and not shuffled:
            null = training_mean(counts.counts, counts.domains)
            longest = [max(self.horizons_ms)]
            found["co_smoothing:"] = co_smoothing(*network, null, longest, one.bin_s, self.groups)
        return found

    def _network(
        self, one: TrainedForecaster, session: Session
    ) -> tuple[Forecaster, Recording, Geometry]:
        """A network, the session as it reads it, and how it cuts windows."""
        from spikeline.horizon.forecaster.batches import Geometry
        from spikeline.horizon.forecaster.recordings import build_recording
        from spikeline.horizon.forecaster.starting import with_updates
        from spikeline.horizon.forecaster.trust import with_mixtures

        settings = one.settings
        geometry = Geometry.of(settings, one.bin_s, self.device)
        recording = build_recording(
            session.counts,
            session.features,
            decay=geometry.decay,
            mean_rate=one.mean_rate,
            training_keys={key: row for row, key in enumerate(one.unit_keys)},
            random_dim=settings["dim"] if settings.get("identity") == "random" else 0,
            embeddings=self.embeddings if "image" in _modalities(one) else (),
            mapped=self.mapped,
        )
        if not settings["shuffle_history"]:
            recording = with_updates(recording, one.model.shared, geometry)
            if self.unit_mixture:
                recording = with_mixtures(recording, one.model, geometry)
        return one.model, recording, geometry


# --- the pieces -----------------------------------------------------------------------------------


def _modalities(one: TrainedForecaster) -> Sequence[str]:
    return one.settings.get("modalities", ())


def _check_bins(session: Session, bin_s: float, file: str) -> None:
    if session.counts.bin_s != bin_s:
        raise InputError(
            f"{session.where}: bins of {session.counts.bin_s} s; {file} reads bins of {bin_s} s"
        )


def _tiled(
    forecast: Forecast, counts: Counts, horizons_ms: Sequence[int], shuffled: bool = False
) -> Scores:
    """Scores by prefix of their label; forecasts that are a control themselves have no other."""
    null = training_mean(counts.counts, counts.domains)
    score: Callable[..., Any] = partial(
        score_horizons, forecast, counts.counts, counts.domains, null, horizons_ms, counts.bin_s
    )
    if shuffled:
        return {"": score(shuffled=True)}
    return {"": score(), "shuffled:": score(shuffled=True)}


def _labelled(by_prefix: Scores, seed: int) -> Scores:
    return {f"{prefix}seed{seed}": horizons for prefix, horizons in by_prefix.items()}
