"""The subcommand `score-reconstructions`: from image files to scores, and bad input."""

import json

import numpy as np
import pytest
from PIL import Image

from spikeline.artifacts import provenance
from spikeline.artifacts.images import reconstruction_scores, reconstructions
from spikeline.artifacts.images.reconstructions import Reconstructions
from spikeline.bridge.generators.pixels import squares
from spikeline.bridge.reconstruction.scores import measures as scores
from spikeline.cli.main import main
from spikeline.sources import stimuli

NAMES = np.array([f"c{k % 3}/{k}.png" for k in range(6)], object)
ALEXNET = {
    "kind": "torchvision",
    "model": "alexnet",
    "nodes": {"alexnet2": "features.4"},
    "size": 64,
}


@pytest.fixture
def folder(tmp_path):
    """Packed images, and two seeds of reconstructions: the images themselves and darker ones."""
    random = np.random.default_rng(0)
    for name in NAMES:
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((160, 120), Image.BICUBIC).save(path)
    stimuli.pack(tmp_path / "images", tmp_path / "s.zip", provenance.dumps({"origins": {}}))
    shown = squares(stimuli.load(tmp_path / "s.zip", NAMES), 32)
    for seed, pixels in enumerate((shown, shown[::-1] // 2)):
        made = Reconstructions(NAMES, pixels, "tiny:1", {"steps": 5})
        reconstructions.write(tmp_path / f"r{seed}.h5", made, {"origins": {}})
    return tmp_path


def run(folder, *more, files=("r0.h5", "r1.h5")):
    return main(
        [
            "score-reconstructions", "--reconstructions", *(str(folder / name) for name in files),
            "--stimuli", str(folder / "s.zip"), "--device", "cpu",
            "--output", str(folder / "s.json"), *map(str, more),
        ]
    )  # fmt: skip


def test_each_seed_is_scored_against_the_images_shown_at_its_size(folder):
    assert run(folder) == 0
    found = reconstruction_scores.read(folder / "s.json")
    assert [seed.seed for seed in found.seeds] == [0, 1]
    np.testing.assert_allclose(found.seeds[0].scores["pixcorr"], 1)
    shown = squares(stimuli.load(folder / "s.zip", NAMES), 32)
    expected = scores.structural_similarity(shown, shown[::-1] // 2)
    np.testing.assert_allclose(found.seeds[1].scores["ssim"], expected, atol=1e-6)
    assert found.facts == {"generator": "tiny:1", "steps": 5}
    assert found.settings == {"mispairings": 5, "pixel_size": None}
    record = provenance.read(folder / "s.json")
    assert record["step"] == "score-reconstructions" and len(record["inputs"]) == 3


def test_an_extractor_without_weights_is_missing_and_the_rest_is_scored(folder):
    extractors = json.dumps({"alexnet": ALEXNET, "swav": {"kind": "swav"}})
    assert run(folder, "--extractors", extractors) == 0
    found = reconstruction_scores.read(folder / "s.json")
    assert set(found.missing) == {"alexnet2", "swav"}
    assert all(reason.startswith("weights missing: ") for reason in found.missing.values())
    assert set(found.seeds[0].scores) == {"pixcorr", "ssim"}


def test_the_same_input_gives_the_same_bytes(folder):
    written = []
    for _ in range(2):
        assert run(folder, "--settings", '{"mispairings": 2}') == 0
        written.append((folder / "s.json").read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--extractors", '{"a": {"kind": "swaw"}}'], "--extractors.a: unknown kind 'swaw'"),
        (["--extractors", '{"a": {"kind": "swav", "sizes": 1}}'], "unknown key 'sizes'"),
        (["--weights", "a=b"], "--weights: 'a=b' is no NAME=PATH of an extractor; given: none"),
        (["--seeds", "0"], "give each file its own seed"),
        (["--settings", '{"mispairings": 0}'], "--settings.mispairings"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(folder, capsys, more, said):
    assert run(folder, *more) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("spikeline score-reconstructions: ") and said in line
    assert not (folder / "s.json").exists()


def test_pickled_weights_end_the_job_with_one_line(folder, capsys):
    (folder / "a.pth").write_bytes(b"")
    given = ["--extractors", json.dumps({"alexnet": ALEXNET})]
    assert run(folder, *given, "--weights", f"alexnet={folder / 'a.pth'}") == 1
    assert "pickled weights are not read" in capsys.readouterr().err.splitlines()[-1]


def test_files_that_do_not_belong_together_are_refused(folder, capsys):
    made = reconstructions.read(folder / "r0.h5")
    other = Reconstructions(NAMES, np.array(made.pixels), "other:2", {})
    reconstructions.write(folder / "r2.h5", other, {"origins": {}})
    assert run(folder, files=("r0.h5", "r2.h5")) == 1
    assert "made by other:2, expected tiny:1" in capsys.readouterr().err
    wide = Reconstructions(NAMES, np.zeros((6, 32, 40, 3), np.uint8), "tiny:1", {})
    reconstructions.write(folder / "r3.h5", wide, {"origins": {}})
    assert run(folder, files=("r3.h5",)) == 1
    assert "images of 40 x 32 pixels, expected square ones" in capsys.readouterr().err
    unseen = Reconstructions(NAMES[::-1] + "x", np.array(made.pixels), "tiny:1", {})
    reconstructions.write(folder / "r4.h5", unseen, {"origins": {}})
    assert run(folder, files=("r4.h5",)) == 1
    assert "is missing (6 in all)" in capsys.readouterr().err
