"""A planted recording in time bins, in which images differ in all bins alike, or only late."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeline.artifacts.responses import BIN
from spikeline.bridge.automatic.validation import Rows

BINS, LATE = 8, slice(5, 8)
REGIONS = np.array(["V1"] * 12 + ["IT"] * 12)


@dataclass(frozen=True)
class Recording:
    """Training and test rows, and the electrode table with its column of bins."""

    train: Rows
    test: Rows
    table: dict[str, np.ndarray]


def recording(late: bool, train: int = 500, test: int = 100, seed: int = 0) -> Recording:
    """24 electrodes, 8 bins, float16.

    The response is the same in every bin, but if `late`: then 3 of 8 bins, the last, have all of it
    and the others none. Noise is new in every bin.
    """
    rng = np.random.default_rng(seed)
    count = train + test
    factors = rng.standard_normal((count, 10))
    signal = factors @ rng.standard_normal((10, len(REGIONS)))
    course = np.zeros(BINS)
    course[LATE if late else slice(None)] = 1.0
    responses = signal[:, None] * course[:, None]
    responses = responses + 4.0 * rng.standard_normal((count, BINS, len(REGIONS)))
    embeddings = factors @ rng.standard_normal((10, 16)) + 0.1 * rng.standard_normal((count, 16))
    images = np.array([f"c{i % 50}/{i}.jpg" for i in range(count)])
    rows = Rows(
        responses.reshape(count, -1).astype(np.float16),
        embeddings.astype(np.float32),
        images,
        np.array([name.split("/")[0] for name in images]),
    )
    table = {
        "region": np.tile(REGIONS, BINS),
        "snr": np.full(BINS * len(REGIONS), 3.0),
        "reliability": np.full(BINS * len(REGIONS), 0.5),
        BIN: np.repeat(np.arange(BINS, dtype=np.int32), len(REGIONS)),
    }
    return Recording(rows.take(np.arange(train)), rows.take(np.arange(train, count)), table)


def averaged(one: Recording) -> Recording:
    """The same recording as means over its bins."""

    def mean(rows: Rows) -> Rows:
        by_bin = rows.responses.astype(np.float32).reshape(len(rows.images), BINS, -1)
        return Rows(by_bin.mean(1), rows.embeddings, rows.images, rows.categories)

    table = {name: column[: len(REGIONS)] for name, column in one.table.items() if name != BIN}
    return Recording(mean(one.train), mean(one.test), table)
