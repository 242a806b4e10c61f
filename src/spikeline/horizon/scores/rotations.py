"""Cohorts that take turns: each session is forecast by the model that was not trained on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spikeline.artifacts.forecasts import Forecasts, SessionForecasts
from spikeline.errors import InputError


def held_out_in_turn(turns: Sequence[Forecasts], models: Sequence[str]) -> Forecasts:
    """The sessions that each turn held out, together; what it was trained on is left out.

    Args:
        turns: forecasts of the same model, trained on one cohort after the other.
        models: what an error names each turn.

    Raises:
        InputError: a turn holds nothing out, or a session is held out twice.
    """
    found: dict[str, SessionForecasts] = {}
    owner: dict[str, str] = {}
    for turn, model in zip(turns, models, strict=True):
        mine: Mapping[str, SessionForecasts] = {
            name: one for name, one in turn.sessions.items() if one.role == "held_out"
        }
        if not mine:
            raise InputError(f"rotations: {model} holds no session out; see its cohort")
        for name in mine:
            if name in owner:
                raise InputError(
                    f"rotations: session {name} is held out by {owner[name]} and by {model}; "
                    "let each cohort hold out others"
                )
            owner[name] = model
        found |= mine
    return Forecasts(turns[0].settings, found, turns[0].facts)
