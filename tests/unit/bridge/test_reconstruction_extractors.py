"""Feature extractors: their features against the networks run by hand, and weights refused."""

import json

import numpy as np
import open_clip
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file

from spikeline.bridge.images import encoders as image_encoders
from spikeline.bridge.reconstruction.scores import downloads, extractors
from spikeline.bridge.reconstruction.scores.extractors import Weights, WeightsMissingError
from spikeline.errors import InputError
from spikeline.settings.schema import load_schema, validated_entry
from spikeline.simulate import clip

CPU = torch.device("cpu")
MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
SD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


def entry(**given):
    kinds = load_schema()["properties"]["extractors"]["x-kinds"]
    return validated_entry("extractors", given, kinds, "extractors.one")


def squeezenet(**given):
    # The smallest that torchvision has without batch normalisation.
    named = {"kind": "torchvision", "model": "squeezenet1_1", "size": 64, **given}
    return entry(**{"nodes": {"early": "features.4", "late": "classifier.3"}, **named})


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return torchvision.models.squeezenet1_1(weights=None).eval()


@pytest.fixture
def saved(network, tmp_path):
    save_file(network.state_dict(), tmp_path / "net.safetensors")
    return str(tmp_path / "net.safetensors")


def normalised(pixels):
    return (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - MEAN) / SD


@pytest.mark.parametrize("batch_size", [2, 50])
def test_features_are_those_of_the_named_nodes(network, saved, pixels, batch_size):
    loaded = extractors.load("net", squeezenet(batch_size=batch_size), Weights(saved), CPU)
    found = loaded.extract(pixels)
    with torch.inference_mode():
        early = network.features[:5](normalised(pixels))
        late = network(normalised(pixels))
    assert loaded.answer is None
    np.testing.assert_allclose(found["early"], early.flatten(1), atol=1e-5)
    np.testing.assert_allclose(found["late"], late, atol=1e-5)


def test_images_are_resized_with_antialiasing(network, saved, pixels):
    # Pillow's filter widens with the factor, and rounds to whole levels.
    half = np.stack(
        [np.asarray(Image.fromarray(one).resize((32, 32), Image.BILINEAR)) for one in pixels]
    )
    loaded = extractors.load("net", squeezenet(size=32), Weights(saved), CPU)
    for feature, expected in loaded.extract(half).items():
        found = loaded.extract(pixels)[feature]
        np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())


def test_inception_takes_images_as_its_published_weights_were_trained():
    built = extractors._BUILT_WITH["inception_v3"]
    assert built["transform_input"] is True
    names = {weights.name for weights in torchvision.models.Inception_V3_Weights}
    assert names == {"IMAGENET1K_V1"}  # a new set of weights may have been trained otherwise


def test_the_measures_of_an_entry_are_known_without_its_weights():
    assert extractors.measures(squeezenet(compare="distance", frechet=True)) == {
        "early": {"distance": "early", "frechet": "frechet_early"},
        "late": {"distance": "late", "frechet": "frechet_late"},
    }
    assert extractors.measures(entry(kind="swav")) == {"swav": {"distance": "swav"}}
    assert extractors.measures(entry(kind="encoder", encoder="vit")) == {
        "clip": {
            "two_way": "clip",
            "similarity": "clip_similarity",
            "top1": "clip_top1",
            "top5": "clip_top5",
        }
    }
    classifier = entry(kind="demo_classifier", stimuli="twin")
    assert list(extractors.measures(classifier)) == ["classifier_early", "classifier_late"]
    assert extractors.answers(classifier)["shape"] == "shape_correct"


