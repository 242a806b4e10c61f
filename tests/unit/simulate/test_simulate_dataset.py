"""The twin on disk: a DataLad dataset that clones, delivers its files, and can be deleted."""

import csv
import os
import subprocess
import zipfile

import h5py
import numpy as np
import pytest
from defaults import settings
from PIL import Image
from scipy.io import loadmat

from spikeline.simulate.dataset import git_environment, write_twin
from spikeline.simulate.settings import TwinSettings
from spikeline.sources.factors import read_factors

SETTINGS = {
    "concepts": 6,
    "test_images": 6,
    "images_per_concept": 3,
    "repetitions": 4,
    "image_size": 32,
    "trials": 4,
    "dead_electrodes": 1,
    "nan_electrodes": 1,
    "subjects": {"monkeyF": {"regions": {"V1": [[0, 8]], "IT": [[8, 16]], "V4": [[16, 24]]}}},
}


def run(*command, cwd):
    return subprocess.run(
        command, cwd=cwd, env=git_environment(), check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    folder = tmp_path_factory.mktemp("origin") / "twin"
    write_twin(folder, TwinSettings.of(settings("simulate-ventral", **SETTINGS)))
    return folder


@pytest.fixture(scope="module")
def clone(twin, tmp_path_factory):
    parent = tmp_path_factory.mktemp("clone")
    run("datalad", "clone", str(twin), "copy", cwd=parent)
    return parent / "copy"


def test_large_files_are_annexed_and_tables_are_not(twin):
    annexed = set(run("git", "annex", "find", cwd=twin).split())
    assert annexed == {
        "images_THINGS.zip",
        "monkeyF/THINGS_normMUA.mat",
        "monkeyF/THINGS_MUA_trials.mat",
        "monkeyF/_logs/things_imgs.mat",
        "monkeyF/_logs/1024chns_mapping_20220105.mat",
    }
    assert not (twin / "captions.tsv").is_symlink()
    assert not (twin / "categories.tsv").is_symlink()
    assert not (twin / "factors.tsv").is_symlink()
    assert run("git", "status", "--short", cwd=twin) == ""


def test_a_clone_gets_and_drops_a_file(twin, clone):
    name = "monkeyF/THINGS_normMUA.mat"
    assert not (clone / name).exists()
    run("datalad", "get", name, cwd=clone)
    assert (clone / name).read_bytes() == (twin / name).read_bytes()
    run("datalad", "drop", name, cwd=clone)
    assert not (clone / name).exists()


def test_a_twin_with_further_images_holds_them_beside_the_others_and_is_else_the_same(
    twin, tmp_path
):
    folder = tmp_path / "further"
    write_twin(folder, TwinSettings.of(settings("simulate-ventral", **SETTINGS, further_images=9)))
    annexed = set(run("git", "annex", "find", cwd=folder).split())
    assert annexed - set(run("git", "annex", "find", cwd=twin).split()) == {"images_all.zip"}
    for name in ("images_THINGS.zip", "captions.tsv", "monkeyF/THINGS_normMUA.mat"):
        assert (folder / name).read_bytes() == (twin / name).read_bytes()
    with zipfile.ZipFile(folder / "images_all.zip") as file:
        every = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(twin / "images_THINGS.zip") as file:
        shown = {name: file.read(name) for name in file.namelist()}
    assert shown.items() <= every.items() and len(every) == len(shown) + 9
    with open(folder / "captions_all.tsv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert {f"object_images/{row['things_path']}" for row in rows} == set(every)
    assert sum(row["split"] == "test" for row in rows) == 6
    table = read_factors(folder / "factors_all.tsv")
    assert table.images.tolist() == [row["things_path"] for row in rows]
    assert all(
        row["caption"].endswith(scene)
        for row, scene in zip(rows, table.levels["background"], strict=True)
    )


def test_a_twin_without_monkeys_is_images_alone(twin, tmp_path):
    write_twin(
        tmp_path, TwinSettings.of(settings("simulate-ventral", **SETTINGS | {"subjects": {}}))
    )
    assert run("git", "annex", "find", cwd=tmp_path).split() == ["images_THINGS.zip"]
    for name in ("images_THINGS.zip", "captions.tsv", "factors.tsv"):
        assert (tmp_path / name).read_bytes() == (twin / name).read_bytes()


def test_image_lists_captions_and_archive_agree(twin):
    with h5py.File(twin / "monkeyF/_logs/things_imgs.mat", "r") as file:
        listed = {}
        for split in ("train", "test"):
            group = file[f"{split}_imgs"]
            for field in ("class", "things_path", "local_path"):
                cells = group[field][:]
                assert cells.shape == ((18, 1) if split == "train" else (6, 1))
                listed[split, field] = [
                    file[cell].astype("<u2")[:].tobytes().decode("utf-16-le")
                    for cell in cells[:, 0]
                ]
    with open(twin / "captions.tsv", encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    with zipfile.ZipFile(twin / "images_THINGS.zip") as archive:
        members = archive.namelist()
        with archive.open(members[0]) as handle:
            assert Image.open(handle).size == (32, 32)
    for split in ("train", "test"):
        paths = listed[split, "things_path"]
        assert [r["things_path"] for r in rows if r["split"] == split] == [
            path.replace("\\", "/") for path in paths
        ]
        assert [path.split("\\")[0] for path in paths] == listed[split, "class"]
    assert members == [f"object_images/{row['things_path']}" for row in rows]


def test_each_image_has_the_shape_and_place_of_its_caption_as_categories(twin):
    rows = {}
    for name in ("captions", "categories"):
        with open(twin / f"{name}.tsv", encoding="utf-8", newline="") as handle:
            rows[name] = list(csv.DictReader(handle, delimiter="\t"))
    captions = {row["things_path"]: row["caption"] for row in rows["captions"]}
    assert len(rows["categories"]) == 2 * len(captions)
    for row in rows["categories"]:
        kind, _, name = row["category"].partition(": ")
        words = {"shape": f" {name} at the ", "place": f" at the {name} in front "}
        assert words[kind] in captions[row["things_path"]]


def test_each_image_has_the_factors_that_its_caption_names(twin):
    with open(twin / "captions.tsv", encoding="utf-8", newline="") as handle:
        captions = list(csv.DictReader(handle, delimiter="\t"))
    table = read_factors(twin / "factors.tsv", with_split=True)
    assert list(table.levels) == ["shape", "colour", "texture", "place", "background"]
    for number, row in enumerate(captions):
        assert table.images[number] == row["things_path"]
        assert table.test[number] == (row["split"] == "test")
        shape, colour, texture, place, scene = (names[number] for names in table.levels.values())
        said = f" {colour} {texture} {shape} at the {place} in front of {scene}"
        assert row["caption"].endswith(said)


def test_responses_have_a_row_per_listed_image(twin):
    with h5py.File(twin / "monkeyF/THINGS_normMUA.mat", "r") as file:
        assert file["train_MUA"].shape == (18, 24)
        assert file["test_MUA_reps"].shape == (4, 6, 24)
    with h5py.File(twin / "monkeyF/THINGS_MUA_trials.mat", "r") as file:
        assert file["ALLMUA"].shape == (300, 4, 24) and file["ALLMAT"].shape == (6, 4)
    mapping = loadmat(twin / "monkeyF/_logs/1024chns_mapping_20220105.mat")["mapping"]
    assert sorted(mapping.ravel().tolist()) == list(range(1, 25))


def test_the_same_settings_give_the_same_files(twin, tmp_path):
    # git-annex names a file by its checksum.
    write_twin(tmp_path / "again", TwinSettings.of(settings("simulate-ventral", **SETTINGS)))
    keys, captions = [], []
    for folder in (twin, tmp_path / "again"):
        keys.append(run("git", "annex", "find", "--format=${key}\\n", cwd=folder).splitlines())
        captions.append((folder / "captions.tsv").read_bytes())
    assert keys[0] == keys[1] and len(keys[0]) == 5
    assert captions[0] == captions[1]


def test_its_owner_can_delete_the_dataset_even_after_clones_used_it(twin, clone):
    # Dropping a file makes git-annex lock the origin's copy for a moment.
    run("datalad", "get", "images_THINGS.zip", cwd=clone)
    run("datalad", "drop", "images_THINGS.zip", cwd=clone)
    for path, _, _ in os.walk(twin):
        assert os.stat(path).st_mode & 0o200, path


def test_only_the_missing_electrodes_have_no_value(twin):
    with h5py.File(twin / "monkeyF/THINGS_normMUA.mat", "r") as file:
        missing = np.isnan(file["train_MUA"][:]).all(axis=0)
        assert missing.sum() == 1
        assert np.isfinite(file["train_MUA"][:][:, ~missing]).all()
