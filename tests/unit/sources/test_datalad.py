"""Files out of a real DataLad dataset, fetched through git-annex as plain files."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from spikeline.errors import InputError
from spikeline.sources import datalad

CONTENT = bytes(range(256)) * 100
MAT = "monkeyF/THINGS_normMUA.mat"


def run(*command, cwd=None) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=datalad.environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (command, done.stderr, done.stdout)
    return done.stdout.strip()


@pytest.fixture(scope="module", autouse=True)
def bare_home(tmp_path_factory):
    """A home without any git configuration: no identity is there to be found."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        for name in list(os.environ):
            if name.startswith("GIT_") and name != "GIT_CONFIG_NOSYSTEM":
                patch.delenv(name)
        yield


@pytest.fixture(scope="module")
def origin(tmp_path_factory) -> Path:
    """A dataset with two annexed files; nothing in it is changed by a test."""
    folder = tmp_path_factory.mktemp("origin") / "tvsd"
    run("datalad", "create", folder)
    (folder / MAT).parent.mkdir()
    (folder / MAT).write_bytes(CONTENT)
    (folder / "images.zip").write_bytes(CONTENT[::-1])
    run("datalad", "-C", folder, "save", "-m", "recordings")
    assert (folder / MAT).is_symlink()
    return folder


@pytest.fixture(scope="module")
def moving(origin, tmp_path_factory) -> Path:
    """A copy of the dataset for the tests that change it."""
    folder = tmp_path_factory.mktemp("moving") / "tvsd"
    shutil.copytree(origin, folder, symlinks=True)
    return folder


def fetch(url, tmp_path, *names, clone=None, **options):
    wanted = {name: tmp_path / "out" / Path(name).name for name in names or [MAT]}
    return datalad.fetch(
        str(url), wanted, clone or tmp_path / "clone", pause=0, **{"attempts": 1, **options}
    )


def refusal(url, tmp_path, *names, **options) -> str:
    with pytest.raises(InputError) as caught:
        fetch(url, tmp_path, *names, **options)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 700
    assert not [p for p in (tmp_path / "out").glob("*")]
    return text


@pytest.fixture(scope="module")
def clone(origin, tmp_path_factory) -> Path:
    """A clone that holds one of the two files."""
    folder = tmp_path_factory.mktemp("clone")
    fetch(origin, folder)
    return folder


def test_a_file_is_fetched_from_a_path_as_a_plain_file_outside_the_annex(origin, clone):
    path = clone / "out" / "THINGS_normMUA.mat"
    assert not path.is_symlink() and path.read_bytes() == CONTENT
    assert path.stat().st_mode & 0o200, "an annexed object is read-only; a copy is not"
    assert path.stat().st_nlink == 1


def test_only_the_files_asked_for_are_transferred(clone):
    assert (clone / "clone" / MAT).exists()
    assert not (clone / "clone" / "images.zip").exists()


def test_a_second_fetch_reuses_the_clone(origin, clone, caplog, tmp_path):
    marker = clone / "clone" / ".git" / "marker"
    marker.touch()
    with caplog.at_level(logging.INFO):
        record = fetch(origin, tmp_path, MAT, "images.zip", clone=clone / "clone")
    assert marker.exists() and "cloning" not in caplog.text
    assert (tmp_path / "out" / "images.zip").read_bytes() == CONTENT[::-1]
    assert record["url"] == str(origin)
    assert record["commit"] == run("git", "rev-parse", "HEAD", cwd=origin)
    assert set(record["files"]) == {MAT, "images.zip"}
    assert record["files"][MAT].startswith(("MD5E-s25600--", "SHA256E-s25600--"))


def test_a_file_is_fetched_from_a_file_url(origin, tmp_path):
    record = fetch(f"file://{origin}", tmp_path)
    assert (tmp_path / "out" / "THINGS_normMUA.mat").read_bytes() == CONTENT
    assert record["name"] == f"file://{origin}"


def test_the_origin_is_not_changed_by_a_fetch(origin, clone):
    assert run("git", "status", "--porcelain", cwd=origin) == ""


def test_a_file_that_is_not_in_the_dataset_is_named_at_once(origin, clone, tmp_path):
    started = time.monotonic()
    text = refusal(
        origin, tmp_path, "monkeyX/THINGS_normMUA.mat", clone=clone / "clone", attempts=3
    )
    assert "has no file monkeyX/THINGS_normMUA.mat" in text and str(origin) in text
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("name", ["monkeyF", "../../outside.mat"])
def test_a_folder_or_a_path_outside_the_dataset_is_refused(origin, clone, tmp_path, name):
    (clone.parent / "outside.mat").write_bytes(b"")
    assert name in refusal(origin, tmp_path, name, clone=clone / "clone")


def test_a_commit_that_is_not_there_is_named(origin, tmp_path):
    text = refusal(origin, tmp_path, commit="0" * 40)
    assert "has no commit 0000000" in text
    assert not (tmp_path / "clone").exists()


@pytest.mark.parametrize("kind", ["missing", "empty", "git", "file"])
def test_what_is_no_dataset_is_named(tmp_path, kind):
    url = tmp_path / "not_a_dataset"
    if kind != "missing":
        url.mkdir()
    if kind == "git":
        run("git", "init", "-q", url)
    if kind == "file":
        url.rmdir()
        url.write_bytes(CONTENT)
    text = refusal(url, tmp_path)
    assert str(url) in text
    assert not (tmp_path / "clone").exists()


def test_an_origin_that_has_moved_on_is_cloned_again_and_a_commit_can_be_kept(moving, tmp_path):
    old = fetch(moving, tmp_path)["commit"]
    run("git", "-C", moving, "annex", "unlock", MAT)
    (moving / MAT).write_bytes(b"corrected")
    run("datalad", "-C", moving, "save", "-m", "corrected")
    new = fetch(moving, tmp_path)["commit"]
    assert (tmp_path / "out" / "THINGS_normMUA.mat").read_bytes() == b"corrected"
    assert new != old and new == run("git", "rev-parse", "HEAD", cwd=moving)
    assert fetch(moving, tmp_path, commit=old)["commit"] == old
    assert (tmp_path / "out" / "THINGS_normMUA.mat").read_bytes() == CONTENT


def test_an_abbreviated_commit_reuses_the_clone(origin, clone, tmp_path, caplog):
    short = run("git", "rev-parse", "--short=8", "HEAD", cwd=origin)
    with caplog.at_level(logging.INFO):
        record = fetch(origin, tmp_path, clone=clone / "clone", commit=short)
    assert "cloning" not in caplog.text
    assert record["commit"] == run("git", "rev-parse", "HEAD", cwd=origin)


def test_content_that_was_dropped_is_a_clear_error_and_quick(moving, tmp_path):
    run("datalad", "-C", moving, "drop", "--reckless", "availability", "images.zip")
    started = time.monotonic()
    text = refusal(moving, tmp_path, "images.zip")
    assert "images.zip" in text and str(moving) in text and "not available" in text
    assert time.monotonic() - started < 30
    # The rest of the dataset is still there to be fetched.
    fetch(moving, tmp_path)


def test_a_clone_that_was_interrupted_is_made_again(origin, tmp_path):
    partial = tmp_path / ".clone.partial"
    partial.mkdir()
    (partial / "half").touch()
    fetch(origin, tmp_path)
    assert not partial.exists() and not (tmp_path / "clone" / "half").exists()
    assert (tmp_path / "out" / "THINGS_normMUA.mat").read_bytes() == CONTENT
