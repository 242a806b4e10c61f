"""Decodings: squared errors of each decoder of one session's wheel, from which its R2 follows.

A JSON object:

| key | value |
|---|---|
| contract | "decodings/1" |
| session, source, behaviour | name of the session, where it came from, wheel, running or position |
| units, seed | units that were read; seed of POYO and of the controls |
| velocity | {mean, std} over train blocks, in the behaviour's unit: what z-scores are of |
| settings | of the decoding |
| decoders | {name: {facts, sse, sst, samples}}, the last three lists with one number per piece |
| provenance | see artifacts/provenance.py |

Pieces are parts of test blocks, the same for every decoder. See horizon/wheel/task.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeline.artifacts.formats import json_file
from spikeline.errors import InputError

CONTRACT = "decodings/1"
DECODERS = ("poyo", "ridge", "poyo_shuffled", "ridge_shuffled")


@dataclass(frozen=True)
class Decoded:
    """One decoder: facts such as its parameters, and (pieces,) sums of squares and of samples."""

    facts: Mapping[str, Any]
    sse: np.ndarray
    sst: np.ndarray
    samples: np.ndarray


@dataclass(frozen=True)
class Decodings:
    """See the module's table."""

    session: str
    source: str
    behaviour: str
    units: int
    seed: int
    velocity: Mapping[str, float]
    settings: Mapping[str, Any]
    decoders: Mapping[str, Decoded]


def write(path: str | os.PathLike[str], decodings: Decodings, record: Mapping[str, Any]) -> None:
    """Check against the contract and write with provenance, atomically."""
    check(decodings, str(path))
    content = {
        **{name: getattr(decodings, name) for name in ("session", "source", "behaviour")},
        "units": int(decodings.units),
        "seed": int(decodings.seed),
        "velocity": dict(decodings.velocity),
        "settings": dict(decodings.settings),
        "decoders": {
            name: {
                "facts": dict(one.facts),
                # Six digits: far below any difference between decoders.
                "sse": [float(f"{value:.6g}") for value in one.sse],
                "sst": [float(f"{value:.6g}") for value in one.sst],
                "samples": [int(value) for value in one.samples],
            }
            for name, one in decodings.decoders.items()
        },
    }
    json_file.write(path, CONTRACT, content, record)


def read(path: str | os.PathLike[str]) -> Decodings:
    """Read and check against the contract.

    Raises:
        InputError: missing, truncated, of another contract, or in breach of this one.
    """
    content = json_file.read(path, CONTRACT)
    with json_file.fields(path):
        decodings = Decodings(
            **{name: str(content[name]) for name in ("session", "source", "behaviour")},
            units=int(content["units"]),
            seed=int(content["seed"]),
            velocity=dict(content["velocity"]),
            settings=dict(content["settings"]),
            decoders={
                name: Decoded(
                    dict(one["facts"]),
                    np.array(one["sse"], np.float64),
                    np.array(one["sst"], np.float64),
                    np.array(one["samples"], np.int64),
                )
                for name, one in content["decoders"].items()
            },
        )
        check(decodings, str(path))
    return decodings


def check(decodings: Decodings, where: str) -> None:
    """Raise InputError, naming `where`, on any breach of the contract."""
    if sorted(decodings.decoders) != sorted(DECODERS):
        raise InputError(
            f"{where}: decoders {sorted(decodings.decoders)}, expected {sorted(DECODERS)}"
        )
    pieces = len(decodings.decoders[DECODERS[0]].samples)
    for name, one in decodings.decoders.items():
        for key in ("sse", "sst", "samples"):
            values = getattr(one, key)
            if values.shape != (pieces,) or not pieces:
                raise InputError(
                    f"{where}: expected {pieces} numbers of {name}/{key}, got shape "
                    f"{values.shape}; decode again"
                )
            if not np.isfinite(values).all() or (values < 0).any():
                raise InputError(f"{where}: {name}/{key} holds a number that is no sum of squares")
        if not one.sst.sum() > 0:
            raise InputError(f"{where}: {name}: the velocity never changes")
