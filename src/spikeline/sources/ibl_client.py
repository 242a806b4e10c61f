"""IBL sessions by their own client: ONE, SpikeSortingLoader and SessionLoader.

Runs in the client's environment (envs/ibl.txt). It returns plain arrays, which
`sources/ibl.py` reads in the workflow's environment.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np

from spikeline.errors import InputError
from spikeline.sources import ibl_login

log = logging.getLogger(__name__)

SPIKES = ("times", "clusters")
CLUSTERS = ("acronym", "depths", "label", "uuids")
PLACES = "channels.brainLocationIds_ccf_2017"
FILES = (
    "spikes.times", "spikes.clusters", "clusters.channels", "clusters.depths", "clusters.uuids",
    "channels.localCoordinates", "channels.mlapdv", "channels.rawInd", PLACES,
)  # fmt: skip
T = TypeVar("T")


def open_one(cache: str, url: str | None, login: str | None) -> Any:
    """ONE on a local tree with its cache tables, or on an Alyx database.

    Args:
        cache: the tree; with `url`, the folder that downloads are kept in.
        url: address of the database.
        login: what `fetch-ibl-login` made for it.

    Raises:
        InputError: no tables in the tree, or no login.
    """
    from one.api import ONE

    # A tree without revisions has no default revision; ONE would warn of it once per dataset.
    warnings.filterwarnings("ignore", message="No default revision")
    if url is None:
        missing = [n for n in ("sessions.pqt", "datasets.pqt") if not Path(cache, n).is_file()]
        if missing:
            raise InputError(f"{cache}: {missing[0]} is missing; is it a tree with ONE's tables?")
        return ONE(mode="local", cache_dir=cache)
    if not login:
        raise InputError(f"{url}: needs a login: make one with spikeline fetch-ibl-login")
    return ibl_login.opened(url, cache, login)


def find_session(one: Any, name: str) -> tuple[str, dict[str, str]]:
    """The eid of a session given by eid or reference (2026-01-01_1_subject), and its details.

    Raises:
        InputError: there is none.
    """
    try:
        eid = one.to_eid(name)
    except InputError:
        raise  # A ValueError too, of the login.
    except (AssertionError, ValueError):
        # An ill-formed reference, and a reference to no session.
        eid = None
    path = None if eid is None else one.eid2path(str(eid))
    if path is None:
        raise InputError(f"session {name}: is not in {one.cache_dir} or its database")
    details = {"eid": str(eid), "subject": path.subject, "date": path.date, "lab": path.lab}
    return str(eid), {name: str(value) for name, value in details.items()}


def load_probe(
    one: Any, eid: str, probe: str, revision: str | None, regions: Any
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Spike times (n,) in seconds, clusters (n,), and columns of the cluster table.

    The table has one row per cluster index, with the label of IBL's quality metrics: the share
    of them that it passed.

    Raises:
        InputError: an ALF object is missing; it is named.
    """
    from brainbox.io.one import SpikeSortingLoader

    where = f"session {eid}, {probe}"
    # Without it the loader downloads an atlas, of which only the acronyms are needed.
    atlas = SimpleNamespace(regions=regions)
    loader = SpikeSortingLoader(eid=eid, pname=probe, one=one, atlas=atlas)
    if not loader.collections:
        raise InputError(f"{where}: ALF object spikes is missing (no alf/{probe}/*/spikes.*)")
    _require_files(one, eid, probe, where)
    spikes, clusters, channels = _named(
        lambda: loader.load_spike_sorting(revision=revision), where, "spikes, clusters or channels"
    )
    _require("spikes", spikes, SPIKES, where)
    _require("clusters", clusters, ("channels", "depths", "uuids"), where)
    if "acronym" not in channels:
        raise InputError(f"{where}: ALF object {PLACES} is missing; have it extracted")
    clusters = loader.merge_clusters(spikes, clusters, channels)
    _require("clusters", clusters, CLUSTERS, where)
    label = np.asarray(clusters["label"], np.float64)
    table = {
        "cluster": np.arange(len(label)),
        "uuid": np.asarray(clusters["uuids"]).astype(str).ravel(),
        "region": np.asarray(clusters["acronym"]).astype(str),
        "depth": np.asarray(clusters["depths"], np.float64),
        "label": label,
    }
    return np.asarray(spikes["times"]), np.asarray(spikes["clusters"]), table


