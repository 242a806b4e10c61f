"""The table of wheel decodings: tidy TSV, a row for each session and decoder, and pooled rows.

| column | meaning |
|---|---|
| decoder | see below; X_shuffled is the same with spikes rolled in time against the wheel |
| behaviour | what was decoded: the velocity of the wheel, of running, or of a position |
| session | its name, or "all": the mean of the sessions that have this behaviour |
| sessions, seeds | how many a row pools, and decodings of each |
| units, samples | units that were read; test moments that were scored, of one seed |
| r2 | 1 - squared errors / squared deviations from the test mean, pooled over seeds |
| r2_sd | standard deviation between seeds; ridge has none: its rows agree |
| piece_s, pieces | mean length and number of the pieces of its interval |
| difference | of r2 from that of ridge, paired: at the same moments, in the same sessions |
| difference_piece_s, difference_pieces | of the interval of the difference |
| trained_on | sessions from which the decoder learned |
| window_ms, lookahead_ms, parameters | spikes that an estimate reads, and the decoder's size |

Decoders: poyo is trained on the session alone, poyo_joint on all sessions together, and both are
scored on its test blocks; ridge is on binned counts. X_low and X_high are the 95 % interval, of a
session by pieces of its test blocks, of pooled rows by sessions, as in horizon/scores/intervals.py:
empty where the test is too short for one. Only a difference whose interval excludes zero is
evidence that a decoder is better than ridge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from spikeline.artifacts.decodings import JOINT, Decodings
from spikeline.errors import InputError
from spikeline.horizon.scores.intervals import Estimate, Series, difference, pooled

CONTROL = "_shuffled"
REFERENCE = "ridge"
DECODERS = ("poyo", "poyo_joint", "ridge")
# In the order of a table's rows.
ROWS = (*DECODERS, *(f"{name}{CONTROL}" for name in DECODERS))
ALL = "all"


@dataclass
class Session:
    """What is known of one session: the decodings of each seed, alone and jointly."""

    name: str
    alone: list[Decodings] = field(default_factory=list)
    joint: list[Decodings] = field(default_factory=list)

    def of(self, decoder: str) -> list[Decodings]:
        return self.joint if decoder in JOINT else self.alone

    def series(self, decoder: str) -> Series:
        """R2 of a decoder over time, its seeds averaged: they scored the same moments."""
        members = self.of(decoder)
        first, found = members[0], [one.decoders[decoder] for one in members]
        explained = np.mean([one.sst - one.sse for one in found], axis=0)
        # An empty step between two blocks.
        gaps = np.flatnonzero(np.diff(first.blocks)) + 1
        above, below, samples = (
            np.insert(values, gaps, 0) for values in (explained, found[0].sst, first.samples)
        )
        seconds = float(first.samples.sum()) / first.settings["sample_hz"]
        return Series(above, below, samples, seconds / len(first.samples))

    def r2_of_seeds(self, decoder: str) -> dict[int, float]:
        """{seed: R2}"""
        found = {one.seed: one.decoders[decoder] for one in self.of(decoder)}
        return {seed: float(1 - one.sse.sum() / one.sst.sum()) for seed, one in found.items()}


def wheel_table(decodings: Iterable[Decodings]) -> pd.DataFrame:
    """Sessions in order of first appearance, decoders in the order of ROWS, pooled rows last.

    Args:
        decodings: one for each session and seed, and those of joint decoders where there are any.

    Raises:
        InputError: a seed twice for one session; a session that was decoded jointly alone;
            decodings of a session that scored other moments.
    """
    sessions: dict[str, Session] = {}
    for one in decodings:
        known = sessions.setdefault(one.session, Session(one.session))
        (known.joint if set(one.decoders) == set(JOINT) else known.alone).append(one)
    for session in sessions.values():
        _check(session)
    rows = [_rows(session.name, [session]) for session in sessions.values()]
    by_behaviour: dict[str, list[Session]] = {}
    for session in sessions.values():
        by_behaviour.setdefault(session.alone[0].behaviour, []).append(session)
    rows += [_rows(ALL, several) for several in by_behaviour.values() if len(several) > 1]
    return pd.DataFrame([row for part in rows for row in part], dtype=object)


def _rows(name: str, sessions: Sequence[Session]) -> list[dict[str, Any]]:
    found = []
    for decoder in ROWS:
        having = [session for session in sessions if session.of(decoder)]
        if having:
            found.append(_row(name, decoder, having))
    return found


def _row(name: str, decoder: str, sessions: Sequence[Session]) -> dict[str, Any]:
    series = [session.series(decoder) for session in sessions]
    members = [session.of(decoder) for session in sessions]
    firsts = [one[0] for one in members]
    facts = [one.decoders[decoder].facts for one in firsts]
    score = pooled(series, by_session=True)
    row = {
        "decoder": decoder,
        "behaviour": firsts[0].behaviour,
        "session": name,
        "sessions": len(sessions),
        "seeds": min(map(len, members)),
        "units": sum(one.units for one in firsts),
        "samples": sum(int(one.samples.sum()) for one in firsts),
        **_columns("r2", score),
        "r2_sd": _deviation([session.r2_of_seeds(decoder) for session in sessions]),
        "piece_s": score.piece_s,
        "pieces": score.pieces,
    }
    compared = decoder in DECODERS and decoder != REFERENCE
    other = [session.series(REFERENCE) for session in sessions] if compared else []
    gains = pooled(
        [difference(a, b, name) for a, b in zip(series, other, strict=False)], by_session=True
    )
    return row | {
        **_columns("difference", gains),
        "difference_piece_s": gains.piece_s,
        "difference_pieces": gains.pieces or None,
        "trained_on": _agreed(one["trained_on"] for one in facts),
        "window_ms": int(firsts[0].settings["window_ms"]),
        "lookahead_ms": int(firsts[0].settings["lookahead_ms"]),
        "parameters": _agreed(one["parameters"] for one in facts),
    }


def _columns(name: str, found: Estimate) -> dict[str, float | None]:
    return {name: found.score, f"{name}_low": found.low, f"{name}_high": found.high}


def _deviation(sessions: Sequence[Mapping[int, float]]) -> float | None:
    """Between seeds that all sessions have, of the sessions' mean."""
    seeds = set.intersection(*map(set, sessions))
    means = [np.mean([r2[seed] for r2 in sessions]) for seed in sorted(seeds)]
    return float(np.std(means, ddof=1)) if len(means) > 1 else None


def _agreed(values: Iterable[Any]) -> int | None:
    """The number that all have, if they have one."""
    found = set(map(int, values))
    return found.pop() if len(found) == 1 else None


def _check(session: Session) -> None:
    name = f"session {session.name}"
    if not session.alone:
        raise InputError(f"{name}: was decoded jointly alone; decode it with ridge as well")
    for members in (session.alone, session.joint):
        seeds = [one.seed for one in members]
        if len(set(seeds)) < len(seeds):
            raise InputError(f"{name}: seed {max(seeds, key=seeds.count)} is given twice")
    first, *others = session.alone + session.joint
    for one in others:
        if not _same_moments(first, one):
            raise InputError(
                f"{name}: seeds {first.seed} and {one.seed} scored other moments; decode both "
                "with the same settings"
            )


def _same_moments(one: Decodings, other: Decodings) -> bool:
    deviations = [next(iter(each.decoders.values())).sst for each in (one, other)]
    return (
        np.array_equal(one.samples, other.samples)
        and np.array_equal(one.blocks, other.blocks)
        and np.allclose(*deviations, rtol=1e-4)
    )
