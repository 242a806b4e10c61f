"""The real ONE client at a database on loopback: one login, faults on the way, nothing told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from alyx_stand_in import PASSWORD, TOKEN, USER, serving
from client_processes import Clients

from spikeline.artifacts.files import sha256

NO_LOGIN = {"ONE_USER": "", "ONE_PASSWORD": "", "ONE_TOKEN": ""}
FETCH = ["--pause", "0", "--probes", "probe00"]
REFERENCES = {f"TWIN0{n}": f"2030-01-0{n}_1_TWIN0{n}" for n in (1, 2, 3)}


@pytest.fixture(scope="module")
def alyx(behaving):
    with serving(behaving / "resources/twins/behaving/alf") as running:
        yield running


@pytest.fixture
def door(behaving, alyx, environment, tmp_path):
    """Clients in a home of their own, without proxies, at a server that nothing was asked of."""
    alyx.asked.clear()
    alyx.wrong.clear()
    alyx.tokens = {TOKEN}
    (tmp_path / "home").mkdir()
    kept = {key: value for key, value in environment.items() if "proxy" not in key.lower()}
    home = {"HOME": str(tmp_path / "home"), "MPLCONFIGDIR": str(tmp_path / "matplotlib")}
    return Clients(behaving / "resources", tmp_path, {**kept, **NO_LOGIN, **home})


def login(door, alyx, **secrets):
    door.environment |= secrets
    done = door.spikeline(
        "ibl", "fetch-ibl-login", "--url", alyx.address, "--cache", door.folder / "one",
        "--data-server", f"{alyx.address}/public", "--pause", "0", "--attempts", "2",
        "--output", door.folder / "login.json",
    )  # fmt: skip
    door.environment |= NO_LOGIN
    assert "Traceback" not in done.stderr, done.stderr
    return done


def fetching(door, alyx, session: str, output: str, cache: str = "one") -> list[str]:
    return [
        "fetch-ibl", "--url", alyx.address, "--cache", str(door.folder / cache), "--login",
        str(door.folder / "login.json"), "--session", session, "--output",
        str(door.folder / output), *FETCH,
    ]  # fmt: skip


def exported(folder: Path) -> dict[str, str]:
    """The checksum of each file that an export holds, the record of its origin left out."""
    return {
        str(path.relative_to(folder)): sha256(path)
        for path in folder.rglob("*.*")
        if path.name != "provenance.json" and path.is_file()
    }


@pytest.mark.slow
def test_without_an_account_the_line_says_where_to_register(door, alyx):
    line = login(door, alyx, ONE_PASSWORD="x").stderr
    assert f"register at {alyx.address}/signup" in line and "ONE_USER is not set" in line
    assert not (door.folder / "login.json").exists() and not alyx.asked


@pytest.mark.slow
def test_a_wrong_password_is_asked_once_and_never_shown(door, alyx):
    done = login(door, alyx, ONE_USER=USER, ONE_PASSWORD="not this one")
    assert "does not accept ONE_USER and ONE_PASSWORD" in done.stderr
    assert "not this one" not in done.stderr and alyx.asked == {"POST /auth-token": 1}
    done = login(door, alyx, ONE_TOKEN="not this token")
    assert "does not accept ONE_TOKEN" in done.stderr and "not this token" not in done.stderr


@pytest.mark.slow
def test_a_busy_server_is_asked_again_and_a_token_says_whose_it_is(door, alyx):
    alyx.wrong = {"/auth-token": [503]}
    assert login(door, alyx, ONE_USER=USER, ONE_PASSWORD=PASSWORD).returncode == 0
    assert alyx.asked == {"POST /auth-token": 2}
    assert login(door, alyx, ONE_TOKEN=TOKEN).returncode == 0
    assert json.loads((door.folder / "login.json").read_text()) == {
        "url": alyx.address,
        "user": USER,
    }


@pytest.mark.slow
def test_sessions_from_a_server_with_faults_are_those_of_the_tree(door, alyx):
    assert login(door, alyx, ONE_USER=USER, ONE_PASSWORD=PASSWORD).returncode == 0
    parameters = sha256(door.folder / "home" / ".one")
    alyx.asked.clear()
    alyx.wrong = {
        # ONE takes what arrived of a cut or spoilt file for the whole one.
        "TWIN01/2030-01-01/001/alf/probe00/pykilosort/spikes.times": ["cut", 503, "spoilt"],
        "TWIN01/2030-01-01/001/alf/_ibl_wheel.position": ["cut"],
        f"/sessions/{alyx.eid('TWIN01')}": [503],
        "TWIN03/2030-01-03/001/alf/_ibl_trials": ["spoilt"] * 3,
    }
    done = door.many(
        "ibl",
        [
            [*fetching(door, alyx, REFERENCES["TWIN01"], "far_1"), "--attempts", "6"],
            fetching(door, alyx, alyx.eid("TWIN02"), "far_2", "other"),
            fetching(door, alyx, REFERENCES["TWIN03"], "far_3", "third"),
            *(
                ["fetch-ibl", "--cache", str(door.alf), "--session", REFERENCES[name],
                 "--output", str(door.folder / f"near_{name[-1]}"), *FETCH]
                for name in ("TWIN01", "TWIN02")
            ),
        ],
    )  # fmt: skip
    assert done.stderr.count("status 0\n") == 4, done.stderr[-3000:]
    for number in (1, 2):
        near, far = (exported(door.folder / f"{side}_{number}") for side in ("near", "far"))
        assert near.pop("session.json") and far.pop("session.json")
        assert near == far and len(near) == 6
    assert not any(alyx.wrong.values())
    # What never arrives whole is named, with what is wrong with it, and leaves no export.
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("spikeline ")]
    assert "cannot be fetched" in line and "_ibl_trials.table" in line and "md5" in line
    assert not (door.folder / "far_3").exists()
    # No job logged in or wrote the token's file or tables that others read.
    assert "POST /auth-token" not in alyx.asked
    assert sha256(door.folder / "home" / ".one") == parameters
    assert not list(door.folder.glob("o*/**/*.pqt.*")) + list(door.folder.glob("o*/*.pqt"))
    # The token is in ONE's own file, which nobody else may read, and the password nowhere.
    holding = [
        path for path in door.folder.rglob("*")
        if path.is_file() and any(word.encode() in path.read_bytes() for word in (PASSWORD, TOKEN))
    ]  # fmt: skip
    assert [path.parent.name for path in holding] == [".one"]
    assert PASSWORD not in holding[0].read_text() and holding[0].stat().st_mode & 0o77 == 0
    assert PASSWORD not in done.stderr and TOKEN not in done.stderr


@pytest.mark.slow
def test_a_login_that_ended_or_is_of_another_database_says_how_to_renew_it(door, alyx):
    assert login(door, alyx, ONE_TOKEN=TOKEN).returncode == 0
    parameters = sha256(door.folder / "home" / ".one")
    alyx.tokens, alyx.wrong = set(), {"/api/schema": [401]}
    away = fetching(door, alyx, REFERENCES["TWIN02"], "gone", "other")
    away[away.index("--url") + 1] = "http://127.0.0.1:9"
    ours = (fetching(door, alyx, REFERENCES["TWIN01"], "gone", cache) for cache in ("one", "two"))
    refused, ended, elsewhere = door.refusals("ibl", [*ours, away])
    assert "the login may have ended" in refused and "401" in refused
    assert "the login is no longer valid; remove" in ended and "login.json and run" in ended
    assert "is no login to http://127.0.0.1:9" in elsewhere
    assert sha256(door.folder / "home" / ".one") == parameters
    assert not (door.folder / "gone").exists()
