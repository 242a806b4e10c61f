"""A file appears whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys

import pytest

from spikeline.artifacts import files
from spikeline.artifacts.files import (
    atomic_folder,
    atomic_path,
    claim,
    sha256,
    sweep,
    write_bytes,
    write_text,
)
from spikeline.errors import InputError


def test_what_was_written_lies_at_the_path_and_nothing_next_to_it(tmp_path):
    write_bytes(tmp_path / "deep" / "a.h5", b"content")
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.h5"]
    assert (tmp_path / "deep" / "a.h5").read_bytes() == b"content"


def test_text_is_written_as_utf8(tmp_path):
    write_text(tmp_path / "a.txt", "µV\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc2\xb5V\n"


def test_an_exception_leaves_no_file(tmp_path):
    with pytest.raises(KeyError), atomic_path(tmp_path / "a.h5") as temporary:
        temporary.write_bytes(b"half")
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_an_exception_leaves_the_old_file_as_it_was(tmp_path):
    write_bytes(tmp_path / "a.h5", b"old")
    with pytest.raises(KeyboardInterrupt), atomic_path(tmp_path / "a.h5") as temporary:
        temporary.write_bytes(b"half of the new")
        raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]
    assert (tmp_path / "a.h5").read_bytes() == b"old"


def test_the_final_name_is_not_there_while_the_file_is_written(tmp_path):
    with atomic_path(tmp_path / "a.h5") as temporary:
        assert temporary.parent == tmp_path and temporary.suffix == ".h5"
        temporary.write_bytes(b"half")
        assert not (tmp_path / "a.h5").exists()
    assert (tmp_path / "a.h5").exists()


def test_a_file_has_the_permissions_that_the_umask_gives(tmp_path):
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "a.h5", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a.h5").stat().st_mode & 0o777 == 0o640


def test_a_full_disk_raises_and_leaves_nothing(tiny_disk):
    with pytest.raises(OSError) as caught:
        write_bytes(tiny_disk / "a.h5", bytes(200_000))
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(tiny_disk / "a.h5")
    assert list(tiny_disk.iterdir()) == []


def test_a_full_disk_keeps_the_old_file(tiny_disk):
    write_bytes(tiny_disk / "a.h5", b"old")
    with pytest.raises(OSError):
        write_bytes(tiny_disk / "a.h5", bytes(200_000))
    assert [p.name for p in tiny_disk.iterdir()] == ["a.h5"]
    assert (tiny_disk / "a.h5").read_bytes() == b"old"


def test_a_missing_file_of_another_name_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, atomic_path(tmp_path / "a.h5"):
        (tmp_path / "other.h5").read_bytes()
    assert caught.value.filename == str(tmp_path / "other.h5")


KILLED = """
import sys
from spikeline.artifacts.files import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    with open(temporary, "wb") as handle:
        handle.write(bytes(1000))
        handle.flush()
        print("half", flush=True)
        sys.stdin.read()
