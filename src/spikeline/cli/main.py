"""Dispatch `spikeline SUBCOMMAND ...` to the module of that name in this folder.

No step of the workflow imports this module, so editing it reruns nothing.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import errno
import importlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from spikeline import __version__
from spikeline.artifacts import files
from spikeline.errors import InputError, one_line

USER_ERRNO = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS,
    errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG,
}  # fmt: skip


def subcommands() -> dict[str, str]:
    """Each subcommand's name and help: the first line of its module's docstring."""
    docstrings = {
        name: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        for name, path in _modules().items()
    }
    return {name: docstring.partition("\n")[0] for name, docstring in docstrings.items()}


def _modules() -> dict[str, Path]:
    """The file of each subcommand, by name."""
    return {
        path.stem.replace("_", "-"): path
        for path in sorted(Path(__file__).parent.glob("*.py"))
        if path.stem not in ("__init__", "main") and not path.stem.startswith("_")
    }


def _paths(options: argparse.Namespace) -> Iterator[str | Path]:
    """Every text and path among the options: outputs, and what does no harm."""
    for value in vars(options).values():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, (str, Path)):
                yield item


def imported(name: str) -> ModuleType:
    """The module of a subcommand."""
    return importlib.import_module(f"spikeline.cli.{name.replace('-', '_')}")


def described(module: ModuleType) -> dict[str, Any]:
    """How a parser says what a subcommand does: its docstring as it stands, example and all."""
    return {
        "description": module.__doc__,
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; a user's mistake is one line on stderr and exit status 1."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] not in _modules():
        return _front_page(subcommands(), arguments)
    name = arguments[0]
    try:
        module = imported(name)
        parser = argparse.ArgumentParser(prog=f"spikeline {name}", **described(module))
        module.add_arguments(parser)
        options = parser.parse_args(arguments[1:])
        files.claim(_paths(options))
        _take_gpus(options)
        module.run(options)
        files.claim(())
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(f"spikeline {name}: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader, `head` say, has had enough; what is still buffered must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except InputError as error:
        print(f"spikeline {name}: {one_line(error)}", file=sys.stderr)
        return 1
    except MemoryError:
        print(f"spikeline {name}: out of memory; give the job more", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in USER_ERRNO:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"spikeline {name}: {where}{error.strerror}", file=sys.stderr)
        return 1
    return 0


def _take_gpus(options: argparse.Namespace) -> None:
    """On a machine with several GPUs, take as many for oneself as the step has processes."""
    if getattr(options, "device", "cpu") != "cpu":
        from spikeline.machines import gpu_locks

        gpu_locks.take(
            getattr(options, "processes", 1), lambda line: print(f"INFO: {line}", file=sys.stderr)
        )


def _front_page(known: dict[str, str], arguments: Sequence[str]) -> int:
    width = max(map(len, known))
    listing = "\n".join(f"  {name:<{width}}  {text}" for name, text in known.items())
    parser = argparse.ArgumentParser(
        prog="spikeline",
        usage="spikeline SUBCOMMAND ... (spikeline SUBCOMMAND --help)",
        description=f"The steps of the workflow:\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    _, rest = parser.parse_known_args(arguments)
    if rest:
        near = difflib.get_close_matches(rest[0], known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        parser.error(f"unknown subcommand {rest[0]!r}: known are {list(known)}{hint}")
    parser.print_help()
    return 0
