"""`decode-wheel` and `tabulate-wheel`: their files, their table, and bad input."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from spikeline.artifacts import decodings, provenance, sessions, tables
from spikeline.artifacts.decodings import ALONE, JOINT, Decoded, Decodings
from spikeline.cli import main
from spikeline.errors import InputError
from spikeline.horizon.wheel.table import ROWS, wheel_table

SETTINGS = {
    "window_ms": 400, "lookahead_ms": 0, "sample_hz": 10, "ridge_bin_ms": 100, "shuffles": 2,
    "latent_step_ms": 200, "latents_per_step": 1, "dim": 8, "dim_head": 8,
    "shortest_period_ms": 10, "cross_heads": 1, "heads": 1,
    "depth": 0, "dropout": 0.1, "unit_dropout": 0.1, "queries": 2, "batch_size": 4,
    "steps_per_epoch": 2, "epochs": 2, "learning_rate": 0.01, "weight_decay": 0.01,
    "warmup_epochs": 0, "patience": 0, "validation_samples": 20,
}  # fmt: skip
# Of the deviations that a decoder misses.
SHARE = {
    "poyo": lambda seed: 0.5 + 0.1 * seed,
    "poyo_joint": lambda seed: 0.4 + 0.1 * seed,
    "ridge": lambda seed: 0.6,
}


def decoded(seed, session="a", behaviour="wheel", pieces=4, decoders=ALONE):
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
        blocks=np.arange(pieces) // 2,
        samples=np.full(pieces, 25),
        decoders={
            name: Decoded(
                {"parameters": 10, "trained_on": 3 if name in JOINT else 1},
                sst * (random.uniform(0.9, 1.2) if "shuffled" in name else SHARE[name](seed)),
                sst,
            )
            for name in decoders
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
    (found,) = decodings.read(tmp_path / "seed0.json")
    assert (found.session, found.behaviour, found.units, found.seed) == ("one", "wheel", 2, 0)
    assert list(found.decoders) == list(ALONE)
    np.testing.assert_array_equal(found.samples, [30, 30])
    np.testing.assert_array_equal(found.blocks, [0, 0])
    for one in found.decoders.values():
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
    (first,), (other,) = decodings.read(first), decodings.read(other)
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


# --- decode-wheel-jointly -------------------------------------------------------------------------


def decode_jointly(paths, folder, settings=None, seed=0):
    given = {
        key: value for key, value in SETTINGS.items() if key not in ("ridge_bin_ms", "shuffles")
    }
    arguments = [
        "decode-wheel-jointly", "--sessions", *paths, "--seed", seed,
        "--states", folder / "states", "--settings", json.dumps({**given, **(settings or {})}),
        "--device", "cpu", "--output", folder / f"joint{seed}.json",
    ]  # fmt: skip
    return main.main(list(map(str, arguments)))


@pytest.fixture(scope="module")
def two(session, tmp_path_factory):
    """The session twice, under two names."""
    other = tmp_path_factory.mktemp("another") / "two.h5"
    shutil.copy(session, other)
    return [session, other]


def test_decode_wheel_jointly_scores_each_session_as_decode_wheel_does(two, tmp_path):
    assert decode(two[0], tmp_path) == 0 and decode_jointly(two, tmp_path) == 0
    (alone,) = decodings.read(tmp_path / "seed0.json")
    joint = decodings.read(tmp_path / "joint0.json")
    assert [one.session for one in joint] == ["one", "two"]
    for one in joint:
        assert tuple(one.decoders) == JOINT
        for name in ("source", "behaviour", "units", "seed", "velocity"):
            assert getattr(one, name) == getattr(alone, name), name
        np.testing.assert_array_equal(one.samples, alone.samples)
        np.testing.assert_array_equal(one.blocks, alone.blocks)
        np.testing.assert_array_equal(one.decoders["poyo_joint"].sst, alone.decoders["poyo"].sst)
        facts = one.decoders["poyo_joint"].facts
        assert facts["trained_on"] == 2
        assert facts["parameters"] > alone.decoders["poyo"].facts["parameters"]
    assert len(provenance.read(tmp_path / "joint0.json")["inputs"]) == 2
    assert os.listdir(tmp_path / "states") == []
    table = wheel_table([alone, *joint[:1]])
    assert list(table["decoder"]) == list(ROWS)


def test_the_same_seed_gives_the_same_joint_bytes(two, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        assert decode_jointly(two, tmp_path / folder) == 0
    first, again = (tmp_path / name / "joint0.json" for name in ("a", "b"))
    assert first.read_bytes() == again.read_bytes()


def test_joint_decoding_of_one_session_or_of_two_of_one_name_is_one_line(two, tmp_path, capsys):
    assert decode_jointly(two[:1], tmp_path) == 1
    assert "one session alone is for decode-wheel" in capsys.readouterr().err
    (tmp_path / "copy").mkdir()
    shutil.copy(two[0], tmp_path / "copy/one.h5")
    assert decode_jointly([two[0], tmp_path / "copy/one.h5"], tmp_path) == 1
    assert "--sessions: two files are named one" in capsys.readouterr().err
    assert decode_jointly(two, tmp_path, {"ridge_bin_ms": 50}) == 1
    assert "unknown key 'ridge_bin_ms'" in capsys.readouterr().err
    assert not (tmp_path / "joint0.json").exists()


# --- the table ------------------------------------------------------------------------------------


def test_a_row_for_each_session_and_decoder_pools_its_seeds():
    table = wheel_table([decoded(0), decoded(1), decoded(0, "b", "running")])
    assert list(table["session"]) == ["a"] * 4 + ["b"] * 4
    assert list(table["decoder"]) == list(ALONE) * 2
    row = table.iloc[0]
    assert (row["seeds"], row["samples"], row["behaviour"]) == (2, 100, "wheel")
    assert row["r2"] == pytest.approx(1 - 0.55) and row["r2_sd"] == pytest.approx(0.1 / 2**0.5)
    assert table.iloc[4]["r2_sd"] is None


def test_an_interval_needs_ten_pieces_and_a_difference_is_from_ridge_piece_by_piece():
    assert wheel_table([decoded(0)])["r2_low"].isna().all()  # 4 pieces of 5 s
    random = np.random.default_rng(1)
    one = decoded(0, pieces=100)
    noise = random.uniform(0, 40, 100)  # what both find hard
    decoders = {
        name: replace(decoder, sse=decoder.sse + noise) for name, decoder in one.decoders.items()
    }
    table = wheel_table([replace(one, decoders=decoders)]).set_index("decoder")
    poyo, ridge = table.loc["poyo"], table.loc["ridge"]
    assert poyo["difference"] == pytest.approx(0.1) == pytest.approx(poyo["r2"] - ridge["r2"])
    assert poyo["difference_low"] <= poyo["difference"] <= poyo["difference_high"]
    width, paired = (poyo[f"{x}_high"] - poyo[f"{x}_low"] for x in ("r2", "difference"))
    assert paired < width / 5
    assert poyo["pieces"] == 50 and ridge["difference"] is None  # one for each block
    assert table.loc["poyo_shuffled"]["difference"] is None


def test_joint_decoders_stand_beside_those_of_one_session_and_sessions_are_averaged():
    given = [decoded(seed, name) for name in "abc" for seed in (0, 1)]
    given += [decoded(seed, name, decoders=JOINT) for seed in (0, 1) for name in "ab"]
    table = wheel_table(given)
    assert list(table["decoder"]) == [*ROWS, *ROWS, *ALONE, *ROWS]
    assert list(table["session"]) == ["a"] * 6 + ["b"] * 6 + ["c"] * 4 + ["all"] * 6
    joint, every = table.iloc[1], table.iloc[-5]
    assert (joint["decoder"], joint["trained_on"], joint["seeds"]) == ("poyo_joint", 3, 2)
    assert joint["r2"] == pytest.approx(1 - 0.45) and joint["difference"] == pytest.approx(0.15)
    assert (every["decoder"], every["sessions"], every["units"]) == ("poyo_joint", 2, 14)
    assert every["r2"] == pytest.approx(0.55) and every["r2_sd"] == pytest.approx(0.1 / 2**0.5)
    assert table.iloc[-6]["sessions"] == 3 and table.iloc[-6]["difference_low"] is not None


def test_a_seed_given_twice_and_seeds_of_other_moments_are_refused():
    with pytest.raises(InputError, match="session a: seed 0 is given twice"):
        wheel_table([decoded(0), decoded(0)])
    with pytest.raises(InputError, match="seeds 0 and 1 scored other moments"):
        wheel_table([decoded(0), decoded(1, pieces=3)])
    with pytest.raises(InputError, match="session a: seed 1 is given twice"):
        wheel_table([decoded(0), *(decoded(1, decoders=JOINT) for _ in range(2))])
    with pytest.raises(InputError, match="seeds 0 and 1 scored other moments"):
        wheel_table([decoded(0), decoded(1, pieces=3, decoders=JOINT)])
    with pytest.raises(InputError, match="session a: was decoded jointly alone"):
        wheel_table([decoded(0, decoders=JOINT)])


def test_tabulate_wheel_writes_table_and_figure_that_can_be_shown(tmp_path, capsys):
    paths = []
    joint = [decoded(0, name, decoders=JOINT) for name in "ac"]
    files = [[decoded(0)], [decoded(1)], [decoded(0, "b", "running")], [decoded(0, "c")], joint]
    for number, several in enumerate(files):
        paths.append(tmp_path / f"{number}.json")
        decodings.write(paths[-1], several, {"step": "test", "origins": {}})
    output, figure = tmp_path / "t.tsv", tmp_path / "t.png"
    arguments = ["tabulate-wheel", "--decodings", *paths, "--output", output, "--figure", figure]
    assert main.main(list(map(str, arguments))) == 0
    table = tables.read(output)
    assert list(table.columns[:3]) == ["decoder", "behaviour", "session"]
    assert table["r2"].dtype == float and len(table) == 6 + 4 + 6 + 6
    assert provenance.read(output)["step"] == provenance.read(figure)["step"] == "tabulate-wheel"
    assert main.main(["show", "--contents", str(output)]) == 0
    assert "poyo_joint_shuffled" in capsys.readouterr().out


def test_a_decoding_that_breaks_the_contract_is_named(tmp_path):
    path = tmp_path / "d.json"
    with pytest.raises(InputError, match=r"d.json: no such file"):
        decodings.read(path)
    path.write_text("{")
    with pytest.raises(InputError, match=r"d.json: not JSON or truncated"):
        decodings.read(path)
    path.write_text('{"contract": "forecasts/2"}')
    with pytest.raises(InputError, match="holds 'forecasts/2', expected 'decodings/2'"):
        decodings.read(path)
    one = decoded(0)
    short = {**one.decoders, "ridge": replace(one.decoders["ridge"], sse=np.ones(2))}
    with pytest.raises(InputError, match="expected 4 numbers of ridge/sse"):
        decodings.write(path, [replace(one, decoders=short)], {})
    few = {name: one.decoders[name] for name in ("poyo", "ridge")}
    with pytest.raises(InputError, match=r"d.json: decoders \['poyo', 'ridge'\], expected"):
        decodings.write(path, [replace(one, decoders=few)], {})
    with pytest.raises(InputError, match="blocks are not in order of time"):
        decodings.write(path, [replace(one, blocks=one.blocks[::-1])], {})
