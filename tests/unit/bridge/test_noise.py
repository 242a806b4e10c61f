"""Noise brought along as arrays is decoded at chance by every kind of model, and signal above it.

Every file goes through the subcommands that the workflow runs for a recording of kind `arrays`.
"""

import json

import numpy as np
import pytest
from scipy.stats import binom

from spikeline.artifacts import evaluations
from spikeline.bridge.repetition_curve import infinite_repetitions
from spikeline.cli.main import main

IMAGES, TEST, ELECTRODES, DIM, REPETITIONS, TOP = 300, 100, 16, 12, 6, 5
# Hits by chance among TEST queries: more, or fewer, with a probability of .001 in all.
FEWEST, MOST = (binom.ppf(q, TEST, TOP / TEST) for q in (0.0005, 0.9995))

TRAINED = {"epochs": 30, "batch_size": 50, "validation_images": 50, "learning_rate": 0.01}
MODELS = {
    "ridge": {},
    "bayesian": {"encoding_kernels": ["linear", "rbf"], "decoding_kernels": ["linear", "rbf"]},
    "linear": TRAINED,
    "mlp": {**TRAINED, "hidden": 32},
    "capoyo": {**TRAINED, "dim": 16, "heads": 2, "latents": 4, "depth": 1, "hidden": 32},
}


def step(name, *options):
    assert main([name, *map(str, options)]) == 0


class Recording:
    """A folder in which one recording was converted; decoders are trained in it on demand."""

    def __init__(self, folder, responses, embeddings, test_responses):
        """
        Args:
            folder: empty.
            responses: (IMAGES - TEST, ELECTRODES), of the first images.
            embeddings: (IMAGES, DIM).
            test_responses: (REPETITIONS, TEST, ELECTRODES), of the last images.
        """
        self.folder = folder
        pictures = folder / "pictures"
        pictures.mkdir()
        names = [f"{image:03d}.png" for image in range(IMAGES)]
        for name in names:
            (pictures / name).write_bytes(b"never decoded: the embeddings are given")
        np.save(folder / "responses.npy", responses)
        np.save(folder / "test.npy", test_responses)
        np.save(folder / "embeddings.npy", embeddings)
        (folder / "images.txt").write_text("\n".join(names[:-TEST]))
        (folder / "test.txt").write_text("\n".join(names[-TEST:]))
        packed = folder / "stimuli.zip"
        step("pack-stimuli", "--images", pictures, "--output", packed)
        step(
            "convert-arrays", "--stimuli", packed, "--responses", folder / "responses.npy",
            "--images", folder / "images.txt", "--test-responses", folder / "test.npy",
            "--test-images", folder / "test.txt", "--output", folder / "responses.h5",
        )  # fmt: skip
        step(
            "import-embeddings", "--stimuli", packed, "--values", folder / "embeddings.npy",
            "--encoder", "given", "--settings", '{"kind": "precomputed"}',
            "--output", folder / "embeddings.h5",
        )  # fmt: skip
        self.inputs = [
            "--responses", folder / "responses.h5", "--embeddings", folder / "embeddings.h5",
        ]  # fmt: skip

    def decoder(self, kind):
        """The path of a decoder of this kind, trained if it is not there yet."""
        path = self.folder / f"{kind}.safetensors"
        if path.exists():
            return path
        if kind == "ensemble":
            members = [self.decoder(member) for member in ("ridge", "bayesian", "linear")]
            step("combine", "--decoders", *members, "--seed", 0, "--output", path)
            return path
        settings = {"kind": kind, "encoder": "given", "regions": ["all"], **MODELS[kind]}
        given = ["--seed", 0, "--settings", json.dumps(settings), "--output", path]
        if kind in ("ridge", "bayesian"):
            step("fit", *self.inputs, *given)
        else:
            more = ["--history", path.with_suffix(".tsv"), "--states", self.folder / "states"]
            step("train", *self.inputs, *given, *more, "--device", "cpu")
        return path

    def evaluation(self, kind):
        path = self.folder / f"{kind}.json"
        step("evaluate", *self.inputs, "--decoders", self.decoder(kind), "--output", path)
        return evaluations.read(path)

    def hits(self, kind):
        """How many test images a decoder of this kind finds among its first TOP."""
        (seed,) = self.evaluation(kind).seeds
        return seed.draws[0].neural_to_image.hits(TOP).sum()

    def limit(self, kind):
        """What that score would be with infinitely many repetitions, as a share with interval."""
        curve = self.evaluation(kind).seeds[0].repetition_curve
        return infinite_repetitions(curve.repetitions, curve.top5, TEST, TOP, resamples=500)


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """Responses that have nothing to do with the images, nor with one another."""
    rng = np.random.default_rng(0)
    return Recording(
        tmp_path_factory.mktemp("noise"),
        rng.standard_normal((IMAGES - TEST, ELECTRODES)),
        rng.standard_normal((IMAGES, DIM)),
        rng.standard_normal((REPETITIONS, TEST, ELECTRODES)),
    )


@pytest.fixture(scope="module")
def signal(tmp_path_factory):
    """The same noise on responses that are linear in the embeddings."""
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((IMAGES, DIM))
    responses = embeddings @ rng.standard_normal((DIM, ELECTRODES))
    return Recording(
        tmp_path_factory.mktemp("signal"),
        responses[:-TEST] + rng.standard_normal((IMAGES - TEST, ELECTRODES)),
        embeddings,
        responses[-TEST:] + rng.standard_normal((REPETITIONS, TEST, ELECTRODES)),
    )


KINDS = [*MODELS, "ensemble"]


@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_decoded_at_chance(noise, kind):
    assert FEWEST <= noise.hits(kind) <= MOST


@pytest.mark.parametrize("kind", KINDS)
def test_signal_in_the_same_files_is_decoded_above_chance(signal, kind):
    assert signal.hits(kind) > MOST


def test_more_repetitions_of_noise_would_not_help(noise, signal):
    limit = noise.limit("ridge")
    assert limit.low <= TOP / TEST <= limit.high
    assert signal.limit("ridge").low > MOST / TEST
