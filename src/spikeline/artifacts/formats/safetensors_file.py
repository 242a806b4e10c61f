"""Artifacts in safetensors: arrays, and a JSON description stored under their contract's name."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from spikeline.artifacts import provenance
from spikeline.artifacts.files import write_bytes
from spikeline.artifacts.formats import seal
from spikeline.artifacts.formats.other import another
from spikeline.errors import InputError


def write(
    path: str | os.PathLike[str],
    contract: str,
    arrays: Mapping[str, np.ndarray],
    description: Mapping[str, Any],
    record: Mapping[str, Any] | None = None,
) -> None:
    """Write atomically.

    Args:
        arrays: of any shapes.
        description: JSON.
        record: where it came from; see `spikeline.artifacts.provenance`.
    """
    described = {**description, **({} if record is None else {provenance.KEY: dict(record)})}
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    described[seal.KEY] = seal.of_json(described) + seal.of_arrays(contiguous)
    # One key: the order of several is not fixed, and equal contents should be equal files.
    header = {contract: json.dumps(described, sort_keys=True)}
    write_bytes(path, safetensors.numpy.save(contiguous, metadata=header))


def contracts(path: str | os.PathLike[str]) -> set[str]:
    """The contracts that a file names: one, or none where another program wrote it.

    Raises:
        InputError: missing or damaged.
    """
    with _opened(path) as file:
        return set(file.metadata() or {})


def read(
    path: str | os.PathLike[str], contract: str
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(description, arrays) of a file of this contract.

    Raises:
        InputError: missing, damaged, or of another contract.
    """
    with _opened(path) as file:
        header = file.metadata() or {}
        if contract not in header:
            raise InputError(f"{path}: {_another(header, contract)}")
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    with whole(path):
        described = dict(json.loads(header[contract]))
        sealed = described.pop(seal.KEY, None)
        if sealed not in (None, seal.of_json(described) + seal.of_arrays(arrays)):
            raise InputError(f"{path}: is damaged: not what was written; make it again")
        return described, arrays


def _another(header: Mapping[str, str], contract: str) -> str:
    if not header:
        return f"holds no contract, expected {contract!r}; make it again"
    found, description = next(iter(header.items()))
    try:
        holds = dict(json.loads(description))
    except (ValueError, TypeError, RecursionError):
        holds = {}
    return another(found, contract, holds)


@contextmanager
def whole(path: str | os.PathLike[str]) -> Iterator[None]:
    """Wraps the use of what was read: missing or wrong parts are an error of the file.

    Raises:
        InputError: instead of the exception that the bad part caused.
    """
    try:
        yield
    except InputError:
        raise
    except (*seal.DAMAGE, ArithmeticError, AssertionError, AttributeError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}: parts are missing or wrong ({reason}); make it again") from None


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    try:
        with safetensors.safe_open(str(path), framework="numpy") as file:
            yield file
    except (OSError, safetensors.SafetensorError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}: cannot be read ({reason}); make it again") from None
