"""A whole run in small: own arrays, images and embeddings to a table of two decoders."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import yaml
from PIL import Image
from workflow_copies import Workflow, copied

TABLE = "results/ablation_decoders.tsv"
CONFIG = {
    "subjects": {
        "mine": {
            "kind": "arrays",
            "responses": "own/responses.npy",
            "stimuli": "mine",
            "splits": 1,
            "test_images": 8,
        }
    },
    "stimuli": {"mine": {"kind": "archive", "images": "own/images.zip"}},
    "encoders": {"mine": {"kind": "precomputed", "files": {"mine": "own/embeddings.npy"}}},
    "defaults": {"models": {"encoder": "mine", "regions": ["all"]}},
    "models": {
        "ridge": {"kind": "ridge"},
        "mlp": {
            "kind": "mlp", "hidden": 16, "epochs": 8, "warmup_epochs": 1, "batch_size": 32,
            "validation_images": 8, "noise_std": 0.1,
        },
    },
    "evaluation": {"seeds": 1},
    "ablations": {"decoders": {"models": ["ridge", "mlp"], "subjects": ["mine"], "seeds": 1}},
}  # fmt: skip


def write_images(path: Path, count: int, random: np.random.Generator) -> None:
    """An archive of so many images of noise, 8 x 8 pixels."""
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(count):
            pixels = random.integers(0, 255, (8, 8, 3), dtype=np.uint8)
            with archive.open(f"{number:02d}.png", "w") as handle:
                Image.fromarray(pixels).save(handle, "PNG")


def small_run(repository: Path, folder: Path) -> Workflow:
    """A copy of the workflow with a recording of 80 images, in which nothing has run."""
    workflow = copied(repository, folder)
    own = folder / "own"
    own.mkdir()
    random = np.random.default_rng(0)
    write_images(own / "images.zip", 80, random)
    embeddings = random.normal(size=(80, 6))
    seen = embeddings @ random.normal(size=(6, 10)) + random.normal(size=(80, 10))
    np.save(own / "responses.npy", seen)
    np.save(own / "embeddings.npy", embeddings)
    workflow.configure(yaml.safe_load(yaml.safe_dump(CONFIG)))
    return workflow
