"""What a job's files were made with, against what they would be made with now."""

from __future__ import annotations

import json

import pytest

from spikeline.artifacts import provenance
from spikeline.artifacts.files import write_bytes
from spikeline.plan.reruns.changes import causes, unnoticed
from spikeline.plan.reruns.dry_run import Job, jobs
from spikeline.settings.code_digest import code_digest

STEP = "spikeline.cli.combine"
CHANGED = "Params have changed since last execution: Union of exclusive params before and now"


@pytest.fixture
def made(tmp_path, monkeypatch):
    """An output with its record, made in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.npy").write_bytes(b"own")
    write_bytes("out.bin", b"made")
    record = provenance.describe(STEP, {"noise": 0.1, "names": ["a"]}, ["own.npy"])
    provenance.write_beside("out.bin", record)
    return tmp_path


def job(reason="", settings=None, inputs=("own.npy",), outputs=("out.bin",)):
    settings = json.dumps(settings or {"noise": 0.1, "names": ["a"]})
    command = ("spikeline", "combine", "--seeds", "0", "1", "--settings", settings)
    return Job("combine", outputs, inputs, reason, command)


def changed(before, now):
    return f"{CHANGED} across all output: before: {before} now: {now} "


def test_a_setting_is_told_with_its_old_and_new_value(made):
    reason = changed("""'{"a": 1, "b": {"c": "x"}}'""", """'{"a": 1, "b": {"c": "y"}, "d": [2]}'""")
    assert causes(job(reason), made) == ["setting b.c x -> y", "setting d is new: [2]"]


def test_an_argument_is_told_by_its_option(made):
    assert causes(job(changed("['0']", "['0', '1']")), made) == ['--seeds ["0"] -> ["0", "1"]']


def test_settings_are_paired_with_the_former_ones_that_are_most_alike(made):
    reason = changed(
        """'{"a": 1, "b": 2}','{"kind": "x", "e": 1}'""",
        """'{"kind": "x", "e": 2}','{"a": 1, "b": 3}'""",
    )
    assert causes(job(reason), made) == ["setting e 1 -> 2", "setting b 2 -> 3"]


def test_the_module_that_was_edited_is_named(made):
    record = provenance.read("out.bin")
    record["code"] = "0" * 16
    record["modules"]["spikeline.cli.combine"] = "00000000"
    record["modules"]["spikeline.gone"] = "00000000"
    del record["modules"]["spikeline.errors"]
    provenance.write_beside("out.bin", record)
    reason = changed(f"'{'0' * 16}'", f"'{code_digest(STEP)}'")
    assert causes(job(reason), made) == [
        "module spikeline.cli.combine edited",
        "module spikeline.errors is new",
        "module spikeline.gone is gone",
    ]


def test_a_record_without_modules_says_that_the_code_was_edited(made):
    record = provenance.read("out.bin")
    record["code"] = "0" * 16
    del record["modules"]
    provenance.write_beside("out.bin", record)
    (told,) = causes(job(changed(f"'{'0' * 16}'", f"'{code_digest(STEP)}'")), made)
    assert told.startswith("code edited")


def test_an_input_is_compared_by_its_content(made):
    reason = "Updated input files: own.npy"
    assert causes(job(reason), made) == ["nothing changed but the time stamp of own.npy"]
    (made / "own.npy").write_bytes(b"new")
    assert causes(job(reason), made) == ["input own.npy has other content"]


def test_inputs_that_came_and_went_are_told(made):
    reason = "Set of input files has changed since last execution"
    told = causes(job(reason, inputs=("other.npy",)), made)
    assert told == ["reads other files: +other.npy, -own.npy"]


def test_what_was_never_made_and_what_is_missing_are_told_apart(made):
    reason = "Missing output files: none.bin"
    assert causes(job(reason, outputs=("none.bin",)), made) == ["not made yet"]
    assert causes(job(reason, outputs=("out.bin", "none.bin")), made) == ["none.bin is missing"]


def test_versions_that_changed_are_told_beside_the_reason(made):
    record = provenance.read("out.bin")
    record["versions"]["numpy"] = "1.0"
    provenance.write_beside("out.bin", record)
    told = causes(job("Updated input files: own.npy"), made)
    assert told[1].startswith("beside that numpy 1.0 -> ")


def test_files_that_were_made_with_other_settings_are_seen_without_snakemakes_note(made):
    assert unnoticed(job(), made) == []
    assert unnoticed(job(settings={"noise": 0.3}), made) == ["setting noise 0.1 -> 0.3"]


def test_a_job_without_a_command_is_left_out_and_quotes_are_read():
    printed = (
        "Job stats:\n\n[Mon Jan  1 00:00:00 2024]\nlocalrule all:\n    input: a.tsv\n"
        "    reason: Rules with neither input nor output files are always executed.\n\n"
        "[Mon Jan  1 00:00:00 2024]\nrule fit:\n    input: a b.npy, c.h5\n    output: d.h5\n"
        "    reason: Missing output files: d.h5\n"
        "Shell command: spikeline fit --in 'a b.npy' --settings '{\"a\": 1}' 2> d.log\n"
    )
    (one,) = jobs(printed)
    assert one.inputs == ("a b.npy", "c.h5") and one.subcommand == "fit"
    assert one.command == ("spikeline", "fit", "--in", "a b.npy", "--settings", '{"a": 1}')


def test_a_client_in_its_own_environment_has_a_subcommand_too():
    one = Job("x", ("a",), (), "", ("client", "resources/environments/ibl", "fetch-ibl", "--x"))
    assert one.subcommand == "fetch-ibl"
    assert Job("x", ("a",), (), "", ("uv", "pip", "sync")).subcommand is None
