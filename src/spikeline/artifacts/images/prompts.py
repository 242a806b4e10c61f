"""Prompts: what a text encoder makes of the caption of every image of a stimulus set."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeline.artifacts.formats.contract import Contract, Field
from spikeline.errors import InputError


def _check_prompt(values: Mapping[str, Any], where: str) -> None:
    index, count = values["prompt"], len(values["prompts"])
    outside = (index < 0) | (index >= count)
    if outside.any():
        raise InputError(
            f"{where}: field prompt holds {index[outside][0]}, expected indices of the {count} "
            "prompts"
        )


CONTRACT = Contract(
    "prompts/1",
    fields=(
        Field(
            "states", "float16", ("prompts", "tokens", "dim"),
            "the text encoder's last, after its norm", finite=True,
        ),
        Field("prompts", "str", ("prompts",), "captions or names of classes", distinct=True),
        Field("images", "str", ("images",), "names, with '/'", distinct=True),
        Field("prompt", "int32", ("images",), "row of the image's caption among the prompts"),
        Field("empty", "float16", ("tokens", "dim"), "states of the empty prompt", finite=True),
    ),
    attributes=(
        Field("encoder", "str", (), "the text encoder's identity: digest of its weights"),
    ),
    rules=(_check_prompt,),
)  # fmt: skip


@dataclass(frozen=True)
class Prompts:
    """See CONTRACT for dims and units."""

    states: np.ndarray
    prompts: np.ndarray
    images: np.ndarray
    prompt: np.ndarray
    empty: np.ndarray
    encoder: str

    def rows_of(self, images: np.ndarray, where: str = "prompts") -> np.ndarray:
        """(len(images),) which of the prompts each of `images` has.

        Raises:
            InputError: an image has no prompt here.
        """
        row = dict(zip(self.images, self.prompt.tolist(), strict=True))
        missing = [name for name in images if name not in row]
        if missing:
            raise InputError(
                f"{where}: has no prompt of {missing[0]!r} and {len(missing) - 1} more of "
                f"{len(images)} images; encode the captions of this subject's own images"
            )
        return np.array([row[name] for name in images], dtype=np.int64)


def write(path: str | os.PathLike[str], prompts: Prompts, record: Mapping[str, Any]) -> None:
    """Check against the contract and write with provenance."""
    CONTRACT.write(path, vars(prompts), record)


def read(path: str | os.PathLike[str]) -> Prompts:
    """Read and check against the contract; `states` are mapped: only what is used is read.

    Raises:
        InputError: missing, truncated, of another contract, or in breach of this one.
    """
    return Prompts(**CONTRACT.read(path, mapped=("states",)))
