r"""Log in to an Alyx database once, for every fetch-ibl that follows.

Runs in the client's own environment (envs/ibl.txt). User and password, or a token, come from the
environment variables ONE_USER, ONE_PASSWORD and ONE_TOKEN. ONE keeps the token in its own parameter
file in the home folder; the output says only who is logged in where.

Example:
    spikeline fetch-ibl-login --url https://openalyx.internationalbrainlab.org \
      --cache resources/caches/one --output resources/logins/ibl.json
"""

from __future__ import annotations

import argparse

from spikeline.cli._options import add_output, secret, start_log
from spikeline.sources import ibl_client, ibl_login


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", required=True, help="address of an Alyx database")
    parser.add_argument(
        "--cache", required=True, metavar="DIR", help="where downloads of this database are kept"
    )
    parser.add_argument("--data-server", help="address of its files (IBL's public ones)")
    parser.add_argument("--attempts", type=int, default=3, help="tries (3)")
    parser.add_argument("--pause", type=float, default=10, help="seconds after the first (10)")
    add_output(parser, "who is logged in where, JSON")


def run(options: argparse.Namespace) -> None:
    start_log()
    user, password, token = (
        value.decode() if value else None
        for value in map(secret, ("ONE_USER", "ONE_PASSWORD", "ONE_TOKEN"))
    )
    user = ibl_client.retried(
        lambda: ibl_login.log_in(
            options.url, options.cache, user, password, token, options.data_server
        ),
        options.url,
        options.attempts,
        options.pause,
    )
    ibl_login.keep(options.output, options.url, user)