def test_swavs_weights_are_read_as_its_training_saved_them(tmp_path, pixels):
    torch.manual_seed(0)
    network = torchvision.models.resnet50(weights=None).eval()
    state = {f"module.{k}": v for k, v in network.state_dict().items() if not k.startswith("fc.")}
    heads = {f"module.{name}.weight": torch.ones(2) for name in ("projection_head.0", "prototypes")}
    save_file({**state, **heads}, tmp_path / "swav.safetensors")
    loaded = extractors.load(
        "swav", entry(kind="swav", size=64), Weights(str(tmp_path / "swav.safetensors")), CPU
    )
    found = loaded.extract(pixels[:2])["swav"]
    body = torch.nn.Sequential(*list(network.children())[:-1])
    with torch.inference_mode():
        expected = body(normalised(pixels[:2])).flatten(1)
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-4)


def test_an_encoder_embeds_reconstructions_as_it_embeds_the_images(tmp_path, pixels):
    settings = clip.ClipSettings(
        **load_demo_clip(image_size=32, text_layers=1, text_width=16, embed_dim=8)
    )
    torch.manual_seed(0)
    model = open_clip.CLIP(**clip.open_clip_config(settings)["model_cfg"]).eval()
    clip.save_clip(model, settings, tmp_path)
    demo = {"kind": "demo_clip", "layers": [1], "pool": "grid", "grid": 4}
    loaded = extractors.load(
        "clip",
        entry(kind="encoder", encoder="demo"),
        Weights(str(tmp_path)),
        CPU,
        {"demo": demo},
    )
    encode, preprocess = image_encoders.load({**demo, "layers": []}, str(tmp_path), CPU)
    images = (Image.fromarray(one) for one in pixels)
    expected = image_encoders.embed(images, encode, preprocess, CPU, len(pixels), 2)["embedding"]
    np.testing.assert_allclose(loaded.extract(pixels)["clip"], expected, atol=1e-6)


def load_demo_clip(**given):
    from defaults import settings

    return settings("train-clip", **given)


def refused(one, weights=None, encoders=None):
    with pytest.raises(InputError) as caught:
        extractors.load("net", one, weights or Weights(), CPU, encoders)
    (line,) = str(caught.value).splitlines()
    return line


def missing(one, weights=None, encoders=None):
    with pytest.raises(WeightsMissingError) as caught:
        extractors.load("net", one, weights or Weights(), CPU, encoders)
    (line,) = str(caught.value).splitlines()
    return line


@pytest.mark.parametrize("name", ["net.pth", "net.pt", "net.bin", "net.pth.tar"])
def test_pickled_weights_are_refused_with_the_way_to_convert_them(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"")
    line = refused(squeezenet(), Weights(str(path)))
    assert line.startswith(f"{path}: pickled weights are not read")
    assert "weights_only=True" in line and "safetensors" in line


def test_the_way_to_convert_them_works(network, saved, tmp_path):
    import subprocess
    import sys

    torch.save(network.state_dict(), tmp_path / "old.pth")
    line = refused(squeezenet(), Weights(str(tmp_path / "old.pth")))
    command = line.partition("once, ")[2].partition(", and name")[0]
    command = command.replace("python ", f"{sys.executable} ", 1)
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    found = torch.load(tmp_path / "old.pth", weights_only=True)
    loaded = extractors.load("net", squeezenet(), Weights(str(tmp_path / "old.safetensors")), CPU)
    assert loaded.extract and found.keys() == network.state_dict().keys()


def test_weights_that_are_not_there_are_missing_and_say_how_to_get_them(tmp_path):
    line = missing(squeezenet())
    assert "a .safetensors file of torchvision's squeezenet1_1 as extractors.net.weights" in line
    (tmp_path / "missing.txt").write_text("https://x cannot be downloaded (no network)\n")
    line = missing(squeezenet(), Weights(cache=str(tmp_path)))
    assert line.startswith("https://x cannot be downloaded (no network); name a .safetensors file")
    assert f"delete {tmp_path} and rerun with a network" in line
    assert "SwAV's ResNet-50" in missing(entry(kind="swav"))
    demo = {"demo": {"kind": "demo_clip", "layers": [], "pool": "grid", "grid": 4}}
    assert "train encoder 'demo' first" in missing(
        entry(kind="encoder", encoder="demo"), encoders=demo
    )
    assert "train extractor 'net' first" in missing(entry(kind="demo_classifier", stimuli="s"))


