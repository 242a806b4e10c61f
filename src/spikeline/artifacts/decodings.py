"""Decodings: squared errors of each decoder of one session's wheel, from which its R2 follows.

A JSON object:

| key | value |
|---|---|
| contract | "decodings/2" |
| decodings | one for each session that was decoded, as below |
| provenance | see artifacts/provenance.py |

and of each session

| key | value |
|---|---|
| session, source, behaviour | name of the session, where it came from, wheel, running or position |
| units, seed | units that were read; seed of POYO and of the controls |
| velocity | {mean, std} over train blocks, in the behaviour's unit: what z-scores are of |
| settings | of the decoding |
| blocks, samples | (pieces,) the number of each one's test block, and its moments |
| decoders | {name: {facts, sse, sst}}, the last two lists with one number per piece |

Pieces are parts of test blocks, in order of time. See horizon/wheel/task.py. The decoders are
those that know one session (ALONE), or those that were trained on several (JOINT).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeline.artifacts.formats import json_file
from spikeline.errors import InputError

CONTRACT = "decodings/2"
ALONE = ("poyo", "ridge", "poyo_shuffled", "ridge_shuffled")
JOINT = ("poyo_joint", "poyo_joint_shuffled")


@dataclass(frozen=True)
class Decoded:
    """One decoder: facts such as its parameters, and (pieces,) sums of squares."""

    facts: Mapping[str, Any]
    sse: np.ndarray
    sst: np.ndarray


@dataclass(frozen=True)
class Decodings:
    """Of one session; see the module's tables."""

    session: str
    source: str
    behaviour: str
    units: int
    seed: int
    velocity: Mapping[str, float]
    settings: Mapping[str, Any]
    blocks: np.ndarray
    samples: np.ndarray
    decoders: Mapping[str, Decoded]


def write(
    path: str | os.PathLike[str], decodings: Sequence[Decodings], record: Mapping[str, Any]
) -> None:
    """Check against the contract and write with provenance, atomically."""
    for one in decodings:
        check(one, str(path))
    content = {"decodings": [_written(one) for one in decodings]}
    json_file.write(path, CONTRACT, content, record)


def read(path: str | os.PathLike[str]) -> list[Decodings]:
    """Read and check against the contract.

    Raises:
        InputError: missing, truncated, of another contract, or in breach of this one.
    """
    content = json_file.read(path, CONTRACT)
    with json_file.fields(path):
        decodings = [_read(one) for one in content["decodings"]]
        for one in decodings:
            check(one, str(path))
    return decodings


def check(decodings: Decodings, where: str) -> None:
    """Raise InputError, naming `where`, on any breach of the contract."""
    names = sorted(decodings.decoders)
    if names not in (sorted(ALONE), sorted(JOINT)):
        raise InputError(f"{where}: decoders {names}, expected {sorted(ALONE)} or {sorted(JOINT)}")
    pieces = len(decodings.samples)
    found = {"blocks": decodings.blocks, "samples": decodings.samples}
    for name, one in decodings.decoders.items():
        found |= {f"{name}/sse": one.sse, f"{name}/sst": one.sst}
    for key, values in found.items():
        if values.shape != (pieces,) or not pieces:
            raise InputError(
                f"{where}: expected {pieces} numbers of {key}, got shape {values.shape}; decode "
                "again"
            )
        if not np.isfinite(values).all() or (values < 0).any():
            raise InputError(f"{where}: {key} holds a number that is negative or not finite")
    if (np.diff(decodings.blocks) < 0).any():
        raise InputError(f"{where}: blocks are not in order of time; decode again")
    for name, one in decodings.decoders.items():
        if not one.sst.sum() > 0:
            raise InputError(f"{where}: {name}: the velocity never changes")


def _written(one: Decodings) -> dict[str, Any]:
    return {
        **{name: getattr(one, name) for name in ("session", "source", "behaviour")},
        "units": int(one.units),
        "seed": int(one.seed),
        "velocity": dict(one.velocity),
        "settings": dict(one.settings),
        "blocks": [int(value) for value in one.blocks],
        "samples": [int(value) for value in one.samples],
        "decoders": {
            name: {
                "facts": dict(decoder.facts),
                # Six digits: far below any difference between decoders.
                "sse": [float(f"{value:.6g}") for value in decoder.sse],
                "sst": [float(f"{value:.6g}") for value in decoder.sst],
            }
            for name, decoder in one.decoders.items()
        },
    }


def _read(content: Mapping[str, Any]) -> Decodings:
    return Decodings(
        **{name: str(content[name]) for name in ("session", "source", "behaviour")},
        units=int(content["units"]),
        seed=int(content["seed"]),
        velocity=dict(content["velocity"]),
        settings=dict(content["settings"]),
        blocks=np.array(content["blocks"], np.int64),
        samples=np.array(content["samples"], np.int64),
        decoders={
            name: Decoded(
                dict(one["facts"]),
                np.array(one["sse"], np.float64),
                np.array(one["sst"], np.float64),
            )
            for name, one in content["decoders"].items()
        },
    )
