r"""Decode a session's wheel velocity from its spikes: POYO and ridge, with shuffled controls.

Killed at any point, the same command continues from its last state and ends with the same scores.

Example:
    spikeline decode-wheel --session results/sessions/ibl_01.h5 --seed 0 \
      --settings '{"epochs": 10}' --states results/.states --output wheel.json
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from spikeline.artifacts import decodings, provenance
from spikeline.cli import _training_run, _wheel
from spikeline.cli._options import add_output, add_settings, settings_of, start_log
from spikeline.errors import InputError
from spikeline.horizon.wheel.ridge import fit_ridge
from spikeline.horizon.wheel.task import Sums, Task, control_shifts, score_sums


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
    recording, described = _wheel.read(options.session, settings)
    task = recording.task
    shifts = control_shifts(task.spikes.duration, settings["shuffles"], options.seed)

    # Made when its turn comes: a long session leaves room for one.
    def control(shift: float) -> Task:
        return replace(task, spikes=task.spikes.rolled(shift))

    found = {
        "ridge": _ridge([task], settings),
        "ridge_shuffled": _ridge(map(control, shifts), settings),
    }
    with training:
        for name, one in (("poyo", task), ("poyo_shuffled", control(shifts[0]))):
            (found[name],) = _wheel.decode_with_poyo(
                [replace(recording, task=one)], settings, options.seed, training, name
            )
        ordered = {name: found[name] for name in decodings.ALONE}
        one = _wheel.decodings_of(recording, described, settings, options.seed, ordered)
        record = provenance.describe(__name__, settings, [options.session], seed=options.seed)
        decodings.write(options.output, [one], record)


def _ridge(tasks: Iterable[Task], settings: Mapping[str, Any]) -> tuple[dict[str, Any], Sums]:
    """Ridge on one task, or on several rolls of one, whose errors are averaged."""
    sums, penalties, features = [], [], 0
    for task in tasks:
        decoder = fit_ridge(task, settings["ridge_bin_ms"])
        sums.append(score_sums(decoder.estimate(task.spikes, task.test.times), task.test))
        penalties.append(decoder.penalty)
        features = len(decoder.weights) + 1
    facts = {"parameters": features, "trained_on": 1, "penalty": float(np.median(penalties))}
    return facts, replace(sums[0], sse=np.mean([one.sse for one in sums], axis=0))
