"""Lay the ventral twin out as TVSD is published: a DataLad dataset with git-annex."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from scipy.io import savemat

from spikeline.errors import InputError
from spikeline.simulate import filters
from spikeline.simulate.electrodes import FILTER_SIZE, V4Maps
from spikeline.simulate.images import (
    Stimuli,
    design_further,
    design_stimuli,
    encode_jpeg,
    render,
    render_all,
)
from spikeline.simulate.matlab import write_matlab
from spikeline.simulate.recording import Recording, noise_free_responses, record
from spikeline.simulate.settings import TwinSettings

_ATTRIBUTES = """\
*.mat annex.largefiles=anything
*.zip annex.largefiles=anything
*.tsv annex.largefiles=nothing
*.md annex.largefiles=nothing
*.json annex.largefiles=nothing
"""
_README = """# Ventral twin

A simulated recording in the file layout of the THINGS ventral-stream spiking dataset (TVSD). No
animal took part. V1 electrodes answer to oriented energy, V4 to curvature, texture and colour, IT
to mixtures of the factors that generated the image; how well each can be decoded is built in. A
twin of images alone has no monkey, and of the files below those of images and captions.

    monkey*/THINGS_normMUA.mat    normalised responses, one number per image and electrode
    monkey*/THINGS_MUA_trials.mat presentations, resolved in time
    monkey*/_logs/                image lists and the electrode mapping
    images_THINGS.zip             the images
    captions.tsv                  one sentence per image
    categories.tsv                shape and place of the object in each image
    factors.tsv                   shape, colour, texture, place and background of each image
    images_all.zip                where there are images that no monkey saw: these and the others
    captions_all.tsv              their captions
    factors_all.tsv               their factors
