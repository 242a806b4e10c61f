"""`fetch-file` by hand: what it refuses before it begins."""

from __future__ import annotations

from spikeline.cli.main import main


def test_a_missing_password_is_said_before_the_download(tmp_path, capsys, monkeypatch):
    (tmp_path / "locked.zip").write_bytes(b"zip")
    command = [
        "fetch-file", "--location", str(tmp_path / "locked.zip"), "--password-variable",
        "THINGS_PASSWORD", "--output", str(tmp_path / "a.zip"),
    ]  # fmt: skip
    monkeypatch.delenv("THINGS_PASSWORD", raising=False)
    assert main(command) == 1
    assert "set THINGS_PASSWORD to the password given there" in capsys.readouterr().err
    assert not (tmp_path / "a.zip").exists()
    monkeypatch.setenv("THINGS_PASSWORD", "secret")
    assert main(command) == 0
    assert b"secret" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
