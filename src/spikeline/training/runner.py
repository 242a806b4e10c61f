"""A subcommand's training from start to safe result: processes, resume, divergence, history."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from spikeline.artifacts import provenance
from spikeline.artifacts.files import write_text
from spikeline.errors import InputError
from spikeline.training.history import to_tsv
from spikeline.training.state import StateFile, state_path

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Run:
    """A `with` block around one or more trainings and the writing of what they made.

    Entering it starts the other processes of the Fabric: each runs the same command up to here, so
    what may be refused is best refused before. Leaving it without an error removes the states.

    Attributes:
        fabric: passed on to the training loop.
        writes: whether this process writes the artifacts; only one of several does.
    """

    def __init__(
        self,
        fabric: Fabric,
        folder: str | os.PathLike[str],
        key: Sequence[Any],
        interval_s: float = 20.0,
    ):
        """
        Args:
            folder: of the states.
            key: what tells this run from others: settings, seed, code digest, output.
            interval_s: least time between two states, seconds.

        Raises:
            InputError: a negative interval.
        """
        if not interval_s >= 0:
            raise InputError(f"--state-interval: {interval_s}; expected seconds from 0")
        self.fabric, self.folder, self.key, self.interval_s = fabric, folder, key, interval_s
        self._states: list[StateFile] = []

    @property
    def writes(self) -> bool:
        return self.fabric.is_global_zero

    def state_file(self, *name: str) -> StateFile:
        """The state of the run's one training, or of the one of that name among several."""
        state = StateFile(state_path(self.folder, [*self.key, *name]), self.interval_s)
        self._states.append(state)
        return state

    def __enter__(self) -> Run:
        self.fabric.launch()
        if not self.writes:  # the first process says it all
            logging.getLogger().setLevel(logging.WARNING)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the states, or report a divergence.

        Raises:
            InputError: a training diverged.
        """
        launched = getattr(self.fabric.strategy.launcher, "procs", ())
        for process in launched:
            if error is not None:
                process.kill()  # it may wait for this one forever
            process.wait()
        if error is None and self.writes:
            for state in self._states:
                state.path.unlink(missing_ok=True)
        if isinstance(error, FloatingPointError):
            if not self.writes:  # the first process says so
                raise SystemExit(0) from None
            raise InputError("training diverged: lower learning_rate") from None


def write_history(
    path: str | os.PathLike[str], rows: Sequence[Mapping[str, object]], record: Mapping[str, Any]
) -> None:
    """The rows of `training.loop.train` as a TSV table, with provenance next to it."""
    write_text(path, to_tsv(rows))
    provenance.write_beside(path, record)
