"""Snakemake's own dry-run, read: the jobs, why each would run, and its command."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from spikeline.errors import InputError


@dataclass(frozen=True)
class Job:
    """One job of a dry-run.

    Attributes:
        rule: its rule's name.
        outputs, inputs: its files, as the rule names them.
        reason: Snakemake's own words on why it would run.
        command: the words of its command line; none for a target that only collects files.
    """

    rule: str
    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    reason: str
    command: tuple[str, ...]

    @property
    def subcommand(self) -> str | None:
        """The `spikeline` subcommand that it calls, in whichever environment."""
        if self.command[:1] == ("spikeline",):
            return self.command[1]
        return self.command[2] if self.command[:1] == ("client",) else None


def dry_run(options: Sequence[str], targets: Sequence[str], whole: bool = False) -> list[Job]:
    """The jobs that Snakemake would run; with `whole` every job of the targets.

    Raises:
        InputError: Snakemake refuses the config or a target, with what it said.
    """
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--printshellcmds", *options]
    command += [*(["--forceall"] if whole else []), "--", *targets]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise InputError(_refusal(done.stdout))
    return jobs(done.stdout)


def jobs(text: str) -> list[Job]:
    """The jobs that a dry-run with --printshellcmds printed.

    >>> printed = '''[Mon Jan  1 00:00:00 2024]
    ... rule fit:
    ...     input: a.h5, b.h5
    ...     output: c.safetensors
    ...     reason: Missing output files: c.safetensors
    ... Shell command: spikeline fit --seed 0 2> c.log
    ... '''
    >>> jobs(printed)[0].command
    ('spikeline', 'fit', '--seed', '0')
    """
    found = []
    for block in re.split(r"^\[\w{3} \w{3} .*\]\n", text, flags=re.MULTILINE)[1:]:
        head = re.match(r"(?:local)?(?:rule|checkpoint) (\w+):\n", block)
        # A rule without a command is a list of targets.
        shell = re.search(r"^Shell command: (.*)$", block, re.MULTILINE)
        if head and shell:
            fields = dict(re.findall(r"^    (input|output|reason): (.*)$", block, re.MULTILINE))
            outputs, inputs = (
                tuple(filter(None, fields.get(name, "").split(", ")))
                for name in ("output", "input")
            )
            command, _, _ = shell[1].rpartition(" 2> ")
            words = tuple(shlex.split(command))
            found.append(Job(head[1], outputs, inputs, fields.get("reason", ""), words))
    return found


def _refusal(text: str) -> str:
    """What Snakemake had against it: the workflow's own one line, or its last lines."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    own = [line for line in lines if re.match(r"error: |config\b.*: ", line)]
    if own:
        return own[-1].removeprefix("error: ")
    start = next((k for k, line in enumerate(lines) if re.search(r"(Error|Exception)\b", line)), -3)
    return "snakemake: " + " ".join(lines[start:])[:500]
