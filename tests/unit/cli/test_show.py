"""`spikeline show FILE`: what an artifact holds and where it came from."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from spikeline.artifacts import embeddings, provenance
from spikeline.cli.main import main
from spikeline.sources import stimuli

RECORD = {"step": "test", "origins": {"raw": {"name": "raw"}}, "settings": {"a": 1}}


@pytest.fixture
def hdf5(tmp_path):
    values = embeddings.Embeddings(np.ones((2, 3), np.float32), np.array(["a", "b"]), "clip")
    embeddings.write(tmp_path / "a.h5", values, RECORD)
    return tmp_path / "a.h5"


@pytest.fixture
def archive(tmp_path):
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / "images" / name).write_bytes(b"")
    stimuli.pack(tmp_path / "images", tmp_path / "a.zip", provenance.dumps(RECORD))
    return tmp_path / "a.zip"


@pytest.fixture
def safetensors(tmp_path):
    from safetensors.numpy import save_file

    metadata = {"spikeline": provenance.dumps({"kind": "ridge", "provenance": RECORD})}
    save_file({"weight": np.ones((4, 2), np.float32)}, tmp_path / "a.safetensors", metadata)
    return tmp_path / "a.safetensors"


@pytest.fixture
def evaluation(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"top1": 0.5, "provenance": RECORD}))
    return tmp_path / "a.json"


@pytest.fixture
def caption(tmp_path):
    (tmp_path / "a.txt").write_text("monkeyF: 70 % of responses.\n")
    provenance.write_beside(tmp_path / "a.txt", RECORD)
    return tmp_path / "a.txt"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "weights").write_bytes(b"123")
    provenance.write_beside(tmp_path / "encoder", RECORD)
    return tmp_path / "encoder"


@pytest.fixture
def copy(tmp_path):
    (tmp_path / "a.mat").write_bytes(b"12345")
    provenance.write_beside(tmp_path / "a.mat", RECORD)
    return tmp_path / "a.mat"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("hdf5", ["embeddings/2", "values  float32  (2, 3)  (images, dim)", "encoder = 'clip'"]),
        ("archive", ["3 images", "a.png", "c.png"]),
        ("safetensors", ["weight", "F32", "[4, 2]"]),
        ("evaluation", ["top1: 0.5"]),
        ("caption", ["monkeyF: 70 % of responses."]),
        ("folder", ["weights  3 bytes"]),
        ("copy", ["5 bytes"]),
    ],
)
def test_contents_and_provenance_of_every_artifact_are_printed(request, capsys, kind, words):
    path = request.getfixturevalue(kind)
    assert main(["show", str(path)]) == 0
    text = capsys.readouterr().out
    for word in words:
        assert word in text
    contents, _, record = text.partition("\n{")
    assert contents and json.loads("{" + record) == RECORD


def test_the_record_alone_is_json(hdf5, capsys):
    assert main(["show", str(hdf5), "--provenance"]) == 0
    assert json.loads(capsys.readouterr().out) == RECORD


def test_the_contents_alone_are_printed_without_the_record(hdf5, capsys):
    assert main(["show", str(hdf5), "--contents"]) == 0
    text = capsys.readouterr().out
    assert "values  float32  (2, 3)" in text and "origins" not in text


@pytest.mark.parametrize("kind", ["hdf5", "archive", "safetensors", "evaluation"])
def test_a_truncated_artifact_is_one_line_and_exit_status_1(request, capsys, kind):
    path = request.getfixturevalue(kind)
    path.write_bytes(path.read_bytes()[:-9])
    capsys.readouterr()
    status = main(["show", str(path)])
    text = capsys.readouterr().err
    assert status == 1 and text.count("\n") == 1
    assert text.startswith(f"spikeline show: {path}: ")


def test_a_missing_artifact_is_one_line_and_exit_status_1(tmp_path, capsys):
    assert main(["show", str(tmp_path / "a.h5")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_reader_that_stops_early_gets_no_traceback(evaluation):
    many = {str(key): key for key in range(20_000)}
    evaluation.write_text(json.dumps({**many, "provenance": RECORD}))
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as nobody:
        done = subprocess.run(
            [sys.executable, "-m", "spikeline", "show", str(evaluation)],
            stdout=nobody,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 128 + signal.SIGPIPE
    assert done.stderr == ""
