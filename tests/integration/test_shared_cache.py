"""Folders for data sets share downloads, conversions and embeddings through Snakemake's cache."""

from __future__ import annotations

import numpy as np
from loopback import FaultyHandler, StandIn, running
from small_run import write_images

OWN = """
subjects:
  mine:
    kind: macaque_v4
    stimuli: mine
    responses: {address}/responses.npy
    splits: 1
    test_images: 4
stimuli:
  mine: {{kind: archive, images: {address}/images.zip}}
encoders:
  mine: {{kind: precomputed, files: {{mine: {data}/embeddings.npy}}}}
"""

TARGETS = ("results/responses/mine.h5", "results/embeddings/mine/mine.h5")
# With all that they are made from: what comes before a cached job is asked for first.
CACHED = (
    *TARGETS,
    "resources/recordings/mine/responses.npy",
    "resources/archives/mine.zip",
    "resources/stimuli/mine.zip",
)


def test_a_second_folder_links_what_the_first_one_fetched_and_made(untouched, tmp_path):
    data, cache = tmp_path / "data", tmp_path / "cache"
    data.mkdir()
    cache.mkdir()
    random = np.random.default_rng(0)
    write_images(data / "images.zip", 12, random)
    np.save(data / "responses.npy", random.poisson(4.0, size=(5, 12)).astype(float))
    np.save(data / "embeddings.npy", random.normal(size=(12, 3)))

    class Files(FaultyHandler):
        def do_GET(self) -> None:  # noqa: N802
            if not self.fails():
                self.send_file((data / self.path.lstrip("/")).read_bytes())

    def made(folder: str) -> dict[str, int]:
        """What the cache holds after a run, with the time that it was written."""
        done = untouched.snakemake(
            "--cache", "--directory", str(tmp_path / folder),
            "--configfile", str(tmp_path / "own.yaml"), "--", *TARGETS,
            SNAKEMAKE_OUTPUT_CACHE=str(cache),
        )  # fmt: skip
        assert done.status == 0, done.text[-3000:]
        return {path.name: path.stat().st_mtime_ns for path in cache.iterdir()}

    held = StandIn()
    with running(held, Files):
        (tmp_path / "own.yaml").write_text(OWN.format(address=held.address, data=data))
        first = made("one")
        assert len(first) == len(CACHED)
        assert held.asked == {"GET /responses.npy": 1, "GET /images.zip": 1}
        # Nothing was made again, nor downloaded: both folders link to the same files.
        assert made("two") == first
        assert held.asked.total() == 2
    for target in CACHED:
        one, two = tmp_path / "one" / target, tmp_path / "two" / target
        assert one.resolve() == two.resolve() and one.resolve().is_relative_to(cache)
