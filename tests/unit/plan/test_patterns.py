"""Patterns of names: every path belongs to one rule, unknown names to one that explains them."""

from __future__ import annotations

import re

import pytest


def matches(pattern: str, name: str) -> bool:
    return re.fullmatch(pattern, name) is not None


@pytest.mark.parametrize("name", ["ridge", "mlp", "both", "mlp@noise_std=0.2@regions=V4+IT", "nope",
                                  "ridgeling", "mlp_2", "nope@a=b"])  # fmt: skip
def test_each_model_is_made_by_one_rule(plan, name):
    patterns = (plan.closed_forms, plan.networks, plan.ensembles)
    assert sum(matches(pattern, name) for pattern in patterns) == 1


@pytest.mark.parametrize("name", ["monkeyF", "public", "lab", "nobody", "lab2", "publicly"])
def test_each_subject_is_converted_by_one_rule(plan, name):
    patterns = (
        plan.named("subjects", "tvsd"),
        plan.named("subjects", "macaque_v4"),
        plan.named_else("subjects", "tvsd", "macaque_v4"),
    )
    assert sum(matches(pattern, name) for pattern in patterns) == 1


@pytest.mark.parametrize("name", ["regions", "fitted", "modalities", "unheard_of"])
def test_each_table_is_made_by_one_rule(plan, name):
    patterns = [plan.ablation_names(system) for system in ("bridge", "horizon")]
    assert sum(matches(pattern, name) for pattern in patterns) == 1


def test_where_there_is_no_entry_of_a_kind_its_rule_makes_nothing(plan):
    assert not matches(plan.named("subjects", "nothing"), "") and not matches(
        plan.models("nothing"), "ridge"
    )
