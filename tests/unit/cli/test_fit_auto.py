"""`spikeline fit-auto` by hand: its files, control, resumption, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from artifact_examples import electrodes_of_one_area

from spikeline.artifacts import embeddings, responses
from spikeline.bridge.decoder import Decoder
from spikeline.bridge.networks import training
from spikeline.cli.main import main

ROWS, TEST, ELECTRODES, DIM = 180, 40, 12, 10
AUTO = {"encoder": "clip", "regions": ["V1"], "folds": 2, "validation_images": 30}
CANDIDATES = {
    "ridge": {"kind": "ridge", "target_normalise": False},
    "linear": {
        "kind": "linear", "members": 2, "validation_images": 20, "epochs": 5, "batch_size": 16,
        "learning_rate": 0.01,
    },
}  # fmt: skip


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    images = np.array([f"c{row % 60}/{row}.jpg" for row in range(ROWS)], dtype=object)
    embedded = rng.standard_normal((ROWS, DIM)).astype(np.float32)
    values = embedded @ rng.standard_normal((DIM, ELECTRODES))
    recorded = responses.Responses(
        values=(values + 0.5 * rng.standard_normal(values.shape)).astype(np.float32),
        images=images,
        categories=np.array([name.split("/")[0] for name in images], dtype=object),
        test=(np.arange(ROWS) < TEST)[None],
        electrodes=electrodes_of_one_area("V1", ELECTRODES),
    )
    responses.write(tmp_path / "r.h5", recorded, {})
    embeddings.write(tmp_path / "e.h5", embeddings.Embeddings(embedded, images, "clip-1"), {})
    return tmp_path


def fitted(files, name="d", candidates=CANDIDATES, **auto):
    return main(
        ["fit-auto", "--responses", str(files / "r.h5"), "--embeddings", str(files / "e.h5"),
         "--seed", "0", "--settings", json.dumps(AUTO | auto),
         "--candidates", json.dumps(candidates), "--output", str(files / f"{name}.safetensors"),
         "--table", str(files / f"{name}.tsv"), "--states", str(files / "states"),
         "--state-interval", "0", "--device", "cpu"]
    )  # fmt: skip


def found(files, name="d"):
    """Top-1 of the test images."""
    decoder = Decoder.load(files / f"{name}.safetensors")
    recorded, embedded = responses.read(files / "r.h5"), embeddings.read(files / "e.h5")
    images = decoder.embed_images(embedded.values[:TEST])
    similarity = decoder.embed_responses(recorded.values[:TEST]) @ images.T
    return (similarity.argmax(1) == np.arange(TEST)).mean()


def table(files, name="d"):
    header, *rows = (files / f"{name}.tsv").read_text().splitlines()
    cells = [dict(zip(header.split("\t"), row.split("\t"), strict=True)) for row in rows]
    return {row["candidate"]: row for row in cells}


def test_the_decoder_and_its_table_say_what_was_weighed(files):
    assert fitted(files) == 0
    assert found(files) > 0.6  # chance: 0.025
    decoder, rows = Decoder.load(files / "d.safetensors"), table(files)
    assert decoder.metadata["encoder"] == "clip-1"
    assert [row["candidate"] for row in decoder.metadata["candidates"]] == list(rows)
    assert set(rows) == {"ridge", "linear", "mix"} and list(rows)[-1] == "mix"
    for row in decoder.metadata["candidates"]:
        assert float(rows[row["candidate"]]["top1"]) == pytest.approx(row["top1"], rel=1e-5)
    assert list((files / "states").iterdir()) == []


def test_auto_on_shuffled_responses_finds_test_images_at_chance(files):
    assert fitted(files, "plain") == fitted(files, "broken", shuffle_responses=True) == 0
    assert found(files, "broken") < 0.15 < 0.6 < found(files, "plain")
    assert float(table(files, "broken")["mix"]["top1"]) < 0.2


def test_killed_in_a_network_it_continues_to_the_same_decoder(files, monkeypatch, caplog):
    assert fitted(files, "whole") == 0
    score, calls = training._Alignment.score, []

    def killed(alignment):
        calls.append(1)
        if len(calls) == 8:  # the first fold has ended, the second one has begun
            raise KeyboardInterrupt
        return score(alignment)

    monkeypatch.setattr(training._Alignment, "score", killed)
    assert fitted(files, "killed") == 130
    assert not (files / "killed.safetensors").exists()
    assert len(list((files / "states").glob("*.pt"))) == 2
    monkeypatch.setattr(training._Alignment, "score", score)
    caplog.set_level("INFO")
    assert fitted(files, "killed") == 0
    assert "resuming after epoch 5" in caplog.text and "resuming after epoch 2" in caplog.text
    whole, resumed = (Decoder.load(files / f"{n}.safetensors") for n in ("whole", "killed"))
    values = responses.read(files / "r.h5").values
    np.testing.assert_array_equal(whole.embed_responses(values), resumed.embed_responses(values))
    assert table(files, "whole") == table(files, "killed")
    assert list((files / "states").iterdir()) == []


@pytest.mark.parametrize(
    ("candidates", "words"),
    [
        ({}, "--candidates: expected at least one candidate"),
        ({"a": {"kind": "ensemble"}}, "--candidates.a: unknown kind 'ensemble'"),
        ({"a": {"kind": "mlp", "hiden": 3}}, "did you mean 'hidden'"),
        ({"a": {"kind": "ridge", "encoder": "x"}}, "--candidates.a.encoder: all candidates share"),
    ],
)
def test_wrong_candidates_are_one_line(files, capsys, candidates, words):
    assert fitted(files, candidates=candidates) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("spikeline fit-auto: ") and words in said


def test_a_candidate_that_diverges_is_one_line_and_leaves_nothing(files, capsys, monkeypatch):
    def diverges(*arrays, **more):
        raise FloatingPointError("the training loss is not finite in epoch 3")

    monkeypatch.setattr(training, "fit_network", diverges)
    assert fitted(files) == 1
    assert "training diverged: lower learning_rate" in capsys.readouterr().err.splitlines()[-1]
    assert not (files / "d.safetensors").exists() and not (files / "d.tsv").exists()
