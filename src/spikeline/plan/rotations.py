"""Cohorts that take turns: whether they hold sessions out, or are the folds of recordings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spikeline.errors import InputError


def tested_in_turn(train: Sequence[str], held_out: Sequence[str]) -> list[str]:
    """The sessions that a cohort's turn is there to test: what it holds out, else its own."""
    return list(held_out or train)


def check_turns(
    turns: Mapping[str, tuple[Sequence[str], Sequence[str]]],
    entries: Mapping[str, Mapping[str, Any]],
    recording: Callable[[str], Any],
    where: str,
) -> None:
    """Refuse turns of which one test would count twice, or tell of what it was trained on.

    Args:
        turns: {cohort: (training sessions, held-out sessions)}.
        entries: {session: its entry of the config}.
        recording: what tells the recording of a session from others.
        where: the place in the config that an error names.

    Raises:
        InputError: only some cohorts hold sessions out, two test the same, or none holds any out
            and what they test are not all folds of their recordings, once each.
    """
    holding = [cohort for cohort, (_, held_out) in turns.items() if held_out]
    for cohort in turns:
        if holding and cohort not in holding:
            raise InputError(
                f"{where}: cohort {cohort!r} holds no session out, and {holding[0]!r} does; let "
                "all of them or none"
            )
    owner: dict[str, str] = {}
    for cohort, sessions in turns.items():
        for session in tested_in_turn(*sessions):
            other = owner.setdefault(session, cohort)
            if other != cohort:
                raise InputError(
                    f"{where}: {other!r} and {cohort!r} both test session {session!r}; let each "
                    "cohort test others"
                )
    if not holding:
        _check_folds(list(owner), entries, recording, where)


def _check_folds(
    sessions: Sequence[str],
    entries: Mapping[str, Mapping[str, Any]],
    recording: Callable[[str], Any],
    where: str,
) -> None:
    recordings: dict[Any, list[str]] = {}
    for session in sessions:
        if entries[session]["split"]["kind"] != "fold":
            raise InputError(
                f"{where}: no cohort holds a session out, and {session!r} is no fold of a "
                "recording; give the cohorts `held_out`, or the session `split: {kind: fold}`"
            )
        recordings.setdefault(recording(session), []).append(session)
    for names in recordings.values():
        alike = [_but_the_fold(entries[name]) for name in names]
        if any(one != alike[0] for one in alike):
            raise InputError(
                f"{where}: {', '.join(names)} are of one recording, but differ in more than "
                "`fold`; let them be alike"
            )
        found = sorted(entries[name]["split"]["fold"] for name in names)
        folds = entries[names[0]]["split"]["folds"]
        if found != list(range(1, folds + 1)):
            raise InputError(
                f"{where}: {', '.join(names)} are folds {', '.join(map(str, found))} of {folds}; "
                "give each fold once"
            )


def _but_the_fold(entry: Mapping[str, Any]) -> dict[str, Any]:
    split = {key: value for key, value in entry["split"].items() if key != "fold"}
    return {**entry, "split": split}
