"""Settings of the behaving twin, and the sessions they name."""

import pytest
from defaults import settings

from spikeline.errors import InputError
from spikeline.simulate.behaving.settings import BehavingSettings, plans


def planned(**given):
    return plans(BehavingSettings(**settings("simulate-behaving", **given)))


def test_sessions_are_named_by_rule_whatever_the_seed():
    found = planned(seed=7, ibl_sessions=2, allen_sessions=1)
    assert [(plan.name, plan.reference) for plan in found] == [
        ("ibl_01", "TWIN01/2030-01-01/001"),
        ("ibl_02", "TWIN02/2030-01-02/001"),
        ("ibl_03", "TWIN03/2030-01-03/001"),
        ("allen_01", "900000001"),
    ]
    assert [plan.poor for plan in found] == [False, False, True, False]
    assert found[1].probes == ("probe00", "probe01")


def test_a_session_keeps_its_name_when_others_are_added():
    few = {plan.name: plan for plan in planned(poor_sessions=0)}
    more = {plan.name: plan for plan in planned(ibl_sessions=9)}
    assert all(more[name] == plan for name, plan in few.items())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"session": 5}, "unknown key 'session': known are .'seed', 'ibl_sessions'"),
        ({"duration_s": 5}, "duration_s: 5 is less than the minimum of 20"),
        ({"duration_s": "long"}, "duration_s: 'long' is not of type 'number'"),
        ({"seed": 1.5}, "seed: 1.5 is not of type 'integer'"),
        ({"min_units": True}, "min_units: True is not"),
        ({"min_units": 80}, "max_units: 70 is less than min_units, 80"),
        ({"min_bad_units": 30}, "max_bad_units: 20 is less than min_bad_units, 30"),
        ({"image_width": 60}, "image_width: 60 is less than image_height, 96"),
        ({"ibl_sessions": 90, "poor_sessions": 20}, "more than 99 together"),
        ({"ibl_sessions": 0, "poor_sessions": 0, "allen_sessions": 0}, "no session is simulated"),
    ],
)
def test_a_mistake_in_the_twin_is_named_in_one_line(values, message):
    with pytest.raises(InputError, match=message) as caught:
        settings("simulate-behaving", **values)
    assert "\n" not in str(caught.value)
