"""The network of what and where: what it sees does not move with an object, where it is does."""

import numpy as np
import open_clip
import pytest
import timm
import torch
from defaults import settings as completed
from PIL import Image

from spikeline.bridge.images import encoders
from spikeline.bridge.images.what_and_where import WIDTHS, WhatAndWhere, name_of
from spikeline.errors import InputError
from spikeline.simulate import clip

CPU = torch.device("cpu")


@pytest.fixture
def network():
    torch.manual_seed(0)
    return WhatAndWhere(width=4, hidden=12).eval()


def test_the_strongest_answer_of_a_channel_is_the_same_wherever_an_object_lies(network):
    images = torch.zeros(2, 3, 128, 128)
    thing = torch.rand(3, 8, 8)
    images[0, :, 40:48, 44:52] = thing
    # By whole strides of all four stages.
    images[1, :, 56:64, 76:84] = thing
    first, second = network.maps(images)[-1]
    torch.testing.assert_close(first.amax((1, 2)), second.amax((1, 2)))
    assert not torch.equal(first, second)


def test_only_the_channels_that_tell_where_know_the_place(network):
    images = torch.zeros(2, 3, 128, 128)
    images[0, :, 40:48, 44:52] = images[1, :, 56:64, 76:84] = torch.rand(3, 8, 8)
    assert not torch.allclose(*network(images))
    torch.nn.init.zeros_(network.where.weight)
    torch.testing.assert_close(*network(images))


def test_stages_halve_the_image_and_double_the_channels(network):
    shapes = [tuple(one.shape[1:]) for one in network.maps(torch.zeros(1, 3, 64, 64))]
    assert shapes == [(4, 32, 32), (8, 16, 16), (16, 8, 8), (32, 4, 4)]


@pytest.mark.parametrize("width", WIDTHS)
def test_timm_knows_it_by_its_width(width):
    found = timm.create_model(name_of(width), num_classes=5)
    assert found[0].stages[0][0].out_channels == width
    assert found(torch.zeros(2, 3, 32, 32)).shape == (2, 5)


def test_a_clip_on_it_embeds_images_and_has_no_layers(tmp_path):
    settings = clip.ClipSettings(
        **completed("train-clip", image_size=32, vision="what_and_where", text_layers=1)
    )
    torch.manual_seed(0)
    model = open_clip.CLIP(**clip.open_clip_config(settings)["model_cfg"]).eval()
    clip.save_clip(model, settings, tmp_path)
    entry = {"kind": "demo_clip", "layers": [], "pool": "grid", "grid": 4}
    encode, preprocess = encoders.load(entry, str(tmp_path), CPU)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
    pixels = preprocess(picture)[None]
    with torch.inference_mode():
        found = encode(pixels)
        torch.testing.assert_close(found, {"embedding": model.encode_image(pixels)})
    with pytest.raises(InputError, match="layers: demo_clip"):
        encoders.load(entry | {"layers": [1]}, str(tmp_path), CPU)
