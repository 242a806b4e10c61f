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
from sklearn.linear_model import RidgeClassifierCV
from sklearn.preprocessing import StandardScaler

from spikeline.cli import train_clip as command
from spikeline.errors import InputError
from spikeline.simulate import clip
from spikeline.simulate.images import design_further, design_stimuli, encode_jpeg, render

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


@pytest.mark.parametrize("vision", ["residual", "what_and_where"])
def test_the_saved_model_is_the_trained_model_in_open_clips_hands(tmp_path, stimuli, vision):
    settings = clip.ClipSettings(**completed("train-clip", **TINY, vision=vision))
    pictures = [Image.fromarray(render(stimuli, i, 48)) for i in range(8)]
    captions = [stimuli.caption(i) for i in range(8)]
    images = clip.preprocess(pictures, len(pictures), settings)
    model = clip.train_clip(images, captions, settings)
    clip.save_clip(model, settings, tmp_path)
    loaded, _, transform = open_clip.create_model_and_transforms(f"local-dir:{tmp_path}")
    loaded.eval()
    tokens = open_clip.get_tokenizer(f"local-dir:{tmp_path}")(captions)
    np.testing.assert_array_equal(torch.stack([transform(p) for p in pictures]), images)
    with torch.inference_mode():
        assert torch.equal(loaded.encode_image(images), model.encode_image(images))
        assert torch.equal(loaded.encode_text(tokens), model.encode_text(tokens))


def test_an_image_tower_has_no_more_channels_than_its_names():
    with pytest.raises(InputError, match="128 channels, but vision what_and_where has at most 64"):
        completed("train-clip", vision="what_and_where", vision_width=128)


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
    images = clip.preprocess(
        [Image.fromarray(render(stimuli, i, 32)) for i in rows], len(rows), settings
    )
    captions = [stimuli.caption(i) for i in rows]
    losses = []
    model = clip.train_clip(images, captions, settings, progress=lambda _, x: losses.append(x))
    assert losses[-1] < 0.3 * losses[0]
    assert clip.image_to_caption(model, images, captions, settings) > 0.8


def test_rare_words_count_more_and_words_of_every_caption_nothing():
    # Word 0 is in both captions, 1 and 2 in one each, 3 in one beside 2.
    words = clip._Words(torch.tensor([[0, 1, 1], [0, 2, 3]]), dim=2)
    assert words.shares.tolist() == [[0, 1, 0, 0], [0, 0, 0.5, 0.5]]
    torch.nn.init.zeros_(words.readout.weight)
    words.readout.bias.data = torch.tensor([0.0, np.log(2.0), 0.0, 0.0], dtype=torch.float32)
    # Of image 0: minus log of 2/5; of image 1: minus log of 1/5.
    loss = words(torch.zeros(2, 2), torch.tensor([0, 1]))
    assert loss.item() == pytest.approx(-(np.log(0.4) + np.log(0.2)) / 2)


def test_an_encoder_that_tells_the_words_of_a_caption_holds_what_contrast_leaves_out(stimuli):
    further = design_further(900, stimuli, seed=0)
    train, rest = np.arange(700), np.arange(700, 900)
    pictures = [Image.fromarray(render(further, i, 32)) for i in range(900)]
    captions = [further.caption(i) for i in train]
    held = []
    for weight in (0.0, 2.0):
        given = TINY | {"epochs": 12, "batch_size": 30, "learning_rate": 0.004}
        settings = clip.ClipSettings(**completed("train-clip", **given, word_weight=weight))
        images = clip.preprocess(pictures, len(pictures), settings)
        model = clip.train_clip(images[train], captions, settings)
        with torch.inference_mode():
            embedded = StandardScaler().fit_transform(model.encode_image(images).numpy())
        read = [
            RidgeClassifierCV(np.logspace(-1, 3, 7))
            .fit(embedded[train], levels[train])
            .score(embedded[rest], levels[rest])
            for levels in (further.colour, further.place)
        ]
        held.append(np.mean(read))
    # By chance a tenth, and a ninth.
    assert held[1] > 0.3 and held[1] > held[0] + 0.1, held


def test_only_the_rows_of_the_token_table_that_captions_use_are_kept(stimuli):
    settings = clip.ClipSettings(**completed("train-clip", **TINY | {"epochs": 1}))
    images = clip.preprocess(
        [Image.fromarray(render(stimuli, i, 32)) for i in range(8)], 8, settings
    )
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
