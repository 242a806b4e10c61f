"""The list of a run's failed jobs."""

from __future__ import annotations

from spikeline.cli.failures import failed_jobs
from spikeline.cli.main import main

SNAKEMAKE = """rule validate:
    output: results/validations/a.json
    log: logs/validate/a.log
Error in rule validate:
    message: None
    jobid: 1
    output: results/validations/a.json
    log: {log} (check log file(s) for error details)
    shell:
        spikeline validate
Finished jobid: 2 (Rule: validate)
"""


def test_each_failed_job_has_its_reason_from_its_own_log(tmp_path):
    log = tmp_path / "a.log"
    log.write_text("50%\r100%\nspikeline validate: session a: 3 good units\n\n")
    text = SNAKEMAKE.format(log=log)
    expected = [
        (
            "validate",
            "results/validations/a.json",
            "spikeline validate: session a: 3 good units",
            str(log),
        )
    ]
    assert failed_jobs(text) == expected
    assert failed_jobs(text + text) == expected


def test_a_run_without_failures_lists_none():
    assert failed_jobs("Finished jobid: 2 (Rule: validate)\n") == []


def test_the_list_is_printed_and_written(tmp_path, capsys):
    path = tmp_path / "run.log"
    path.write_text(SNAKEMAKE.format(log=tmp_path / "missing.log"))
    assert main(["failures", str(path), "--output", str(tmp_path / "failures.tsv")]) == 0
    assert "results/validations/a.json (validate): no log" in capsys.readouterr().out
    assert len((tmp_path / "failures.tsv").read_text().splitlines()) == 2


def test_a_missing_log_is_said_in_one_line(tmp_path, capsys):
    assert main(["failures", str(tmp_path / "none.log")]) == 1
    assert "none.log" in capsys.readouterr().err
