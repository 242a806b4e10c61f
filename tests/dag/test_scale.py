"""benchmarks/scale.py: it plans the real configs together, and adds up what was measured."""

from __future__ import annotations

import importlib.util
import sys

import pytest


@pytest.fixture(scope="module")
def scale(repository):
    spec = importlib.util.spec_from_file_location("scale", repository / "benchmarks/scale.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["scale"] = module
    spec.loader.exec_module(module)
    return module


def test_all_tables_of_both_monkeys_and_many_sessions_are_planned_together(
    scale, tmp_path, monkeypatch
):
    monkeypatch.setenv("SPIKELINE_DATA", ".")
    config = scale.scaled_config(tmp_path, sessions=35, seeds=2)
    text, *spent = scale.planned(tmp_path, config)
    jobs = scale.jobs_of(text)
    counts = scale.Counter(job.rule for job in jobs)
    # The release's sessions, and three of horizon.yaml for the wheel.
    assert counts["convert_ibl"] == counts["fetch_ibl"] >= 35
    assert counts["convert_tvsd"] == 2 and counts["tabulate_forecasts"] == 10
    assert sum(counts.values()) == int(scale.re.search(r"^total +(\d+)$", text, scale.re.M)[1])
    assert all(value > 0 for value in spent)
    trained = [job for job in jobs if job.rule == "train_forecaster"]
    assert any(job.gpu for job in trained)
    assert not any(job.gpu for job in jobs if job.rule == "convert_ibl")
    assert scale.forecaster_steps(jobs, scale.Plan.of(scale.ROOT, config)) > 500 * 40


def test_bytes_and_hours_are_means_of_what_was_measured_times_jobs(scale, tmp_path, capsys):
    for name, size in (("a", 1_000_000), ("b", 3_000_000)):
        path = tmp_path / f"results/counts/{name}.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
    log = tmp_path / "logs/bin_spikes/a.tsv"
    log.parent.mkdir(parents=True)
    log.write_text("s\th:m:s\n1800\t0:30:00\n")
    jobs = [scale.Job("bin_spikes", (f"results/counts/{k}.h5",), False) for k in range(4)]
    jobs += [scale.Job("train", ("results/decoders/m/s/seed0.safetensors",), True)]
    scale.report(jobs, [tmp_path], steps=7200, step_s=None)
    text = capsys.readouterr().out
    assert "disk 0.0 GB, not measured: train" in text and "   0.008" in text
    assert "CPU jobs 2.0 h, not measured: none" in text
    assert "GPU jobs 0.0 h, not measured: train" in text


def test_a_forecasters_hours_are_counted_steps_times_the_measured_step(scale, tmp_path, capsys):
    jobs = [scale.Job("train_forecaster", ("results/forecasters/m/seed0.safetensors",), True)]
    scale.report(jobs, [tmp_path], steps=7200, step_s=0.5)
    assert "GPU jobs 1.0 h, not measured: none" in capsys.readouterr().out
