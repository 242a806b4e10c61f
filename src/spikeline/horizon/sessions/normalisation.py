"""Reference features on one scale: z-scores fitted on the units of a cohort's training sessions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spikeline.artifacts.features import Features, Normalisation
from spikeline.errors import InputError

SMALLEST_STD = 1e-6


def fit(features: Sequence[Features], where: str = "features") -> Normalisation:
    """Mean and standard deviation of each feature over the units of all sessions given.

    The rate is known of every unit; the other features count only where they are valid.

    Raises:
        InputError: no session, one twice, or features of different names.
    """
    sessions = tuple(one.session for one in features)
    if not sessions:
        raise InputError(f"{where}: no session to fit a normalisation on")
    twice = sorted({name for name in sessions if sessions.count(name) > 1})
    if twice:
        raise InputError(f"{where}: session {twice[0]} is given twice; give each once")
    names = features[0].names
    for one in features:
        if one.names != names:
            raise InputError(
                f"{where}: session {one.session} has other features than {sessions[0]}; "
                "make both with the same version"
            )
    values = np.concatenate([one.values for one in features]).astype(np.float64)
    valid = np.concatenate([one.valid for one in features])
    # Too few valid units to have a spread: better a rough scale than none.
    shaped = values[valid] if valid.sum() > 1 else values
    mean, std = shaped.mean(axis=0), shaped.std(axis=0)
    mean[0], std[0] = values[:, 0].mean(), values[:, 0].std()
    return Normalisation(mean, np.where(std < SMALLEST_STD, 1.0, std), tuple(features))


def features_of(
    normalisation: Normalisation, sessions: Sequence[str], where: str = "normalisation"
) -> list[Features]:
    """The features of these sessions, in their order.

    Raises:
        InputError: the normalisation was not fitted on exactly these sessions.
    """
    fitted, given = set(normalisation.sessions), set(sessions)
    if fitted != given:
        odd = sorted(fitted ^ given)[0]
        side = "was" if odd in fitted else "was not"
        raise InputError(
            f"{where}: is of another session list: {odd} {side} among the {len(fitted)} sessions "
            f"it was fitted on, {len(given)} are given; fit it on the sessions that train"
        )
    known = {one.session: one for one in normalisation.features}
    return [known[name] for name in sessions]
