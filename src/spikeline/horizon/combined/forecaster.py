"""The combined forecaster of many sessions, scored as any other: `scores.evaluation.evaluate`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cache, partial

from spikeline.errors import InputError
from spikeline.horizon.combined.candidates import plain_candidates, trained_candidate
from spikeline.horizon.combined.combination import Candidate, Combination, combine
from spikeline.horizon.scores.bits_per_spike import training_mean
from spikeline.horizon.scores.evaluation import EvaluatedForecaster, Scores, Session
from spikeline.horizon.scores.tiled import Forecast, score_horizons

log = logging.getLogger(__name__)
LABEL = "seed0"


class CombinedForecaster:
    """Of each session, the weighted candidates; weights are fitted when a session is first met."""

    seeds: Sequence[int] = (0,)

    def __init__(
        self,
        forecasters: Mapping[str, EvaluatedForecaster],
        sessions: Sequence[Session],
        horizons_ms: Sequence[int],
    ):
        """
        Args:
            forecasters: {candidate: it}; the plain forecasts join them.
            sessions: that it may be put to, with the counts that weights are fitted on.
            horizons_ms: lengths of the forecast windows.
        """
        self.forecasters, self.horizons_ms = forecasters, horizons_ms
        self.sessions = {one.name: one for one in sessions}
        self._fitted = cache(self._fit)

    @property
    def parameters(self) -> int:
        """Fitted weights of all sessions."""
        return sum(self._fitted(name)[1].weights.values.size for name in self.sessions)

    @property
    def facts(self) -> dict[str, object]:
        """{session: what was chosen, and its weights}."""
        return {name: self._fitted(name)[1].facts for name in self.sessions}

    def check(self, session: Session) -> None:
        for forecaster in self.forecasters.values():
            forecaster.check(session)

    def forecasts_of(self, session: Session, first_seed: bool = False) -> dict[str, Forecast]:
        candidates, combination = self._fitted(session.name)
        used = combination.used
        forecasts = {name: candidates[name].final(session.counts) for name in used}
        return {LABEL: partial(combination.forecast, forecasts)}

    def score(self, session: Session) -> Scores:
        counts = session.counts
        null = training_mean(counts.counts, counts.domains)
        score = partial(
            score_horizons,
            self.forecasts_of(session)[LABEL],
            counts.counts, counts.domains, null, self.horizons_ms, counts.bin_s,
        )  # fmt: skip
        return {LABEL: score(), f"shuffled:{LABEL}": score(shuffled=True)}

    def _fit(self, name: str) -> tuple[dict[str, Candidate], Combination]:
        session = self.sessions[name]
        log.info("%s: candidates", name)
        try:
            candidates = plain_candidates(session.counts, self.horizons_ms)
            for candidate, forecaster in self.forecasters.items():
                candidates[candidate] = trained_candidate(forecaster, session)
            return candidates, combine(candidates, session.counts, self.horizons_ms)
        except InputError as error:
            raise InputError(f"{session.where}: {error}") from None
