"""`decode-wheel` and `tabulate-wheel`: their files, their table, and bad input."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from spikeline.artifacts import decodings, provenance, sessions, tables
from spikeline.artifacts.decodings import DECODERS, Decoded, Decodings
from spikeline.cli import main
from spikeline.errors import InputError
from spikeline.horizon.wheel.table import wheel_table

SETTINGS = {
    "window_ms": 400, "lookahead_ms": 0, "sample_hz": 10, "ridge_bin_ms": 100, "shuffles": 2,
    "latent_step_ms": 200, "latents_per_step": 1, "dim": 8, "dim_head": 8,
    "shortest_period_ms": 10, "cross_heads": 1, "heads": 1,
    "depth": 0, "dropout": 0.1, "unit_dropout": 0.1, "queries": 2, "batch_size": 4,
    "steps_per_epoch": 2, "epochs": 2, "learning_rate": 0.01, "weight_decay": 0.01,
    "warmup_epochs": 0, "patience": 0, "validation_samples": 20,
}  # fmt: skip


def decoded(seed, session="a", behaviour="wheel", pieces=4):
    random = np.random.default_rng([seed, sum(session.encode())])
    sst = np.random.default_rng(9).uniform(50, 100, pieces)
    return Decodings(
        session=session,
        source="ibl",
        behaviour=behaviour,
        units=7,
        seed=seed,
        velocity={"mean": 0.0, "std": 2.0},
        settings=SETTINGS,
        decoders={
            name: Decoded(
                {"parameters": 10},
                sst * (random.uniform(0.9, 1.2) if "shuffled" in name else 0.5 + 0.1 * seed),
                sst,
                np.full(pieces, 25),
            )
            for name in DECODERS
        },
    )


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A session of 20 s whose wheel drives its first unit."""
    path = tmp_path_factory.mktemp("wheel") / "one.h5"
    random = np.random.default_rng(0)
    velocity = np.convolve(random.normal(size=2000), np.ones(40) / 40, "same")
    counts = random.poisson(np.exp(np.stack([velocity * 5, velocity * 0], 1)) * 0.15)
    sample, unit = np.nonzero(counts)
    data = sessions.build(
        sample / 100 + 0.001,
        unit,
        {"id": np.array(["0", "1"]), "region": np.array(["", ""]), "depth": np.zeros(2)},
        20.0,
        {
            "train": np.array([[0, 10.0]]),
            "valid": np.array([[10, 14.0]]),
            "test": np.array([[14, 20.0]]),
            "reference": np.array([0, 5.0]),
        },
        {"id": "one", "source": "arrays", "subject": "", "origin_s": 0.0},
        sessions.Behaviour("wheel", 100.0, np.cumsum(velocity) / 100, velocity),
    )
    sessions.save(path, data, {"step": "test", "origins": {}})
    return path


def decode(session, folder, settings=None, seed=0):
    arguments = [
        "decode-wheel", "--session", session, "--seed", seed, "--states", folder / "states",
        "--settings", json.dumps({**SETTINGS, **(settings or {})}), "--device", "cpu",
        "--output", folder / f"seed{seed}.json",
    ]  # fmt: skip
    return main.main(list(map(str, arguments)))


# --- decode-wheel ---------------------------------------------------------------------------------


def test_decode_wheel_scores_every_decoder_on_the_same_moments_and_leaves_no_state(
    session, tmp_path
):
    assert decode(session, tmp_path) == 0
    found = decodings.read(tmp_path / "seed0.json")
    assert (found.session, found.behaviour, found.units, found.seed) == ("one", "wheel", 2, 0)
    assert list(found.decoders) == list(DECODERS)
    for one in found.decoders.values():
        np.testing.assert_array_equal(one.samples, [30, 30])
        np.testing.assert_array_equal(one.sst, found.decoders["poyo"].sst)
    assert provenance.read(tmp_path / "seed0.json")["settings"] == SETTINGS
    assert os.listdir(tmp_path / "states") == []


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_poyo(session, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        assert decode(session, tmp_path / folder) == 0
    assert decode(session, tmp_path / "a", seed=1) == 0
    first, again, other = (
        tmp_path / name for name in ("a/seed0.json", "b/seed0.json", "a/seed1.json")
    )
    assert first.read_bytes() == again.read_bytes()
    first, other = decodings.read(first), decodings.read(other)
    assert (first.decoders["poyo"].sse != other.decoders["poyo"].sse).all()
    np.testing.assert_array_equal(first.decoders["ridge"].sse, other.decoders["ridge"].sse)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"nonsense": 1}, "--settings: unknown key 'nonsense'"),
        ({"epochs": 0}, "--settings.epochs: 0 is less than the minimum of 1"),
        ({"dropout": 1}, "--settings.dropout: 1 is greater than or equal to"),
        ({"dim_head": 10}, "--settings.dim_head: 10 is not a multiple of 4"),
        ({"window_ms": "long"}, "--settings.window_ms: 'long' is not of type 'number'"),
        ({"sample_hz": 7}, "one.h5 has behaviour at 100 Hz; give a divisor"),
        ({"lookahead_ms": 400}, "--settings.lookahead_ms: 400 is not below window_ms, 400"),
        ({"ridge_bin_ms": 30}, "--settings.ridge_bin_ms: window_ms, 400, is no multiple of 30"),
    ],
)
def test_a_senseless_setting_is_one_line_and_writes_nothing(
    settings, message, session, tmp_path, capsys
):
    assert decode(session, tmp_path, settings) == 1
    lines = [x for x in capsys.readouterr().err.splitlines() if "decode-wheel:" in x]
    assert len(lines) == 1 and message in lines[0]
    assert not (tmp_path / "seed0.json").exists()


