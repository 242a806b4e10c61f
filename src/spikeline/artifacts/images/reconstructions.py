"""Reconstructions: the image that one decoder made from the responses to each test image."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikeline.artifacts.formats.contract import Contract, Field
from spikeline.errors import InputError


def _check_settings(values: Mapping[str, Any], where: str) -> None:
    try:
        found = json.loads(values["settings"])
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InputError(f"{where}: attribute settings is no JSON object")


def _check_several(values: Mapping[str, Any], where: str) -> None:
    if len(values["images"]) < 2:
        raise InputError(f"{where}: field images has 1 name, expected two or more to compare")


CONTRACT = Contract(
    "reconstructions/1",
    fields=(
        Field("images", "str", ("images",), "names of the test images", distinct=True),
        Field("pixels", "uint8", ("images", "height", "width", 3), "what was made, RGB"),
        Field(
            "low_level", "uint8", ("images", "height", "width", 3),
            "the decoded latent alone, RGB",
        ),
        Field("retrieved", "str", ("images",), "the image that was found; empty if none"),
    ),
    attributes=(
        Field("settings", "str", (), "JSON: how they were made"),
        Field("generator", "str", (), "identity of the generator"),
    ),
    optional=("low_level", "retrieved"),
    rules=(_check_settings, _check_several),
)  # fmt: skip


@dataclass(frozen=True)
class Reconstructions:
    """See CONTRACT for dims and units; `low_level` and `retrieved` are None where there is none."""

    images: np.ndarray
    pixels: np.ndarray
    generator: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    low_level: np.ndarray | None = None
    retrieved: np.ndarray | None = None


def write(
    path: str | os.PathLike[str], reconstructions: Reconstructions, record: Mapping[str, Any]
) -> None:
    """Check against the contract and write with provenance."""
    CONTRACT.write(path, stored(reconstructions), record)


def read(path: str | os.PathLike[str]) -> Reconstructions:
    """Read and check against the contract; pixels are mapped: only what is used is read.

    Raises:
        InputError: missing, truncated, of another contract, or in breach of this one.
    """
    found = CONTRACT.read(path, mapped=("pixels", "low_level"))
    return Reconstructions(**{**found, "settings": json.loads(found["settings"])})


def stored(reconstructions: Reconstructions) -> dict[str, Any]:
    """As a file holds them."""
    values = {key: value for key, value in vars(reconstructions).items() if value is not None}
    return {**values, "settings": json.dumps(dict(reconstructions.settings), sort_keys=True)}
