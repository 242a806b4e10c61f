"""Tables, by the plan: conditions, systems, what is wanted, and tables that nobody asked for."""

from __future__ import annotations

import pytest

from spikeline.errors import InputError
from spikeline.plan.config import merged
from spikeline.plan.plan import Plan
from spikeline.settings.schema import load_yaml


def models(plan, ablation):
    """The models of a table, its control left out."""
    conditions = plan.ablations.conditions(ablation)
    return [condition["model"] for condition in conditions if not condition.get("control")]


def controls(plan, ablation):
    return [one for one in plan.ablations.conditions(ablation) if one.get("control")]


def test_a_grid_has_one_condition_for_each_combination_and_subject(planned):
    grid = {"base": "mlp", "vary": {"noise_std": [0, 0.2], "regions": ["V1", "IT"]},
            "subjects": ["monkeyF", "monkeyN"]}  # fmt: skip
    conditions = planned({"ablations": {"grid": grid}}).ablations.conditions("grid")
    assert len([one for one in conditions if not one.get("control")]) == 8
    assert conditions[0]["varied"] == {"noise_std": 0, "regions": "V1"}


def test_a_table_of_decoders_ends_with_its_first_model_trained_on_broken_pairs(planned):
    grid = {"base": "mlp", "vary": {"noise_std": [0, 0.2]}, "subjects": ["monkeyF", "monkeyN"],
            "seeds": 4}  # fmt: skip
    plan = planned({"ablations": {"grid": grid}})
    name = "mlp@noise_std=0@shuffle_responses=true"
    assert plan.ablations.conditions("grid")[4:] == controls(plan, "grid")
    assert controls(plan, "grid") == [
        {"model": name, "subject": subject, "varied": {"noise_std": 0}, "control": True}
        for subject in ("monkeyF", "monkeyN")
    ]
    assert plan.decoders.seeds(name, "monkeyF") == [0, 1, 2, 3]
    assert not any("control" in one for one in plan.ablations.conditions("modalities"))


def test_a_closed_form_is_fitted_to_as_many_broken_pairings_as_the_table_has_seeds(plan):
    (control,) = controls(plan, "regions")
    assert control["model"] == "ridge@shuffle_responses=true"
    assert plan.decoders.seeds("ridge", "monkeyF") == [0]
    assert plan.decoders.seeds(control["model"], "monkeyF") == [0, 1]


def test_a_control_is_tested_like_its_model_and_trained_once_for_all_tables(planned):
    grid = {"base": "ridge", "vary": {"test_repetitions": [1, 2]}, "subjects": ["monkeyF"]}
    plan = planned({"ablations": {"grid": grid}})
    (control,) = controls(plan, "grid")
    assert control["model"] == "ridge@shuffle_responses=true@test_repetitions=1"
    (regions,) = controls(plan, "regions")
    trained = plan.decoders.files(control["model"], "monkeyF")
    assert set(plan.decoders.files(regions["model"], "monkeyF")) <= set(trained)
    assert "results/decoders/ridge@shuffle_responses=true/monkeyF/seed0.safetensors" in trained


def test_a_control_that_a_table_lists_is_not_added_again(planned):
    listed = {"models": ["ridge", "ridge@shuffle_responses=true", "mlp"], "subjects": ["monkeyF"]}
    varied = {"base": "mlp", "vary": {"shuffle_responses": [False, True]}, "subjects": ["monkeyF"]}
    plan = planned({"ablations": {"listed": listed, "varied": varied}})
    assert [one.get("control", False) for one in plan.ablations.conditions("listed")] == [
        False, True, False,
    ]  # fmt: skip
    (control,) = controls(plan, "varied")
    assert control["varied"] == {"shuffle_responses": True}
    assert models(plan, "varied") == ["mlp"]


def test_each_group_of_a_table_has_its_own_reference_and_control(planned):
    groups = [
        {"models": ["ridge", "mlp"], "subjects": ["monkeyN", "monkeyF"]},
        {"models": ["mlp@training_fraction=0.5", "ridge"], "subjects": ["monkeyN"]},
    ]
    plan = planned({"ablations": {"groups": {"groups": groups, "seeds": 2}}})
    found = [
        (one["group"], one["model"], one["subject"], one.get("control", False))
        for one in plan.ablations.conditions("groups")
    ]
    assert found == [
        (1, "ridge", "monkeyN", False),
        (1, "ridge", "monkeyF", False),
        (1, "mlp", "monkeyN", False),
        (1, "mlp", "monkeyF", False),
        (1, "ridge@shuffle_responses=true", "monkeyN", True),
        (2, "mlp@training_fraction=0.5", "monkeyN", False),
        (2, "ridge", "monkeyN", False),
        (2, "mlp@shuffle_responses=true@training_fraction=0.5", "monkeyN", True),
    ]
    assert plan.decoders.seeds("mlp", "monkeyF") == [0, 1]


