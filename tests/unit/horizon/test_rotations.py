"""Cohorts that take turns: whose forecast of a session counts."""

import pytest

from spikeline.artifacts.forecasts import Forecasts, SessionForecasts
from spikeline.errors import InputError
from spikeline.horizon.scores.rotations import joined_turns


def turn(**roles):
    sessions = {name: SessionForecasts(role, "arrays", 3, {}) for name, role in roles.items()}
    return Forecasts({}, sessions, {"parameters": 7})


def test_each_session_is_forecast_by_the_model_that_held_it_out():
    first, second = turn(a="held_out", b="seen"), turn(a="seen", b="held_out")
    found = joined_turns([first, second], ["one", "two"])
    assert found.sessions == {"a": first.sessions["a"], "b": second.sessions["b"]}
    assert found.facts == {"parameters": 7}


def test_a_session_that_two_turns_test_is_refused():
    with pytest.raises(InputError, match="session a is tested by one and by two"):
        joined_turns([turn(a="held_out"), turn(a="held_out")], ["one", "two"])


def test_a_turn_that_holds_nothing_out_is_refused():
    with pytest.raises(InputError, match="two holds no session out"):
        joined_turns([turn(a="held_out"), turn(a="seen")], ["one", "two"])


def test_folds_that_hold_nothing_out_are_each_tested_by_their_own_model():
    first, second = turn(fold_1="seen"), turn(fold_2="seen")
    found = joined_turns([first, second], ["one", "two"])
    assert {name: one.role for name, one in found.sessions.items()} == {
        "fold_1": "fold", "fold_2": "fold",
    }  # fmt: skip
    with pytest.raises(InputError, match="session fold_1 is tested by one and by two"):
        joined_turns([first, first], ["one", "two"])
