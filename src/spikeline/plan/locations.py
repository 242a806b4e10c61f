"""Paths and addresses that a config names, with environment variables filled in and checked."""

from __future__ import annotations

import os
import re
from pathlib import Path

from spikeline.errors import InputError


def location(path: str) -> str:
    """A path or address with $VARIABLES filled in.

    Raises:
        InputError: a variable is not set or empty, the address carries a password, or braces.
    """
    filled = os.path.expandvars(path)
    empty = [name for name in re.findall(r"\$\{?(\w+)", path) if not os.environ.get(name)]
    if "$" in filled or empty:
        raise InputError(f"{path}: set the environment variable it names, or write a path")
    if "{" in filled or "}" in filled:
        # Snakemake would fill them in.
        raise InputError(f"{path}: a path must not hold {{ or }}; rename the file or folder")
    if re.match(r"\w+://[^/]*@", filled):
        raise InputError(f"{path}: an address must not carry a user or password")
    return filled


def is_address(path: str) -> bool:
    """Whether a file must be fetched from outside this machine."""
    return path.startswith(("https://", "http://"))


def local_file(path: str, where: str) -> str | list[str]:
    """A file or folder that the config names at `where`, as an input; none where it is an address.

    Raises:
        InputError: it does not exist. Snakemake would not say so where the output of that input
            exists already: it would take the output for given, and miss any change of settings.
    """
    filled = location(path)
    if "://" in filled:
        return []
    if not Path(filled).exists():
        raise InputError(f"{where}: {filled}: no such file; correct the path or restore the file")
    return filled


def flag(name: str, value: object) -> list[str]:
    """`--name value` as arguments of a command; none where there is no value."""
    return [name, str(value)] if value else []


def flags(name: str, values: object) -> list[str]:
    """`--name value value ...`; none where there are no values."""
    return [name, *map(str, values)] if values else []