def load_wheel(one: Any, eid: str, revision: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Timestamps (n,) in seconds and position (n,) in radians, as they were recorded.

    `SessionLoader.load_wheel` rounds times to float32, half a millisecond after an hour, so the
    object is loaded by itself and interpolated in the conversion.
    """
    where = f"session {eid}"
    wheel = _named(lambda: one.load_object(eid, "wheel", revision=revision), where, "wheel")
    _require("wheel", wheel, ("timestamps", "position"), where)
    return np.asarray(wheel["timestamps"]), np.asarray(wheel["position"])


def load_trials(one: Any, eid: str, revision: str | None) -> dict[str, np.ndarray]:
    """Columns of the trials table, `start` and `end` from its intervals."""
    from brainbox.io.one import SessionLoader

    where = f"session {eid}"
    loader = SessionLoader(one=one, eid=eid, revision=revision or "")
    try:
        _named(loader.load_trials, where, "trials")
    finally:
        # The loader turns them off, and after a failure leaves them off for the next try.
        one.wildcards = True
    trials = {name: loader.trials[name].to_numpy() for name in loader.trials}
    _require("trials", trials, ("intervals_0", "intervals_1"), where)
    columns = {"start": trials.pop("intervals_0"), "end": trials.pop("intervals_1")}
    return columns | {
        name: values for name, values in trials.items() if values.dtype.kind in "biuf"
    }


def probes_of(one: Any, eid: str) -> list[str]:
    """Names of the probes whose spikes are sorted."""
    found = one.list_collections(eid, filename="spikes*", collection="alf/probe*")
    return sorted({name.split("/")[1] for name in map(str, found)})


def retried(action: Callable[[], T], what: str, attempts: int = 3, pause: float = 10.0) -> T:
    """The result of a step that needs the network, retried where it failed.

    Raises:
        InputError: it failed every time, or the server refused.
    """
    import http.client
    from urllib.error import URLError

    import requests

    broken = (
        requests.RequestException, URLError, http.client.HTTPException, ConnectionError,
        TimeoutError,
    )  # fmt: skip
    for attempt in range(attempts):
        try:
            return action()
        except broken as error:
            reason = " ".join(str(error).split())[:200]
            log.warning("%s: attempt %d of %d: %s", what, attempt + 1, attempts, reason)
            if _status(error) in (401, 403):
                reason += "; the login may have ended: remove its file and run again"
            if 400 <= _status(error) < 500 and _status(error) not in (408, 429):
                break  # The server would answer the same again.
            if attempt + 1 < attempts:
                time.sleep(pause * 2**attempt)
    raise InputError(f"{what}: cannot be fetched: {reason}")


def _status(error: Exception) -> int:
    """The HTTP status that an error came with; 0 for none."""
    response = getattr(error, "response", None)
    return getattr(response, "status_code", None) or getattr(error, "code", None) or 0


def _named(load: Callable[[], T], where: str, what: str) -> T:
    """What `load` returns; a missing ALF object as one line that names it."""
    from one.alf.exceptions import ALFError

    try:
        return load()
    except InputError:
        raise
    except ALFError as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{where}: ALF object {what} is missing or damaged: {reason}") from None
    except (KeyError, ValueError, EOFError, AttributeError, NotImplementedError) as error:
        # A tree that differs from its tables fails deep inside the client.
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{where}: ALF object {what} cannot be loaded: {reason}") from None


def _require(name: str, loaded: Any, attributes: Sequence[str], where: str) -> None:
    missing = [attribute for attribute in attributes if attribute not in (loaded or {})]
    if missing:
        raise InputError(f"{where}: ALF object {name}.{missing[0]} is missing; have it extracted")


def _require_files(one: Any, eid: str, probe: str, where: str) -> None:
    """Name what a local tree lacks; the client would query a database, or raise KeyError."""
    if one.mode != "local":
        return
    names = [path.name for path in (Path(one.eid2path(eid)) / "alf" / probe).rglob("*.*")]
    for expected in FILES:
        # Channels may also come from electrodeSites.*, which all sortings share.
        ends = (expected, expected.replace("channels.", "electrodeSites."))
        if not any(end in name for name in names for end in ends):
            raise InputError(f"{where}: ALF object {expected} is missing; have it extracted")