"""
_IDENTITY = {"NAME": "Spikeline", "EMAIL": "spikeline@localhost"}

Progress = Callable[[str], None]


def write_twin(
    folder: Path,
    settings: TwinSettings,
    provenance: Mapping[str, object] | None = None,
    progress: Progress = lambda message: None,
) -> None:
    """Simulate everything and save it as a DataLad dataset in `folder`.

    Args:
        folder: an existing empty folder, or one to be made.
        settings: those of the twin.
        provenance: written to provenance.json if given.
        progress: called with the name of each stage as it begins.

    Raises:
        InputError: datalad or git-annex is missing or fails.
    """
    folder = Path(folder)
    progress("drawing images")
    stimuli = design_stimuli(
        settings.concepts, settings.images_per_concept, settings.test_images, settings.seed
    )
    images = render_all(stimuli, settings.image_size)

    progress("creating the dataset")
    folder.mkdir(parents=True, exist_ok=True)
    # --force: the folder may exist, and may lie inside another git repository.
    _run(folder, "datalad", "create", "--force", "--description", "simulated recording", ".")
    # git-annex locks its folders against deletion, unless the repository is shared in a group.
    _run(folder, "git", "config", "core.sharedRepository", "group")
    with open(folder / ".gitattributes", "a", encoding="utf-8") as handle:
        handle.write(_ATTRIBUTES)
    (folder / "README.md").write_text(_README, encoding="utf-8")
    if provenance is not None:
        text = json.dumps(provenance, sort_keys=True, indent=1) + "\n"
        (folder / "provenance.json").write_text(text, encoding="utf-8")
    _write_images(folder, stimuli, images)
    if settings.further_images:
        further = design_further(settings.further_images, stimuli, settings.seed)
        # One after the other: so many images are not held at once.
        drawn = (render(further, image, settings.image_size) for image in range(len(further)))
        every = [(stimuli, images), (further, drawn)]
        _write_archive(folder / "images_all.zip", every)
        _write_captions(folder / "captions_all.tsv", [stimuli, further])
        _write_factors(folder / "factors_all.tsv", [stimuli, further])

    if settings.subjects:
        progress("filtering images")
        small = filters.shrink(images, FILTER_SIZE)
        maps = V4Maps(small)
    for number, (name, subject) in enumerate(settings.subjects.items()):
        progress(f"recording {name}")
        rng = np.random.default_rng([settings.seed, 2, number])
        responses = noise_free_responses(stimuli, small, maps, subject, settings, rng)
        recording = record(responses, stimuli.test, subject, settings, rng, stimuli.shape)
        write_subject(folder / name, recording, stimuli)
    progress("saving the dataset")
    _run(folder, "datalad", "save", "--dataset", ".", "-m", "Simulated recording")


def _write_images(folder: Path, stimuli: Stimuli, images: np.ndarray) -> None:
    """images_THINGS.zip; captions.tsv and factors.tsv, a line per image; categories.tsv, two."""
    _write_archive(folder / "images_THINGS.zip", [(stimuli, images)])
    _write_captions(folder / "captions.tsv", [stimuli])
    lines = ["things_path\tcategory"]
    for i, name in enumerate(stimuli.name):
        lines += [f"{name}\t{category}" for category in stimuli.categories(i)]
    (folder / "categories.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _write_factors(folder / "factors.tsv", [stimuli])


def _write_archive(path: Path, sets: Sequence[tuple[Stimuli, Iterable[np.ndarray]]]) -> None:
    """A zip of JPEG files in object_images/."""
    with zipfile.ZipFile(path, "w") as archive:
        for stimuli, images in sets:
            for name, pixels in zip(stimuli.name, images, strict=True):
                # A fixed date keeps the archive's checksum the same from run to run.
                member = zipfile.ZipInfo(f"object_images/{name}", (1980, 1, 1, 0, 0, 0))
                archive.writestr(member, encode_jpeg(pixels))


def _write_captions(path: Path, sets: Sequence[Stimuli]) -> None:
    """things_path, caption and split of each image."""
    lines = ["things_path\tcaption\tsplit"]
    for stimuli in sets:
        for i, name in enumerate(stimuli.name):
            lines.append(f"{name}\t{stimuli.caption(i)}\t{stimuli.split(i)}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_factors(path: Path, sets: Sequence[Stimuli]) -> None:
    """things_path, split and the level of each factor."""
    lines = ["\t".join(["things_path", "split", *sets[0].factors(0)])]
    for stimuli in sets:
        for i, name in enumerate(stimuli.name):
            lines.append("\t".join([name, stimuli.split(i), *stimuli.factors(i).values()]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _image_list(stimuli: Stimuli, rows: np.ndarray, prefix: str) -> dict[str, list[str]]:
    paths = [str(name).replace("/", "\\") for name in stimuli.name[rows]]
    return {
        "class": [str(concept) for concept in stimuli.concept[rows]],
        "things_path": paths,
        "local_path": [f"{prefix}\\{k + 1:06d}_{p.split(chr(92))[1]}" for k, p in enumerate(paths)],
    }


def write_subject(folder: Path, recording: Recording, stimuli: Stimuli) -> None:
    """The files of one monkey, in a folder of the dataset."""
    logs = folder / "_logs"
    logs.mkdir(parents=True)
    write_matlab(folder / "THINGS_normMUA.mat", recording.normalised)
    write_matlab(folder / "THINGS_MUA_trials.mat", recording.trials)
    write_matlab(
        logs / "things_imgs.mat",
        {
            "train_imgs": _image_list(stimuli, np.flatnonzero(~stimuli.test), "train"),
            "test_imgs": _image_list(stimuli, np.flatnonzero(stimuli.test), "test"),
        },
    )
    mapping = {"mapping": recording.mapping[None].astype(np.float64)}
    _write_classic_matlab(logs / "1024chns_mapping_20220105.mat", mapping)


def _write_classic_matlab(path: Path, variables: Mapping[str, np.ndarray]) -> None:
    """A MATLAB 5 file whose header names no date, so that its checksum never changes."""
    buffer = BytesIO()
    savemat(buffer, variables)
    text = b"MATLAB 5.0 MAT-file, Platform: posix, Created by: Spikeline"
    path.write_bytes(text.ljust(116) + buffer.getvalue()[116:])


def git_environment() -> dict[str, str]:
    """The process's environment with a git identity and this interpreter's programs in PATH."""
    environment = dict(os.environ)
    for role in ("AUTHOR", "COMMITTER"):
        for key, value in _IDENTITY.items():
            environment.setdefault(f"GIT_{role}_{key}", value)
    programs = str(Path(sys.executable).parent)
    environment["PATH"] = os.pathsep.join([programs, environment.get("PATH", os.defpath)])
    return environment


def _run(folder: Path, program: str, *arguments: str) -> None:
    environment = git_environment()
    found = shutil.which(program, path=environment["PATH"])
    if found is None:
        raise InputError(f"{program}: not found; install git and the packages of envs/workflow.txt")
    done = subprocess.run(
        [found, *arguments], env=environment, capture_output=True, text=True, cwd=folder
    )
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise InputError(f"{program} {arguments[0]}: {reason[-1]}")
