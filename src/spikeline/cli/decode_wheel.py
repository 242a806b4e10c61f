r"""Decode a session's wheel velocity from its spikes: POYO and ridge, with shuffled controls.

Killed at any point, the same command continues from its last state and ends with the same scores.

Example:
    spikeline decode-wheel --session results/sessions/ibl_01.h5 --seed 0 \
      --settings '{"epochs": 10}' --states results/.states --output wheel.json
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spikeline.artifacts import decodings, provenance, sessions
from spikeline.cli import _training_run
from spikeline.cli._options import add_output, add_settings, settings_of, start_log
from spikeline.errors import InputError
from spikeline.horizon.wheel.ridge import fit_ridge
from spikeline.horizon.wheel.task import Sums, Task, control_shifts, score_sums, task_of

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from spikeline.training.state import StateFile

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--session", required=True, metavar="FILE", help="session, HDF5")
    parser.add_argument("--seed", required=True, type=int, help="of POYO and of the controls")
    _training_run.add_arguments(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    add_settings(parser, "decode-wheel")
    add_output(parser, "squared errors of each decoder, JSON")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "decode-wheel")
    if options.seed < 0:
        raise InputError(f"--seed: {options.seed}; expected a whole number from 0")
    training = _training_run.run_of(options, settings, __name__)
    data = sessions.read(options.session)
    task = task_of(data, settings, options.session)
    shifts = control_shifts(task.spikes.duration, settings["shuffles"], options.seed)

    # Made when its turn comes: a long session leaves room for one.
    def control(shift: float) -> Task:
        return replace(task, spikes=task.spikes.rolled(shift))

    found = {
        "ridge": _ridge([task], settings),
        "ridge_shuffled": _ridge(map(control, shifts), settings),
    }
    units = [str(name) for name in data.units.id]
    with training:
        for name, one in (("poyo", task), ("poyo_shuffled", control(shifts[0]))):
            found[name] = _poyo(
                one, units, str(data.session.id), settings, options.seed, training.fabric,
                training.state_file(name),
            )  # fmt: skip
        for name in decodings.DECODERS:
            sums = found[name]
            logger.info("%s: R2 %.3f", name, 1 - sums.sse.sum() / sums.sst.sum())
        decodings.write(
            options.output,
            decodings.Decodings(
                session=Path(options.session).stem,
                source=str(data.session.source),
                behaviour=str(data.session.behaviour_kind),
                units=len(units),
                seed=options.seed,
                velocity={"mean": task.mean, "std": task.std},
                settings=settings,
                decoders={name: found[name] for name in decodings.DECODERS},
            ),
            provenance.describe(__name__, settings, [options.session], seed=options.seed),
        )


def _ridge(tasks: Iterable[Task], settings: Mapping[str, Any]) -> decodings.Decoded:
    """Ridge on one task, or on several rolls of one, whose errors are averaged."""
    sums, penalties, features = [], [], 0
    for task in tasks:
        decoder = fit_ridge(task, settings["ridge_bin_ms"])
        sums.append(score_sums(decoder.estimate(task.spikes, task.test.times), task.test))
        penalties.append(decoder.penalty)
        features = len(decoder.weights) + 1
    facts = {"parameters": features, "penalty": float(np.median(penalties))}
    return decodings.Decoded(
        facts, np.mean([one.sse for one in sums], axis=0), sums[0].sst, sums[0].samples
    )


def _poyo(
    task: Task,
    units: list[str],
    session: str,
    settings: Mapping[str, Any],
    seed: int,
    fabric: Fabric,
    state_file: StateFile,
) -> decodings.Decoded:
    from spikeline.horizon.wheel.poyo import fit_poyo

    decoder, history = fit_poyo(
        task, units, session, settings, seed=seed, fabric=fabric, state_file=state_file
    )
    sums: Sums = score_sums(decoder.estimate(task.spikes, task.test.times), task.test)
    best = max(history, key=lambda row: row["score"])
    facts = {
        "parameters": decoder.parameters,
        "epochs": len(history),
        "best_epoch": best["epoch"],
        "validation_r2": round(best["score"], 4),
    }
    return decodings.Decoded(facts, sums.sse, sums.sst, sums.samples)
