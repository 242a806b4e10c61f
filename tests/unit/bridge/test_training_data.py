"""What `fit` and `train` read and write: training rows, broken pairs, spread, divergence."""

import argparse
import json
from dataclasses import replace

import numpy as np
import pytest
from artifact_examples import electrodes_of_one_area

from spikeline.artifacts import embeddings, evaluations, responses
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


def binned(folder, start=0, bins=3):
    """The recording in bins of 25 ms, the same in every bin."""
    plain = responses.read(folder / "r.h5")
    table = {name: np.tile(column, bins) for name, column in plain.electrodes.items()}
    table[responses.BIN] = np.repeat(np.arange(bins, dtype=np.int32), ELECTRODES)
    edges = start + 25 * np.arange(bins + 1, dtype=np.float32)
    values = np.tile(plain.values, bins).astype(np.float16)
    timed = replace(plain, values=values, electrodes=table, edges=edges)
    responses.write(folder / "r.h5", timed, {})


def evaluated(files):
    given = ["--responses", files / "r.h5", "--embeddings", files / "e.h5", "--seeds", 0]
    given += ["--decoders", files / "d.safetensors", "--output", files / "x.json"]
    return main(["evaluate", *map(str, given), "--settings", "{}"])


@pytest.mark.parametrize("time", ["concatenated", "gate"])
def test_a_decoder_of_time_bins_goes_from_its_fit_to_its_evaluation(files, time):
    binned(files)
    assert fitted(files, "fit", {"kind": "ridge", "penalties": [1.0], "time": time}) == 0
    assert Decoder.load(files / "d.safetensors").metadata["edges"] == [0, 25, 50, 75]
    assert evaluated(files) == 0
    evaluation = evaluations.read(files / "x.json")
    assert evaluation.facts["electrodes"] == ELECTRODES
    assert evaluation.seeds[0].draws[0].neural_to_image.hits(1).mean() > 0.8


@pytest.mark.parametrize(
    ("bins", "said"),
    [
        ({"start": 50}, "3 bins of 25 ms from 50 to 125 ms"),
        ({"bins": 2}, "2 bins of 25 ms from 0 to 50 ms"),
        (None, "means over time"),
    ],
)
def test_responses_in_other_bins_than_a_decoder_was_trained_on_are_one_line(
    files, capsys, bins, said
):
    plain = (files / "r.h5").read_bytes()
    binned(files)
    assert fitted(files, "fit", {"kind": "ridge", "penalties": [1.0]}) == 0
    (files / "r.h5").write_bytes(plain)
    if bins is not None:
        binned(files, **bins)
    assert evaluated(files) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"r.h5: responses are {said}; " in line
    assert "was trained on 3 bins of 25 ms from 0 to 75 ms" in line
    assert not (files / "x.json").exists()


def test_decoders_of_other_bins_are_not_combined(files, capsys):
    ridge = {"kind": "ridge", "penalties": [1.0]}
    for name in ("a", "b"):
        binned(files, bins=3, start=0 if name == "a" else 50)
        assert fitted(files, "fit", ridge) == 0
        (files / "d.safetensors").rename(files / name)
        plain = responses.read(files / "r.h5")
        restored = replace(
            plain, values=plain.values[:, :ELECTRODES].astype(np.float32), edges=None,
            electrodes=electrodes_of_one_area("V1", ELECTRODES),
        )  # fmt: skip
        responses.write(files / "r.h5", restored, {})
    given = ["--decoders", str(files / "a"), str(files / "b"), "--seed", "0"]
    assert main(["combine", *given, "--output", str(files / "c")]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "trained on 3 bins of 25 ms from 0 to 75 ms and on 3 bins of 25 ms from 50" in line
