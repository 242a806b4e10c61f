"""What changed since a job's files were made: Snakemake's reason, and the files' own record.

Snakemake says that parameters changed; the record inside the file says which setting or module.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spikeline.artifacts import provenance
from spikeline.artifacts.files import sha256
from spikeline.errors import InputError
from spikeline.plan.reruns.dry_run import Job
from spikeline.settings.code_digest import code_digest, module_digests

# Above it Snakemake compares time stamps (profiles/default), and so is said here.
COMPARED_BYTES = 1_000_000_000
LISTED = 3
NOTHING = "nothing changed"


def causes(job: Job, folder: Path) -> list[str]:
    """Why a job would run: what changed since its files were made, as short phrases.

    Args:
        job: one that Snakemake would run.
        folder: the working folder, which the names of its files count from.
    """
    record = _record(job, folder)
    found: list[str] = []
    noticed: list[str] = []
    if not record and not any((folder / name).exists() for name in job.outputs):
        return ["not made yet"]
    for reason in re.split(r"; (?=[A-Z])", job.reason):
        kind, _, told = reason.partition(": ")
        if kind == "Missing output files":
            found.append(_absent([name for name in job.outputs if not (folder / name).exists()]))
        elif kind == "Incomplete output files":
            found.append("left unfinished by an interrupted run")
        elif kind == "Input files updated by another job":
            found.append(f"follows from {_few(sorted(told.split(', ')))}")
        elif kind == "Updated input files":
            found += [_input(name, record, folder) for name in sorted(told.split(", "))]
        elif kind == "Set of input files has changed since last execution":
            found.append(_inputs(job, record))
        elif kind == "Params have changed since last execution":
            noticed = _parameters(job, told, record)
        elif kind == "Code has changed since last execution":
            found.append("the rule's command was edited")
        elif kind:
            found.append(reason[0].lower() + reason[1:])
    # Snakemake looks at parameters only where no input is a reason already.
    found += noticed or unnoticed(job, folder)
    if record and job.command[0] == "spikeline":
        found += _versions(record)
    return found or [NOTHING]


def unnoticed(job: Job, folder: Path) -> list[str]:
    """Settings and code of a job's files that are not those of the plan.

    Snakemake compares what it noted of its own runs. Of files that were copied here it has no
    note, and keeps them; what they were made with is in their own record.
    """
    record = _record(job, folder)
    if not record or job.rule.startswith("fetch_"):
        return []
    now = _json(_option(job.command, "--settings"))
    then = record.get("settings", {})
    common = (now or {}).keys() & then.keys()
    found = list(_settings({k: then[k] for k in common}, {k: (now or {})[k] for k in common}))
    return [*found, *_code(job, record)]


def _record(job: Job, folder: Path) -> dict[str, Any]:
    """The record of the first output that has one; empty where nothing was made."""
    for name in job.outputs:
        try:
            return provenance.read(folder / name)
        except InputError:
            continue
    return {}


def _input(name: str, record: Mapping[str, Any], folder: Path) -> str:
    """An input with a newer time stamp: whether its content is another one, too."""
    path = folder / name
    then = record.get("inputs", {}).get(name)
    if then is None or not path.exists():
        return f"input {name} is newer"
    if then.endswith(" bytes"):
        now = f"{path.stat().st_size} bytes"
    elif path.is_file() and path.stat().st_size > COMPARED_BYTES:
        return f"input {name} is newer, and too large to be compared by content"
    else:
        now = sha256(path)
    if then != now:
        return f"input {name} has other content"
    return f"{NOTHING} but the time stamp of {name}"


def _inputs(job: Job, record: Mapping[str, Any]) -> str:
    then = record.get("inputs")
    if then is None:
        return "it reads other files"
    added = [f"+{name}" for name in job.inputs if name not in then]
    gone = [f"-{name}" for name in then if name not in job.inputs]
    return f"reads other files: {_few(added + gone)}" if added + gone else "reads other files"


def _parameters(job: Job, told: str, record: Mapping[str, Any]) -> list[str]:
    """Phrases for the parameters that Snakemake prints as changed."""
    old, new = _printed(told)
    digest = code_digest(_module(job)) if job.subcommand else None
    found = []
    if digest in new or any(_is_digest(value) for value in new):
        found += _code(job, record) or ["code edited; the record does not say which module"]
    old, new = ([value for value in values if not _is_digest(value)] for values in (old, new))
    for value in new:
        name = _option_of(job.command, value)
        now = _json(value)
        # The same option's former value: the one that is most alike.
        alike = max(old, key=lambda former: _likeness(_json(former), now), default=None)
        if alike is not None:
            old.remove(alike)
        then = _json(alike)
        if isinstance(now, dict) and isinstance(then, dict):
            found += _settings(then, now)
        else:
            found.append(f"{name} {_short(alike)} -> {_short(value)}")
    return found + [f"{_short(value)} is no longer given" for value in old]


def _printed(told: str) -> tuple[list[Any], list[Any]]:
    """The old and new parameters in Snakemake's "before: REPR,... now: REPR,..."."""
    _, _, told = told.partition("before: ")
    for cut in re.finditer(r" now: ", told):
        try:
            return _values(told[: cut.start()]), _values(told[cut.end() :])
        except (SyntaxError, ValueError):
            continue
    return [], []


