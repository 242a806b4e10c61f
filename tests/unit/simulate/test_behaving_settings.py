"""Settings of the behaving twin, and the sessions they name."""

import pytest

from spikeline.errors import InputError
from spikeline.simulate.behaving.settings import behaving_settings, plans


def test_sessions_are_named_by_rule_whatever_the_seed():
    found = plans(behaving_settings({"seed": 7, "ibl_sessions": 2, "allen_sessions": 1}))
    assert [(plan.name, plan.reference) for plan in found] == [
        ("ibl_01", "TWIN01/2030-01-01/001"),
        ("ibl_02", "TWIN02/2030-01-02/001"),
        ("ibl_03", "TWIN03/2030-01-03/001"),
        ("allen_01", "900000001"),
    ]
    assert [plan.poor for plan in found] == [False, False, True, False]
    assert found[1].probes == ("probe00", "probe01")


def test_a_session_keeps_its_name_when_others_are_added():
    few = {plan.name: plan for plan in plans(behaving_settings({"poor_sessions": 0}))}
    more = {plan.name: plan for plan in plans(behaving_settings({"ibl_sessions": 9}))}
    assert all(more[name] == plan for name, plan in few.items())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"session": 5}, "unknown key session; known: seed, ibl_sessions"),
        ({"duration_s": 5}, "duration_s is 5; give 20 to 7200"),
        ({"duration_s": "long"}, "duration_s is 'long'; a number is due"),
        ({"seed": 1.5}, "seed is 1.5; a whole number is due"),
        ({"min_units": True}, "min_units is True"),
        ({"min_units": 80}, "max_units is 70; give 80 to 350"),
        ({"ibl_sessions": 0, "poor_sessions": 0, "allen_sessions": 0}, "no session is asked for"),
    ],
)
def test_a_mistake_in_the_twin_is_named_in_one_line(values, message):
    with pytest.raises(InputError, match=message) as caught:
        behaving_settings(values)
    assert "\n" not in str(caught.value)
