"""Configs in which a value is another, missing or renamed: planned, or refused in one line."""

from __future__ import annotations

import pytest
from mutations import altered, fuzz

from spikeline.errors import InputError
from spikeline.plan.config import Config, merged
from spikeline.plan.plan import DEMO
from spikeline.settings import steps
from spikeline.settings.schema import load_yaml

EXAMPLES = 40


def _objects(given):
    # Snakemake and --settings let nothing else through.
    return altered(given).filter(lambda changed: isinstance(changed, dict))


@pytest.mark.parametrize("name", ["config/config.yaml", "config/tvsd.yaml", "config/horizon.yaml"])
def test_a_config_with_other_values_is_accepted_or_refused(name, repository, record_property):
    demo = load_yaml(repository / DEMO)
    given = load_yaml(repository / name)
    fuzz(_objects(given), lambda changed: Config(merged(demo, changed)), EXAMPLES, record_property)


@pytest.mark.parametrize("step", sorted(steps.STEPS))
def test_the_settings_of_a_step_with_other_values_are_accepted_or_refused(step, record_property):
    try:
        given = steps.completed(step, {})
    except InputError:
        given = {"kind": "ridge", "regions": ["V1"], "model": "x", "seed": 0}
    fuzz(_objects(given), lambda changed: steps.completed(step, changed), 10, record_property)
