"""Options of the subcommands that train and evaluate forecasters: sessions and their roles."""

from __future__ import annotations

import argparse

from spikeline.errors import InputError

ROLES = ("seen", "held_out")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--counts", required=True, nargs="+", metavar="FILE", help="one per session, HDF5"
    )
    parser.add_argument(
        "--embeddings", nargs="*", default=[], metavar="FILE", help="of the images shown, HDF5"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    parser.add_argument(
        "--budget-mb",
        type=int,
        default=20_000,
        help="counts that are larger than this together stay on disk, mapped into memory (20000)",
    )


def add_roles(parser: argparse.ArgumentParser) -> None:
    """What scoring needs of each session besides."""
    parser.add_argument(
        "--features", nargs="*", default=[], metavar="FILE", help="in the same order; networks only"
    )
    parser.add_argument(
        "--roles", required=True, nargs="+", help="seen or held_out, one for each session"
    )


def check_roles(options: argparse.Namespace) -> None:
    """Raise InputError where the roles are not one for each session."""
    if len(options.roles) != len(options.counts):
        raise InputError(f"--roles: {len(options.roles)} for {len(options.counts)} sessions")
    unknown = sorted(set(options.roles) - set(ROLES))
    if unknown:
        raise InputError(f"--roles: {unknown[0]!r}; expected seen or held_out")
