"""Print completion for a shell: subcommands, their options, and files.

The script is complete in itself, so that a TAB starts no Python.

Example:
    spikeline completion bash > ~/.local/share/bash-completion/completions/spikeline
"""

from __future__ import annotations

import argparse

import shtab


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=shtab.SUPPORTED_SHELLS, help="the shell that completes")


def run(options: argparse.Namespace) -> None:
    print(shtab.complete(_whole_parser(), shell=options.shell))


def _whole_parser() -> argparse.ArgumentParser:
    """One parser of all subcommands; whatever takes a value is completed as a file."""
    from spikeline.cli.main import described, imported, subcommands

    whole = argparse.ArgumentParser(prog="spikeline")
    parts = whole.add_subparsers(metavar="SUBCOMMAND")
    for name, text in subcommands().items():
        module = imported(name)
        part = parts.add_parser(name, help=text, **described(module))
        module.add_arguments(part)
        for action in part._actions:
            if action.nargs != 0 and action.choices is None:
                action.complete = shtab.FILE
    return whole
