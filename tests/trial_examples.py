"""A small recording in time in TVSD's layout, to be spoilt by a test, and oracles of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.io
from conftest import write_matlab73

TRAIN, TEST, REPETITIONS = 20, 5, 3
REGIONS = {"V1": [[0, 6]], "IT": [[6, 9]], "V4": [[9, 12]]}
ELECTRODES = 12
WINDOWS = {"V1": (25, 125), "V4": (50, 150), "IT": (75, 175)}


@dataclass
class TrialsFiles:
    """What THINGS_MUA_trials.mat and the mapping hold."""

    folder: Path
    fields: dict[str, np.ndarray]
    mapping: np.ndarray
    regions: dict[str, list[list[int]]]
    chunks: tuple[int, ...] | None = None

    def write(self) -> tuple[Path, Path]:
        path, mapping = self.folder / "THINGS_MUA_trials.mat", self.folder / "mapping.mat"
        write_matlab73(path, self.fields, {"ALLMUA": self.chunks} if self.chunks else {})
        scipy.io.savemat(mapping, {"mapping": self.mapping})
        return path, mapping

    def command(self, output: Path, **settings) -> list[str]:
        """The arguments of `spikeline convert-trials` on the written files."""
        trials, mapping = self.write()
        return [
            "convert-trials", "--trials", str(trials), "--mapping", str(mapping),
            "--states", str(self.folder / "states"), "--state-interval", "0",
            "--settings", json.dumps({"regions": self.regions, **settings}),
            "--output", str(output),
        ]  # fmt: skip

    @property
    def electrodes(self) -> np.ndarray:
        """(samples, presentations, electrodes) microvolts."""
        return self.fields["ALLMUA"][..., self.mapping.ravel().astype(int) - 1]

    def means(self, windows=WINDOWS) -> np.ndarray:
        """(presentations, electrodes) over the window of each area."""
        times, found = self.fields["tb"][:, 0], np.empty(self.electrodes.shape[1:])
        for area, ((first, last),) in self.regions.items():
            start, end = windows[area]
            within = (times >= start) & (times < end)
            found[:, first:last] = self.electrodes[within, :, first:last].mean(axis=0)
        return found


def some_trials_files(folder: Path, sample_ms: int = 5) -> TrialsFiles:
    """Twenty training images and three repetitions of five test images, shuffled, over two days."""
    rng = np.random.default_rng(0)
    times = np.arange(-100.0, 200.0, sample_ms)
    count = TRAIN + TEST * REPETITIONS
    test, repetition = np.divmod(np.arange(TEST * REPETITIONS), REPETITIONS)
    table = np.zeros((6, count))
    table[1, :TRAIN], table[3, :TRAIN] = 1 + np.arange(TRAIN), 1
    table[2, TRAIN:], table[3, TRAIN:] = 1 + test, 1 + repetition
    table = table[:, rng.permutation(count)]
    table[0] = table[4] = np.arange(1, count + 1)
    table[5] = np.where(np.arange(count) < 18, 1, 2)
    samples = 50 + 3 * rng.normal(size=(len(times), count, ELECTRODES))
    samples *= rng.uniform(0.5, 2, ELECTRODES)
    folder.mkdir(parents=True, exist_ok=True)
    return TrialsFiles(
        folder,
        {"ALLMUA": samples, "ALLMAT": table, "tb": times[:, None]},
        1 + rng.permutation(ELECTRODES)[None].astype(float),
        {name: [list(pair) for pair in ranges] for name, ranges in REGIONS.items()},
    )


def plain_responses(files: TrialsFiles):
    """The responses that the source would have published of these trials: oracle of normMUA."""
    from artifact_examples import electrodes_of_one_area

    from spikeline.artifacts.responses import Responses

    _, train, test, repetition, _, day = files.fields["ALLMAT"].astype(int)
    means = files.means()
    scaled = np.empty_like(means)
    for one in np.unique(day):
        shown = means[(day == one) & (test > 0)]
        scaled[day == one] = (means[day == one] - shown.mean(axis=0)) / shown.std(axis=0, ddof=1)
    repeated = np.empty((REPETITIONS, TEST, ELECTRODES), np.float32)
    repeated[repetition[test > 0] - 1, test[test > 0] - 1] = scaled[test > 0]
    values = np.concatenate(
        [scaled[train > 0][np.argsort(train[train > 0])], repeated.mean(axis=0)]
    )
    table = electrodes_of_one_area("V1", ELECTRODES)
    for area, ((first, last),) in files.regions.items():
        table["region"][first:last] = area
    return Responses(
        values=values.astype(np.float32),
        images=np.array([f"image_{k}.jpg" for k in range(TRAIN + TEST)], object),
        categories=np.array([""] * (TRAIN + TEST), object),
        test=np.arange(TRAIN + TEST)[None] >= TRAIN,
        electrodes=table,
        repetitions=repeated,
    )
