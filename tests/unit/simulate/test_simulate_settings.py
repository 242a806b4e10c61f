"""Settings of the ventral twin: defaults of the schema, and relations that it cannot say."""

import pytest
from defaults import settings

from spikeline.errors import InputError
from spikeline.simulate.settings import TwinSettings


def test_defaults_give_two_monkeys_with_their_own_region_maps():
    subjects = TwinSettings.of(settings("simulate-ventral")).subjects
    regions = {name: subject.region_of_electrode() for name, subject in subjects.items()}
    assert {name: len(r) for name, r in regions.items()} == {"monkeyF": 1024, "monkeyN": 1024}
    assert set(regions["monkeyF"][512:832]) == {"IT"} and set(regions["monkeyF"][832:]) == {"V4"}
    assert set(regions["monkeyN"][512:768]) == {"V4"} and set(regions["monkeyN"][768:]) == {"IT"}


def test_an_area_that_is_left_out_keeps_its_own_reliability():
    twin = TwinSettings.of(settings("simulate-ventral", reliability={"IT": 0.3}))
    assert twin.reliability == {"V1": 0.5, "V4": 0.42, "IT": 0.3}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"concept": 5}, "unknown key 'concept'"),
        ({"concepts": 10, "test_images": 20}, "settings.test_images: 20 is more than the 10"),
        ({"subjects": {"m": {"regions": {"V2": [[0, 4]]}}}}, "'V2' is not one of"),
        ({"subjects": {"m": {"regions": {"V1": [[0, 4]], "IT": [[5, 8]]}}}}, "each once"),
        ({"subjects": {"m": {"regions": {"V1": [[0, 4]], "IT": [[3, 8]]}}}}, "each once"),
        ({"subjects": {"m": {"regions": {"V1": [[0, 4]]}, "day": 1}}}, "unknown key 'day'"),
        ({"repetitions": 2}, "settings.repetitions: 2 is fewer than the 4 recording days"),
        ({"trials": 2000}, "settings.trials: 2000 is more than the 1200 training images"),
    ],
)
def test_a_mistake_is_named_in_one_line(values, message):
    with pytest.raises(InputError, match=message) as caught:
        settings("simulate-ventral", **values)
    assert "\n" not in str(caught.value)


def test_a_monkey_that_there_is_not_cannot_be_coarse_to_fine():
    given = settings("simulate-ventral", coarse_to_fine=["monkeyF"])
    monkeys = TwinSettings.of(given).subjects
    assert monkeys["monkeyF"].coarse_to_fine and not monkeys["monkeyN"].coarse_to_fine
    with pytest.raises(InputError, match="coarse_to_fine: unknown monkey 'monkeyT'"):
        TwinSettings.of({**given, "coarse_to_fine": ["monkeyT"]})


@pytest.mark.parametrize(
    ("dead_arrays", "message"),
    [
        ({"monkeyM": [0]}, "dead_arrays: unknown monkey 'monkeyM'.*did you mean"),
        ({"monkeyN": [16]}, "dead_arrays.monkeyN: 16 is not one of its 16 arrays; give 0 to 15"),
    ],
)
def test_an_array_that_there_is_not_cannot_be_dead(dead_arrays, message):
    with pytest.raises(InputError, match=message):
        TwinSettings.of(settings("simulate-ventral", dead_arrays=dead_arrays))
