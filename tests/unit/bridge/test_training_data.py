"""What `fit` and `train` read and write: training rows, broken pairs, spread, divergence."""

import argparse
import json

import numpy as np
import pytest
from artifact_examples import electrodes_of_one_area

from spikeline.artifacts import embeddings, responses
from spikeline.bridge.decoder import Decoder
from spikeline.cli import _training_data
from spikeline.cli.main import main

ROWS, TEST, ELECTRODES, DIM = 80, 20, 12, 10
SETTINGS = {
    "drop_test_concepts": False,
    "drop_other_concepts": False,
    "training_fraction": 1.0,
    "shuffle_responses": False,
    "target_layers": [],
}
TARGET = {"encoder": "clip", "regions": ["V1"], "target_normalise": False}


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    images = np.array([f"c{row % 40}/{row}.jpg" for row in range(ROWS)], dtype=object)
    embedded = rng.standard_normal((ROWS, DIM)).astype(np.float32)
    recorded = responses.Responses(
        values=(embedded @ rng.standard_normal((DIM, ELECTRODES))).astype(np.float32),
        images=images,
        categories=np.array([name.split("/")[0] for name in images], dtype=object),
        test=(np.arange(ROWS) < TEST)[None],
        electrodes=electrodes_of_one_area("V1", ELECTRODES),
    )
    responses.write(tmp_path / "r.h5", recorded, {})
    embeddings.write(tmp_path / "e.h5", embeddings.Embeddings(embedded, images, "clip-1"), {})
    return tmp_path


def options(files, seed=0):
    return argparse.Namespace(
        responses=str(files / "r.h5"), embeddings=str(files / "e.h5"), seed=seed
    )


def fitted(files, step, settings, *more):
    return main(
        [step, "--responses", str(files / "r.h5"), "--embeddings", str(files / "e.h5"),
         "--seed", "0", "--settings", json.dumps({**SETTINGS, **TARGET, **settings}),
         "--output", str(files / "d.safetensors"), *map(str, more)]
    )  # fmt: skip


def similarity(decoder, data):
    return decoder.embed_responses(data.responses) @ decoder.embed_images(data.embeddings).T


def test_shuffling_breaks_the_pairs_and_changes_nothing_else(files):
    plain = _training_data.read(options(files), SETTINGS)
    broken = _training_data.read(options(files), {**SETTINGS, "shuffle_responses": True})
    for name in ("embeddings", "images", "categories", "gallery", "encoder"):
        np.testing.assert_array_equal(getattr(broken, name), getattr(plain, name))
    assert broken.electrodes.keys() == plain.electrodes.keys()
    same = (broken.responses == plain.responses).all(1)
    assert same.mean() < 0.1
    order = [array[np.lexsort(array.T)] for array in (broken.responses, plain.responses)]
    np.testing.assert_array_equal(*order)  # the same training rows, and no test row
    other = _training_data.read(options(files, 1), {**SETTINGS, "shuffle_responses": True})
    assert (other.responses != broken.responses).any()


def test_a_control_decoder_of_broken_pairs_finds_no_training_image(files):
    ridge = {"kind": "ridge", "penalties": [1.0]}
    data = _training_data.read(options(files), SETTINGS)

    def found(shuffle):
        assert fitted(files, "fit", {**ridge, "shuffle_responses": shuffle}) == 0
        decoder = Decoder.load(files / "d.safetensors")
        return (similarity(decoder, data).argmax(1) == np.arange(len(data.images))).mean()

    assert found(False) > 0.9
    assert found(True) < 0.2


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "ridge", "penalties": [1.0, 10.0]},
        {"kind": "bayesian", "encoding_kernels": ["linear"], "decoding_kernels": ["none"]},
    ],
)
def test_a_written_decoder_knows_its_spread_and_its_encoder(files, settings, drop):
    assert fitted(files, "fit", {**settings, "drop_test_concepts": drop}) == 0
    decoder = Decoder.load(files / "d.safetensors")
    data = _training_data.read(options(files), {**SETTINGS, "drop_test_concepts": drop})
    others = similarity(decoder, data)[~np.eye(len(data.images), dtype=bool)]
    assert decoder.spread == pytest.approx(others.std(), rel=1e-4)
    assert decoder.metadata["encoder"] == "clip-1"


def test_decoders_of_several_kinds_and_their_ensembles_combine_on_the_command_line(files):
    bayesian = {"kind": "bayesian", "encoding_kernels": ["linear"], "decoding_kernels": ["linear"]}
    linear = {
        "kind": "linear", "members": 2, "validation_images": 20, "epochs": 5, "batch_size": 16,
        "learning_rate": 0.01, "weight_decay": 0.0, "warmup_epochs": 0, "target_normalise": True,
    }  # fmt: skip
    more = ["--history", files / "h.tsv", "--states", files / "states", "--device", "cpu"]
    kept = [files / name for name in ("bayesian.safetensors", "linear.safetensors", "pair", "nest")]
    for step, settings, extra, path in (
        ("fit", bayesian, [], kept[0]),
        ("train", linear, more, kept[1]),
    ):
        assert fitted(files, step, settings, *extra) == 0
        (files / "d.safetensors").rename(path)
    for members, path in ((kept[:2], kept[2]), ([kept[2], kept[0]], kept[3])):
        given = ["--decoders", *map(str, members), "--seed", "0", "--output", str(path)]
        assert main(["combine", *given]) == 0
    data = _training_data.read(options(files), SETTINGS)
    first, second, pair, nest = (Decoder.load(path) for path in kept)
    for joined, parts in ((pair, (first, second)), (nest, (pair, first))):
        expected = sum(similarity(d, data) / d.spread for d in parts) * joined.spread / 2
        np.testing.assert_allclose(similarity(joined, data), expected, atol=1e-5)


def test_a_training_that_diverges_is_one_line(files, capsys, monkeypatch):
    from spikeline.cli import train

    def diverges(*arrays, **more):
        raise FloatingPointError("the training loss is not finite in epoch 3")

    monkeypatch.setattr(train, "fit_network", diverges)
    more = ["--history", files / "h.tsv", "--states", files / "states", "--device", "cpu"]
    assert fitted(files, "train", {"kind": "linear"}, *more) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "spikeline train: training diverged: lower learning_rate"
    assert not (files / "d.safetensors").exists()