def test_a_session_without_behaviour_is_one_line(session, tmp_path, capsys):
    data = sessions.read(session)
    del data.behaviour
    sessions.save(tmp_path / "still.h5", data, {"step": "test"})
    assert decode(tmp_path / "still.h5", tmp_path) == 1
    assert "still.h5: has no behaviour to decode" in capsys.readouterr().err


# --- the table ------------------------------------------------------------------------------------


def test_a_row_for_each_session_and_decoder_pools_its_seeds():
    table = wheel_table([decoded(0), decoded(1), decoded(0, "b", "running")], resamples=50)
    assert list(table["session"]) == ["a"] * 4 + ["b"] * 4
    assert list(table["decoder"]) == list(DECODERS) * 2
    row = table.iloc[0]
    assert (row["seeds"], row["samples"], row["behaviour"]) == (2, 100, "wheel")
    assert row["r2"] == pytest.approx(1 - 0.55) and row["r2_sd"] == pytest.approx(0.1 / 2**0.5)
    assert row["r2_low"] <= row["r2"] <= row["r2_high"]
    assert table.iloc[4]["r2_sd"] is None


def test_a_seed_given_twice_and_seeds_of_other_moments_are_refused():
    with pytest.raises(InputError, match="session a: seed 0 is given twice"):
        wheel_table([decoded(0), decoded(0)])
    with pytest.raises(InputError, match="seeds 0 and 1 scored other moments"):
        wheel_table([decoded(0), decoded(1, pieces=3)])


def test_tabulate_wheel_writes_table_and_figure_that_can_be_shown(tmp_path, capsys):
    paths = []
    for one in (decoded(0), decoded(1), decoded(0, "b", "running")):
        paths.append(tmp_path / f"{one.session}{one.seed}.json")
        decodings.write(paths[-1], one, {"step": "test", "origins": {}})
    output, figure = tmp_path / "t.tsv", tmp_path / "t.png"
    arguments = ["tabulate-wheel", "--decodings", *paths, "--output", output, "--figure", figure]
    assert main.main(list(map(str, [*arguments, "--resamples", 20]))) == 0
    table = tables.read(output)
    assert list(table.columns[:3]) == ["decoder", "behaviour", "session"]
    assert table["r2"].dtype == float and len(table) == 8
    assert provenance.read(output)["step"] == provenance.read(figure)["step"] == "tabulate-wheel"
    assert main.main(["show", "--contents", str(output)]) == 0
    assert "poyo_shuffled" in capsys.readouterr().out


def test_a_decoding_that_breaks_the_contract_is_named(tmp_path):
    path = tmp_path / "d.json"
    with pytest.raises(InputError, match=r"d.json: no such file"):
        decodings.read(path)
    path.write_text("{")
    with pytest.raises(InputError, match=r"d.json: not JSON or truncated"):
        decodings.read(path)
    path.write_text('{"contract": "forecasts/2"}')
    with pytest.raises(InputError, match="holds 'forecasts/2', expected 'decodings/1'"):
        decodings.read(path)
    one = decoded(0)
    short = {**one.decoders, "ridge": replace(one.decoders["ridge"], sse=np.ones(2))}
    with pytest.raises(InputError, match="expected 4 numbers of ridge/sse"):
        decodings.write(path, replace(one, decoders=short), {})
