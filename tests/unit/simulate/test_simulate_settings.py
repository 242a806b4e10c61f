"""Settings of the ventral twin: defaults, and errors that say what is known."""

import pytest

from spikeline.errors import InputError
from spikeline.simulate.settings import twin_settings


def test_defaults_give_two_monkeys_with_their_own_region_maps():
    subjects = twin_settings({}).subjects
    regions = {name: subject.region_of_electrode() for name, subject in subjects.items()}
    assert {name: len(r) for name, r in regions.items()} == {"monkeyF": 1024, "monkeyN": 1024}
    assert set(regions["monkeyF"][512:832]) == {"IT"} and set(regions["monkeyF"][832:]) == {"V4"}
    assert set(regions["monkeyN"][512:768]) == {"V4"} and set(regions["monkeyN"][768:]) == {"IT"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"concept": 5}, "unknown key concept; known: seed, concepts"),
        ({"concepts": 10, "test_images": 20}, "test_images is 20; give 2 to 10"),
        ({"subjects": {"m": {"regions": {"V2": [[0, 4]]}}}}, "unknown region V2"),
        ({"subjects": {"m": {"regions": {"V1": [[0, 4]], "IT": [[5, 8]]}}}}, "each electrode once"),
        ({"subjects": {"m": {"regions": {"V1": [[0, 4]]}, "day": 1}}}, "unknown key day"),
        ({"repetitions": 2}, "number of days"),
    ],
)
def test_a_mistake_is_named_in_one_line(values, message):
    with pytest.raises(InputError, match=message) as caught:
        twin_settings(values)
    assert "\n" not in str(caught.value)
