"""The Horizon's plan: cohorts, roles, inputs, seeds, release tables."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from spikeline.errors import InputError


def test_a_held_out_session_enters_no_normalisation_and_no_training(plan):
    inputs = plan.forecasters.training_inputs("units")
    assert inputs["counts"] == ["results/counts/mouse.h5", "results/counts/rat.h5"]
    assert inputs["normalisation"] == "results/normalisations/three/2_sessions.h5"
    assert plan.forecasters.features("three", "2") == [
        "results/features/mouse.h5", "results/features/rat.h5",
    ]  # fmt: skip


def test_an_evaluation_reads_every_session_and_every_seed_but_no_normalisation(plan):
    inputs = plan.forecasters.evaluation_inputs("units")
    assert inputs["counts"][-1] == "results/counts/watcher.h5" and "normalisation" not in inputs
    assert inputs["forecasters"] == [
        f"results/forecasters/units/seed{seed}.safetensors" for seed in (0, 1)
    ]
    assert plan.forecasters.roles("units") == ["seen", "seen", "held_out"]


def test_a_regression_is_one_file_per_session_and_has_no_seeds(plan):
    inputs = plan.forecasters.evaluation_inputs("fits")
    assert inputs["forecasters"][0] == "results/regressions/fits/mouse.safetensors"
    assert len(inputs["forecasters"]) == 3 and set(inputs) == {"forecasters", "counts"}
    assert plan.forecasters.seeds("fits") == []
    assert plan.forecasters.role("fits", "watcher") == "held_out"


def test_a_combination_reads_its_candidates_on_its_own_sessions(planned):
    one = {"kind": "auto_forecaster", "cohort": "three", "of": ["fits", "units"]}
    forecasters = planned({"models": {"best": one}}).forecasters
    inputs = forecasters.combination_inputs("best")
    assert inputs["forecasters"] == [
        *(f"results/regressions/fits/{name}.safetensors" for name in ("mouse", "rat", "watcher")),
        "results/forecasters/units/seed0.safetensors",
    ]
    assert forecasters.candidate_names("best") == ["fits"] * 3 + ["units"]
    assert len(inputs["counts"]) == len(inputs["features"]) == 3
    assert forecasters.seeds("best") == []
    fewer = forecasters.combination_inputs("best@training_sessions=1")["forecasters"]
    assert fewer[-1] == "results/forecasters/units@training_sessions=1/seed0.safetensors"


@pytest.mark.parametrize(
    ("of", "words"),
    [
        (["mlp"], "candidate 'mlp': is of kind 'mlp'; expected one of forecaster, shared_glm"),
        (["best"], "is of kind 'auto_forecaster'"),
        (["unit"], "did you mean 'units'"),
        (["units", "units@cohort=three"], "is there twice"),
        (["units@horizon_ms=500"], "asks for 1000"),
    ],
)
def test_a_candidate_that_cannot_be_combined_is_explained(planned, of, words):
    one = {"kind": "auto_forecaster", "cohort": "three", "of": of}
    plan = planned({"models": {"best": one}})
    with pytest.raises(InputError) as said:
        plan.forecasters.combination_inputs("best")
    assert "model 'best'" in str(said.value) and words in str(said.value)


def test_images_are_embedded_only_for_forecasters_that_read_them(plan):
    looking = "units@modalities=image"
    assert plan.forecasters.evaluation_inputs("units")["embeddings"] == []
    inputs = plan.forecasters.evaluation_inputs(looking)
    assert inputs["embeddings"] == ["results/embeddings/demo_clip/screen.h5"]
    # Of the three, only the held-out session was shown images.
    assert plan.forecasters.training_inputs(looking)["embeddings"] == []


def test_fewer_training_sessions_are_the_first_of_the_cohort_with_their_own_scale(plan):
    inputs = plan.forecasters.training_inputs("units@training_sessions=1")
    assert inputs["counts"] == ["results/counts/mouse.h5"]
    assert inputs["normalisation"] == "results/normalisations/three/1_sessions.h5"


def test_sessions_that_swap_places_give_another_cohort_setting(planned, plan):
    swapped = planned({"cohorts": {"three": {"train": ["rat", "mouse"], "held_out": ["watcher"]}}})
    assert plan.forecasters.roles("units") == swapped.forecasters.roles("units")
    assert plan.forecasters.cohort("units") != swapped.forecasters.cohort("units")


def test_an_evaluation_of_many_sessions_and_seeds_gets_more_time(planned):
    sessions = {
        f"s{k}": {"kind": "arrays", "times": f"own/{k}.npy", "clusters": "own/clusters.npy"}
        for k in range(100)
    }
    many = {"three": {"train": list(sessions)}}
    plan = planned({"sessions": sessions, "cohorts": many})
    assert plan.forecasters.minutes("units") == 200


def test_true_rates_are_known_of_simulated_sessions_alone(plan):
    assert plan.forecasters.rates_arguments("mouse") == [
        "--rates", "resources/twins/behaving/simulation/mouse.rates.h5",
    ]  # fmt: skip
    assert plan.forecasters.rates_arguments("rat") == []


@pytest.mark.parametrize(
    ("section", "entry", "words"),
    [
        ("cohorts", {"three": {"train": ["mouse", "rta"]}}, "did you mean 'rat'"),
        ("cohorts", {"three": {"train": ["mouse"], "held_out": ["mouse"]}}, "no session is left"),
        ("models", {"units": {"kind": "forecaster", "cohort": "four"}}, "unknown cohort 'four'"),
        ("models", {"units": {"kind": "forecaster", "training_sessions": 3}}, "has 2"),
        ("models", {"units": {"kind": "forecaster", "horizon_ms": 500}}, "asks for 1000"),
        ("cohorts", {"three": {"train": ["mouse", "same"]}}, "are the same recording"),
    ],
)
def test_a_wrong_cohort_or_model_is_explained(planned, section, entry, words):
    plan = planned({section: entry})
    with pytest.raises(InputError) as said:
        plan.forecasters.training_inputs("units")
    assert words in str(said.value)


def test_a_setting_out_of_its_choices_is_refused_when_the_config_is_read(planned):
    with pytest.raises(InputError, match=r"config models.units.identity"):
        planned({"models": {"units": {"kind": "forecaster", "identity": "none"}}})


@pytest.mark.parametrize(
    ("question", "arguments", "words"),
    [
        ("role", ("fits", "same"), "unknown session 'same'"),
        ("role", ("units", "mouse"), "expected a model of kind regression, got 'forecaster'"),
        (
            "training_inputs",
            ("fits",),
            "expected a model of kind forecaster or shared_glm, got 'regression'",
        ),
        ("evaluation_inputs", ("mlp",), "'mlp': is of the Bridge; expected one of the Horizon"),
        ("features", ("three", 9), "'three' has 2 training sessions, not 9"),
    ],
)
def test_a_question_about_the_wrong_model_is_refused(plan, question, arguments, words):
    with pytest.raises(InputError) as said:
        getattr(plan.forecasters, question)(*arguments)
    assert words in str(said.value)


def test_a_subject_and_a_session_of_one_name_are_refused(planned, given):
    with pytest.raises(InputError, match="names a subject and a session"):
        planned({"sessions": {"monkeyF": given["sessions"]["mouse"]}})


def table(path: Path, rows: list[tuple[str, str]], columns=("eid", "probe_name")) -> Path:
    with open(path, "w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(columns)
        writer.writerows(rows)
    return path


def released(path: Path) -> dict:
    return {
        "session_tables": {"release": {"kind": "ibl", "dataset": "ibl_twin", "table": str(path)}}
    }


def test_a_release_table_names_the_sessions_and_joins_their_probes(planned, given, tmp_path):
    eids = [f"{number:08x}-0000" for number in (7, 3, 5)]
    rows = [(eid, probe) for eid in eids for probe in ("probe01", "probe00")]
    given["session_tables"] = {}
    cohorts = {"all": {"train": ["release"], "held_out": ["release-00000005"]}}
    plan = planned({**released(table(tmp_path / "t.csv", rows)), "cohorts": cohorts})
    train, held_out = plan.cohorts.sessions("all")
    assert train == ["release-00000003", "release-00000007"] and held_out == ["release-00000005"]
    assert plan.config.entry("sessions", train[0])["probes"] == ["probe00", "probe01"]


@pytest.mark.parametrize(
    ("rows", "columns", "words"),
    [
        ([("a", "b")], ("pid", "probe"), "expected a CSV with the columns eid, probe_name"),
        ([], ("eid", "probe_name"), "expected a CSV"),
        ([("12345678-a", "p"), ("12345678-b", "p")], ("eid", "probe_name"), "two eids start with"),
    ],
)
def test_a_release_table_that_does_not_fit_is_refused(
    planned, given, tmp_path, rows, columns, words
):
    given["session_tables"] = {}
    with pytest.raises(InputError, match=words):
        planned(released(table(tmp_path / "t.csv", rows, columns)))


def test_sessions_of_two_tables_have_names_of_their_own(planned, given, tmp_path):
    path = tmp_path / "sessions.tsv"
    path.write_text("session\nfirst\n")
    arrays = {
        "kind": "arrays", "table": str(path), "name": "session", "times": "own/times.npy",
        "clusters": "own/clusters.npy",
    }  # fmt: skip
    given["session_tables"] = {}
    assert planned({"session_tables": {"one": arrays}}).config.entry("sessions", "first")
    words = r"config session_tables.two: its session 'first' is named elsewhere too"
    with pytest.raises(InputError, match=words):
        planned({"session_tables": {"one": arrays, "two": arrays}})


def test_a_release_table_that_is_missing_is_named(planned, given, tmp_path):
    given["session_tables"] = {}
    with pytest.raises(InputError, match=r"config session_tables.release: .*download the table"):
        planned(released(tmp_path / "none.csv"))


def test_the_published_release_has_459_sessions(planned, given, real_data):
    given["session_tables"] = {}
    path = real_data / "ibl_sessions/2023_12_bwm_release.csv"
    plan = planned({**released(path), "cohorts": {"all": {"train": ["release"]}}})
    assert len(plan.cohorts.sessions("all")[0]) == 459


def test_settings_of_scoring_are_those_of_the_config(plan):
    assert json.loads(plan.forecasters.baseline_settings()) == {
        "horizons_ms": [100, 200, 500, 1000]
    }
    settings = json.loads(plan.forecasters.evaluation_settings("units@co_smoothing_groups=0"))
    horizons = {"horizons_ms": [100, 200, 500, 1000]}
    assert settings == {"co_smoothing_groups": 0, "unit_mixture": True, **horizons}
