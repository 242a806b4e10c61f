r"""Fetch the natural scenes and movie frames of Allen's sessions as one archive of PNG files.

Runs in the client's own environment (envs/allen.txt). What the cache holds is not downloaded.

Example:
    spikeline fetch-allen-templates --cache /data/allen --scenes all --movies natural_movie_one \
      --output allen_templates.zip
"""

from __future__ import annotations

import argparse
import zipfile

from spikeline.artifacts import provenance
from spikeline.artifacts.files import atomic_path
from spikeline.cli._allen import add_downloads, downloads_of
from spikeline.cli._options import add_output, start_log
from spikeline.errors import InputError
from spikeline.sources import allen_client


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cache", required=True, metavar="DIR", help="folder of AllenSDK's cache")
    parser.add_argument("--scenes", choices=["all", "none"], default="all", help="scenes (all)")
    parser.add_argument(
        "--movies", nargs="*", default=[], choices=list(allen_client.MOVIES), help="movies (none)"
    )
    add_downloads(parser)
    add_output(parser, "archive, zip")


def run(options: argparse.Namespace) -> None:
    start_log()
    scenes = options.scenes == "all"
    if not (scenes or options.movies):
        raise InputError("--movies: ask for scenes or movies; an archive of neither is empty")
    settings = {"scenes": scenes, "movies": options.movies}
    origin = {"name": f"Allen Visual Coding, {options.cache}: stimulus templates"}
    record = provenance.describe(__name__, settings, origin=origin)
    record["origins"].update(allen_client.inherited_origins(options.cache))
    cache = allen_client.open_cache(options.cache, **downloads_of(options))
    with atomic_path(options.output) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            for name, values in allen_client.templates(
                cache, options.cache, scenes, options.movies
            ):
                # A fixed date: the same images give the same bytes.
                info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
                archive.writestr(info, allen_client.as_png(values))
            archive.comment = provenance.dumps(record).encode()