"""


def test_kill_9_in_the_middle_of_a_write_leaves_no_final_file(tmp_path, environment):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "a.h5")],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout.readline() == "half\n"
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "a.h5").exists()
    # What was half written bears another, hidden name, and does not disturb the next try.
    assert all(path.name.startswith(".a.h5.") for path in tmp_path.iterdir())
    write_bytes(tmp_path / "a.h5", b"whole")
    assert (tmp_path / "a.h5").read_bytes() == b"whole"


def test_a_folder_appears_whole(tmp_path):
    with atomic_folder(tmp_path / "encoder") as temporary:
        (temporary / "weights").write_bytes(b"w")
        assert not (tmp_path / "encoder").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["encoder"]
    assert (tmp_path / "encoder" / "weights").read_bytes() == b"w"


def test_a_folder_that_fails_leaves_the_old_one(tmp_path):
    with atomic_folder(tmp_path / "encoder") as temporary:
        (temporary / "weights").write_bytes(b"old")
    with pytest.raises(KeyError), atomic_folder(tmp_path / "encoder") as temporary:
        (temporary / "weights").write_bytes(b"new")
        raise KeyError
    assert [p.name for p in tmp_path.iterdir()] == ["encoder"]
    assert (tmp_path / "encoder" / "weights").read_bytes() == b"old"


def test_a_folder_replaces_the_old_one_and_what_was_in_it(tmp_path):
    for name in ("a", "b"):
        with atomic_folder(tmp_path / "encoder") as temporary:
            (temporary / name).write_bytes(b"")
    assert [p.name for p in (tmp_path / "encoder").iterdir()] == ["b"]


def test_the_checksum_of_a_file_is_its_sha256(tmp_path):
    content = bytes(range(256)) * 10_000
    (tmp_path / "a").write_bytes(content)
    assert sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_the_checksum_of_a_folder_depends_on_contents_and_names_only(tmp_path):
    def folder(name, **files):
        for path, text in files.items():
            (tmp_path / name / "sub").mkdir(parents=True, exist_ok=True)
            (tmp_path / name / "sub" / path).write_text(text)
        return sha256(tmp_path / name)

    first = folder("first", a="1", b="2")
    assert folder("second", b="2", a="1") == first
    assert folder("third", a="1", b="3") != first
    assert folder("fourth", a="1", c="2") != first
    assert folder("fifth", a="12", b="") != first


def half_written(folder, environment):
    """A process in the middle of writing `a.h5`."""
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder / "a.h5")],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "half\n"
    return process


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_writes_is_not(
    tmp_path, environment
):
    with half_written(tmp_path, environment) as living:
        with half_written(tmp_path, environment) as killed:
            killed.kill()
        (tmp_path / "deep/.encoder.0000-1-abcdefgh").mkdir(parents=True)
        (tmp_path / ".hidden").write_text("a user's own")
        assert len(list(tmp_path.glob(".a.h5.*"))) == 2
        (removed,) = sweep([tmp_path, tmp_path / "not there"])
        (left,) = tmp_path.glob(".a.h5.*")
        assert f"-{killed.pid}-" in removed.name and f"-{living.pid}-" in left.name
        # A folder of another machine's process, and what is not ours.
        assert {path.name for path in tmp_path.rglob(".*")} == {
            left.name, ".hidden", ".encoder.0000-1-abcdefgh",
        }  # fmt: skip
        living.communicate("")
    assert (tmp_path / "a.h5").read_bytes() == bytes(1000)


def test_what_another_machine_left_long_ago_is_swept(tmp_path):
    old = tmp_path / ".encoder.0000-1-abcdefgh"
    old.mkdir()
    os.utime(old, (0, 0))
    assert sweep([tmp_path]) == [old] and not old.exists()


@pytest.fixture
def claimed(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_CLAIMED", {})
    write_bytes(tmp_path / "old.h5", b"old")
    claim([tmp_path / "new.h5", tmp_path / "old.h5", tmp_path / "folder"])
    return tmp_path


@pytest.mark.parametrize("name", ["new.h5", "old.h5"])
def test_an_output_that_another_process_wrote_meanwhile_is_not_overwritten(claimed, name):
    (claimed / "other").write_bytes(b"the successor's")
    os.replace(claimed / "other", claimed / name)
    with pytest.raises(InputError, match=rf"{name}: changed while this process computed it"):
        write_bytes(claimed / name, b"the orphan's")
    assert (claimed / name).read_bytes() == b"the successor's"
    assert [path.name for path in claimed.iterdir() if path.name.startswith(".")] == []


def test_a_folder_that_another_process_made_meanwhile_is_not_replaced(claimed):
    (claimed / "folder").mkdir()
    with pytest.raises(InputError, match="folder: changed"), atomic_folder(claimed / "folder"):
        pass


def test_a_process_may_write_its_own_output_again(claimed):
    for content in (b"one", b"two"):
        for name in ("new.h5", "old.h5"):
            write_bytes(claimed / name, content)
    assert (claimed / "old.h5").read_bytes() == b"two"
