"""Where data comes from, by the plan: inputs, arguments, and files that are missing."""

from __future__ import annotations

import json

import pytest

from spikeline.errors import InputError


def test_a_twin_has_the_monkeys_of_the_subjects_that_read_it(plan):
    monkeys = json.loads(plan.sources.twin_settings("ventral"))["subjects"]
    assert set(monkeys) == {"monkeyF", "monkeyN"}
    assert monkeys["monkeyN"]["regions"]["IT"] == [[768, 1024]]


def test_a_twin_that_no_subject_reads_is_images_alone(planned):
    plan = planned({"twins": {"bank": {"kind": "ventral", "further_images": 10}}})
    assert json.loads(plan.sources.twin_settings("bank"))["subjects"] == {}


def test_a_simulated_dataset_is_cloned_from_its_twin_and_a_real_one_from_its_address(planned):
    real = {"kind": "datalad", "url": "https://example.org/tvsd", "commit": "0123abc"}
    plan = planned({"datasets": {"real": real}})
    plan.config["subjects"]["monkeyN"]["dataset"] = "real"
    assert plan.sources.clone_origin("subjects", "monkeyF") == "resources/twins/ventral"
    assert plan.sources.clone_origin("subjects", "monkeyN") == []
    assert plan.sources.clone_arguments("subjects", "monkeyN") == [
        "--url", "https://example.org/tvsd", "--commit", "0123abc", "--clone",
        "resources/datasets/real",
    ]  # fmt: skip


def test_one_is_started_on_the_twin_or_with_the_address_and_revision(planned):
    real = {"kind": "one", "url": "https://example.org", "revision": "2024-05-06"}
    session = {"kind": "ibl", "dataset": "real", "session": "eid", "probes": ["probe00"]}
    plan = planned({"datasets": {"real": real}, "sessions": {"there": session}})
    assert plan.sources.one_arguments("mouse") == ["--cache", "resources/twins/behaving/alf"]
    assert plan.sources.cache("sessions", "there") == []
    assert plan.sources.one_arguments("there") == [
        "--url", "https://example.org", "--cache", "resources/caches/one",
        "--login", "resources/logins/real.json", "--revision", "2024-05-06",
    ]  # fmt: skip
    assert plan.sources.login("there") == "resources/logins/real.json"
    assert plan.sources.login("mouse") == []
    assert plan.sources.login_arguments("real") == [
        "--url", "https://example.org", "--cache", "resources/caches/one",
    ]  # fmt: skip
    with pytest.raises(InputError, match="has no url; nothing to log in to"):
        plan.sources.login_arguments("ibl_twin")


def test_allens_cache_is_the_twin_or_filled_from_a_server_in_the_time_given(planned):
    real = {"kind": "allen", "cache": "own/allen", "timeout_minutes": 30, "server": "http://a.org"}
    session = {"kind": "allen", "dataset": "real", "session": 715093703}
    plan = planned({"datasets": {"real": real}, "sessions": {"there": session}})
    assert plan.sources.allen_arguments("sessions", "watcher") == [
        "--cache", "resources/twins/behaving/nwb",
    ]  # fmt: skip
    assert plan.sources.allen_arguments("sessions", "there") == [
        "--cache", "own/allen", "--server", "http://a.org", "--timeout-minutes", "30",
    ]  # fmt: skip
    assert plan.sources.allen_minutes("sessions", "there") == 90


def test_images_are_packed_as_they_are_or_at_the_resolution_asked(planned):
    plan = planned({})
    assert "--shorter-side" not in plan.sources.packing_arguments("own")
    plan.config["stimuli"]["own"]["shorter_side"] = 224
    assert plan.sources.packing_arguments("own")[-2:] == ["--shorter-side", "224"]


def test_a_local_archive_is_packed_where_it_lies_unless_a_checksum_is_to_be_proved(planned):
    plan = planned({})
    assert plan.sources.packed_from("own") == "own/images.zip"
    plan.config["stimuli"]["own"]["sha256"] = "0" * 64
    assert plan.sources.packed_from("own") == "resources/archives/own.zip"
    assert plan.sources.packed_from("pictures") == "resources/archives/pictures.zip"


def test_files_of_a_recording_are_named_by_option_so_that_a_swap_is_seen(plan):
    options = {"test_responses": "--test-responses", "images": "--images"}
    found = plan.sources.own_arguments("subjects", "lab", **options)
    assert found == ["--test-responses", "own/lab_test.npy"]


@pytest.mark.parametrize(
    ("section", "name", "key"),
    [("sessions", "rat", "clusters"), ("subjects", "lab", "test_responses")],
)
def test_a_file_that_is_missing_is_named_with_its_key(planned, section, name, key):
    plan = planned({})
    plan.config[section][name][key] = "own/mistyped.npy"
    with pytest.raises(InputError, match=rf"config {section}.{name}.{key}: own/mistyped.npy: no"):
        plan.sources.file(section, name, key)


def test_a_missing_file_of_embeddings_is_named(planned):
    files = {"own": "own/none.npy"}
    plan = planned({"encoders": {"given": {"kind": "precomputed", "files": files}}})
    with pytest.raises(InputError, match=r"config encoders.given.files: own/none.npy: no such"):
        plan.sources.precomputed("given", "own")
    with pytest.raises(InputError, match="unknown stimulus set 'pictures'"):
        plan.sources.precomputed("given", "pictures")


