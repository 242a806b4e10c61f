"""Artifacts in JSON: an object that names its contract."""

from __future__ import annotations

import json
import os
from typing import Any

from spikeline.errors import InputError


def read(path: str | os.PathLike[str], contract: str) -> dict[str, Any]:
    """The object in a file of this contract, its fields not yet checked.

    Raises:
        InputError: missing, truncated, or of another contract.
    """
    try:
        with open(path, encoding="utf-8") as handle:
            content = json.load(handle)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except ValueError:
        raise InputError(f"{path}: not JSON or truncated; delete it and rerun") from None
    found = content.get("contract") if isinstance(content, dict) else None
    if found != contract:
        raise InputError(f"{path}: holds {found!r} where {contract!r} is due")
    return content
