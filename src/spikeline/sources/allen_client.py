"""Allen's Visual Coding sessions and stimulus templates by their own client, AllenSDK.

Runs in the client's environment (envs/allen.txt). A session stays an NWB file, which
`sources/allen.py` reads in the workflow's environment. Downloads are ours: AllenSDK's own begin
anew where they break off, and take an error page for the file.
"""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from spikeline.artifacts import provenance
from spikeline.errors import InputError
from spikeline.sources import download

# The release shows 118 natural scenes.
SCENES = 118
MOVIES = {"natural_movie_one": 1, "natural_movie_three": 3}
T = TypeVar("T")


def open_cache(
    folder: str,
    server: str | None = None,
    attempts: int = 3,
    minutes: float | None = None,
    pause: float = 5,
) -> Any:
    """AllenSDK's cache in a folder; missing files are downloaded from the Allen Institute.

    A folder with provenance is a complete origin, such as a simulated one: it is only read.

    Args:
        server: address of the warehouse; None takes AllenSDK's.
        attempts: tries of a download that may bring nothing new.
        minutes: how long all of them may take; None sets no limit.
        pause: seconds between the first two tries.
    """
    from allensdk.brain_observatory.ecephys import ecephys_project_cache as ecephys

    # It logs a line for every image that it reads.
    logging.getLogger("call_caching").setLevel(logging.WARNING)
    manifest = Path(folder, "manifest.json")
    if _is_origin(folder):
        if not manifest.is_file():
            raise InputError(f"{folder}: manifest.json is missing; is it a cache of AllenSDK?")
        # EcephysProjectCache.fixed() asks its interface for a writer that it does not have.
        return ecephys.EcephysProjectCache(
            fetch_api=ecephys.EcephysProjectFixedApi(),
            stream_writer=ecephys.write_from_stream,
            manifest=str(manifest),
        )
    Path(folder).mkdir(parents=True, exist_ok=True)
    latest = None if minutes is None else time.monotonic() + 60 * minutes

    def write(path: str, address: str) -> None:
        # AllenSDK tries again what failed, whatever the reason: there is one time for all tries.
        left = None if latest is None else max(0, (latest - time.monotonic()) / 60)
        download.fetch(address, path, attempts=attempts, pause=pause, minutes=left)

    return ecephys.EcephysProjectCache(
        fetch_api=_warehouse(server),
        stream_writer=write,
        manifest=str(manifest),
        fetch_tries=attempts,
    )


def _warehouse(server: str | None) -> Any:
    """AllenSDK's interface to the warehouse, which leaves the transfer of files to us."""
    from allensdk.brain_observatory.ecephys import ecephys_project_api as interface
    from allensdk.brain_observatory.ecephys.ecephys_project_api.rma_engine import RmaEngine

    class Addresses(RmaEngine):
        def stream(self, route: str) -> str:
            return self._build_url(route.lstrip("/"))

    usual = interface.EcephysProjectWarehouseApi().rma_engine
    scheme, _, host = (server or f"{usual.scheme}://{usual.host}").rstrip("/").partition("://")
    return interface.EcephysProjectWarehouseApi(Addresses(scheme, host))


def inherited_origins(folder: str) -> dict[str, Any]:
    """The origins that a cache carries: those of a simulated one."""
    return provenance.read(folder).get("origins", {}) if _is_origin(folder) else {}


def session_file(cache: Any, number: int) -> tuple[Path, dict[str, np.ndarray], dict[str, int]]:
    """The NWB file of a session, opened once by AllenSDK; its channels; what AllenSDK counts in it.

    The channels are the valid ones, with the region that the cache's table gives each: the release
    was registered anew after the files were written. They are what AllenSDK names units' regions
    by, and a unit on another channel is none of its session's.

    Raises:
        InputError: no such session, or a file that AllenSDK cannot open, or one without a stimulus
            table or running speed.
    """
    where = f"session {number}"
    session = _named(lambda: cache.get_session_data(number), where)
    path = Path(cache.get_cache_path(None, cache.SESSION_NWB_KEY, number, number))
    if not any(name.endswith("_presentations") for name in session.api.nwbfile.intervals or ()):
        raise InputError(f"{path}: has no stimulus table (intervals/*_presentations)")
    stimuli = _named(lambda: session.stimulus_presentations, f"{path}: stimulus table")
    running = _named(lambda: session.running_speed, f"{path}: running speed")
    channels = _named(lambda: session.channels, f"{path}: channels")
    table = {
        "channel": channels.index.to_numpy(np.int64),
        "region": channels["ecephys_structure_acronym"].fillna("").to_numpy(np.str_),
    }
    counts = {"stimulus_presentations": len(stimuli), "running_samples": len(running)}
    return path, table, counts


def templates(
    cache: Any, folder: str, scenes: bool, movies: list[str]
) -> Iterator[tuple[str, np.ndarray]]:
    """Name and (height, width) uint8 values of every scene and movie frame.

    Names are those that `sources/allen.py` gives presentations: natural_scenes/007.png.
    """
    if scenes:
        for number in scene_numbers(folder):
            image = _named(
                lambda number=number: cache.get_natural_scene_template(number),
                f"natural scene {number}",
            )
            yield f"natural_scenes/{number:03d}.png", np.asarray(image, np.uint8).squeeze()
    for name in movies:
        frames = _named(
            lambda name=name: cache.get_natural_movie_template(MOVIES[name]), f"movie {name}"
        )
        for index, frame in enumerate(np.asarray(frames, np.uint8)):
            yield f"{name}/{index:04d}.png", frame


def scene_numbers(folder: str) -> list[int]:
    """All scenes of the release, or those that a complete origin holds."""
    if not _is_origin(folder):
        return list(range(SCENES))
    found = Path(folder, "natural_scene_templates").glob("natural_scene_*.tiff")
    return sorted(int(path.stem.rpartition("_")[2]) for path in found)


def as_png(values: np.ndarray) -> bytes:
    """A PNG file's bytes; nothing in them depends on when they were made."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


def _is_origin(folder: str) -> bool:
    return Path(folder, "provenance.json").is_file()


def _named(load: Callable[[], T], where: str) -> T:
    """What `load` returns; an exception of AllenSDK on a bad file or address becomes one line."""
    try:
        return load()
    except InputError:
        raise
    except Exception as error:
        # The client lets errors of pynwb, pandas, requests and SimpleITK through as they are.
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"{where}: cannot be opened by AllenSDK ({reason})") from None
