"""Images given back, from responses to the table, by the rules and by hand."""

from __future__ import annotations

import json
import shlex
import shutil
import zipfile

import h5py
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from spikeline.artifacts import provenance, tables
from spikeline.artifacts.images import latents, reconstructions
from spikeline.bridge.generators.autoencoder import decode

pytestmark = pytest.mark.slow

TABLE = "results/reconstruction.tsv"
UNCLIP = "results/reconstructions/unclip/monkeyF/seed0.h5"


@pytest.fixture(scope="module")
def drawn(finished):
    """The small workflow with its table of reconstructions made."""
    finished.make(TABLE)
    return finished


def by_hand(workspace, output, *more, **changed):
    """`spikeline reconstruct` of the table's first row, some of its files replaced."""
    given = {
        "reconstructor": "results/reconstructors/unclip/monkeyF/seed0.safetensors",
        "responses": "results/responses/monkeyF.h5",
        "stimuli": "resources/stimuli/pictures.zip",
        "embeddings": "results/embeddings/demo_clip/pictures.h5",
        "latents": "results/latents/vae/pictures.h5",
        "generator": "resources/generators/drawer",
        "seed": 0,
        "device": "cpu",
        "output": output,
    } | changed
    arguments = [part for key, value in given.items() for part in (f"--{key}", value)]
    return workspace.spikeline("reconstruct", *arguments, *more)


def refused(done, *words):
    """One line that holds these words, and nothing of a traceback."""
    assert done.returncode == 1, done.stderr
    line = done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in line, line


def test_the_table_has_controls_ceilings_and_paired_differences(drawn):
    table = tables.read(drawn / TABLE)
    assert list(table["model"]) == [
        "unclip", "unclip@samples=2", "img2img",
        "img2img@bank=bank@factors=place+shape@strength=0.5+1", "ip_adapter", "adapter", "nearest",
        "nearest@bank=bank", "nearest@bank=bank@factors=place+shape", "low_level",
        "unclip@source=image", "low_level@source=image", "unclip@shuffle_responses=true",
    ]  # fmt: skip
    assert table["row"].iloc[0] == "reference" and table["row"].iloc[-1] == "control"
    for name in ("pixcorr", "ssim", "clip", "classifier_early", "shape_correct"):
        others = table[~table["model"].isin(["unclip"])]
        assert table[[name, f"{name}_low", f"{name}_high", f"others_{name}"]].notna().all(None)
        assert others[f"difference_{name}"].notna().all(), name
    assert table["alexnet2"].isna().all()
    assert "alexnet2" in (drawn / "results/reconstruction.txt").read_text()
    assert "weights missing" in (drawn / "results/reconstruction.txt").read_text()
    for path in ("results/reconstruction.png", "results/reconstruction.gallery.png"):
        assert (drawn / path).stat().st_size > 10_000
    assert len(list((drawn / "results/galleries/reconstruction").glob("*.png"))) == len(table)


def test_an_image_is_looked_for_among_all_of_a_bank_but_the_test_images(drawn):
    path = "results/reconstructions/{}/monkeyF/seed0.h5"
    own, banked = (
        reconstructions.read(drawn / path.format(name)) for name in ("nearest", "nearest@bank=bank")
    )
    tested, found = set(own.images), set(banked.retrieved)
    assert list(own.images) == list(banked.images)
    assert not tested & found and not any(name.startswith("further/") for name in own.retrieved)
    assert any(name.startswith("further/") for name in found)


def test_a_table_of_factors_must_have_each_column_and_each_image(drawn, tmp_path):
    model = "nearest@bank=bank@factors=place+shape"
    given = {
        "reconstructor": f"results/reconstructors/{model}/monkeyF/seed0.safetensors",
        "stimuli": "resources/stimuli/bank.zip",
        "embeddings": "results/embeddings/demo_clip/bank.h5",
        "latents": "results/latents/vae/bank.h5",
    }
    text = (drawn / "resources/factors/bank.tsv").read_text()
    for name, changed, said in (
        ("whole", text, None),
        ("renamed", text.replace("place", "where", 1), "has no column 'place', only"),
        ("short", text[: text.rindex("further/")], "lacks 1 of the images, 'further/"),
    ):
        (tmp_path / f"{name}.tsv").write_text(changed)
        more = ["--bank", "--autoencoder", "resources/autoencoders/vae"]
        more += ["--factors", tmp_path / f"{name}.tsv"]
        done = by_hand(drawn, tmp_path / f"{name}.h5", *more, **given)
        if said is None:
            assert done.returncode == 0, done.stderr
        else:
            refused(done, f"{name}.tsv", said)
            assert not (tmp_path / f"{name}.h5").exists()
    refused(by_hand(drawn, tmp_path / "x.h5", "--bank", **given), "--factors", "give the table")


def test_a_bank_without_what_was_shown_and_a_picture_of_two_names(drawn, tmp_path):
    given = {
        "reconstructor": "results/reconstructors/nearest@bank=bank/monkeyF/seed0.safetensors",
        "embeddings": "results/embeddings/demo_clip/bank.h5",
        "latents": "results/latents/vae/bank.h5",
    }
    banked = reconstructions.read(
        drawn / "results/reconstructions/nearest@bank=bank/monkeyF/seed0.h5"
    )
    with zipfile.ZipFile(drawn / "resources/stimuli/bank.zip") as packed:
        every = {name: packed.read(name) for name in packed.namelist()}
    # The picture that was found for the first image has the bytes of a test image, too.
    every[banked.retrieved[0]] = every[banked.images[1]]
    pack(tmp_path / "twice.zip", every)
    options = ["--bank", "--autoencoder", "resources/autoencoders/vae"]
    done = by_hand(drawn, tmp_path / "x.h5", *options, **given, stimuli=tmp_path / "twice.zip")
    assert done.returncode == 0, done.stderr
    assert banked.retrieved[0] not in reconstructions.read(tmp_path / "x.h5").retrieved
    del every[banked.images[0]]
    pack(tmp_path / "lacking.zip", every)
    done = by_hand(drawn, tmp_path / "y.h5", *options, **given, stimuli=tmp_path / "lacking.zip")
    refused(done, "lacking.zip", "lacks 1 images that were shown", str(banked.images[0]))


