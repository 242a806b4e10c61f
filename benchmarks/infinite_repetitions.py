"""The score extrapolated to infinitely many repetitions against that on noise-free responses.

Run: python benchmarks/infinite_repetitions.py [--folder DIR] [--repetitions R], where DIR is a
working folder in which the demo's decoders were made (results/ablation_regions.tsv for one). The
twin is simulated again, since only the simulation knows its responses without noise. For every
decoder it prints the top-1 and top-5 score of all repetitions, the limit with its interval, and the
score on noise-free responses; then the mean and root mean square difference of score and limit from
the last. With R, only R repetitions at a time are used: how far the curve of a poorer recording can
be trusted.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from spikeline.artifacts import embeddings, responses
from spikeline.artifacts.responses import Responses
from spikeline.bridge.decoder import Decoder
from spikeline.bridge.evaluation import evaluate
from spikeline.bridge.repetition_curve import infinite_repetitions
from spikeline.plan.plan import Plan
from spikeline.settings.steps import completed
from spikeline.simulate import filters
from spikeline.simulate.electrodes import FILTER_SIZE, V4Maps
from spikeline.simulate.images import design_stimuli, render
from spikeline.simulate.recording import noise_free_responses, record
from spikeline.simulate.settings import TwinSettings

DRAWS, TOP = 10, (1, 5)


def without_noise(settings: TwinSettings, subjects: list[str]) -> dict[str, np.ndarray]:
    """(test images, electrodes) noise-free responses of these subjects, as simulate-ventral's."""
    stimuli = design_stimuli(
        settings.concepts, settings.images_per_concept, settings.test_images, settings.seed
    )
    images = np.stack([render(stimuli, i, settings.image_size) for i in range(len(stimuli))])
    small = filters.shrink(images, FILTER_SIZE)
    maps, found = V4Maps(small), {}
    for number, (name, subject) in enumerate(settings.subjects.items()):
        if name in subjects:
            rng = np.random.default_rng([settings.seed, 2, number])
            drive = noise_free_responses(stimuli, small, maps, subject, settings, rng)
            recording = record(drive, stimuli.test, subject, settings, rng, stimuli.shape)
            found[name] = recording.noise_free
    return found


def parts(recorded: Responses, size: int) -> list[Responses]:
    """The recording with `size` repetitions at a time, as often as there are so many."""
    available = len(recorded.repetitions)
    cut = []
    for first in range(available // size):
        few = recorded.repetitions[first :: available // size][:size]
        values = recorded.values.copy()
        values[recorded.test[0]] = few.mean(axis=0)
        cut.append(replace(recorded, repetitions=few, values=values))
    return cut


def compared(
    decoder: Decoder, recorded: Responses, clean: np.ndarray, embedded: np.ndarray
) -> list:
    """[score, limit, its interval's ends, score on noise-free responses] for each k."""
    measured = evaluate(decoder, recorded, embedded, 0, None, DRAWS)
    values = recorded.values.copy()
    values[recorded.test[0]] = clean
    ideal = replace(recorded, values=values, repetitions=None)
    truth = evaluate(decoder, ideal, embedded, 0, None, DRAWS).draws[0].neural_to_image
    rows, curve = [], measured.repetition_curve
    for k in TOP:
        shares = getattr(curve, f"top{k}")
        found = infinite_repetitions(curve.repetitions, shares, shares.shape[1], k)
        rows.append([shares[-1].mean(), *found, truth.hits(k).mean()])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument("--repetitions", type=int, metavar="R")
    options = parser.parse_args()
    plan = Plan.of(Path(__file__).parents[1], {})
    twin = json.loads(plan.sources.twin_settings("ventral"))
    results = options.folder / "results"
    decoders = sorted(results.glob("decoders/*/*/seed*.safetensors"))
    subjects = sorted({path.parent.name for path in decoders} & set(twin["subjects"]))
    clean = without_noise(TwinSettings.of(completed("simulate-ventral", twin)), subjects)
    embedded = embeddings.read(results / "embeddings/demo_clip/twin_images.h5")
    print(f"{'decoder':<60}  k  score  limit [95 %]          noise-free")
    collected: dict[int, list] = {k: [] for k in TOP}
    for path in decoders:
        subject = path.parent.name
        recorded = responses.read(results / f"responses/{subject}.h5")
        noise_free = clean[subject][:, recorded.electrodes["channel"]].astype(np.float32)
        decoder = Decoder.load(path)
        rows = embedded.rows_of(recorded.images[recorded.test[0]], str(path))
        size = options.repetitions or len(recorded.repetitions)
        several = [compared(decoder, part, noise_free, rows) for part in parts(recorded, size)]
        for k, found in zip(TOP, np.swapaxes(several, 0, 1), strict=True):
            collected[k] += found.tolist()
            score, limit, low, high, truth = found.mean(axis=0)
            name = "/".join([*path.parts[-3:-1], path.stem])
            interval = f"{limit:.3f} [{low:.3f}-{high:.3f}]"
            print(f"{name:<60} {k:>2}  {score:.3f}  {interval}  {truth:.3f}", flush=True)
    for k, rows in collected.items():
        score, limit, low, high, truth = np.transpose(rows)
        inside = np.mean((low <= truth) & (truth <= high))
        print(
            f"top-{k}, {len(rows)} curves: score - noise-free {np.mean(score - truth):+.3f} "
            f"(rms {np.sqrt(np.mean((score - truth) ** 2)):.3f}), limit - noise-free "
            f"{np.mean(limit - truth):+.3f} (rms {np.sqrt(np.mean((limit - truth) ** 2)):.3f}), "
            f"interval holds the noise-free score in {inside:.0%}"
        )


if __name__ == "__main__":
    main()
