r"""Fetch an Allen session's NWB file through AllenSDK's cache, and prove that AllenSDK opens it.

Runs in the client's own environment (envs/allen.txt). What the cache holds is not downloaded.

Example:
    spikeline fetch-allen --cache /data/allen --session 715093703 \
      --output resources/recordings/allen_715093703
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from spikeline.artifacts import provenance
from spikeline.artifacts.files import atomic_folder, sha256
from spikeline.cli._allen import add_downloads, downloads_of
from spikeline.cli._options import start_log
from spikeline.sources import allen_client
from spikeline.sources.columns import write_columns


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--session", required=True, type=int, help="its number in the release")
    parser.add_argument("--cache", required=True, metavar="DIR", help="folder of AllenSDK's cache")
    add_downloads(parser)
    parser.add_argument("--output", required=True, metavar="DIR", help="session.nwb, channels.tsv")


def run(options: argparse.Namespace) -> None:
    start_log()
    cache = allen_client.open_cache(options.cache, **downloads_of(options))
    path, channels, facts = allen_client.session_file(cache, options.session)
    with atomic_folder(options.output) as folder:
        _place(path, folder / "session.nwb")
        write_columns(folder / "channels.tsv", channels)
        origin = {
            "name": f"Allen Visual Coding, {options.cache}: session {options.session}",
            "sha256": sha256(folder / "session.nwb"),
        }
        settings = {"session": options.session}
        record = provenance.describe(__name__, settings, origin=origin, facts=facts)
        record["origins"].update(allen_client.inherited_origins(options.cache))
        provenance.write_beside(folder, record)


def _place(source: Path, destination: Path) -> None:
    """A hard link where the file system allows it: sessions take gigabytes."""
    try:
        os.link(source, destination)
    except OSError:
        shutil.copyfile(source, destination)
