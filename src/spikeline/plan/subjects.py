"""What the plan knows of a subject: its areas, test splits and stimuli, alone or joined."""

from __future__ import annotations

from spikeline.errors import InputError
from spikeline.plan.config import Config


class Subjects:
    """The subjects of a config."""

    def __init__(self, config: Config):
        self.config = config

    def regions(self, subject: str) -> list[str]:
        """The areas of a subject's region map."""
        entry = self.config.entry("subjects", subject)
        if entry["kind"] == "joined":
            found = [region for part in self.parts(subject) for region in self.regions(part)]
            return list(dict.fromkeys(found))
        given = {"macaque_v4": ["V4"], "arrays": ["all"]}.get(entry["kind"])
        return list(entry.get("regions") or given)

    def parts(self, subject: str) -> list[str]:
        """The subjects that a joined one consists of.

        Raises:
            InputError: one is unknown or joined itself, or they saw different stimuli.
        """
        names = self.config.entry("subjects", subject)["of"]
        entries = {name: self.config.entry("subjects", name) for name in names}
        where = f"config subjects.{subject}.of"
        for name, entry in entries.items():
            if entry["kind"] == "joined":
                raise InputError(f"{where}: {name!r} is joined itself; name its subjects")
        if len(shown := {entry["stimuli"] for entry in entries.values()}) > 1:
            raise InputError(f"{where}: they saw different stimuli, {sorted(shown)}; join others")
        return names

    def part_responses(self, subject: str) -> list[str]:
        """The responses that a joined subject is made from."""
        return [f"results/responses/{part}.h5" for part in self.parts(subject)]

    def stimuli_of(self, subject: str) -> str:
        """The stimulus set that a subject saw."""
        entry = self.config.entry("subjects", subject)
        if entry["kind"] == "joined":
            return self.stimuli_of(self.parts(subject)[0])
        return entry["stimuli"]

    def splits(self, subject: str) -> int:
        """The test splits of a subject; a recording with a test set of its own has one."""
        entry = self.config.entry("subjects", subject)
        if entry["kind"] == "joined":
            return self.splits(self.parts(subject)[0])
        own_test = entry["kind"] == "tvsd" or entry.get("test_responses")
        return 1 if own_test else entry["splits"]
