"""Batches of windows of one session, gathered from its whole recording without a data loader.

A recording stays on the device as uint8 counts; a batch is one indexing operation. Recordings that
do not fit into the budget stay on disk, mapped into memory, and a thread reads the next batch
while this one trains. All windows of a batch have the same units, so nothing is padded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikeline.artifacts.counts import TRAIN, UNKNOWN_IMAGE
from spikeline.errors import InputError
from spikeline.horizon.forecaster.adaptation import SURPRISES, Updates
from spikeline.horizon.forecaster.history_window import Past
from spikeline.horizon.forecaster.lead_bins import edges_of
from spikeline.horizon.forecaster.mixing import Mixtures
from spikeline.horizon.forecaster.network import Population
from spikeline.horizon.forecaster.trace_checkpoints import STRIDE, rolled_forward
from spikeline.horizon.forecaster.unit_state import LAST_BINS, unit_state
from spikeline.horizon.scores.windows import setting_bins
from spikeline.horizon.spike_history import decays, window_weights


@dataclass(frozen=True)
class Recording:
    """One session as a forecaster reads it.

    Attributes:
        name: of the session.
        counts: (bins, units) uint8: a tensor on the device, or a np.memmap of a file.
        kept: what `horizon.forecaster.trace_checkpoints.checkpoints` returned.
        population: what is constant over its windows.
        domains: (bins,) uint8 array, see artifacts/counts.py.
        reference: first bin of the reference window, and the bin behind its last.
        behaviour: (bins,) z-scored velocity, NaN where unknown; None without.
        image: (bins,) int64 rows of the population's images, -1 for a blank screen, -2 unknown;
            None without.
        updates: what it teaches about its own units while it runs; None where that is not read.
        mixtures: how far it teaches to trust forecasts of its units; None where wholly.
    """

    name: str
    counts: Tensor | np.ndarray
    kept: Tensor
    population: Population
    domains: np.ndarray
    reference: tuple[int, int]
    behaviour: Tensor | None = None
    image: Tensor | None = None
    updates: Updates | None = None
    mixtures: Mixtures | None = None

    @property
    def mapped(self) -> bool:
        return not isinstance(self.counts, Tensor)

    @property
    def units(self) -> int:
        return self.counts.shape[1]


@dataclass(frozen=True)
class Geometry:
    """How a window is cut: its history in patches, its future in lead bins between `edges`, and the
    time constants and decays of its traces; which of them sessions are learned from."""

    patches: int
    patch_bins: int
    edges: np.ndarray
    traces_s: tuple[float, ...]
    decay: Tensor
    adapted: tuple[int, ...]
    bin_s: float

    @classmethod
    def of(cls, settings: Mapping[str, Any], bin_s: float, device: torch.device) -> Geometry:
        """From resolved settings; bin_s in seconds.

        The shared regression by itself reads no patches.
        """
        patches = "patch_ms" in settings
        patch_bins = setting_bins(settings, "patch_ms", bin_s) if patches else 1
        traces_s = tuple(settings["traces_s"])
        return cls(
            setting_bins(settings, "history_ms", bin_s) // patch_bins if patches else 1,
            patch_bins,
            edges_of(settings, bin_s),
            traces_s,
            decays(torch.tensor(traces_s, dtype=torch.float32), bin_s).to(device),
            tuple(map(traces_s.index, settings.get("adaptation_s", ()))),
            bin_s,
        )

    @property
    def future_bins(self) -> int:
        return int(self.edges[-1])

    @property
    def history_bins(self) -> int:
        return self.patches * self.patch_bins

    @property
    def lookback(self) -> int:
        """Bins before a window that are read: the history, and those that its traces need."""
        return max(self.history_bins, STRIDE)


def read_rows(recording: Recording, starts: np.ndarray, before: int, after: int) -> Tensor:
    """Counts of bins start - before .. start + after - 1, zero where they are before the session.

    Returns:
        (windows, before + after, units) uint8, on the recording's device, or on the CPU if mapped.
    """
    index = torch.from_numpy(starts)[:, None] + torch.arange(-before, after)
    inside = index.clamp(min=0)
    if recording.mapped:
        rows = torch.from_numpy(recording.counts[inside.numpy()])
    else:
        rows = recording.counts[inside.to(recording.counts.device)]
    if (starts < before).any():
        rows = rows * (index >= 0).to(rows.device)[..., None]
    return rows


def past_of(
    recording: Recording,
    starts: np.ndarray,
    geometry: Geometry,
    rows: Tensor | None = None,
    known: Tensor | None = None,
    reference_only: bool = False,
) -> Past:
    """The past of the windows that begin at bins `starts`; nothing at or after them is read.

    Args:
        rows: (windows, geometry.lookback, units) if they have been read already.
        known: (windows, units) bool; None hides no unit.
        reference_only: what the session taught is what its reference window did.
    """
    device = recording.kept.device
    if rows is None:
        rows = read_rows(recording, starts, geometry.lookback, 0)
    rows = rows.to(device)
    windows, units = len(starts), recording.units
    begin = torch.from_numpy(starts).to(device)
    shape = (windows, geometry.patches, geometry.patch_bins)
    index = begin[:, None] + torch.arange(-geometry.history_bins, 0, device=device)
    in_session = index.reshape(shape)[:, :, 0] >= 0
    if known is None:
        known = torch.ones(windows, units, dtype=torch.bool, device=device)
    known = known.to(device)
    state = unit_state(
        rolled_forward(recording.kept, rows[:, -STRIDE:], begin, geometry.decay),
        window_weights(begin[:, None], geometry.decay),
        rows[:, -LAST_BINS:].flip(1),
        recording.population.offset,
        known,
        geometry.traces_s,
    )
    if recording.updates is None:
        surprises = torch.zeros(windows, units, SURPRISES, device=device)
    else:
        surprises = recording.updates.surprises(
            state.stabilised[..., geometry.adapted], starts, reference_only
        )
    counts = rows[:, -geometry.history_bins :].reshape(*shape, units)
    index = index.clamp(min=0)
    behaviour = behaviour_known = image = image_known = None
    if recording.behaviour is not None:
        behaviour = recording.behaviour[index].reshape(shape)
        behaviour_known = ~behaviour.isnan().any(-1)
        behaviour = behaviour.nan_to_num()
    if recording.image is not None:
        image = recording.image[index].reshape(shape)[:, :, -1]
        image_known = image != UNKNOWN_IMAGE
    return Past(
        counts, state, surprises, known, in_session, behaviour, behaviour_known, image, image_known
    )


def lead_counts(future: Tensor, edges: np.ndarray) -> Tensor:
    """(windows, lead bins, units) float32 counts of each lead bin, from (windows, bins, units)."""
    lengths = torch.from_numpy(np.diff(edges))
    place = torch.repeat_interleave(torch.arange(len(lengths)), lengths).to(future.device)
    total = torch.zeros(len(future), len(lengths), future.shape[2], device=future.device)
    return total.index_add_(1, place, future.float())


def training_starts(recording: Recording, bins: int, keep_reference: bool = False) -> np.ndarray:
    """Every first bin of a window of `bins` bins that lies wholly in the train domain.

    The reference window gave the units their features, and is no target: a forecaster would learn
    to trust them more than they deserve.

    Raises:
        InputError: there is none.
    """
    wanted = recording.domains == TRAIN
    if not keep_reference:
        wanted = wanted.copy()
        wanted[recording.reference[0] : recording.reference[1]] = False
    inside = np.concatenate([[0], np.cumsum(wanted)])
    starts = np.flatnonzero(inside[bins:] - inside[:-bins] == bins)
    if not len(starts) and not keep_reference:
        return training_starts(recording, bins, keep_reference=True)
    if not len(starts):
        raise InputError(
            f"session {recording.name}: no run of {bins} bins lies in its train domain; "
            "shorten horizon_ms or leave the session out"
        )
    return starts.astype(np.int64)


def starts_within(recording: Recording, bins: int, domains: tuple[int, ...]) -> np.ndarray:
    """First bins of windows of `bins` bins that lie in one of these domains as a whole."""
    if domains == (TRAIN,):
        return training_starts(recording, bins)
    found = []
    for domain in domains:
        inside = np.concatenate([[0], np.cumsum(recording.domains == domain)])
        found.append(np.flatnonzero(inside[bins:] - inside[:-bins] == bins))
    return np.unique(np.concatenate(found)).astype(np.int64)


@dataclass(frozen=True)
class Batch:
    """Windows of one session, their past and their future.

    Attributes:
        past, population: what the forecaster takes.
        target: (windows, lead bins, units) counts summed over each lead bin.
    """

    past: Past
    population: Population
    target: Tensor


@dataclass(frozen=True)
class _Draw:
    session: int
    starts: np.ndarray
    past_starts: np.ndarray
    known: np.ndarray


class TrainingBatches:
    """Random training batches, each a function of (seed, step) alone, so that any can be redrawn.

    Sessions are drawn in proportion to their training windows.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        geometry: Geometry,
        settings: Mapping[str, Any],
        seed: int,
        stride: int = 1,
    ):
        """
        Args:
            stride: from one batch that is asked for to the next, which is read meanwhile.
        """
        self.stride = stride
        self.recordings, self.geometry, self.seed = recordings, geometry, seed
        self.batch_size = settings["batch_size"]
        self.unit_dropout = settings["unit_dropout"]
        self.shuffled = settings["shuffle_history"]
        self.starts = [training_starts(one, geometry.future_bins) for one in recordings]
        lengths = np.array([len(starts) for starts in self.starts], float)
        self.shares = np.cumsum(lengths / lengths.sum())
        # A thread has nothing to hide where counts are resident.
        mapped = any(recording.mapped for recording in recordings)
        self._reader = ThreadPoolExecutor(1, "prefetch") if mapped else None
        self._waiting: dict[int, Future] = {}

    def __call__(self, step: int) -> Batch:
        """The batch of a step."""
        if self._reader is None:
            draw, rows, future = self._read(step)
        else:
            waiting = self._waiting.pop(step, None) or self._reader.submit(self._read, step)
            following = step + self.stride
            self._waiting = {following: self._reader.submit(self._read, following)}
            draw, rows, future = waiting.result()
        recording = self.recordings[draw.session]
        device = recording.kept.device
        past = past_of(
            recording, draw.past_starts, self.geometry, rows, torch.from_numpy(draw.known)
        )
        target = lead_counts(future.to(device), self.geometry.edges)
        return Batch(past, recording.population, target)

    def _read(self, step: int) -> tuple[_Draw, Tensor, Tensor]:
        draw = self._draw(step)
        recording = self.recordings[draw.session]
        before = self.geometry.lookback
        if draw.past_starts is draw.starts:
            both = read_rows(recording, draw.starts, before, self.geometry.future_bins)
            return draw, both[:, :before], both[:, before:]
        future = read_rows(recording, draw.starts, 0, self.geometry.future_bins)
        rows = read_rows(recording, draw.past_starts, before, 0)
        return draw, rows, future

    def _draw(self, step: int) -> _Draw:
        rng = np.random.default_rng([self.seed, step])
        session = min(int(np.searchsorted(self.shares, rng.random())), len(self.starts) - 1)
        pool = self.starts[session]
        starts = rng.choice(pool, min(self.batch_size, len(pool)), replace=False)
        past_starts = rng.choice(pool, len(starts)) if self.shuffled else starts
        known = rng.random((len(starts), self.recordings[session].units)) >= self.unit_dropout
        return _Draw(session, starts, past_starts, known)
