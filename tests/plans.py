"""What Snakemake prints of a run or a dry-run, read."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass
class Plan:
    """What a run or a dry-run printed."""

    status: int
    text: str

    @property
    def jobs(self) -> dict[str, str]:
        """The rule of each job by its first output."""
        found, rule = {}, ""
        for line in self.text.splitlines():
            if match := re.match(r"(?:local)?(?:rule|checkpoint) (\w+):$", line):
                rule = match[1]
            elif match := re.match(r"    output: ([^,]+)", line):
                found[match[1]] = rule
        return found

    @property
    def rules(self) -> dict[str, int]:
        """How many jobs each rule has."""
        names = list(self.jobs.values())
        return {name: names.count(name) for name in names}

    @property
    def nothing(self) -> bool:
        return self.status == 0 and "Nothing to be done" in self.text
