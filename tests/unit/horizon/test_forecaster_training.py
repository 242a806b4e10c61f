"""Training a forecaster on a toy population, interrupted or not, and its file and commands."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from forecaster_toys import (
    BIN_S,
    SETTINGS,
    features_of,
    forecaster,
    geometry_of,
    recording_of,
    session,
)

from spikeline.artifacts import counts as counts_artifact
from spikeline.artifacts import features as features_artifact
from spikeline.artifacts import forecasts
from spikeline.cli import main
from spikeline.errors import InputError
from spikeline.horizon.forecaster import checkpoint, training
from spikeline.horizon.forecaster.prediction import co_smoothing, forecast
from spikeline.horizon.forecaster.training import fingerprint_of, fit_forecaster
from spikeline.horizon.scores.bits_per_spike import pooled_bits, training_mean
from spikeline.horizon.scores.tiled import score_horizons
from spikeline.horizon.sessions.normalisation import fit as fit_normalisation
from spikeline.training.device import make_fabric
from spikeline.training.state import StateFile

FABRIC = make_fabric("cpu")
SESSIONS = [session("a", bins=3000), session("b", 1, units=9, bins=3000)]
LONG = {**SETTINGS, "epochs": 8, "steps_per_epoch": 30}


def trained(settings, seed=0, **more):
    model = forecaster(settings, seed=seed, awake=False)
    recordings = [recording_of(one, settings) for one in SESSIONS]
    history = fit_forecaster(
        model, recordings, geometry_of(settings), settings, seed=seed, fabric=FABRIC, **more
    )
    return model, history


def bits(model, counts, settings=SETTINGS, shuffled=False):
    recording, geometry = recording_of(counts, settings), geometry_of(settings)
    sums = score_horizons(
        lambda starts, lengths: forecast(model, recording, geometry, starts, lengths),
        counts.counts, counts.domains, training_mean(counts.counts, counts.domains),
        [100, 200], BIN_S, shuffled=shuffled,
    )  # fmt: skip
    return {horizon: pooled_bits(one) for horizon, one in sums.items()}


@pytest.fixture(scope="module")
def model():
    return trained(LONG)


def test_a_session_never_seen_is_forecast_better_than_its_mean_and_not_from_shuffled_pasts(model):
    forecaster_, history = model
    unseen = session("c", 2, units=10, bins=3000)
    found = bits(forecaster_, unseen)
    assert found["100"] > 0.05 and found["200"] > 0.05
    assert bits(forecaster_, unseen, shuffled=True)["200"] < found["200"] - 0.1
    assert max(row["score"] for row in history) > 0.05


def test_hidden_units_are_forecast_from_the_others(model):
    counts = SESSIONS[0]
    sums = co_smoothing(
        model[0], recording_of(counts), geometry_of(),
        training_mean(counts.counts, counts.domains), [200], BIN_S, groups=3,
    )  # fmt: skip
    assert pooled_bits(sums["200"]) > 0.03


def test_an_interrupted_training_resumes_to_the_same_weights(tmp_path, monkeypatch):
    unbroken, whole = trained(SETTINGS)
    state = StateFile(tmp_path / "x.pt", interval_s=0)
    calls = []
    original = training._Validation.bits_per_spike

    def failing(self, model):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(self, model)

    monkeypatch.setattr(training._Validation, "bits_per_spike", failing)
    with pytest.raises(KeyboardInterrupt):
        trained(SETTINGS, state_file=state)
    resumed, history = trained(SETTINGS, state_file=state)
    assert len(calls) == 3 + 2
    assert history == whole
    for name, tensor in unbroken.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_a_state_belongs_to_its_settings_seed_and_data():
    recordings = [recording_of(one) for one in SESSIONS]
    same = fingerprint_of(SETTINGS, 0, recordings)
    assert fingerprint_of(dict(SETTINGS), 0, [recording_of(one) for one in SESSIONS]) == same
    assert fingerprint_of(SETTINGS, 1, recordings) != same
    assert fingerprint_of({**SETTINGS, "dropout": 0.3}, 0, recordings) != same
    assert fingerprint_of(SETTINGS, 0, recordings[:1]) != same
    counts = SESSIONS[0].counts.copy()
    counts[-1, 0] += 1
    late = recording_of(replace(SESSIONS[0], counts=counts))
    assert fingerprint_of(SETTINGS, 0, [late, recordings[1]]) != same


def test_without_validation_the_last_weights_stay():
    _, history = trained({**SETTINGS, "validation_windows": 0, "epochs": 2})
    assert "score" not in history[0] and len(history) == 2


@pytest.mark.parametrize(
    "identity", ["idencoder", "linear", "projection", "random", "mean", "per_unit"]
)
def test_a_forecaster_read_back_from_its_file_forecasts_the_same(tmp_path, identity):
    settings = {**SETTINGS, "identity": identity}
    keys = ["a/u0", "a/u1"] if identity == "per_unit" else []
    model = forecaster(settings, n_units=len(keys))
    kept = checkpoint.TrainedForecaster(model, settings, BIN_S, 0.2, ["a"], keys, 0, "", 3)
    checkpoint.save(tmp_path / "x.safetensors", kept, {"step": "x"})
    read = checkpoint.load(tmp_path / "x.safetensors")
    assert read.unit_keys == keys and read.seed == 3 and read.settings == settings
    assert bits(read.model, SESSIONS[0]) == bits(model, SESSIONS[0])


def test_a_file_that_is_no_forecaster_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be read"):
        checkpoint.load(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Counts, features and normalisation of two training sessions and a held-out one."""
    folder = tmp_path_factory.mktemp("sessions")
    every = [*SESSIONS, session("c", 2, units=10, bins=3000)]
    for one in every:
        counts_artifact.write(folder / f"{one.session}.counts.h5", one, {})
        features_artifact.write(folder / f"{one.session}.features.h5", features_of(one), {})
    normalisation = fit_normalisation([features_of(one) for one in SESSIONS])
    features_artifact.write_normalisation(folder / "normalisation.h5", normalisation, {})
    return folder