def test_categories_come_from_the_dataset_or_a_local_file_or_from_nowhere(planned):
    plan = planned({})
    assert plan.sources.subject_categories("monkeyF") == []
    plan.config["stimuli"]["pictures"]["categories"] = "categories.tsv"
    assert plan.sources.subject_categories("monkeyF") == "resources/categories/pictures.tsv"
    plan.config["stimuli"]["own"]["categories"] = "own/images.zip"
    assert plan.sources.subject_categories("lab") == "own/images.zip"
    plan.config["stimuli"]["own"]["categories"] = "https://example.org/categories.tsv"
    with pytest.raises(InputError, match=r"config stimuli.own.categories: is an address"):
        plan.sources.subject_categories("lab")


WINDOWS = {
    "half": {"areas": {"V1": [25, 125]}},
    "whole": {"window": [0, 200], "bin_ms": 25},
    "mixed": {"window": [0, 200], "areas": {"IT": [75, 175]}},
}


@pytest.mark.parametrize("windows", ["whole", "mixed"])
def test_windows_of_a_subject_lie_under_both_names(planned, windows):
    plan = planned({"windows": WINDOWS})
    found = plan.sources.windows(windows, "monkeyF")
    assert found == f"results/windows/{windows}/monkeyF.h5"


@pytest.mark.parametrize(
    ("windows", "subject", "words"),
    [
        ("hole", "monkeyF", "unknown window 'hole': known are ['means', 'bins', 'half', 'whole'"),
        ("half", "monkeyF", "config windows.half: has no window for area IT; it has ['V1']"),
        ("whole", "lab", "config subjects.lab: is of kind 'arrays' and has no presentations"),
        ("whole", "monkey", "unknown subject 'monkey'"),
    ],
)
def test_windows_that_do_not_fit_a_subject_are_refused(planned, windows, subject, words):
    plan = planned({"windows": WINDOWS})
    with pytest.raises(InputError) as said:
        plan.sources.windows(windows, subject)
    assert words in str(said.value)


def test_an_area_of_another_name_needs_its_published_window(planned):
    plan = planned({"windows": WINDOWS})
    monkey = plan.config["subjects"]["monkeyF"]
    monkey["regions"] = {"V2": [[0, 1024]]}
    with pytest.raises(InputError, match=r"monkeyF.published_windows: has no window for area V2"):
        plan.sources.windows("whole", "monkeyF")
    monkey["published_windows"]["V2"] = [40, 140]
    assert plan.sources.windows("whole", "monkeyF")


def test_an_empty_variable_is_no_path(planned, monkeypatch):
    plan = planned({})
    plan.config["subjects"]["lab"]["responses"] = "${OWN}/lab.npy"
    monkeypatch.setenv("OWN", "")
    with pytest.raises(InputError, match="set the environment variable"):
        plan.sources.file("subjects", "lab", "responses")
    monkeypatch.setenv("OWN", "own")
    assert plan.sources.file("subjects", "lab", "responses") == "own/lab.npy"


def test_an_address_with_a_password_is_refused(planned):
    url = "https://someone:secret@example.org/tvsd"
    plan = planned({"datasets": {"twin": {"kind": "datalad", "url": url}}})
    with pytest.raises(InputError, match="must not carry a user or password"):
        plan.sources.clone_arguments("subjects", "monkeyF")


@pytest.mark.parametrize(
    ("name", "entry", "words"),
    [
        ("allen_twin", {"kind": "allen", "twin": "behave"}, "unknown twin 'behave'"),
        ("ibl_twin", {"kind": "one", "twin": "ventral"}, "expected a twin of kind 'behaving'"),
        ("twin", {"kind": "one", "twin": "behaving"}, "expected kind 'datalad', got 'one'"),
    ],
)
def test_a_dataset_of_the_wrong_kind_is_refused_where_it_is_used(planned, name, entry, words):
    plan = planned({"datasets": {name: entry}})
    with pytest.raises(InputError) as said:
        plan.sources.clone_arguments("subjects", "monkeyF")
        plan.sources.one_arguments("mouse")
        plan.sources.allen_arguments("sessions", "watcher")
    assert words in str(said.value) and str(said.value).startswith("config ")


def test_weights_are_trained_here_downloaded_or_in_a_folder(planned, tmp_path):
    local = {"kind": "open_clip", "model": "local-dir:own"}
    plan = planned({"encoders": {"local": local}})
    assert plan.sources.weights_arguments("demo_clip") == [
        "--weights",
        "resources/encoders/demo_clip",
    ]
    assert plan.sources.weights_arguments("vit") == ["--cache", "resources/weights/vit"]
    assert plan.sources.weights_arguments("local") == ["--weights", "own"]


def test_captions_that_a_trained_encoder_needs_must_be_named(plan):
    assert plan.sources.captions_file("pictures") == "captions.tsv"
    with pytest.raises(InputError, match="has no captions"):
        plan.sources.captions_file("own")


def test_arrays_of_a_twin_lie_in_its_folder_and_need_not_be_there_yet(planned):
    plan = planned({})
    assert plan.sources.file("sessions", "walker", "times") == (
        "resources/twins/walks/spikes.times.npy"
    )
    assert plan.sources.true_rates("walker") == "resources/twins/walks/rates.h5"
    assert plan.sources.true_rates("rat") == []
    assert plan.sources.recording("walker") != plan.sources.recording("rat")


def test_arrays_of_a_twin_of_another_kind_or_name_are_refused(planned):
    walker = {"kind": "arrays", "twin": "behaving", "times": "spikes.times.npy", "clusters": "c"}
    plan = planned({"sessions": {"walker": walker}})
    with pytest.raises(
        InputError, match=r"sessions\.walker\.twin: expected a twin of kind 'place_"
    ):
        plan.sources.file("sessions", "walker", "times")
    plan = planned({"sessions": {"walker": {**walker, "twin": "walks", "times": "other.npy"}}})
    with pytest.raises(InputError, match=r"'other\.npy' is no file of a simulated recording"):
        plan.sources.file("sessions", "walker", "times")
