"""Bad input through the real command line: one line, a non-zero exit, nothing left behind."""

from __future__ import annotations

import json
import re
import zipfile

import numpy as np
import pytest

from spikeline.artifacts import embeddings
from spikeline.cli.main import main

# Log lines and progress bars may come before the one line that says what is wrong.
BESIDES = re.compile(r"(INFO|WARNING): |.*\d+%\||.*\d+it ")


def assert_refused(status: int, stderr: str, subcommand: str, *said: str) -> str:
    lines = [line for line in re.split(r"[\r\n]", stderr) if line and not BESIDES.match(line)]
    assert status != 0
    assert len(lines) == 1, stderr
    assert lines[0].startswith(f"spikeline {subcommand}: ")
    assert "Traceback" not in stderr
    for words in said:
        assert words in lines[0]
    return lines[0]


def snapshot(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def convert_tvsd(files, paths, output):
    return [
        "convert-tvsd", "--norm-mua", str(paths[0]), "--things-imgs", str(paths[1]),
        "--settings", json.dumps({"regions": files.regions}), "--output", str(output),
    ]  # fmt: skip


def test_each_wrong_tvsd_file_stops_its_step(bad_tvsd, tmp_path, capsys):
    # In this process: the same `main` that a rule runs, without paying for Python each time.
    files, paths, said = bad_tvsd
    before = snapshot(tmp_path)
    status = main(convert_tvsd(files, paths, tmp_path / "out" / "a.h5"))
    assert_refused(status, capsys.readouterr().err, "convert-tvsd", *said)
    assert snapshot(tmp_path) == before


def test_a_truncated_recording_stops_the_real_command(tvsd_files, tmp_path, spikeline):
    paths = tvsd_files.write()
    paths[0].write_bytes(paths[0].read_bytes()[:3000])
    before = snapshot(tmp_path)
    done = spikeline(*convert_tvsd(tvsd_files, paths, tmp_path / "a.h5"))
    line = assert_refused(done.returncode, done.stderr, "convert-tvsd", "truncated")
    assert done.stderr == line + "\n" and done.stdout == ""
    assert snapshot(tmp_path) == before


def test_the_same_command_succeeds_on_whole_files_and_logs_what_it_dropped(
    tvsd_files, tmp_path, spikeline
):
    tvsd_files.fields["train_MUA"][:, 3] = np.nan
    done = spikeline(*convert_tvsd(tvsd_files, tvsd_files.write(), tmp_path / "a.h5"))
    assert done.returncode == 0, done.stderr
    assert "dropped 1 of 12 electrodes" in done.stderr
    shown = spikeline("show", tmp_path / "a.h5").stdout
    assert "values  float32  (25, 11)" in shown and "convert-tvsd" in shown


def test_a_full_disk_stops_every_kind_of_write(
    tvsd_files, image_lists, tmp_path, tiny_disk, capsys
):
    rng = np.random.default_rng(0)
    tvsd_files.fields["train_MUA"] = rng.normal(size=(2000, 12))
    tvsd_files.images = image_lists(train=2000)
    large = tmp_path / "large"
    large.mkdir()
    (large / "a.png").write_bytes(rng.bytes(90_000))
    (large / "b.png").write_bytes(b"")
    main(["pack-stimuli", "--images", str(large), "--output", str(tmp_path / "images.zip")])
    np.save(tmp_path / "values.npy", rng.normal(size=(2, 20_000)))
    commands = {
        "convert-tvsd": convert_tvsd(tvsd_files, tvsd_files.write(), tiny_disk / "a.h5"),
        "pack-stimuli": [
            "pack-stimuli", "--images", str(large), "--output", str(tiny_disk / "a.zip"),
        ],
        "import-embeddings": [
            "import-embeddings", "--values", str(tmp_path / "values.npy"), "--stimuli",
            str(tmp_path / "images.zip"), "--encoder", "given", "--settings", '{"scale": 1}',
            "--output", str(tiny_disk / "e.h5"),
        ],
        "fetch-file": [
            "fetch-file", "--location", str(large / "a.png"), "--output", str(tiny_disk / "f"),
        ],
    }  # fmt: skip
    for subcommand, command in commands.items():
        capsys.readouterr()
        status = main(command)
        assert_refused(status, capsys.readouterr().err, subcommand, "No space left on device")
        assert list(tiny_disk.iterdir()) == [], subcommand


@pytest.fixture
def own(tmp_path):
    """Twelve pictures packed, and responses of four electrodes to them."""
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for k in range(12):
            archive.writestr(f"{k:02d}.png", b"")
    np.save(tmp_path / "r.npy", np.random.default_rng(0).normal(size=(12, 4)))
    return tmp_path


SETTINGS = {"regions": None, "splits": 2, "test_images": 3}


def convert_arrays(own, *more, **settings):
    return [
        "convert-arrays", "--responses", str(own / "r.npy"), "--stimuli", str(own / "images.zip"),
        "--settings", json.dumps({**SETTINGS, **settings}), "--output", str(own / "a.h5"), *more,
    ]  # fmt: skip


WRONG_ARRAYS = {
    "swapped axes": (lambda own: np.save(own / "r.npy", np.ones((4, 12))), {}, "swapped"),
    "another length": (lambda own: np.save(own / "r.npy", np.ones((11, 4))), {}, "11 rows"),
    "truncated": (
        lambda own: (own / "r.npy").write_bytes((own / "r.npy").read_bytes()[:200]), {}, "r.npy"
    ),
    "all NaN": (lambda own: np.save(own / "r.npy", np.full((12, 4), np.nan)), {}, "no electrode"),
    "no test images": (None, {"test_images": 12}, "12 test images"),
    "a region map too short": (None, {"regions": {"V4": [[0, 3]]}}, "electrode 3"),
    "missing": (lambda own: (own / "r.npy").unlink(), {}, "no such file"),
    "a truncated image archive": (
        lambda own: (own / "images.zip").write_bytes(b"PK\3\4"), {}, "images.zip"
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG_ARRAYS)
def test_wrong_arrays_stop_their_step(own, capsys, wrong):
    spoil, settings, said = WRONG_ARRAYS[wrong]
    if spoil:
        spoil(own)
    before = snapshot(own)
    status = main(convert_arrays(own, **settings))
    assert_refused(status, capsys.readouterr().err, "convert-arrays", said)
    assert snapshot(own) == before


def test_lists_of_other_images_stop_the_step(own, capsys):
    (own / "list.txt").write_text("\n".join(["cat.png", *(f"{k:02d}.png" for k in range(11))]))
    lists = {
        "'cat.png' is none of the 12 images": ("--images", str(own / "list.txt")),
        "--test-images: names the rows": ("--test-images", str(own / "list.txt")),
    }
    for said, more in lists.items():
        status = main(convert_arrays(own, *more))
        assert_refused(status, capsys.readouterr().err, "convert-arrays", said)
    assert not (own / "a.h5").exists()


def test_right_arrays_pass(own):
    assert main(convert_arrays(own)) == 0


@pytest.mark.parametrize(
    ("shape", "said"), [((11, 5), "12 images"), ((12,), "(12,)"), ((5, 12), "(5, 12)")]
)
def test_embeddings_of_another_image_list_stop_their_step(own, capsys, shape, said):
    np.save(own / "e.npy", np.ones(shape))
    before = snapshot(own)
    status = main(
        ["import-embeddings", "--values", str(own / "e.npy"), "--stimuli", str(own / "images.zip"),
         "--encoder", "given", "--settings", '{"scale": 1}', "--output", str(own / "e.h5")]
    )  # fmt: skip
    assert_refused(status, capsys.readouterr().err, "import-embeddings", "e.npy", said)
    assert snapshot(own) == before


def test_an_archive_without_its_password_stops_its_step(tmp_path, capsys, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.png", b"secret")
    content = bytearray((tmp_path / "a.zip").read_bytes())
    # The flag that a member is encrypted, in its own header and in the directory.
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    monkeypatch.delenv("THINGS_PASSWORD", raising=False)
    before = snapshot(tmp_path)
    status = main(
        ["pack-stimuli", "--images", str(tmp_path / "a.zip"), "--password-variable",
         "THINGS_PASSWORD", "--output", str(tmp_path / "plain.zip")]
    )  # fmt: skip
    assert_refused(status, capsys.readouterr().err, "pack-stimuli", "THINGS_PASSWORD", "licence")
    assert snapshot(tmp_path) == before


def test_a_file_of_another_contract_stops_the_step_that_reads_it(tmp_path, capsys):
    given = embeddings.Embeddings(np.ones((2, 2), np.float32), np.array(["a", "b"]), "clip")
    embeddings.write(tmp_path / "e.h5", given, {"origins": {}})
    before = snapshot(tmp_path)
    status = main(
        ["evaluate", "--responses", str(tmp_path / "e.h5"), "--embeddings", str(tmp_path / "e.h5"),
         "--decoders", "d.safetensors", "--seeds", "0", "--settings", "{}",
         "--output", str(tmp_path / "a.json")]
    )  # fmt: skip
    assert_refused(status, capsys.readouterr().err, "evaluate", "expected 'responses/1'")
    assert snapshot(tmp_path) == before


def test_a_dataset_that_is_not_there_stops_its_step(tmp_path, capsys):
    status = main(
        ["fetch-dataset", "--url", str(tmp_path / "gone"), "--clone", str(tmp_path / "clone"),
         "--files", "a.mat", "--outputs", str(tmp_path / "out" / "a.mat"), "--attempts", "1"]
    )  # fmt: skip
    assert_refused(status, capsys.readouterr().err, "fetch-dataset", "gone")
    assert not (tmp_path / "clone").exists() and not (tmp_path / "out").exists()


def test_another_checksum_stops_the_fetch(tmp_path, capsys):
    (tmp_path / "a").write_bytes(b"a")
    before = snapshot(tmp_path)
    status = main(
        ["fetch-file", "--location", str(tmp_path / "a"), "--sha256", "0" * 64,
         "--output", str(tmp_path / "b")]
    )  # fmt: skip
    assert_refused(status, capsys.readouterr().err, "fetch-file", "sha256")
    assert snapshot(tmp_path) == before
