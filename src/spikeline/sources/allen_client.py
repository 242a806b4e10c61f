"""Allen's Visual Coding sessions and stimulus templates by their own client, AllenSDK.

Runs in the client's environment (envs/allen.txt). A session stays an NWB file, which
`sources/allen.py` reads in the workflow's environment.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from spikeline.artifacts import provenance
from spikeline.errors import InputError

# The release shows 118 natural scenes.
SCENES = 118
MOVIES = {"natural_movie_one": 1, "natural_movie_three": 3}
T = TypeVar("T")


def open_cache(folder: str, attempts: int = 3) -> Any:
    """AllenSDK's cache in a folder; missing files are downloaded from the Allen Institute.

    A folder with provenance is a complete origin, such as a simulated one: it is only read.
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
    return ecephys.EcephysProjectCache.from_warehouse(manifest=str(manifest), fetch_tries=attempts)


def inherited_origins(folder: str) -> dict[str, Any]:
    """The origins that a cache carries: those of a simulated one."""
    return provenance.read(folder).get("origins", {}) if _is_origin(folder) else {}


def session_file(cache: Any, number: int) -> tuple[Path, dict[str, int]]:
    """The NWB file of a session, opened once by AllenSDK, and what AllenSDK counts in it.

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
    return path, {"stimulus_presentations": len(stimuli), "running_samples": len(running)}


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
