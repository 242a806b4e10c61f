"""Commands in the clients' own environments, and what they leave on stderr."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np

# Several commands in one process: the client's import costs more than its work.
MANY = """
import json, sys
from spikeline.cli.main import main
for arguments in json.load(open(sys.argv[1])):
    print("status", main(arguments), file=sys.stderr, flush=True)
"""


class Clients:
    """Environments and a twin in `resources`, and the commands that run in them."""

    def __init__(self, resources: Path, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.environments = resources / "environments"
        self.alf = resources / "twins" / "behaving" / "alf"
        self.nwb = resources / "twins" / "behaving" / "nwb"

    def python(self, name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.environments / name / "bin" / "python", *map(str, arguments)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def spikeline(self, name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        return self.python(name, "-m", "spikeline", *arguments)

    def made(self, name: str, *arguments: object) -> None:
        done = self.spikeline(name, *arguments)
        assert done.returncode == 0, done.stderr[-3000:]

    def many(self, name: str, commands: list[list[str]]) -> subprocess.CompletedProcess[str]:
        (self.folder / "commands.json").write_text(json.dumps(commands))
        return self.python(name, "-c", MANY, self.folder / "commands.json")

    def refusals(self, name: str, commands: list[list[str]]) -> list[str]:
        """The line that each command leaves on stderr; every one must fail with one."""
        done = self.many(name, commands)
        assert "Traceback" not in done.stderr, done.stderr[-3000:]
        lines = [line for line in done.stderr.splitlines() if line.startswith("spikeline ")]
        assert done.stderr.count("status 1\n") == len(commands) == len(lines), done.stderr[-3000:]
        return lines

    def asked(self, name: str, script: str, *arguments: object) -> dict[str, np.ndarray]:
        out = self.folder / f"{name}_says.npz"
        done = self.python(name, "-c", script, *arguments, out)
        assert done.returncode == 0, done.stderr[-3000:]
        with np.load(out) as found:
            return dict(found)
