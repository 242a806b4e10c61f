"""Allen Visual Coding sessions from their NWB files, read with pynwb.

Good units are those that AllenSDK keeps by default: of good quality, on a valid channel inside the
brain, presence_ratio >= 0.95, isi_violations <= 0.5 and amplitude_cutoff <= 0.1 (Siegle et al.
2021, Nature 592:86; `UNIT_FILTER_DEFAULTS` of allensdk 2.16). A metric that is NaN fails. The file
says which units are inside the brain; the region of each is that of the release's table of
channels, as AllenSDK has it, where `fetch-allen` left one.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spikeline.errors import InputError
from spikeline.sources.behaviour import Track
from spikeline.sources.columns import read_columns
from spikeline.sources.recordings import Recording
from spikeline.sources.spikes import Spikes

if TYPE_CHECKING:
    from pynwb import NWBFile

log = logging.getLogger(__name__)

MINIMUM = {"presence_ratio": 0.95}
MAXIMUM = {"isi_violations": 0.5, "amplitude_cutoff": 0.1}
OUTSIDE = ("None", "")  # acronyms of channels outside any brain structure
# Kept in addition to id, region and depth.
QUALITY = ("snr", "firing_rate", *MINIMUM, *MAXIMUM)
SCENES = "natural_scenes"
MOVIE = re.compile(r"natural_movie_(one|three|1|3)(_more_repeats)?$")
MOVIE_NAMES = {"1": "one", "3": "three"}


def read_recording(
    path: str | os.PathLike[str], name: str, channels: str | os.PathLike[str] | None = None
) -> Recording:
    """The recording in an NWB file of the Visual Coding release.

    Args:
        channels: AllenSDK's table of channels and their regions; None takes the file's own.

    Raises:
        InputError: missing or damaged, no stimulus table, or no units.
    """
    with _opened(Path(path)) as nwb:
        if nwb.units is None or not len(nwb.units.id):
            raise InputError(f"{path}: holds no units; fetch it again")
        stimuli = _stimuli(nwb, path)
        clusters = _clusters(nwb, path)
        peak = clusters.pop("channel")
        if channels is not None:
            _place_in_regions(clusters, peak, channels)
        spikes = _spikes(nwb, path, clusters["good"])
        return Recording(
            name=name,
            source="allen",
            subject=str(nwb.subject.subject_id or "") if nwb.subject is not None else "",
            spikes=spikes,
            clusters=clusters,
            cluster_count=len(clusters["cluster"]),
            track=_running(nwb, path),
            stimuli=stimuli,
        )


def image_name(stimulus: str, frame: float) -> str | None:
    """Name of a presentation's image in the archive of templates.

    '' for a blank sweep (frame -1), None for a stimulus that is not an image or not a known one.
    """
    movie = MOVIE.match(stimulus)
    if (stimulus != SCENES and not movie) or not np.isfinite(frame):
        return None
    if frame < 0:
        return ""
    if movie:
        number = MOVIE_NAMES.get(movie[1], movie[1])
        return f"natural_movie_{number}/{int(frame):04d}.png"
    return f"{SCENES}/{int(frame):03d}.png"


@contextmanager
def _opened(path: Path) -> Iterator[NWBFile]:
    from pynwb import NWBHDF5IO

    if not path.is_file():
        raise InputError(f"{path}: no such file; run fetch-allen first")
    try:
        with warnings.catch_warnings():
            # Files of 2019 name namespaces that later versions of pynwb know by themselves.
            warnings.simplefilter("ignore")
            with NWBHDF5IO(str(path), "r", load_namespaces=True) as reader:
                yield reader.read()
    except InputError:
        raise
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(
            f"{path}: is damaged or not an NWB file ({reason}); fetch it again"
        ) from None


def _spikes(nwb: NWBFile, path: str | os.PathLike[str], good: np.ndarray) -> Spikes:
    """Spikes of the good units in order of time; a cluster is a row of the units table.

    Spikes of other units, often more than half, are left out before the sort.
    """
    if "spike_times" not in nwb.units.colnames:
        raise InputError(f"{path}: units have no spike_times; fetch it again")
    times = np.asarray(nwb.units["spike_times"].target.data[:], np.float64)
    stops = np.asarray(nwb.units["spike_times"].data[:], np.int64)
    lengths = np.diff(stops, prepend=0)
    if (lengths < 0).any() or (stops[-1] if len(stops) else 0) != len(times):
        raise InputError(f"{path}: spike_times_index does not fit spike_times; fetch it again")
    if not np.isfinite(times).all():
        bad = int(np.argmin(np.isfinite(times)))
        raise InputError(f"{path}: spike time {bad} is {times[bad]}; expected seconds")
    kept = np.repeat(good, lengths)
    clusters = np.repeat(np.arange(len(stops), dtype=np.int32), lengths)[kept]
    times = times[kept]
    order = np.argsort(times, kind="stable")
    return Spikes(times[order], clusters[order], f"{path}", f"{path}")


def _clusters(nwb: NWBFile, path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    units, electrodes = nwb.units, nwb.electrodes
    needed = ("peak_channel_id", "quality", *MINIMUM, *MAXIMUM)
    missing = [name for name in needed if name not in units.colnames]
    if missing:
        raise InputError(f"{path}: units have no {missing[0]}; is it of the Visual Coding release?")
    channel_ids = np.asarray(electrodes.id[:])
    order = np.argsort(channel_ids)
    peak = np.asarray(units["peak_channel_id"][:])
    place = np.searchsorted(channel_ids, peak, sorter=order)
    row = order[np.minimum(place, len(order) - 1)]
    found = channel_ids[row] == peak
    region = np.asarray(electrodes["location"][:]).astype(str)[row]
    valid = np.asarray(electrodes["valid_data"][:]).astype(bool)[row]
    inside = found & ~np.isin(region, OUTSIDE)
    good = inside & valid & (np.asarray(units["quality"][:]).astype(str) == "good")
    for name, limit in MINIMUM.items():
        good &= np.asarray(units[name][:], np.float64) >= limit
    for name, limit in MAXIMUM.items():
        good &= np.asarray(units[name][:], np.float64) <= limit
    depth = np.asarray(electrodes["probe_vertical_position"][:], np.float32)[row]
    kept = [name for name in QUALITY if name in units.colnames]
    return {
        "cluster": np.arange(len(peak)),
        "id": np.asarray(units.id[:]).astype(str),
        "region": np.where(inside, region, ""),
        "depth": np.where(found, depth, np.nan).astype(np.float32),
        **{name: np.asarray(units[name][:], np.float32) for name in kept},
        "channel": peak,
        "good": good,
    }


def _place_in_regions(
    clusters: dict[str, np.ndarray], peak: np.ndarray, path: str | os.PathLike[str]
) -> None:
    """Give clusters the regions of AllenSDK's channels; what is on none of them is not good.

    Args:
        peak: the channel of each cluster.
        path: the table of channels.
    """
    table = read_columns(path)
    if not {"channel", "region"} <= set(table) or not len(table["channel"]):
        raise InputError(f"{path}: is no table of channels; fetch the recording again")
    regions = dict(zip(table["channel"].astype(np.int64).tolist(), table["region"], strict=True))
    known = np.isin(peak, table["channel"])
    clusters["good"] &= known
    named = np.asarray([regions.get(channel, "") for channel in peak.tolist()], np.str_)
    moved = int((clusters["good"] & (named != clusters["region"])).sum())
    if moved:
        log.info("%s: %d good units lie in another region than their file says", path, moved)
    clusters["region"] = np.where(known, named, clusters["region"])


def _running(nwb: NWBFile, path: str | os.PathLike[str]) -> Track | None:
    """Running speed, cm/s, in the middle of the interval that each sample was taken over."""
    if "running" not in nwb.processing:
        return None
    module = nwb.processing["running"]
    try:
        speed, ends = module["running_speed"], module["running_speed_end_times"]
    except KeyError as error:
        raise InputError(f"{path}: running speed is incomplete ({error.args[0]})") from None
    start, end = np.asarray(speed.timestamps[:]), np.asarray(ends.timestamps[:])
    return Track(
        "running", (start + end) / 2, None, f"{path}: running_speed", np.asarray(speed.data[:])
    )


def _stimuli(nwb: NWBFile, path: str | os.PathLike[str]) -> dict[str, np.ndarray] | None:
    """Presentations of images and blank sweeps; None where only other stimuli were shown."""
    tables = [t for name, t in (nwb.intervals or {}).items() if name.endswith("_presentations")]
    if not tables:
        raise InputError(
            f"{path}: has no stimulus table (intervals/*_presentations); fetch it again, or leave "
            "the session out"
        )
    rows = [row for table in tables for row in _presentations(table)]
    invalid = _invalid_times(nwb)
    rows = [row for row in rows if not _overlaps(row, invalid)]
    if not any(image for _, _, image in rows):
        return None
    start, end, image = zip(*sorted(rows), strict=True)
    return {"start": np.asarray(start), "end": np.asarray(end), "image": np.asarray(image, np.str_)}


def _presentations(table: Any) -> Iterator[tuple[float, float, str]]:
    if "frame" not in table.colnames or "stimulus_name" not in table.colnames:
        return
    columns = (table[name][:] for name in ("start_time", "stop_time", "stimulus_name", "frame"))
    for start, end, stimulus, frame in zip(*columns, strict=True):
        image = image_name(str(stimulus), _number(frame))
        if image is not None:
            yield float(start), float(end), image


def _number(value: Any) -> float:
    """A frame as a number: files hold floats, or text where other stimuli have no frames."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _invalid_times(nwb: NWBFile) -> np.ndarray:
    """(n, 2) seconds in which the screen is known to have shown something else."""
    table: Mapping[str, Any] | None = nwb.invalid_times
    if table is None:
        return np.zeros((0, 2))
    spans = [
        (float(start), float(stop))
        for start, stop, tags in zip(
            table["start_time"][:], table["stop_time"][:], table["tags"][:], strict=True
        )
        if "stimulus" in [str(tag).lower() for tag in np.atleast_1d(tags)]
    ]
    return np.asarray(spans).reshape(-1, 2)


def _overlaps(row: tuple[float, float, str], invalid: np.ndarray) -> bool:
    return bool(((row[0] < invalid[:, 1]) & (row[1] > invalid[:, 0])).any())
