"""The demo's classifier: it learns factors, survives its folder, and names bad input."""

import argparse
import json
import zipfile

import numpy as np
import pytest
from defaults import settings as completed

from spikeline.bridge.reconstruction.scores import extractors, factor_classifier
from spikeline.bridge.reconstruction.scores.extractors import Weights
from spikeline.cli import train_classifier as command
from spikeline.errors import InputError
from spikeline.simulate import classifier
from spikeline.simulate.images import design_stimuli, encode_jpeg, render

TINY = {"image_size": 32, "width": 4, "hidden": 16, "epochs": 2, "batch_size": 8}


@pytest.fixture(scope="module")
def stimuli():
    return design_stimuli(concepts=6, images_per_concept=4, test_images=3, seed=0)


@pytest.fixture
def inputs(tmp_path, stimuli):
    lines = ["\t".join(["things_path", "split", *stimuli.factors(0)])]
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for i, name in enumerate(stimuli.name):
            archive.writestr(name, encode_jpeg(render(stimuli, i, 32)))
            split = "test" if stimuli.test[i] else "train"
            lines.append("\t".join([name, split, *stimuli.factors(i).values()]))
    (tmp_path / "factors.tsv").write_text("\n".join(lines) + "\n")
    return tmp_path


def run(folder, output="model", **changed):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    given = {"factors": ["colour"], **TINY, **changed}
    arguments = ["--stimuli", f"{folder}/images.zip", "--factors", f"{folder}/factors.tsv"]
    arguments += ["--settings", json.dumps(given), "--output", f"{folder}/{output}"]
    command.run(parser.parse_args([*arguments, "--device", "cpu"]))
    return folder / output


def test_the_command_is_deterministic_and_tells_its_held_out_accuracy(inputs, caplog):
    caplog.set_level("INFO")
    first, again = run(inputs), run(inputs, output="again")
    assert "held-out images read right, of 3: colour " in caplog.text
    for name in ("classifier.safetensors", "classifier.json"):
        assert (first / name).read_bytes() == (again / name).read_bytes()
    record = json.loads((first / "provenance.json").read_text())
    assert 0 <= record["held_out_accuracy"]["colour"] <= 1
    assert record["step"] == "train-classifier" and record["settings"]["factors"] == ["colour"]


def drawn(count, seed):
    """A bright square in one of two colours, left or right, on noise."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 80, (count, 32, 32, 3))
    colour, place = random.integers(2, size=(2, count))
    for k in range(count):
        pixels[k, 8:24, 16 * place[k] : 16 * place[k] + 14, 2 * colour[k]] = 250
    factors = {
        "colour": np.array(["red", "blue"], object)[colour],
        "place": np.array(["left", "right"], object)[place],
    }
    return pixels.astype(np.uint8), factors


def test_it_learns_what_an_image_shows_and_where(tmp_path):
    settings = classifier.ClassifierSettings(
        **without_factors(completed("train-classifier", **{**TINY, "epochs": 12, "width": 8}))
    )
    pixels, factors = drawn(96, seed=0)
    model = classifier.train_classifier(pixels, factors, settings)
    levels = classifier.levels_of(factors)
    held_out, truth = drawn(64, seed=1)
    right = classifier.accuracy(model, held_out, truth, levels)
    assert min(right.values()) > 0.95
    factor_classifier.save_folder(tmp_path, model, settings.shape, levels)
    loaded, names = factor_classifier.load(tmp_path)
    assert names == levels
    assert classifier.accuracy(loaded, held_out, truth, names) == right
    entry = {"kind": "demo_classifier", "factors": list(levels)}
    found = extractors.load("c", entry, Weights(str(tmp_path)), next(model.parameters()).device)
    assert found.answer(held_out)["place"].tolist() == (
        factor_classifier.read(model, levels, held_out)["place"].tolist()
    )
    features = found.extract(held_out)
    assert set(features) == set(factor_classifier.FEATURES)
    assert features["classifier_late"].shape == (64, settings.hidden)
    with pytest.raises(InputError, match="reads colour, place, expected shape"):
        extractors.load("c", {**entry, "factors": ["shape"]}, Weights(str(tmp_path)), None)


def without_factors(settings):
    return {key: value for key, value in settings.items() if key != "factors"}


def test_images_of_any_size_are_read(tmp_path):
    pixels, factors = drawn(16, seed=0)
    settings = classifier.ClassifierSettings(
        **without_factors(completed("train-classifier", **{**TINY, "epochs": 1}))
    )
    model = classifier.train_classifier(pixels, factors, settings)
    large = pixels.repeat(3, axis=1).repeat(3, axis=2)
    features = [
        factor_classifier.features(model, one)["classifier_late"] for one in (pixels, large)
    ]
    np.testing.assert_allclose(*features, atol=0.1 * np.abs(features[0]).max())


def test_a_column_or_level_that_is_not_there_is_named(inputs):
    with pytest.raises(InputError, match=r"factors\.tsv: has no column 'size', only shape"):
        run(inputs, factors=["size"])
    text = (inputs / "factors.tsv").read_text()
    lines = [
        line.replace("\tred\t", "\tmauve\t") if "\ttest\t" in line else line
        for line in text.splitlines()
    ]
    for colour in ("orange", "yellow", "green", "cyan", "blue", "purple", "pink", "brown", "white"):
        lines = [
            line.replace(f"\t{colour}\t", "\tmauve\t") if "\ttest\t" in line else line
            for line in lines
        ]
    (inputs / "factors.tsv").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match="colour 'mauve' is in no training image"):
        run(inputs)
    assert not (inputs / "model").exists()


def test_half_a_classifier_is_refused(inputs):
    folder = run(inputs)
    (folder / "classifier.safetensors").write_bytes(b"cut")
    with pytest.raises(InputError, match="is no whole classifier"):
        factor_classifier.load(folder)
    (folder / "classifier.json").unlink()
    with pytest.raises(InputError, match="is no whole classifier"):
        factor_classifier.load(folder)
