"""A run as a Process Run Crate (RO-Crate): every step behind the tables, what it read and wrote.

https://w3id.org/ro/wfrun/process/0.5. Tables and what is made from them are inside the crate. The
files before them, often large, are told by name and checksum only. Each file that a step made has a
CreateAction, with the settings among its objects; it ended when that file was written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rocrate.model import ContextEntity
from rocrate.rocrate import ROCrate

from spikeline import __version__
from spikeline.artifacts.files import atomic_path
from spikeline.errors import InputError
from spikeline.report.lineage import Artifact, lineage

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
VERSION = "1.1"
MIME = {
    ".tsv": "text/tab-separated-values",
    ".png": "image/png",
    ".txt": "text/plain",
    ".html": "text/html",
}


def write(
    path: str | os.PathLike[str],
    included: Sequence[str | os.PathLike[str]],
    name: str,
    description: str,
    license: str,
) -> None:
    """Write the crate as a zip file, atomically.

    Args:
        path: ends with .zip.
        included: files with provenance that go into the crate.
        name, description: of the crate.
        license: address of the licence of what is inside, or words about it.

    Raises:
        InputError: one of the files is missing, or none is given.
    """
    missing = [str(file) for file in included if not Path(file).is_file()]
    if missing or not included:
        raise InputError(f"{', '.join(missing) or path}: no such file to describe; make it first")
    behind = lineage(included)
    inside = {Path(file).as_posix() for file in included}
    crate = ROCrate(version=VERSION)
    crate.name, crate.description = name, description
    ends = [_written(file) for file in inside]
    crate.root_dataset["datePublished"] = max(filter(None, ends))
    crate.license = (
        _add(crate, license, "CreativeWork", {"name": license}) if "://" in license else license
    )
    crate.root_dataset["conformsTo"] = _add(
        crate, PROFILE, "CreativeWork", {"name": "Process Run Crate", "version": "0.5"}
    )
    sums: dict[str, str] = {}
    for artifact in behind:
        sums |= artifact.record.get("inputs", {})
    entities = {
        one.path: _file(crate, one, sums.get(one.path)) if one.path in inside
        else _told(crate, one, sums.get(one.path))
        for one in behind
    }  # fmt: skip
    actions = [_action(crate, one, entities) for one in behind if one.step]
    crate.root_dataset["mentions"] = actions
    with atomic_path(path) as temporary:
        crate.write_zip(temporary)


def _file(crate: ROCrate, artifact: Artifact, checksum: str | None) -> Any:
    """A file inside the crate."""
    path = Path(artifact.path)
    properties = {"name": path.name, "contentSize": str(path.stat().st_size)}
    properties |= {"sha256": checksum} if checksum else {}
    if path.suffix in MIME:
        properties["encodingFormat"] = MIME[path.suffix]
    return crate.add_file(path, dest_path=artifact.path.lstrip("/"), properties=properties)


def _told(crate: ROCrate, artifact: Artifact, checksum: str | None) -> Any:
    """A file that is not inside: its name, checksum, and the origins of its data."""
    properties: dict[str, Any] = {"name": artifact.path}
    properties |= {"sha256": checksum} if checksum else {}
    origins = artifact.record.get("origins", {})
    if origins and not artifact.record.get("inputs"):
        properties["isBasedOn"] = [_origin(crate, name, told) for name, told in origins.items()]
    return _add(crate, f"#file:{artifact.path}", "CreativeWork", properties)


def _origin(crate: ROCrate, name: str, told: Mapping[str, Any]) -> Any:
    """Where data came from, with its commit or checksum."""
    properties = {"name": name, "description": json.dumps(told, sort_keys=True)}
    if "://" in str(told.get("url", "")):
        properties["url"] = told["url"]
    proof = told.get("commit") or told.get("sha256") or told.get("revision")
    properties |= {"version": str(proof)} if proof else {}
    return _add(crate, f"#origin:{name}", "CreativeWork", properties)


def _action(crate: ROCrate, artifact: Artifact, entities: Mapping[str, Any]) -> Any:
    """The step that made a file."""
    record = artifact.record
    settings = _add(
        crate,
        f"#settings:{artifact.path}",
        "PropertyValue",
        {"name": "settings", "value": json.dumps(record.get("settings", {}), sort_keys=True)},
    )
    inputs = [entities[path] for path in record.get("inputs", {}) if path in entities]
    properties: dict[str, Any] = {
        "name": f"spikeline {artifact.step}: {artifact.path}",
        "instrument": _software(crate, artifact),
        "object": [*inputs, settings],
        "result": entities[artifact.path],
        "actionStatus": "http://schema.org/CompletedActionStatus",
    }
    ended = _written(artifact.path)
    properties |= {"endTime": ended} if ended else {}
    return _add(crate, f"#step:{artifact.path}", "CreateAction", properties)


def _software(crate: ROCrate, artifact: Artifact) -> Any:
    """The subcommand that ran, with the digest of its code and the versions it ran with."""
    code, versions = artifact.record.get("code", ""), artifact.record.get("versions", {})
    needed = [f"{name} {version}" for name, version in sorted(versions.items())]
    return _add(
        crate,
        f"#software:{artifact.step}:{code}",
        "SoftwareApplication",
        {
            "name": f"spikeline {artifact.step}",
            "version": f"{versions.get('spikeline', __version__)}, code {code}",
            "softwareRequirements": needed,
        },
    )


def _add(crate: ROCrate, identifier: str, kind: str, properties: Mapping[str, Any]) -> Any:
    """A contextual entity, once."""
    found = crate.dereference(identifier)
    if found is not None:
        return found
    return crate.add(ContextEntity(crate, identifier, {"@type": kind, **properties}))


def _written(path: str | os.PathLike[str]) -> str | None:
    """When a file was last written; None where it is gone."""
    try:
        seconds = Path(path).stat().st_mtime
    except OSError:
        return None
    return datetime.fromtimestamp(int(seconds), UTC).isoformat()
