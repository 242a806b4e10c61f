"""Folders for data sets share conversions and embeddings through Snakemake's cache."""

from __future__ import annotations

import numpy as np
from small_run import write_images

OWN = """
subjects:
  mine: {{kind: arrays, responses: {data}/responses.npy, stimuli: mine, splits: 1, test_images: 4}}
stimuli:
  mine: {{kind: archive, images: {data}/images.zip}}
encoders:
  mine: {{kind: precomputed, files: {{mine: {data}/embeddings.npy}}}}
"""

TARGETS = ("results/responses/mine.h5", "results/embeddings/mine/mine.h5")
# With the images that both are made for: what comes before a cached job is asked for first.
CACHED = (*TARGETS, "resources/stimuli/mine.zip")


def test_a_second_folder_links_what_the_first_one_made(untouched, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    random = np.random.default_rng(0)
    write_images(data / "images.zip", 12, random)
    np.save(data / "responses.npy", random.normal(size=(12, 5)))
    np.save(data / "embeddings.npy", random.normal(size=(12, 3)))
    (tmp_path / "own.yaml").write_text(OWN.format(data=data))
    cache = tmp_path / "cache"
    cache.mkdir()

    def made(folder: str) -> dict[str, int]:
        """What the cache holds after a run, with the time that it was written."""
        done = untouched.snakemake(
            "--cache", "--directory", str(tmp_path / folder),
            "--configfile", str(tmp_path / "own.yaml"), "--", *TARGETS,
            SNAKEMAKE_OUTPUT_CACHE=str(cache),
        )  # fmt: skip
        assert done.status == 0, done.text[-3000:]
        return {path.name: path.stat().st_mtime_ns for path in cache.iterdir()}

    first = made("one")
    assert len(first) == len(CACHED)
    # Nothing was made again, upstream of them neither: both folders link to the same files.
    assert made("two") == first
    for target in CACHED:
        one, two = tmp_path / "one" / target, tmp_path / "two" / target
        assert one.resolve() == two.resolve() and one.resolve().is_relative_to(cache)
