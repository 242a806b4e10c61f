"""Validation: every check passes on a sound session and fails, by name, on one that is not."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from session_examples import RECORD, make

from spikeline.artifacts import sessions
from spikeline.cli.main import main
from spikeline.horizon.sessions.validation import CHECKS, validate


@pytest.fixture
def path(tmp_path):
    sessions.save(tmp_path / "mouse.h5", make(), RECORD)
    return tmp_path / "mouse.h5"


def test_a_sound_session_passes_every_check(path):
    verdict = validate(sessions.read(path), min_units=6)
    assert verdict["valid"] and verdict["session"] == "mouse"
    assert [check["name"] for check in verdict["checks"]] == [name for name, _ in CHECKS]
    assert all(check["passed"] and check["detail"] == "" for check in verdict["checks"])
    counts = verdict["counts"]
    assert (counts["units"], counts["spikes"], counts["stimuli"]) == (6, 5000, 200)
    assert counts["units_without_spikes"] == 0 and counts["behaviour_known"] == 1


def test_a_session_without_behaviour_or_stimuli_is_sound(tmp_path):
    sessions.save(tmp_path / "a.h5", make(False, False, False), RECORD)
    assert validate(sessions.read(tmp_path / "a.h5"), 1)["valid"]


def test_units_without_spikes_are_counted(path):
    with h5py.File(path, "r+") as handle:
        index = handle["spikes/unit_index"]
        index[...] = np.where(index[...] == 2, 3, index[...])
        del handle.attrs["seal"]
    assert validate(sessions.read(path), 1)["counts"]["units_without_spikes"] == 1


def put(name, index, value):
    def spoil(handle):
        handle[name][index] = value

    return spoil


def replaced(name, function):
    def spoil(handle):
        values = function(handle[name][...])
        del handle[name]
        handle[name] = values

    return spoil


SPOILT = {
    "session has length": put("domain/end", 0, 0.0),
    "spike times are finite": put("spikes/timestamps", 70, np.nan),
    "spike times are sorted": put("spikes/timestamps", 70, 0.0),
    "spike times are inside the session": put("spikes/timestamps", -1, 120.0),
    "unit index is in range": put("spikes/unit_index", 5, 6),
    "units are named": put("units/id", 1, b"unit0"),
    "units are enough": replaced("spikes/unit_index", np.zeros_like),
    "domains are inside the session": put("test_domain/end", 0, 130.0),
    "domains are disjoint": put("valid_domain/start", 0, 50.0),
    "reference window is training": put("reference_domain/end", 0, 110.0),
    "behaviour runs on": put("behaviour/velocity", slice(None), np.nan),
    "trials are intervals": put("trials/end", 3, 0.0),
    "stimuli follow each other": put("stimuli/end", 3, 40.0),
    "images are named": put("stimuli/image", slice(None), b""),
}


def failed(verdict):
    return [check["name"] for check in verdict["checks"] if not check["passed"]]


@pytest.mark.parametrize("name", [name for name, _ in CHECKS])
def test_a_check_fails_on_what_it_looks_for(name, path):
    with h5py.File(path, "r+") as handle:
        SPOILT[name](handle)
        handle.attrs.pop("seal", None)
    with sessions.opened(path) as data:
        verdict = validate(data, min_units=6)
    assert not verdict["valid"] and name in failed(verdict)
    assert all(check["detail"] for check in verdict["checks"] if not check["passed"])
    json.dumps(verdict)


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (put("spikes/unit_index", 5, -1), "unit index is in range"),
        (put("spikes/timestamps", 0, -0.1), "spike times are inside the session"),
        (replaced("spikes/unit_index", lambda a: a[:-1]), "unit index is in range"),
        (replaced("spikes/unit_index", lambda a: a.astype(float)), "unit index is in range"),
        (replaced("test_domain/start", lambda a: a[:0]), "domains are inside the session"),
        (put("stimuli/image", 3, b"../up.png"), "images are named"),
    ],
)
def test_other_ways_to_be_unsound(spoil, name, path):
    with h5py.File(path, "r+") as handle:
        spoil(handle)
        handle.attrs.pop("seal", None)
    with sessions.opened(path) as data:
        assert name in failed(validate(data, 1))


def run(path, tmp_path, settings="{}"):
    return main(
        ["validate", "--session", str(path), "--settings", settings,
         "--report", str(tmp_path / "report.json"), "--output", str(tmp_path / "verdict.json")]
    )  # fmt: skip


def test_a_verdict_is_written_for_a_sound_session(path, tmp_path):
    assert run(path, tmp_path, '{"min_units": 6}') == 0
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    assert verdict["valid"] and verdict["provenance"]["step"] == "validate"


def test_a_failed_check_is_one_line_and_its_report_is_kept(path, tmp_path, capsys):
    with h5py.File(path, "r+") as handle:
        SPOILT["spike times are sorted"](handle)
        del handle.attrs["seal"]
    assert run(path, tmp_path) == 1
    text = capsys.readouterr().err
    assert text.count("\n") == 1 and "spike times are sorted" in text and "report.json" in text
    assert not json.loads((tmp_path / "report.json").read_text())["valid"]


def test_too_few_units_is_said_with_both_numbers(path, tmp_path, capsys):
    assert run(path, tmp_path, '{"min_units": 7}') == 1
    assert "6 units have spikes, expected at least 7" in capsys.readouterr().err


def test_a_damaged_file_gets_a_verdict_too(path, tmp_path, capsys):
    path.write_bytes(path.read_bytes()[:2000])
    assert run(path, tmp_path) == 1
    text = capsys.readouterr().err
    assert text.count("\n") == 1 and "truncated" in text
    verdict = json.loads((tmp_path / "report.json").read_text())
    assert verdict["session"] == "mouse" and failed(verdict) == ["file is readable"]