def test_an_encoder_of_a_hub_that_cannot_be_reached_is_missing(monkeypatch, tmp_path):
    def unreachable(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(open_clip, "create_model_and_transforms", unreachable)
    settings = {
        "kind": "open_clip", "model": "ViT-B-32", "pretrained": "openai", "layers": [],
        "pool": "grid", "grid": 4,
    }  # fmt: skip
    named = entry(kind="encoder", encoder="vit")
    assert "no route to host" in missing(named, Weights(cache=str(tmp_path)), {"vit": settings})


def test_mistakes_in_an_entry_name_what_is_known(saved):
    line = refused(squeezenet(model="squeezenet1_2"), Weights(saved))
    assert "did you mean 'squeezenet1_" in line
    line = refused(squeezenet(nodes={"early": "features.44"}), Weights(saved))
    assert line.startswith("extractors.net.nodes: unknown node 'features.44'")
    line = refused(entry(kind="encoder", encoder="vitt"), encoders={"vit": {"kind": "timm"}})
    assert "extractors.net.encoder: unknown encoder 'vitt'" in line
    given = {"given": {"kind": "precomputed"}}
    assert "unknown encoder" in refused(entry(kind="encoder", encoder="given"), encoders=given)


def test_weights_of_another_network_and_damaged_ones_are_refused(saved, tmp_path):
    other = squeezenet(model="squeezenet1_0", nodes={"early": "features.3"})
    assert "does not hold the weights of extractors.net" in refused(other, Weights(saved))
    (tmp_path / "cut.safetensors").write_bytes(b"nonsense")
    line = refused(squeezenet(), Weights(str(tmp_path / "cut.safetensors")))
    assert "cannot be read" in line
    assert "no such file" in refused(squeezenet(), Weights(str(tmp_path / "no.safetensors")))


# --- downloads ------------------------------------------------------------------------------------


def test_a_download_is_kept_as_safetensors_and_the_pickle_is_not(
    network, tmp_path, monkeypatch, pixels
):
    torch.save(network.state_dict(), tmp_path / "published.pth")
    address = (tmp_path / "published.pth").as_uri()
    monkeypatch.setattr(downloads, "SWAV_ADDRESS", address)
    folder = tmp_path / "fetched"
    folder.mkdir()
    assert downloads.fetch("swav", entry(kind="swav"), folder) is None
    assert [path.name for path in folder.iterdir()] == ["weights.safetensors"]
    loaded = extractors.load("net", squeezenet(), Weights(cache=str(folder)), CPU)
    with torch.inference_mode():
        expected = network(normalised(pixels))
    np.testing.assert_allclose(loaded.extract(pixels)["late"], expected, atol=1e-5)


def test_a_pickle_that_runs_code_is_not_run(tmp_path, monkeypatch):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"weight": Bomb()}, tmp_path / "bad.pth")
    monkeypatch.setattr(downloads, "SWAV_ADDRESS", (tmp_path / "bad.pth").as_uri())
    folder = tmp_path / "fetched"
    folder.mkdir()
    assert "cannot be downloaded" in downloads.fetch("swav", entry(kind="swav"), folder)
    assert not (tmp_path / "ran").exists()


def test_without_a_network_the_folder_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "SWAV_ADDRESS", (tmp_path / "nowhere.pth").as_uri())
    told = downloads.fetch("swav", entry(kind="swav"), tmp_path)
    assert (tmp_path / "missing.txt").read_text() == told + "\n"
    assert "cannot be downloaded" in told and "\n" not in told
    assert told in missing(entry(kind="swav"), Weights(cache=str(tmp_path)))


def test_a_model_that_torchvision_lacks_is_not_fetched(tmp_path):
    with pytest.raises(InputError, match=r"extractors\.net\.model: unknown model 'alexnett'"):
        downloads.fetch("net", squeezenet(model="alexnett"), tmp_path)
    assert json.dumps(sorted(tmp_path.iterdir())) == "[]"
