"""The demo CLIP: it learns, round-trips through open_clip, and names bad input."""

import argparse
import json
import zipfile

import numpy as np
import open_clip
import pytest
import torch
from defaults import settings as completed
from PIL import Image

from spikeline.cli import train_clip as command
from spikeline.errors import InputError
from spikeline.simulate import clip
from spikeline.simulate.images import design_stimuli, encode_jpeg, render

TINY = {"image_size": 32, "epochs": 2, "batch_size": 8, "text_layers": 1, "text_width": 16}


@pytest.fixture(scope="module")
def stimuli():
    return design_stimuli(concepts=8, images_per_concept=3, test_images=4, seed=0)


@pytest.fixture
def inputs(tmp_path, stimuli):
    lines = ["things_path\tcaption\tsplit"]
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for i, name in enumerate(stimuli.name):
            archive.writestr(f"object_images/{name}", encode_jpeg(render(stimuli, i, 48)))
            split = "test" if stimuli.test[i] else "train"
            lines.append(f"{name}\t{stimuli.caption(i)}\t{split}")
    (tmp_path / "captions.tsv").write_text("\n".join(lines) + "\n")
    return tmp_path


def run(folder, settings=TINY, output="model"):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    arguments = ["--images", f"{folder}/images.zip", "--captions", f"{folder}/captions.tsv"]
    arguments += ["--settings", json.dumps(settings), "--output", f"{folder}/{output}"]
    command.run(parser.parse_args([*arguments, "--device", "cpu"]))
    return folder / output


def test_the_saved_model_is_the_trained_model_in_open_clips_hands(tmp_path, stimuli):
    settings = clip.ClipSettings(**completed("train-clip", **TINY))
    pictures = [Image.fromarray(render(stimuli, i, 48)) for i in range(8)]
    captions = [stimuli.caption(i) for i in range(8)]
    images = clip.preprocess(pictures, settings)
    model = clip.train_clip(images, captions, settings)
    clip.save_clip(model, settings, tmp_path)
    loaded, _, transform = open_clip.create_model_and_transforms(f"local-dir:{tmp_path}")
    loaded.eval()
    tokens = open_clip.get_tokenizer(f"local-dir:{tmp_path}")(captions)
    np.testing.assert_array_equal(torch.stack([transform(p) for p in pictures]), images)
    with torch.inference_mode():
        assert torch.equal(loaded.encode_image(images), model.encode_image(images))
        assert torch.equal(loaded.encode_text(tokens), model.encode_text(tokens))


def test_the_command_is_deterministic_and_leaves_provenance(inputs, caplog):
    caplog.set_level("INFO")
    first, again = run(inputs), run(inputs, output="again")
    assert "held-out image-to-caption top-1" in caplog.text
    name = "open_clip_model.safetensors"
    assert (first / name).read_bytes() == (again / name).read_bytes()
    record = json.loads((first / "provenance.json").read_text())
    assert record["settings"]["epochs"] == 2


def test_training_learns_which_caption_belongs_to_an_image(stimuli):
    settings = clip.ClipSettings(
        **completed("train-clip", **TINY | {"epochs": 40, "shift": 0, "batch_size": 24})
    )
    rows = np.flatnonzero(~stimuli.test)
    images = clip.preprocess([Image.fromarray(render(stimuli, i, 32)) for i in rows], settings)
    captions = [stimuli.caption(i) for i in rows]
    losses = []
    model = clip.train_clip(images, captions, settings, progress=lambda _, x: losses.append(x))
    assert losses[-1] < 0.3 * losses[0]
    assert clip.image_to_caption(model, images, captions, settings) > 0.8


def test_only_the_rows_of_the_token_table_that_captions_use_are_kept(stimuli):
    settings = clip.ClipSettings(**completed("train-clip", **TINY | {"epochs": 1}))
    images = clip.preprocess([Image.fromarray(render(stimuli, i, 32)) for i in range(8)], settings)
    captions = [stimuli.caption(i) for i in range(8)]
    model = clip.train_clip(images, captions, settings)
    used = torch.unique(open_clip.SimpleTokenizer(context_length=settings.context_length)(captions))
    rows = torch.nonzero(model.token_embedding.weight.abs().sum(dim=1)).ravel()
    assert torch.equal(rows, used)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: (d / "images.zip").write_bytes(b"PK no"), "images.zip: is not a zip"),
        (lambda d: (d / "images.zip").unlink(), "images.zip: no such file"),
        (lambda d: (d / "captions.tsv").write_text("a\tb\n1\t2\n"), "needs the tab-separated"),
        (
            lambda d: (d / "captions.tsv").write_text(
                "things_path\tcaption\tsplit\nx/y.jpg\ta\ttrain\nx/z.jpg\ta\ttest\n"
            ),
            "holds no x/y.jpg",
        ),
    ],
)
def test_bad_input_is_named_in_one_line(inputs, change, message):
    change(inputs)
    with pytest.raises(InputError, match=message):
        run(inputs)
    assert not (inputs / "model").exists()


def test_an_unknown_setting_lists_the_known_ones(inputs):
    with pytest.raises(InputError, match="unknown key 'epoch'"):
        run(inputs, {"epoch": 1})