def test_equal_conditions_are_one_row(planned):
    grid = {"models": ["mlp@noise_std=0.2", "mlp", "mlp@noise_std=0.1"], "subjects": ["monkeyF"]}
    plan = planned({"ablations": {"twice": grid}})
    assert models(plan, "twice") == ["mlp@noise_std=0.2", "mlp"]


def test_an_overlay_whose_entry_repeats_an_override_of_a_table_stops_nothing(repository):
    overlay = {"models": {"mlp": {"hidden": 2048}}}
    plan = Plan.of(repository, overlay)
    assert "mlp@hidden=2048" not in models(plan, "scale") and "mlp" in models(plan, "scale")
    assert len(models(plan, "scale")) == 4


def test_a_table_that_cannot_be_made_is_no_matter_until_it_is_asked_for(planned):
    broken = {"base": "mlp", "vary": {"region": ["V1"]}, "subjects": ["monkeyF"]}
    plan = planned({"ablations": {"broken": broken}})
    assert plan.decoders.seeds("ridge", "monkeyF") == [0]
    assert models(plan, "regions") == ["ridge", "ridge@regions=IT"]
    with pytest.raises(InputError, match="did you mean 'regions'"):
        plan.ablations.conditions("broken")


def test_each_system_has_its_own_tables(plan):
    assert plan.ablations.tables("bridge") == [
        f"results/ablation_{name}.tsv" for name in ("regions", "architecture", "real")
    ]
    assert plan.ablations.tables("horizon") == [
        f"results/ablation_{name}.tsv" for name in ("fitted", "modalities")
    ]


def test_the_wheel_has_a_table_where_sessions_are_named_for_it(given, plan):
    wheel = Plan({**given, "wheel": {"sessions": ["mouse"]}})
    assert plan.decodings() == []
    assert "results/poyo_wheel.tsv" not in plan.ablations.tables("horizon")
    assert wheel.ablations.tables("horizon")[-1] == "results/poyo_wheel.tsv"
    assert wheel.decodings() == [f"results/wheel/mouse/seed{seed}.json" for seed in (0, 1)]


@pytest.mark.parametrize(
    ("joint", "trained_on"),
    [
        (None, ["mouse", "rat", "watcher"]),
        (["watcher", "rat"], ["watcher", "rat"]),
        ([], []),
    ],
)
def test_wheels_are_decoded_jointly_where_two_or_more_are_named_for_it(joint, trained_on, given):
    names = ["mouse", "rat", "watcher"]
    plan = Plan({**given, "wheel": {"sessions": names, "joint": joint, "seeds": 1}})
    assert plan.joint_wheel == trained_on
    alone = [f"results/wheel/{name}/seed0.json" for name in names]
    assert plan.decodings() == alone + ["results/wheel_joint/seed0.json"] * bool(trained_on)


def test_a_config_may_name_the_tables_that_are_made_without_a_target(given):
    plan = Plan({**given, "tables": ["fitted"]})
    assert plan.ablations.tables("bridge") == []
    assert plan.ablations.tables("horizon") == ["results/ablation_fitted.tsv"]


