"""Batches of training rows: each member goes through its own rows, in a new order every epoch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spikeline.errors import InputError


class ShuffledRows:
    """The rows of a batch as a function of (seed, number of the batch) alone.

    Attributes:
        steps: of one epoch; a step takes one batch per process, and the rows that do not fill a
            last step wait for another epoch's order.
    """

    def __init__(self, rows: Sequence[Tensor], batch_size: int, seed: int, processes: int = 1):
        """
        Args:
            rows: for each member the indices of its training rows, on the device.
            batch_size: at most; less where a member has fewer rows.

        Raises:
            InputError: fewer rows than processes.
        """
        fewest = min(len(member) for member in rows)
        if fewest < processes:
            raise InputError(f"--processes: {processes} for {fewest} training rows; give fewer")
        self.rows, self.seed = rows, seed
        self.batch_size = min(batch_size, fewest // processes)
        self.steps = fewest // (self.batch_size * processes)
        self._batches = self.steps * processes
        self._restart()

    def __call__(self, number: int) -> Tensor:
        """Row indices (members, batch) of a batch, counted from 0 over all epochs."""
        epoch, place = divmod(number, self._batches)
        if epoch < self._epoch:
            self._restart()
        while self._epoch < epoch:
            self._shuffle()
        return self._order[:, place * self.batch_size : (place + 1) * self.batch_size]

    def _restart(self) -> None:
        self._generator = torch.Generator().manual_seed(self.seed)
        self._epoch = -1

    def _shuffle(self) -> None:
        """Draw the next epoch's order of each member, (members, rows of an epoch)."""
        count = self._batches * self.batch_size
        picks = [torch.randperm(len(member), generator=self._generator) for member in self.rows]
        self._order = torch.stack(
            [
                member[pick[:count].to(member.device)]
                for member, pick in zip(self.rows, picks, strict=True)
            ]
        )
        self._epoch += 1
