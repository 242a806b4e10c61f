"""Cohorts that take turns: each session is forecast by the model that was not trained on it.

Where no cohort holds a session out, the turns are the folds of a recording: each is a session of
its own, and every one has its own test. Its role is then FOLD.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from spikeline.artifacts.forecasts import Forecasts, SessionForecasts
from spikeline.errors import InputError

FOLD = "fold"


def joined_turns(turns: Sequence[Forecasts], models: Sequence[str]) -> Forecasts:
    """The sessions that each turn is there to test, together: what it holds out, else its own.

    Args:
        turns: forecasts of the same model, trained on one cohort after the other.
        models: what an error names each turn.

    Raises:
        InputError: only some turns hold sessions out, or two test the same session.
    """
    roles = [{name: one.role for name, one in turn.sessions.items()} for turn in turns]
    held_out = [[name for name, role in turn.items() if role == "held_out"] for turn in roles]
    found: dict[str, SessionForecasts] = {}
    owner: dict[str, str] = {}
    for turn, mine, model in zip(turns, held_out, models, strict=True):
        if any(held_out) and not mine:
            raise InputError(f"rotations: {model} holds no session out; see its cohort")
        tested = {name: turn.sessions[name] for name in mine}
        tested = tested or {n: replace(one, role=FOLD) for n, one in turn.sessions.items()}
        for name in tested:
            if name in owner:
                raise InputError(
                    f"rotations: session {name} is tested by {owner[name]} and by {model}; "
                    "let each cohort test others"
                )
            owner[name] = model
        found |= tested
    return Forecasts(turns[0].settings, found, turns[0].facts)
