"""From a folder of layers to an identification: import, reduce, fit and evaluate by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from artifact_examples import electrodes_of_one_area
from PIL import Image

from spikeline.artifacts import embeddings, evaluations, responses
from spikeline.bridge.decoder import Decoder
from spikeline.cli.main import main
from spikeline.sources.stimuli import pack

IMAGES, TEST, ELECTRODES = 90, 20, 16


@pytest.fixture
def files(tmp_path):
    """Responses that follow the layer `deep` and nothing of `flat`; two splits."""
    rng = np.random.default_rng(0)
    names = np.array([f"{k:03d}.png" for k in range(IMAGES)], dtype=object)
    (tmp_path / "pictures").mkdir()
    for name in names:
        Image.new("RGB", (4, 4)).save(tmp_path / "pictures" / name)
    pack(tmp_path / "pictures", tmp_path / "images.zip", "{}")
    deep, flat = rng.standard_normal((2, IMAGES, 120)) @ rng.standard_normal((120, 120)) / 11
    (tmp_path / "layers").mkdir()
    np.save(tmp_path / "layers/deep.npy", deep.astype(np.float32))
    np.save(tmp_path / "layers/flat.npy", flat.astype(np.float32))
    drive = deep @ rng.standard_normal((120, ELECTRODES))
    noisy = drive + 0.3 * drive.std() * rng.standard_normal(drive.shape)
    test = np.zeros((2, IMAGES), bool)
    test[0, :TEST] = test[1, TEST : 2 * TEST] = True
    recorded = responses.Responses(
        values=noisy.astype(np.float32),
        images=names,
        categories=np.array([""] * IMAGES, dtype=object),
        test=test,
        electrodes=electrodes_of_one_area("V4", ELECTRODES),
    )
    responses.write(tmp_path / "r.h5", recorded, {})
    run(
        "import-embeddings", "--values", tmp_path / "layers", "--stimuli", tmp_path / "images.zip",
        "--encoder", "net", "--settings", {"kind": "precomputed"}, "--output", tmp_path / "e.h5",
    )  # fmt: skip
    run(
        "reduce-layers", "--responses", tmp_path / "r.h5", "--embeddings", tmp_path / "e.h5",
        "--settings", {"layer_components": 30}, "--output", tmp_path / "t.h5",
    )  # fmt: skip
    return tmp_path


def run(*arguments):
    words = [json.dumps(word) if isinstance(word, dict) else str(word) for word in arguments]
    assert main(words) == 0


def evaluated(files, layers, distractors="none", seed=1, **settings):
    settings |= {"kind": "bayesian", "encoder": "net", "regions": ["V4"], "target_layers": layers}
    run(
        "fit", "--responses", files / "r.h5", "--embeddings", files / "t.h5", "--seed", seed,
        "--settings", settings, "--output", files / "d.safetensors",
    )  # fmt: skip
    run(
        "evaluate", "--responses", files / "r.h5", "--embeddings", files / "t.h5", "--decoders",
        files / "d.safetensors", "--seeds", seed, "--settings", {"distractors": distractors},
        "--output", files / "v.json",
    )  # fmt: skip
    (found,) = evaluations.read(files / "v.json").seeds
    return found


def top1(found):
    return found.draws[0].neural_to_image.hits(1).mean()


def test_the_layer_that_drives_responses_identifies_and_another_does_not(files):
    assert top1(evaluated(files, ["deep"])) > 0.5  # chance is .05
    assert top1(evaluated(files, ["flat"])) < 0.3
    both = evaluated(files, ["flat", "deep"])
    assert top1(both) > 0.5 and both.gallery == TEST
    decoder = Decoder.load(files / "d.safetensors")
    (member,) = decoder.members
    flat, deep = member.choices["layer_weights"]
    assert deep > 5 * flat
    assert decoder.embedding_dim == 60 and len(member.columns) == 60


def test_a_decoder_of_one_layer_picks_its_columns_from_the_file_itself(files):
    evaluated(files, ["deep"])
    decoder = Decoder.load(files / "d.safetensors")
    assert decoder.embedding_dim == 60
    np.testing.assert_array_equal(decoder.members[0].columns, np.arange(30))
    whole = embeddings.read(files / "t.h5", 1).values
    blind = whole.copy()
    blind[:, 30:] = 0
    np.testing.assert_array_equal(decoder.embed_images(whole), decoder.embed_images(blind))


def test_components_are_those_of_each_splits_own_training_images(files):
    splits = [embeddings.read(files / "t.h5", seed) for seed in (0, 1)]
    for split, tested in zip(splits, (slice(0, TEST), slice(TEST, 2 * TEST)), strict=True):
        assert split.layers == {"deep": 30, "flat": 30}
        trained = np.delete(np.asarray(split.values), np.r_[tested], axis=0)
        np.testing.assert_allclose(trained.mean(0), 0, atol=1e-6)
        assert np.abs(split.values[tested].mean(0)).max() > 1e-3


def test_all_images_of_the_recording_can_be_the_gallery_of_the_tests_responses(files):
    small, large = (evaluated(files, ["deep"], which) for which in ("none", "training"))
    assert (small.gallery, large.gallery) == (TEST, IMAGES)
    ours, more = (found.draws[0].neural_to_image.rank for found in (small, large))
    assert (more >= ours).all() and (more > ours).any()
    other_way = [found.draws[0].image_to_neural.rank for found in (small, large)]
    np.testing.assert_array_equal(*other_way)


def test_an_unknown_layer_and_an_empty_folder_are_one_line(files, capsys):
    (files / "empty").mkdir()
    settings = {"kind": "ridge", "encoder": "net", "regions": ["V4"], "target_layers": ["conv9"]}
    for words, said in (
        (
            ["fit", "--responses", files / "r.h5", "--embeddings", files / "t.h5", "--seed", 0,
             "--settings", json.dumps(settings), "--output", files / "x.safetensors"],
            "has no layer 'conv9', only deep, flat",
        ),
        (
            ["import-embeddings", "--values", files / "empty", "--stimuli", files / "images.zip",
             "--encoder", "net", "--settings", '{"kind": "precomputed"}', "--output",
             files / "x.h5"],
            "empty: holds no .npy or .csv file",
        ),
    ):  # fmt: skip
        assert main([str(word) for word in words]) == 1
        last = capsys.readouterr().err.strip().splitlines()[-1]
        assert said in last
    assert not list(files.glob("x.*"))
