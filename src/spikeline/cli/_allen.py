"""Options of the steps that download through AllenSDK's cache."""

from __future__ import annotations

import argparse
from typing import Any


def add_downloads(parser: argparse.ArgumentParser) -> None:
    """Where what the cache lacks comes from, and how long that may take."""
    parser.add_argument("--server", help="address of the warehouse (AllenSDK's)")
    parser.add_argument("--attempts", type=int, default=3, help="tries that bring nothing new (3)")
    parser.add_argument("--pause", type=float, default=5, help="seconds after the first (5)")
    parser.add_argument(
        "--timeout-minutes", type=float, help="longest time that downloads may take (no limit)"
    )


def downloads_of(options: argparse.Namespace) -> dict[str, Any]:
    """The same as arguments of `allen_client.open_cache`."""
    return {
        "server": options.server,
        "attempts": options.attempts,
        "pause": options.pause,
        "minutes": options.timeout_minutes,
    }
