"""`pretrain`, and what `train` and `evaluate` make of its file: ranks, or one clear line."""

import json

import numpy as np
import pytest
from artifact_examples import electrodes_of_one_area

from spikeline.artifacts import embeddings, evaluations, responses
from spikeline.bridge.decoder import Decoder
from spikeline.bridge.pretraining.pretrained import Pretrained
from spikeline.cli.main import main

TRAINING, TEST, ELECTRODES, REPETITIONS = 120, 20, 16, 6
ENCODER = {"regions": ["V1"], "dim": 16, "latents": 4, "depth": 1, "heads": 1, "batch_size": 32}
DATA = {**ENCODER, "validation_images": 20}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Responses that are noise: they say nothing of the images."""
    folder = tmp_path_factory.mktemp("noise")
    rng = np.random.default_rng(0)
    rows = TRAINING + TEST
    images = np.array([f"c{row}/{row}.jpg" for row in range(rows)], object)
    single = rng.standard_normal((REPETITIONS, TEST, ELECTRODES)).astype(np.float32)
    values = rng.standard_normal((rows, ELECTRODES)).astype(np.float32)
    values[TRAINING:] = single.mean(0)
    recorded = responses.Responses(
        values=values,
        images=images,
        categories=np.array([name.split("/")[0] for name in images], object),
        test=(np.arange(rows) >= TRAINING)[None],
        electrodes=electrodes_of_one_area("V1", ELECTRODES),
        repetitions=single,
    )
    responses.write(folder / "r.h5", recorded, {})
    embedded = rng.standard_normal((rows, 8)).astype(np.float32)
    embeddings.write(folder / "e.h5", embeddings.Embeddings(embedded, images, "clip-1"), {})
    return folder


def run(folder, step, output, settings, *more):
    reads = [] if step == "pretrain" else ["--embeddings", str(folder / "e.h5")]
    trains = []
    if step != "evaluate":
        history = str(folder / output) + ".tsv"
        trains = ["--seed", "0", "--history", history, "--states", str(folder / "states")]
    return main(
        [step, "--responses", str(folder / "r.h5"), *reads, *trains, "--settings",
         json.dumps(settings), "--output", str(folder / output), *map(str, more)]
    )  # fmt: skip


def pretrained(folder, output, **changed):
    settings = {**DATA, "pretraining_epochs": 3, **changed}
    assert run(folder, "pretrain", output, settings) == 0
    return folder / output


def train_settings(**changed):
    small = {"epochs": 3, "hidden": 16, "readout_queries": 2, "warmup_epochs": 0}
    return {"kind": "capoyo", "encoder": "clip", **DATA, **small, **changed}


def test_pretraining_on_noise_leaves_the_retrieval_of_noise_at_chance(folder):
    start = pretrained(folder, "p.safetensors")
    settings = train_settings(transfer="joint")
    assert run(folder, "train", "d.safetensors", settings, "--pretrained", start) == 0
    decoder = folder / "d.safetensors"
    assert run(folder, "evaluate", "e.json", {}, "--decoders", decoder, "--seeds", "0") == 0
    evaluation = evaluations.read(folder / "e.json")
    (draw,) = evaluation.seeds[0].draws
    # The mean rank of 20 images among 20 has a standard error of 1.3 around 9.5.
    assert draw.neural_to_image.rank.mean() == pytest.approx(9.5, abs=4)
    errors = Pretrained.load(start).errors
    assert evaluation.facts.items() >= errors.items()
    assert errors["masked_mse"] > 0.9 * errors["masked_mse_mean"]


def test_the_history_stands_beside_the_error_of_ridge_regression(folder):
    pretrained(folder, "q.safetensors")
    header, *rows = (folder / "q.safetensors.tsv").read_text().splitlines()
    assert header.split("\t")[-3:] == ["masked_mse", "masked_mse_mean", "masked_mse_linear"]
    assert len(rows) == 3


def test_what_was_pretrained_on_test_presentations_is_not_tested_on_them(folder, capsys):
    settings = {"pretraining_data": "test_phase", "reserved_repetitions": 2}
    start = pretrained(folder, "t.safetensors", **settings)
    trained = run(folder, "train", "dt.safetensors", train_settings(), "--pretrained", start)
    assert trained == 0
    evaluated = ["--decoders", folder / "dt.safetensors", "--seeds", "0"]
    assert run(folder, "evaluate", "no.json", {}, *evaluated) == 1
    assert "pretrained on the first 2 repetitions of the test images" in capsys.readouterr().err
    assert not (folder / "no.json").exists()
    assert run(folder, "evaluate", "yes.json", {"reserved_repetitions": 2}, *evaluated) == 0
    curve = evaluations.read(folder / "yes.json").seeds[0].repetition_curve
    assert curve.repetitions[-1] == REPETITIONS - 2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (train_settings(mask_share=0.5), "mask_share 0.25, and this model has 0.5"),
        (train_settings(dim=32), "dim 16, and this model has 32"),
        ({**train_settings(), "kind": "mlp"}, "only kind capoyo takes initial weights"),
    ],
)
def test_an_encoder_that_does_not_fit_is_one_line_and_leaves_nothing(
    folder, settings, words, capsys
):
    start = pretrained(folder, "u.safetensors", pretraining_epochs=1)
    if settings["kind"] == "mlp":
        own = ("kind", "encoder", "regions", "validation_images")
        settings = {key: settings[key] for key in own}
    assert run(folder, "train", "bad.safetensors", settings, "--pretrained", start) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert words in said and not list(folder.glob("bad*"))


def test_a_transfer_without_a_start_is_refused_by_hand_too(folder, capsys):
    assert run(folder, "train", "bad.safetensors", train_settings(transfer="freeze")) == 1
    assert "give --pretrained or --start-from" in capsys.readouterr().err


def test_a_decoder_of_another_encoder_of_images_is_no_start(folder, capsys):
    assert run(folder, "train", "d1.safetensors", train_settings(epochs=1)) == 0
    decoder = Decoder.load(folder / "d1.safetensors")
    decoder.save(folder / "d2.safetensors", {**decoder.metadata, "encoder": "other"})
    given = ("--start-from", folder / "d2.safetensors")
    assert run(folder, "train", "bad.safetensors", train_settings(), *given) == 1
    assert "was trained with the encoder other" in capsys.readouterr().err
