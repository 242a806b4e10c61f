"""Cohorts: the sessions that a forecaster learns from, and those that it never sees."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from spikeline.errors import InputError
from spikeline.plan.config import Config
from spikeline.plan.sources import Sources
from spikeline.settings.schema import unknown


class Cohorts:
    """The cohorts of a config.

    Attributes:
        sessions: {cohort name} -> (training sessions, held-out sessions).
    """

    def __init__(self, config: Config, sources: Sources):
        self.config, self.sources = config, sources
        self.sessions = cache(self._sessions)

    def first(self, cohort: str, count: int) -> list[str]:
        """The first training sessions of a cohort, as many as asked for.

        Raises:
            InputError: there are fewer.
        """
        train, _ = self.sessions(cohort)
        if not 1 <= count <= len(train):
            raise InputError(f"cohort {cohort!r} has {len(train)} training sessions, not {count}")
        return train[:count]

    def _sessions(self, cohort: str) -> tuple[list[str], list[str]]:
        entry, where = self.config.entry("cohorts", cohort), f"config cohorts.{cohort}"
        held_out = self._members(entry["held_out"], where)
        train = [one for one in self._members(entry["train"], where) if one not in held_out]
        if not train:
            raise InputError(f"{where}: no session is left to train on")
        recordings: dict[object, str] = {}
        for session in train + held_out:
            other = recordings.setdefault(self.sources.recording(session), session)
            if other != session:
                raise InputError(
                    f"{where}: {other!r} and {session!r} are the same recording; drop one"
                )
        return train, held_out

    def _members(self, names: Sequence[str], where: str) -> list[str]:
        """The sessions behind a list: entries of `sessions`, or whole release tables."""
        members: list[str] = []
        for name in names:
            if name in self.config.tables:
                members += self.config.tables[name]
            elif name in self.config["sessions"]:
                members.append(name)
            else:
                known = [*self.config["sessions"], *self.config.tables]
                raise unknown("session", name, known, where)
        return list(dict.fromkeys(members))
