"""The Horizon's plan: from twins, client environments and release tables to forecasts."""

from __future__ import annotations

import csv
import re
import shutil

import pytest
import yaml

FORECAST = "results/forecasts/units.json"


class OneOfEach(yaml.SafeLoader):
    """A YAML reader for which a key that is written twice is a mistake."""


def _mapping(loader, node):
    keys = [loader.construct_object(key) for key, _ in node.value if key.value != "<<"]
    assert len(keys) == len(set(keys)), f"{node.start_mark}: a key is written twice: {keys}"
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


OneOfEach.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def test_no_config_says_a_thing_twice(repository):
    for path in (repository / "config").glob("*.yaml"):
        assert yaml.load(path.read_text(), OneOfEach), path


def test_a_forecast_builds_both_client_environments_on_the_way(planned):
    rules = planned.plan(FORECAST).rules
    assert rules["build_environment"] == 2
    assert rules["convert_ibl"] == rules["convert_allen"] == rules["convert_spikes"] == 1
    # Held out: converted and tested, not trained on.
    assert rules["bin_spikes"] == 3 and rules["normalise_features"] == 1


def test_editing_a_forecaster_reruns_its_training_and_what_follows(finished):
    config = finished.config
    config["models"]["units"]["dropout"] = 0.2
    finished.configure(config)
    rules = set(finished.plan().rules)
    made = {"train_forecaster", "evaluate_forecaster", "tabulate_forecasts"}
    assert rules - {"all_tables"} == made


def test_sessions_that_change_roles_are_fitted_and_scored_anew(finished):
    config = finished.config
    config["cohorts"]["three"] = {"train": ["watcher", "rat"], "held_out": ["mouse"]}
    finished.configure(config)
    rules = finished.plan("results/ablation_fitted.tsv").rules
    assert rules == {"fit_regression": 2, "evaluate_forecaster": 1, "tabulate_forecasts": 1}


def test_a_session_more_in_a_cohort_is_the_only_one_that_is_fitted(finished):
    config = finished.config
    config["sessions"]["another"] = {**config["sessions"]["rat"], "times": "own/other_times.npy"}
    config["cohorts"]["three"]["train"].append("another")
    finished.configure(config)
    (finished.folder / "own/other_times.npy").touch()
    jobs = finished.plan("results/ablation_fitted.tsv").jobs
    fits = [output for output, rule in jobs.items() if rule == "fit_regression"]
    assert fits == ["results/regressions/fits/another.safetensors"]
    assert "evaluate_forecaster" in jobs.values()


def test_a_combined_forecaster_plans_its_candidates_and_one_job(planned):
    config = planned.config
    config["models"]["best"] = {
        "kind": "auto_forecaster", "cohort": "three", "of": ["units", "fits"],
    }  # fmt: skip
    planned.configure(config)
    target = "results/forecasts/best.json"
    rules = planned.plan(target).rules
    assert rules["combine_forecasters"] == rules["train_forecaster"] == 1
    assert rules["fit_regression"] == 3 and "evaluate_forecaster" not in rules
    shown = planned.snakemake("-n", "-p", "--", target).text
    assert "--candidates units fits fits fits" in shown


def test_a_session_of_simulated_arrays_is_made_from_its_twin_alone(fresh):
    plan = fresh.plan("results/forecasts/walks.json", "results/baselines/walker.json")
    assert plan.rules == {
        "simulate_place_cells": 1, "convert_spikes": 1, "validate": 1, "bin_spikes": 1,
        "fit_regression": 1, "evaluate_forecaster": 1, "score_baselines": 1,
    }  # fmt: skip
    assert (
        "--rates resources/twins/walks/rates.h5"
        in fresh.snakemake("-n", "-p", "--", "results/baselines/walker.json").text
    )


def test_place_cells_are_planned_as_shipped(shipped):
    plan = shipped.snakemake(
        "-n", "--configfile", "config/place_cells.yaml", "--", "results/ablation_behaviour.tsv"
    )
    assert plan.status == 0, plan.text[-3000:]
    assert plan.rules["simulate_place_cells"] == plan.rules["score_baselines"] == 2
    assert plan.rules["fit_regression"] == 4 and "build_environment" not in plan.rules


