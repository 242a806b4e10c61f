r"""Fetch an IBL session with ONE and export it as plain arrays.

Runs in the client's own environment (envs/ibl.txt). A local tree with ONE's cache tables needs no
network and no login.

Example:
    spikeline fetch-ibl --url https://openalyx.internationalbrainlab.org \
      --cache resources/caches/one --session a7eba2cf-427f-4df9-879b-e53e962eae18 \
      --login resources/logins/ibl.json --probes probe00 --output resources/recordings/ibl_a7eba2cf
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from spikeline.artifacts import provenance
from spikeline.artifacts.files import atomic_folder, write_text
from spikeline.cli._options import start_log
from spikeline.errors import InputError
from spikeline.sources import ibl_client
from spikeline.sources.columns import write_columns
from spikeline.sources.folder_names import check_folder_name

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--session", required=True, help="its eid, or date_number_subject")
    parser.add_argument("--probes", nargs="+", help="their names (default: all that are sorted)")
    parser.add_argument(
        "--cache", metavar="DIR", help="a local tree; with --url, where downloads are kept"
    )
    parser.add_argument("--url", help="address of an Alyx database")
    parser.add_argument("--revision", help="date of the spike sorting to read, e.g. 2024-05-06")
    parser.add_argument("--login", metavar="FILE", help="with --url: what fetch-ibl-login made")
    parser.add_argument("--attempts", type=int, default=3, help="tries of a network step (3)")
    parser.add_argument("--pause", type=float, default=10, help="seconds after the first (10)")
    parser.add_argument("--output", required=True, metavar="DIR", help="the export, a folder")


def run(options: argparse.Namespace) -> None:
    start_log()
    if not options.cache:
        raise InputError("--cache: give a local tree, or a folder for what --url sends")
    # ONE's own tables are read, never written: a tree is an input like any other.
    one = ibl_client.open_one(options.cache, options.url, options.login)
    tries = (options.session, options.attempts, options.pause)
    eid, details = ibl_client.retried(lambda: ibl_client.find_session(one, tries[0]), *tries)
    with atomic_folder(options.output) as folder:
        probes = ibl_client.retried(lambda: _export(one, eid, options, folder), *tries)
        described = {**details, "probes": probes, "revision": options.revision}
        write_text(folder / "session.json", json.dumps(described, indent=1) + "\n")
        provenance.write_beside(folder, _record(one, eid, options))


def _export(one: Any, eid: str, options: argparse.Namespace, folder: Path) -> list[str]:
    from iblatlas.regions import BrainRegions

    probes = options.probes or ibl_client.probes_of(one, eid)
    if not probes:
        raise InputError(f"session {eid}: ALF object spikes is missing: no probe is sorted")
    regions = BrainRegions()
    for probe in probes:
        check_folder_name(probe, f"session {eid}: probe")
        times, clusters, table = ibl_client.load_probe(one, eid, probe, options.revision, regions)
        (folder / probe).mkdir(exist_ok=True)
        np.save(folder / probe / "spikes.times.npy", times)
        np.save(folder / probe / "spikes.clusters.npy", clusters)
        write_columns(folder / probe / "clusters.tsv", table)
        log.info(
            "%s, %s: %d spikes of %d clusters",
            options.session, probe, len(times), len(table["label"]),
        )  # fmt: skip
    timestamps, position = ibl_client.load_wheel(one, eid, options.revision)
    np.save(folder / "wheel.timestamps.npy", timestamps)
    np.save(folder / "wheel.position.npy", position)
    write_columns(folder / "trials.tsv", ibl_client.load_trials(one, eid, options.revision))
    return probes


def _record(one: Any, eid: str, options: argparse.Namespace) -> dict[str, Any]:
    settings = {"session": options.session, "probes": options.probes, "revision": options.revision}
    if options.url:
        origin = {"name": f"{options.url} session {eid}", "revision": options.revision}
        return provenance.describe(__name__, settings, origin=origin)
    inside = Path(one.eid2path(eid)).relative_to(Path(one.cache_dir))
    record = provenance.describe(__name__, settings, [Path(options.cache) / inside])
    if Path(options.cache, "provenance.json").is_file():
        record["origins"].update(provenance.read(options.cache).get("origins", {}))
    return record
