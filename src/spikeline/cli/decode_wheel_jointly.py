r"""Decode the wheel velocity of several sessions with one POYO, with a shuffled control.

Killed at any point, the same command continues from its last state and ends with the same scores.

Example:
    spikeline decode-wheel-jointly --sessions results/sessions/ibl_0[12].h5 --seed 0 \
      --settings '{"epochs": 10}' --states results/.states --output wheel_joint.json
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from spikeline.artifacts import decodings, provenance
from spikeline.cli import _training_run, _wheel
from spikeline.cli._options import add_output, add_settings, settings_of, start_log
from spikeline.errors import InputError
from spikeline.horizon.wheel.task import control_shifts

if TYPE_CHECKING:
    from spikeline.horizon.wheel.training import Recording


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sessions", required=True, nargs="+", metavar="FILE", help="two or more, HDF5"
    )
    parser.add_argument("--seed", required=True, type=int, help="of POYO and of the control")
    _training_run.add_arguments(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    add_settings(parser, "decode-wheel-jointly")
    add_output(parser, "squared errors in each session, JSON")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "decode-wheel-jointly")
    if options.seed < 0:
        raise InputError(f"--seed: {options.seed}; expected a whole number from 0")
    if len(options.sessions) < 2:
        raise InputError("--sessions: one session alone is for decode-wheel; name two or more")
    training = _training_run.run_of(options, settings, __name__)
    read = [_wheel.read(path, settings) for path in options.sessions]
    recordings = [recording for recording, _ in read]
    names = [one.name for one in recordings]
    if len(set(names)) < len(names):
        twice = max(names, key=names.count)
        raise InputError(f"--sessions: two files are named {twice}; give each session one file")
    with training:
        found = {}
        for name, roll in zip(decodings.JOINT, (False, True), strict=True):
            trained = [_rolled(one, options.seed) if roll else one for one in recordings]
            found[name] = _wheel.decode_with_poyo(trained, settings, options.seed, training, name)
        every = [
            _wheel.decodings_of(
                recording, described, settings, options.seed,
                {name: results[number] for name, results in found.items()},
            )
            for number, (recording, described) in enumerate(read)
        ]  # fmt: skip
        record = provenance.describe(__name__, settings, options.sessions, seed=options.seed)
        decodings.write(options.output, every, record)


def _rolled(recording: Recording, seed: int) -> Recording:
    """Its control: the spikes rolled in time as `decode-wheel` rolls them for its POYO."""
    task = recording.task
    (shift,) = control_shifts(task.spikes.duration, 1, seed)
    return replace(recording, task=replace(task, spikes=task.spikes.rolled(shift)))
