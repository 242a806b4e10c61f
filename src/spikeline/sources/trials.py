"""From THINGS_MUA_trials.mat to a trials artifact: one pass, bounded memory, resumable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from tqdm import tqdm

from spikeline.artifacts.unfinished_trials import UnfinishedTrials
from spikeline.errors import InputError
from spikeline.sources.electrodes import kept, told_presentations
from spikeline.sources.trial_bins import Binning, Moments, binned, provisional_scale
from spikeline.sources.tvsd_trials import RecordedTrials, blocks

# Presentations that tell at which scale an electrode is stored.
_FIRST = 16


def write_presentations(
    recorded: RecordedTrials, plan: Binning, unfinished: UnfinishedTrials
) -> None:
    """Write the bins and means of all presentations that are not written yet.

    Raises:
        InputError: the samples are damaged; nothing of the conversion is left.
    """
    total = len(recorded.shown.day)
    with tqdm(
        total=total, initial=unfinished.done, desc="convert-trials", unit="presentation"
    ) as bar:
        try:
            if unfinished.offset is None:
                first = next(blocks(recorded, plan.per_bin, 0, min(_FIRST, total)))
                bins = len(plan.edges) - 1
                unfinished.start(total, bins, *provisional_scale(first, plan))
            for slabs in blocks(recorded, plan.per_bin, unfinished.done, total):
                values, means = binned(slabs, plan, unfinished.offset, unfinished.scale)
                unfinished.append(values, means)
                bar.update(len(means))
        except InputError:
            unfinished.discard()
            raise


def fields(recorded: RecordedTrials, plan: Binning, unfinished: UnfinishedTrials) -> dict[str, Any]:
    """The fields of the artifact that come at the end: what was shown, electrodes, days' scales.

    An array that was silent costs its electrodes, one that was silent for a while those training
    presentations; both are counted and logged.

    Raises:
        InputError: no electrode is usable; nothing of the conversion is left.
    """
    shown, electrodes = recorded.shown, len(recorded.region)
    days, is_test = int(shown.day.max()) + 1, shown.test_row >= 0
    finite = np.concatenate([np.isfinite(means) for _, means in unfinished.means()])
    told = np.ones(len(finite), bool)
    told[~is_test] = told_presentations(finite[~is_test], finite[is_test], recorded.where)
    silent, whole = ~finite.any(axis=0), finite[told].all(axis=0)
    published, training = Moments(days, electrodes), Moments(days, electrodes)
    low, high = np.full(electrodes, np.inf), np.full(electrodes, -np.inf)
    for rows, means in unfinished.means():
        own = told[rows]
        means, day, test = means[own], shown.day[rows][own], is_test[rows][own]
        if not len(means):
            continue
        low, high = np.fmin(low, means.min(axis=0)), np.fmax(high, means.max(axis=0))
        published.add(means, np.where(test, day, -1))
        training.add(means, np.where(test, -1, day))
    try:
        usable = kept(silent, whole, high > low, recorded.where)
    except InputError:
        unfinished.discard()
        raise
    table: Mapping[str, np.ndarray] = vars(shown)
    return {
        **{name: column.astype(np.int32) for name, column in table.items()},
        "told": told,
        "edges": plan.edges.astype(np.float32),
        "electrodes": {"region": recorded.region, "usable": usable},
        "published": published.scale(),
        "training": training.scale(),
    }