@pytest.fixture
def shipped(fresh, repository):
    """The configs as they are shipped, in a copy of the workflow."""
    for path in (repository / "config").glob("*.yaml"):
        shutil.copy(path, fresh.folder / "config" / path.name)
    return fresh


def test_the_fifteen_sessions_are_planned_from_their_clients(shipped, monkeypatch):
    monkeypatch.setenv("ALLEN_CACHE", "allen")
    plan = shipped.snakemake("-n", "--configfile", "config/horizon.yaml")
    assert plan.status == 0, plan.text[-3000:]
    assert plan.rules["fetch_ibl"] == 10 and plan.rules["fetch_allen"] == 5
    assert plan.rules["decode_wheel"] == 9


def test_a_missing_cache_folder_is_said_in_one_line(shipped, monkeypatch):
    monkeypatch.delenv("ALLEN_CACHE", raising=False)
    plan = shipped.snakemake("-n", "--configfile", "config/horizon.yaml")
    assert plan.status != 0 and "ALLEN_CACHE" in plan.text and "Traceback" not in plan.text


def test_a_release_table_names_the_sessions_and_merges_their_probes(shipped, monkeypatch):
    table = shipped.folder / "own/ibl_sessions/2023_12_bwm_release.csv"
    table.parent.mkdir()
    eids = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(210)]
    held_out = yaml.safe_load((shipped.folder / "config/brain_wide_map.yaml").read_text())
    held_out = held_out["cohorts"]["brain_wide_map"]["held_out"]
    eids += [f"{name.removeprefix('bwm-')}-0000-4000-8000-000000000000" for name in held_out]
    with open(table, "w", newline="") as handle:
        rows = csv.writer(handle)
        rows.writerow(["pid", "eid", "probe_name"])
        rows.writerows(["p", eid, probe] for eid in eids for probe in ("probe00", "probe01"))
    monkeypatch.setenv("SPIKELINE_DATA", "own")
    plan = shipped.snakemake(
        "-n", "--configfile", "config/brain_wide_map.yaml", "--", "results/ablation_scaling.tsv"
    )
    assert plan.status == 0, plan.text[-3000:]
    assert plan.rules["fetch_ibl"] == len(eids) == 230
    assert plan.rules["normalise_features"] == 5
    assert "gpu=1" in plan.text.split("rule train_forecaster:")[1].split("\n[")[0]


@pytest.fixture
def remote(finished):
    """A copy in which two sessions of a database, not of a twin, can be fetched too."""
    config = finished.config
    config["datasets"]["far"] = {"kind": "one", "url": "https://alyx.example"}
    for number in (1, 2):
        config["sessions"][f"far_{number}"] = {
            "kind": "ibl", "dataset": "far", "session": f"2020-01-0{number}_1_A",
            "probes": ["probe00"],
        }  # fmt: skip
    finished.configure(config)
    return finished


FAR = ("results/sessions/far_1.h5", "results/sessions/far_2.h5")


def test_one_login_serves_every_session_of_a_database(remote):
    shown = remote.snakemake("-n", "-p", "--", *FAR)
    assert shown.rules == {"fetch_ibl_login": 1, "fetch_ibl": 2, "convert_ibl": 2}
    assert shown.text.count("--login resources/logins/far.json") == 2
    assert shown.text.count("fetch-ibl-login --url https://alyx.example") == 1
    assert "fetch_ibl_login" not in remote.plan("results/sessions/mouse.h5").rules


def test_another_login_fetches_nothing_again(remote):
    done = remote.snakemake("--cores", "2", "--resources", "gpu=1", "--", *FAR)
    assert done.status == 0, done.text[-3000:]
    # Limits on the command line leave that of the clients' files.
    (limits,) = [line for line in done.text.splitlines() if line.startswith("Provided resources:")]
    assert re.search(r"\bclient_files\b\D+1\b", limits) and re.search(r"\bgpu\b\D+1\b", limits)
    login = remote.folder / "resources/logins/far.json"
    login.write_text("somebody else")
    assert not remote.plan(*FAR).rules
    login.unlink()
    assert not remote.plan(*FAR).rules