def pack(path, images):
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in images.items():
            packed.writestr(name, content)


def test_the_ceiling_of_the_autoencoder_is_its_own_round_trip(drawn):
    made = reconstructions.read(
        drawn / "results/reconstructions/low_level@source=image/monkeyF/seed0.h5"
    )
    encoded = latents.read(drawn / "results/latents/vae/pictures.h5")
    found = AutoencoderKL.from_pretrained(drawn / "resources/autoencoders/vae")
    expected = decode(found, encoded.rows_of(made.images), torch.device("cpu"))
    assert np.abs(expected.astype(int) - made.pixels.astype(int)).max() <= 1


def test_the_same_seed_gives_the_same_images(drawn, tmp_path):
    done = by_hand(drawn, tmp_path / "again.h5", autoencoder="resources/autoencoders/vae")
    assert done.returncode == 0, done.stderr
    again, first = reconstructions.read(tmp_path / "again.h5"), reconstructions.read(drawn / UNCLIP)
    np.testing.assert_array_equal(again.pixels, first.pixels)
    np.testing.assert_array_equal(again.low_level, first.low_level)
    assert again.settings["seed"] == 0 and again.settings["guidance"] in (1, 2)


def test_a_new_decoder_reuses_embeddings_latents_and_generators(drawn):
    rules = set(drawn.plan("results/reconstructions/unclip@regions=IT/monkeyF/seed0.h5").rules)
    assert rules == {"fit_reconstructor", "reconstruct"}
    sampled = drawn.plan("results/reconstructions/unclip@samples=4/monkeyF/seed0.h5").rules
    assert set(sampled) == {"reconstruct"}


def test_how_a_decoders_images_are_drawn_is_chosen_on_images_that_a_twin_of_it_never_saw(drawn):
    target = "results/reconstructors/unclip@decoder=ridge/monkeyF/seed0.safetensors"
    drawn.make(target)
    record = provenance.read(drawn / target)
    twin = "results/decoders/ridge@training_fraction=0.9/monkeyF/seed0.safetensors"
    assert {twin, twin.replace("@training_fraction=0.9", "")} <= set(record["inputs"])
    done = drawn.spikeline(*of_every_image(drawn, target))
    refused(done, "--choosing-decoder: was trained on every training image")


def of_every_image(workspace, target):
    """The command that made a reconstructor, its choice made with the whole decoder."""
    command = workspace.snakemake("-n", "-p", "--force", "--", target).text
    line = next(row for row in command.splitlines() if "spikeline fit-reconstructor" in row)
    words = shlex.split(line.split("2>")[0])
    words = words[words.index("fit-reconstructor") :]
    place = words.index("--choosing-decoder") + 1
    words[place] = words[place].replace("@training_fraction=0.9", "")
    return [word.replace(target, "x.safetensors") for word in words]


def test_the_generator_learnt_from_no_test_image(drawn):
    record = json.loads((drawn / "resources/generators/drawer/provenance.json").read_text())
    tested = set(map(str, reconstructions.read(drawn / UNCLIP).images))
    assert record["training_images"] and not tested & set(record["training_images"])


def test_a_generator_that_learnt_a_test_image_is_refused(drawn, tmp_path):
    shutil.copytree(drawn / "resources/generators/drawer", tmp_path / "drawer")
    path = tmp_path / "drawer/provenance.json"
    record = json.loads(path.read_text())
    record["training_images"] += [str(reconstructions.read(drawn / UNCLIP).images[0])]
    path.write_text(json.dumps(record))
    done = by_hand(drawn, tmp_path / "x.h5", generator=tmp_path / "drawer")
    refused(done, "was trained on 1 of the test images", "drawer")
    assert not (tmp_path / "x.h5").exists()


def test_a_pipeline_with_a_part_missing_is_refused_by_the_parts_name(drawn, tmp_path):
    shutil.copytree(drawn / "resources/generators/drawer", tmp_path / "drawer")
    shutil.rmtree(tmp_path / "drawer/scheduler")
    done = by_hand(drawn, tmp_path / "x.h5", generator=tmp_path / "drawer")
    refused(done, "its part scheduler is missing")
    assert not (tmp_path / "x.h5").exists()


def test_latents_of_another_scale_than_the_generators_are_refused(drawn, tmp_path):
    shutil.copytree(drawn / "resources/generators/drawer", tmp_path / "drawer")
    path = tmp_path / "drawer/vae/config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "scaling_factor": 7.5}))
    refused(
        by_hand(drawn, tmp_path / "x.h5", generator=tmp_path / "drawer"), "scales latents by 7.5"
    )


def test_embeddings_of_another_encoder_are_refused(drawn, tmp_path):
    shutil.copyfile(drawn / "results/embeddings/demo_clip/pictures.h5", tmp_path / "other.h5")
    with h5py.File(tmp_path / "other.h5", "r+") as handle:
        handle.attrs["encoder"] = "another:0123"
        del handle.attrs["seal"]
    refused(by_hand(drawn, tmp_path / "x.h5", embeddings=tmp_path / "other.h5"), "another:0123")