def _values(text: str) -> list[Any]:
    return [] if text.startswith("<nothing") else list(ast.literal_eval(f"[{text.strip()}]"))


def _settings(then: Mapping[str, Any], now: Mapping[str, Any], where: str = "") -> Iterator[str]:
    """`setting NAME old -> new` of each that differs, also of nested ones."""
    for name in sorted(then.keys() | now.keys()):
        old, new = then.get(name), now.get(name)
        if name in then and name in now and old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _settings(old, new, f"{where}{name}.")
        elif name not in then:
            yield f"setting {where}{name} is new: {_short(new)}"
        elif name not in now:
            yield f"setting {where}{name} is gone: {_short(old)}"
        else:
            yield f"setting {where}{name} {_short(old)} -> {_short(new)}"


def _code(job: Job, record: Mapping[str, Any]) -> list[str]:
    """The modules whose code is not that of the record."""
    if not job.subcommand or record.get("code") in (None, code_digest(_module(job))):
        return []
    then, now = record.get("modules"), module_digests(_module(job))
    if then is None:
        return ["code edited; the record is too old to say which module"]
    edited = [name for name in now if name in then and then[name] != now[name]]
    told = [f"module {_few(edited)} edited"] if edited else []
    added, gone = sorted(now.keys() - then.keys()), sorted(then.keys() - now.keys())
    told += [f"module {_few(added)} is new"] if added else []
    return told + ([f"module {_few(gone)} is gone"] if gone else [])


def _versions(record: Mapping[str, Any]) -> list[str]:
    """Software that changed meanwhile; said beside the reason, since it is none."""
    then, now = record.get("versions", {}), provenance.versions()
    changed = [
        f"{name} {then[name]} -> {now[name]}"
        for name in sorted(then.keys() & now.keys())
        if then[name] != now[name]
    ]
    return [f"beside that {_few(changed)}"] if changed else []


def _module(job: Job) -> str:
    return f"spikeline.cli.{job.subcommand.replace('-', '_')}"


def _option(command: Sequence[str], name: str) -> str | None:
    return command[command.index(name) + 1] if name in command[:-1] else None


def _option_of(command: Sequence[str], value: Any) -> str:
    """The option that a value, or a list of them, follows on the command line."""
    words = [str(item) for item in (value if isinstance(value, list) else [value])]
    for start in range(len(command)):
        if list(command[start : start + len(words)]) == words:
            options = [word for word in command[:start] if word.startswith("--")]
            return options[-1] if options else "argument"
    return "argument"


def _json(text: Any) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return text


def _likeness(one: Any, other: Any) -> int:
    if isinstance(one, dict) and isinstance(other, dict):
        return 1 + len([key for key in one if key in other and one[key] == other[key]])
    return int(type(one) is type(other))


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{16}", value) is not None


def _absent(names: Sequence[str]) -> str:
    return f"{_few(names)} {'is' if len(names) == 1 else 'are'} missing"


def _few(names: Sequence[str]) -> str:
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= 80 else f"{text[:77]}..."
