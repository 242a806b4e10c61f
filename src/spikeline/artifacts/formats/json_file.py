"""Artifacts in JSON: an object that names its contract."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from spikeline.artifacts import provenance
from spikeline.artifacts.files import write_text
from spikeline.artifacts.formats import seal
from spikeline.artifacts.formats.other import another
from spikeline.errors import InputError


def write(
    path: str | os.PathLike[str],
    contract: str,
    content: Mapping[str, Any],
    record: Mapping[str, Any],
) -> None:
    """Write an object of finite numbers atomically, with its contract and provenance."""
    whole = {"contract": contract, **content, provenance.KEY: dict(record)}
    whole[seal.KEY] = seal.of_json(whole)
    write_text(path, json.dumps(whole, allow_nan=False) + "\n")


def read(path: str | os.PathLike[str], contract: str) -> dict[str, Any]:
    """The object in a file of this contract, its fields not yet checked.

    Raises:
        InputError: missing, truncated, damaged, or of another contract.
    """
    try:
        with open(path, encoding="utf-8") as handle:
            content = json.load(handle)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path}: not JSON or truncated; make it again") from None
    found = content.get("contract") if isinstance(content, dict) else None
    if found != contract:
        holds = content if isinstance(content, dict) else {}
        raise InputError(f"{path}: {another(found, contract, holds)}")
    sealed = content.pop(seal.KEY, None)
    if sealed not in (None, seal.of_json(content)):
        raise InputError(f"{path}: is damaged: not what was written; make it again")
    return content


@contextmanager
def fields(path: str | os.PathLike[str]) -> Iterator[None]:
    """Wraps the use of what was read: a missing or ill-typed field is an error of the file.

    Raises:
        InputError: instead of the exception that the bad field caused.
    """
    try:
        yield
    except InputError:
        raise
    except KeyError as error:
        raise InputError(f"{path}: field {error} is missing; make it again") from None
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError):
        raise InputError(f"{path}: a field has the wrong type; make it again") from None