@pytest.mark.parametrize(
    ("ablation", "words"),
    [
        ({"models": ["mlp", "units"], "subjects": ["monkeyF"]}, "mixes models of bridge and hor"),
        ({"models": ["mlp"]}, "the key 'subjects' is missing"),
        ({"groups": [{"models": ["units"], "subjects": ["monkeyF"]}]}, "have a cohort"),
        ({"models": ["units"], "subjects": ["monkeyF"]}, "forecasters have a cohort"),
        (
            {"models": ["mlp"], "subjects": ["monkeyF"], "reference": "mlp"},
            "compared with the first of them",
        ),
        ({"models": ["mpl"], "subjects": ["monkeyF"]}, "did you mean 'mlp'"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_by_name(planned, ablation, words):
    plan = planned({"ablations": {"odd": ablation}})
    with pytest.raises(InputError) as said:
        plan.ablations.conditions("odd")
    assert words in str(said.value)


def test_all_training_sessions_are_shown_as_their_number(planned):
    grid = {"base": "units", "vary": {"training_sessions": [1, 0]}}
    conditions = planned({"ablations": {"more": grid}}).ablations.conditions("more")
    assert [condition["varied"]["training_sessions"] for condition in conditions] == [1, 2]


def test_the_baselines_of_a_table_are_those_of_every_session_once(plan):
    assert plan.baselines("modalities") == [
        f"results/baselines/{session}.json" for session in ("mouse", "rat", "watcher")
    ]


def test_an_overlay_replaces_lists_and_joins_objects():
    base = {"a": {"x": [1, 2], "y": 1}, "b": 1}
    overlay = {"a": {"x": [3]}, "c": {"z": 1}}
    assert merged(base, overlay) == {"a": {"x": [3], "y": 1}, "b": 1, "c": {"z": 1}}
    assert base == {"a": {"x": [1, 2], "y": 1}, "b": 1}


def test_every_table_of_every_shipped_config_has_conditions(repository, monkeypatch, real_data):
    monkeypatch.setenv("SPIKELINE_DATA", str(real_data))
    monkeypatch.setenv("ALLEN_CACHE", "allen")
    for path in sorted((repository / "config").glob("*.yaml")):
        plan = Plan.of(repository, load_yaml(path))
        for system in ("bridge", "horizon"):
            for table in plan.ablations.tables(system):
                name = table.removeprefix("results/ablation_").removesuffix(".tsv")
                assert name == "results/poyo_wheel" or plan.ablations.conditions(name), path


def test_cohorts_that_take_turns_train_a_model_each_and_only_what_they_hold_out_is_tested(planned):
    entry = {"models": ["units"], "rotations": ["three", "other"], "seeds": 1}
    other = {"train": ["mouse", "watcher"], "held_out": ["rat"]}
    plan = planned({"ablations": {"turns": entry}, "cohorts": {"other": other}})
    turns = ["units", "units@cohort=other"]
    assert plan.ablations.conditions("turns")[0]["rotations"] == turns
    assert plan.ablations.forecasts("turns") == [f"results/forecasts/{one}.json" for one in turns]
    held_out = {f"results/baselines/{one}.json" for one in ("watcher", "rat")}
    assert set(plan.baselines("turns")) == held_out
    assert plan.ablations.seeds()["units@cohort=other", None] == 1


FOLDS = {
    f"fold_{one}": {
        "kind": "arrays", "times": "t.npy", "clusters": "c.npy",
        "split": {"kind": "fold", "folds": 3, "fold": one},
    }
    for one in (1, 2, 3)
}  # fmt: skip
TURNS = {"models": ["units"], "rotations": [*FOLDS], "seeds": 1}


def folded(planned, sessions=FOLDS, **cohorts):
    """The plan of a table whose folds take turns, each in a cohort of its own or as given."""
    cohorts = {name: {"train": [name]} for name in FOLDS} | cohorts
    return planned({"ablations": {"turns": TURNS}, "cohorts": cohorts, "sessions": sessions})


def changed(name, **values):
    """The folds, one of them with other keys of its split."""
    entry = FOLDS[name]
    return {**FOLDS, name: {**entry, "split": {**entry["split"], **values}}}


def test_folds_of_a_recording_train_a_model_each_and_every_one_has_its_own_test(planned):
    plan = folded(planned)
    assert len(plan.ablations.conditions("turns")[0]["rotations"]) == 3
    assert plan.baselines("turns") == [f"results/baselines/{name}.json" for name in FOLDS]
    plan = folded(planned, fold_1={"train": [*FOLDS]})
    with pytest.raises(InputError, match="'fold_1' and 'fold_2' are the same recording"):
        plan.ablations.conditions("turns")


@pytest.mark.parametrize(
    ("sessions", "words"),
    [
        (changed("fold_2", fold=1), "are folds 1, 1, 3 of 3; give each fold once"),
        (changed("fold_2", folds=4), "differ in more than `fold`"),
        ({**FOLDS, "fold_3": {**FOLDS["fold_3"], "min_rate_hz": 1}}, "differ in more than `fold`"),
        (changed("fold_2", kind="interleaved"), "'fold_2' is no fold of a recording"),
    ],
)
def test_folds_that_are_not_each_of_their_recording_once_are_refused(planned, sessions, words):
    with pytest.raises(InputError, match=f"ablations.turns.rotations: .*{words}"):
        folded(planned, sessions).ablations.conditions("turns")


def test_turns_of_which_only_some_hold_out_or_two_test_the_same_are_refused(planned):
    plan = folded(planned, fold_2={"train": ["fold_2"], "held_out": ["rat"]})
    with pytest.raises(InputError, match="'fold_1' holds no session out, and 'fold_2' does"):
        plan.ablations.conditions("turns")
    plan = folded(planned, fold_2={"train": ["fold_1"]})
    with pytest.raises(InputError, match="'fold_1' and 'fold_2' both test session 'fold_1'"):
        plan.ablations.conditions("turns")


def test_decoders_have_no_cohorts_to_take_turns(planned):
    entry = {"models": ["mlp"], "subjects": ["monkeyF"], "rotations": ["three", "other"]}
    plan = planned({"ablations": {"turns": entry}})
    with pytest.raises(InputError, match="'rotations' are cohorts"):
        plan.ablations.conditions("turns")
