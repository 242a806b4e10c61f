"""The table of wheel decodings: tidy TSV, a row for each session and decoder.

| column | meaning |
|---|---|
| decoder | poyo, ridge; X_shuffled is the same with spikes rolled in time against the wheel |
| behaviour | what was decoded: the velocity of the wheel, of running, or of a position |
| session | its name |
| seeds | decodings that the row averages |
| units, samples | units that were read; test moments that were scored, of one seed |
| r2 | 1 - squared errors / squared deviations from the test mean, pooled over seeds |
| window_ms, lookahead_ms, parameters | spikes that an estimate reads, and the decoder's size |

r2_low and r2_high are the 95 % interval of a bootstrap over pieces of test blocks, each with all
its seeds; r2_sd is the standard deviation between seeds. Ridge has no seed: its rows agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from spikeline.artifacts.decodings import DECODERS, Decodings
from spikeline.errors import InputError
from spikeline.statistics import RESAMPLES, bootstrap_ratio

CONTROL = "_shuffled"


def wheel_table(decodings: Sequence[Decodings], resamples: int = RESAMPLES) -> pd.DataFrame:
    """Sessions in order of first appearance, decoders in the order of the contract.

    Args:
        decodings: one for each session and seed.
        resamples: of the bootstrap.

    Raises:
        InputError: a seed twice for one session, or seeds of a session that scored other moments.
    """
    by_session: dict[str, list[Decodings]] = {}
    for one in decodings:
        by_session.setdefault(one.session, []).append(one)
    rows = []
    for session, members in by_session.items():
        _check(session, members)
        rows += [_row(name, members, resamples) for name in DECODERS]
    return pd.DataFrame(rows, dtype=object)


def _row(name: str, members: Sequence[Decodings], resamples: int) -> dict[str, Any]:
    first, found = members[0], [one.decoders[name] for one in members]
    pieces = np.tile(np.arange(len(found[0].samples)), len(found))
    explained = np.concatenate([one.sst - one.sse for one in found])
    interval = bootstrap_ratio(
        explained, np.concatenate([one.sst for one in found]), pieces, resamples
    )
    per_seed = [1 - one.sse.sum() / one.sst.sum() for one in found]
    return {
        "decoder": name,
        "behaviour": first.behaviour,
        "session": first.session,
        "seeds": len(members),
        "units": first.units,
        "samples": int(found[0].samples.sum()),
        "r2": interval.estimate,
        "r2_low": interval.low,
        "r2_high": interval.high,
        "r2_sd": float(np.std(per_seed, ddof=1)) if len(per_seed) > 1 else None,
        "window_ms": int(first.settings["window_ms"]),
        "lookahead_ms": int(first.settings["lookahead_ms"]),
        "parameters": int(found[0].facts["parameters"]),
    }


def _check(session: str, members: Sequence[Decodings]) -> None:
    seeds = [one.seed for one in members]
    if len(set(seeds)) < len(seeds):
        raise InputError(f"session {session}: seed {max(seeds, key=seeds.count)} is given twice")
    first = members[0].decoders[DECODERS[0]].samples
    for one in members[1:]:
        if not np.array_equal(one.decoders[DECODERS[0]].samples, first):
            raise InputError(
                f"session {session}: seeds {seeds[0]} and {one.seed} scored other moments; decode "
                "both with the same settings"
            )
