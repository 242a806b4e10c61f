"""fit-forecaster and evaluate-forecaster on regressions: what each session may know, and labels."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from spikeline.artifacts import counts as artifact
from spikeline.artifacts import forecasts, provenance
from spikeline.artifacts.counts import Counts
from spikeline.cli import main
from spikeline.horizon import regression_file
from spikeline.horizon.regression_fitting import DEFAULTS
from spikeline.horizon.scores import pooled_bits

SETTINGS = {
    **DEFAULTS,
    "bands_ms": [20, 100, 200],
    "principal_components": 3,
    "reduced_ranks": [2],
    "rank_ridges": [3],
    "kind": "regression",
}
HORIZONS = '{"horizons": [100, 200]}'


def session(name: str, seed: int) -> Counts:
    """80 s of 6 units with a common swing; the first 30 s are the reference window."""
    rng = np.random.default_rng(seed)
    bins, units = 4000, 6
    swing = np.zeros(bins)
    for t in range(1, bins):
        swing[t] = 0.97 * swing[t - 1] + 0.2 * rng.normal()
    counts = rng.poisson(0.3 * np.exp(np.minimum(swing, 1.5))[:, None], size=(bins, units))
    return Counts(
        counts=counts.astype(np.uint8),
        unit_ids=np.array([f"u{k}" for k in range(units)], object),
        regions=np.array([""] * units, object),
        behaviour=np.full(bins, np.nan, np.float32),
        images=np.full(bins, -1, np.int32),
        image_names=np.zeros(0, object),
        domains=np.repeat(np.array([1, 1, 2, 3], np.uint8), bins // 4),
        reference=(0, 1500),
        session=name,
        source="arrays",
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with counts of sessions a and b, and their regressions: a seen, b held out."""
    folder = tmp_path_factory.mktemp("regressions")
    for seed, name in enumerate("ab"):
        artifact.write(folder / f"{name}.h5", session(name, seed), {"step": "test"})
    assert fit(folder, ["a", "b"], ["seen", "held_out"]) == 0
    return folder


def fit(folder, names, roles, output="seed0", settings=SETTINGS, seed=0) -> int:
    return main.main([
        "fit-forecaster", "--counts", *(str(folder / f"{name}.h5") for name in names),
        "--roles", *roles, "--settings", json.dumps(settings), "--seed", str(seed),
        "--output", str(folder / f"{output}.safetensors"),
    ])  # fmt: skip


def evaluate(folder, names=("a", "b"), roles=("seen", "held_out"), model="seed0", seed=0) -> int:
    return main.main([
        "evaluate-forecaster", "--counts", *(str(folder / f"{name}.h5") for name in names),
        "--roles", *roles, "--forecasters", str(folder / f"{model}.safetensors"),
        "--seeds", str(seed), "--settings", HORIZONS, "--output", str(folder / "scores.json"),
    ])  # fmt: skip


def test_regressions_are_scored_like_any_forecaster_beside_the_shuffled_control(run):
    assert evaluate(run) == 0
    found = forecasts.read(run / "scores.json")
    assert found.facts["parameters"] > 0
    for name, role in (("a", "seen"), ("b", "held_out")):
        one = found.sessions[name]
        assert one.role == role
        assert set(one.forecasters) == {"seed0", "shuffled:seed0"}
        for ms in ("100", "200"):
            assert pooled_bits(one.forecasters["seed0"][ms]) > 0
            assert pooled_bits(one.forecasters["shuffled:seed0"][ms]) < 0
    assert provenance.read(run / "seed0.safetensors")["step"] == "fit-forecaster"


def test_the_same_fit_is_the_same_file(run):
    assert fit(run, ["a", "b"], ["seen", "held_out"], "again") == 0
    first, again = (run / f"{name}.safetensors" for name in ("seed0", "again"))
    assert first.read_bytes() == again.read_bytes()


def test_a_session_held_out_is_known_by_its_reference_window_alone(run, tmp_path):
    whole = session("b", 1)
    later = whole.counts.copy()
    later[1500:] = 3
    artifact.write(tmp_path / "b.h5", dataclasses.replace(whole, counts=later), {"step": "test"})
    assert fit(tmp_path, ["b"], ["held_out"]) == 0
    known = regression_file.load(run / "seed0.safetensors").sessions["b"].regression
    other = regression_file.load(tmp_path / "seed0.safetensors").sessions["b"].regression
    for array in regression_file.ARRAYS:
        np.testing.assert_array_equal(getattr(known, array), getattr(other, array))


def test_what_is_written_is_what_is_read(run):
    found = regression_file.load(run / "seed0.safetensors")
    assert regression_file.recognises(run / "seed0.safetensors")
    assert found.settings == SETTINGS
    assert list(found.sessions["a"].unit_ids) == [f"u{k}" for k in range(6)]
    assert found.sessions["a"].regression.weights.shape == (3, 6, 1 + 4 + 3 + 2)


def refused(capsys, status: int) -> str:
    assert status == 1
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("spikeline ")
    return message


def test_another_role_seed_or_session_is_refused(run, tmp_path, capsys):
    assert "was fitted on it as seen" in refused(
        capsys, evaluate(run, roles=("held_out", "held_out"))
    )
    assert "was fitted as seed 0, not 4" in refused(capsys, evaluate(run, seed=4))
    artifact.write(run / "c.h5", session("c", 3), {"step": "test"})
    assert "was not fitted on session c" in refused(
        capsys, evaluate(run, ("a", "c"), ("seen", "held_out"))
    )
    assert "seen or held_out" in refused(capsys, evaluate(run, roles=("seen", "other")))


def test_counts_of_other_units_are_refused(run, tmp_path, capsys):
    one = session("a", 0)
    renamed = dataclasses.replace(one, unit_ids=one.unit_ids[::-1])
    artifact.write(tmp_path / "a.h5", renamed, {"step": "test"})
    (tmp_path / "seed0.safetensors").write_bytes((run / "seed0.safetensors").read_bytes())
    assert "its units are not those" in refused(capsys, evaluate(tmp_path, ["a"], ["seen"]))


def test_a_damaged_file_and_missing_settings_are_refused(run, tmp_path, capsys):
    content = (run / "seed0.safetensors").read_bytes()
    (run / "cut.safetensors").write_bytes(content[: len(content) // 2])
    assert "cut.safetensors: cannot be read" in refused(capsys, evaluate(run, model="cut"))
    few = {key: value for key, value in SETTINGS.items() if key != "folds"}
    assert "'folds' is missing" in refused(capsys, fit(run, ["a"], ["seen"], "new", few))
    assert not (run / "new.safetensors").exists()


def test_a_session_too_short_to_fit_is_named(run, capsys):
    settings = {**SETTINGS, "bands_ms": [20, 20_000]}
    said = refused(capsys, fit(run, ["a", "b"], ["seen", "held_out"], "new", settings))
    assert str(run / "a.h5") in said or str(run / "b.h5") in said
    assert "windows of 1000 bins" in said
    assert not (run / "new.safetensors").exists()
