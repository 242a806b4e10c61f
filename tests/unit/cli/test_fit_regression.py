"""fit-regression, and evaluate-forecaster on what it made: what each session may know, labels."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from defaults import settings

from spikeline.artifacts import counts as artifact
from spikeline.artifacts import forecasts, provenance
from spikeline.artifacts.counts import Counts
from spikeline.cli import main
from spikeline.horizon.regression import checkpoint
from spikeline.horizon.scores.bits_per_spike import pooled_bits

SETTINGS = settings(
    "fit-regression",
    lead_bins_ms=[20, 100, 200],
    slow_traces="never",
    principal_components=3,
    reduced_ranks=[2],
    rank_ridges=[3],
)
ROLES = {"a": "seen", "b": "held_out"}
HORIZONS = '{"horizons_ms": [100, 200]}'


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
    for seed, (name, role) in enumerate(ROLES.items()):
        artifact.write(folder / f"{name}.h5", session(name, seed), {"step": "test"})
        assert fit(folder, name, role) == 0
    return folder


def fit(folder, name, role, output="", given=SETTINGS) -> int:
    return main.main([
        "fit-regression", "--counts", str(folder / f"{name}.h5"), "--role", role,
        "--settings", json.dumps(given),
        "--output", str(folder / f"{output or name}.safetensors"),
    ])  # fmt: skip


def evaluate(folder, names="ab", roles=("seen", "held_out"), fitted="", more=()) -> int:
    return main.main([
        "evaluate-forecaster", "--counts", *(str(folder / f"{name}.h5") for name in names),
        "--roles", *roles,
        "--forecasters", *(str(folder / f"{name}.safetensors") for name in fitted or names),
        "--settings", HORIZONS, "--output", str(folder / "scores.json"), *more,
    ])  # fmt: skip


def test_regressions_are_scored_like_any_forecaster_next_to_the_shuffled_control(run):
    assert evaluate(run) == 0
    found = forecasts.read(run / "scores.json")
    assert found.facts["parameters"] > 0
    for name, role in ROLES.items():
        one = found.sessions[name]
        assert one.role == role
        assert set(one.forecasters) == {"seed0", "shuffled:seed0"}
        for ms in ("100", "200"):
            assert pooled_bits(one.forecasters["seed0"][ms]) > 0
            assert pooled_bits(one.forecasters["shuffled:seed0"][ms]) < 0
    assert provenance.read(run / "a.safetensors")["step"] == "fit-regression"


def test_the_same_fit_is_the_same_file(run):
    assert fit(run, "a", "seen", "again") == 0
    first, again = (run / f"{name}.safetensors" for name in ("a", "again"))
    assert first.read_bytes() == again.read_bytes()


def test_a_session_held_out_is_known_by_its_reference_window_alone(run, tmp_path):
    whole = session("b", 1)
    later = whole.counts.copy()
    later[1500:] = 3
    artifact.write(tmp_path / "b.h5", dataclasses.replace(whole, counts=later), {"step": "test"})
    assert fit(tmp_path, "b", "held_out") == 0
    known = checkpoint.load(run / "b.safetensors").regression
    other = checkpoint.load(tmp_path / "b.safetensors").regression
    for array in checkpoint.ARRAYS:
        np.testing.assert_array_equal(getattr(known, array), getattr(other, array))


def test_what_is_written_is_what_is_read(run):
    found = checkpoint.load(run / "a.safetensors")
    assert checkpoint.recognises(run / "a.safetensors")
    assert (found.session, found.role, found.settings) == ("a", "seen", SETTINGS)
    assert list(found.unit_ids) == [f"u{k}" for k in range(6)]
    assert found.regression.weights.shape == (3, 6, 1 + 4 + 3 + 2)


def refused(capsys, status: int) -> str:
    assert status == 1
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("spikeline ")
    return message


def test_another_role_or_session_and_a_seed_are_refused(run, capsys):
    assert "was fitted on it as seen" in refused(
        capsys, evaluate(run, roles=("held_out", "held_out"))
    )
    assert "was fitted on session b, but" in refused(capsys, evaluate(run, fitted="ba"))
    assert "1 regressions for 2 of --counts" in refused(capsys, evaluate(run, fitted="a"))
    assert "a regression has none" in refused(capsys, evaluate(run, more=("--seeds", "0", "1")))
    assert "seen or held_out" in refused(capsys, evaluate(run, roles=("seen", "other")))


def test_counts_of_other_units_are_refused(run, tmp_path, capsys):
    one = session("a", 0)
    renamed = dataclasses.replace(one, unit_ids=one.unit_ids[::-1])
    artifact.write(tmp_path / "a.h5", renamed, {"step": "test"})
    (tmp_path / "a.safetensors").write_bytes((run / "a.safetensors").read_bytes())
    assert "its units are not those" in refused(capsys, evaluate(tmp_path, "a", ["seen"]))


def test_a_damaged_file_and_ranks_without_their_ridge_are_refused(run, capsys):
    content = (run / "a.safetensors").read_bytes()
    (run / "cut.safetensors").write_bytes(content[: len(content) // 2])
    assert "cut.safetensors: cannot be read" in refused(capsys, evaluate(run, fitted=("cut", "b")))
    wrong = {**SETTINGS, "reduced_ranks": [2, 3]}
    assert "--settings.rank_ridges: 1 for 2 reduced_ranks" in refused(
        capsys, fit(run, "a", "seen", "new", wrong)
    )
    assert not (run / "new.safetensors").exists()


def test_a_session_too_short_to_fit_is_named(run, capsys):
    settings = {**SETTINGS, "lead_bins_ms": [20, 20_000]}
    said = refused(capsys, fit(run, "a", "seen", "new", settings))
    assert str(run / "a.h5") in said and "windows of 1000 bins" in said
    assert not (run / "new.safetensors").exists()
