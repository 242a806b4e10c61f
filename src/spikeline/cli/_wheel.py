"""What the subcommands that decode wheels share: sessions read, POYO trained, errors collected."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikeline.artifacts import sessions
from spikeline.artifacts.decodings import Decoded, Decodings
from spikeline.horizon.wheel.task import Sums, score_sums, task_of

if TYPE_CHECKING:
    from spikeline.horizon.wheel.training import Recording
    from spikeline.training.runner import Run

logger = logging.getLogger(__name__)


def read(path: str, settings: Mapping[str, Any]) -> tuple[Recording, dict[str, Any]]:
    """A session's recording, named as its file, and what `decodings_of` says of it.

    Raises:
        InputError: the file breaks its contract, or allows no decoding.
    """
    from spikeline.horizon.wheel.training import Recording

    data = sessions.read(path)
    task = task_of(data, settings, path)
    described = {
        "source": str(data.session.source),
        "behaviour": str(data.session.behaviour_kind),
        "velocity": {"mean": task.mean, "std": task.std},
    }
    units = [str(name) for name in data.units.id]
    return Recording(Path(path).stem, units, task), described


def decode_with_poyo(
    recordings: Sequence[Recording],
    settings: Mapping[str, Any],
    seed: int,
    training: Run,
    state: str,
) -> list[tuple[dict[str, Any], Sums]]:
    """Facts and test errors of each recording, of a POYO trained on all of them.

    Args:
        training: entered already.
        state: name of this training among those of the run.
    """
    from spikeline.horizon.wheel.training import fit_poyo, score_of

    decoders, history = fit_poyo(
        recordings, settings, seed=seed, fabric=training.fabric,
        state_file=training.state_file(state),
    )  # fmt: skip
    best = max(history, key=lambda row: row["score"])
    found = []
    for one, decoder in zip(recordings, decoders, strict=True):
        test = one.task.test
        facts = {
            "parameters": decoder.parameters,
            "trained_on": len(recordings),
            "epochs": len(history),
            "best_epoch": best["epoch"],
            "validation_r2": round(best[score_of(one.name)], 4),
        }
        found.append((facts, score_sums(decoder.estimate(one.task.spikes, test.times), test)))
    return found


def decodings_of(
    recording: Recording,
    described: Mapping[str, Any],
    settings: Mapping[str, Any],
    seed: int,
    found: Mapping[str, tuple[dict[str, Any], Sums]],
) -> Decodings:
    """The artifact's part for one session, of decoders that scored the same moments."""
    for name, (_, sums) in found.items():
        logger.info("%s, %s: R2 %.3f", recording.name, name, sums.r2)
    sums = next(iter(found.values()))[1]
    return Decodings(
        session=recording.name,
        **described,
        units=len(recording.units),
        seed=seed,
        settings=settings,
        blocks=sums.blocks,
        samples=sums.samples,
        decoders={name: Decoded(facts, one.sse, one.sst) for name, (facts, one) in found.items()},
    )