# The schema's warm-up is whole epochs.
COMMAND = {**SETTINGS, "warmup_epochs": 1}


def files_of(folder, kind, names):
    return [f"--{kind}", *(str(folder / f"{name}.{kind}.h5") for name in names)]


def train(folder, names="ab", seed=0, settings=COMMAND, out="x"):
    return main.main(
        ["train-forecaster", *files_of(folder, "counts", names),
         "--normalisation", str(folder / "normalisation.h5"), "--settings", json.dumps(settings),
         "--seed", str(seed), "--states", str(folder / "states"), "--device", "cpu",
         "--output", str(folder / f"{out}.safetensors"), "--history", str(folder / f"{out}.tsv")]
    )  # fmt: skip


def evaluate(folder, roles, settings, model="x"):
    return main.main(
        ["evaluate-forecaster", *files_of(folder, "counts", "abc"),
         *files_of(folder, "features", "abc"), "--roles", *roles, "--device", "cpu",
         "--forecasters", str(folder / f"{model}.safetensors"), "--seeds", "0",
         "--settings", json.dumps(settings), "--output", str(folder / f"{model}.json")]
    )  # fmt: skip


def test_the_commands_train_and_score_every_session_at_every_horizon(files):
    assert train(files) == 0
    assert not list((files / "states").iterdir())
    assert (files / "x.tsv").read_text().startswith("epoch\tmember\tlearning_rate\tloss\tscore\n")
    assert (files / "x.tsv.provenance.json").exists()
    settings = {"horizons_ms": [100, 200], "co_smoothing_groups": 2}
    assert evaluate(files, ["seen", "seen", "held_out"], settings) == 0
    found = forecasts.read(files / "x.json")
    assert found.facts["parameters"] > 1000
    session_c = found.sessions["c"]
    assert session_c.role == "held_out" and session_c.units == 10
    assert set(session_c.forecasters["seed0"]) == {"100", "200"}
    assert set(session_c.forecasters["co_smoothing:seed0"]) == {"200"}
    scored = session_c.forecasters["seed0"]["200"]
    assert scored.windows == 600 // 10 and np.isfinite(scored.units["nll"]).all()


def test_the_same_seed_trains_the_same_forecaster(files):
    for out, seed in (("s1", 1), ("again", 1), ("s2", 2)):
        assert train(files, seed=seed, out=out, settings={**COMMAND, "epochs": 1}) == 0
    tensors = [checkpoint.load(files / f"{n}.safetensors").model.state_dict()
               for n in ("s1", "again", "s2")]  # fmt: skip
    name = "head.output.weight"
    assert torch.equal(tensors[0][name], tensors[1][name])
    assert not torch.equal(tensors[0][name], tensors[2][name])


def test_mistakes_are_said_in_one_line(files, capsys):
    def says(code, text):
        message = capsys.readouterr().err.strip().splitlines()[-1]
        assert code == 1 and text in message

    says(train(files, names="abc"), "another session list")
    says(train(files, settings={**COMMAND, "dim": 18}), "dim: 18 is not a multiple of 4 x heads")
    says(train(files, settings={**COMMAND, "modalities": ["image"]}), "give the embeddings")
    says(train(files, settings={**COMMAND, "modalities": ["smell"]}), "smell")
    says(train(files, settings={**COMMAND, "horizon_ms": 90_000}), "shorten")
    train(files, settings={**COMMAND, "epochs": 1}, out="y")
    capsys.readouterr()
    seen = ["seen", "seen", "held_out"]
    short = {"horizons_ms": [100]}
    says(evaluate(files, ["seen", "seen", "seen"], short, "y"), "never trained on it")
    says(evaluate(files, seen, {"horizons_ms": [500]}, "y"), "raise its horizon_ms")
    says(evaluate(files, seen, {"horizons": [100]}, "y"), "unknown key")
