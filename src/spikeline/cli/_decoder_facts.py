"""What a decoder tells of itself: whether it may be tested on these files, and facts for tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spikeline.artifacts import embeddings, provenance, responses
from spikeline.bridge.decoder import Decoder
from spikeline.errors import InputError


def check_encoder(decoder: Decoder, embedded: embeddings.Embeddings, path: str, where: str) -> None:
    """Raise InputError where the embeddings are of another encoder than the decoder's."""
    trained = decoder.metadata.get("encoder")
    if trained != embedded.encoder:
        raise InputError(
            f"{where}: embeddings of another encoder ({embedded.encoder}) than {path} was trained "
            f"with ({trained}); remove {path} to train it anew, or embed the images with {trained}"
        )


def check_bins(decoder: Decoder, recorded: responses.Responses, path: str, where: str) -> None:
    """Raise InputError where the responses are in other time bins than the decoder's."""
    trained, given = (
        responses.resolution(edges) for edges in (decoder.metadata.get("edges"), recorded.edges)
    )
    if trained != given:
        raise InputError(
            f"{where}: responses are {given}; {path} was trained on {trained}; evaluate it on those"
        )


def check_seed(seed: int, path: str) -> None:
    """Raise InputError on another seed: it may mean another split, whose test was trained on."""
    try:
        trained = provenance.read(path).get("seed")
    except InputError:
        return
    if trained is not None and trained != seed:
        raise InputError(f"{path}: was trained with seed {trained}, not {seed}; see --seeds")


def check_reserved(decoder: Decoder, reserved: int, path: str) -> None:
    """Raise InputError where presentations that pretraining read would be tested on."""
    read = decoder.metadata.get("pretraining", {}).get("test_repetitions", 0)
    if read > reserved:
        raise InputError(
            f"{path}: its encoder was pretrained on the first {read} repetitions of the test "
            f"images; set reserved_repetitions to {read}, not {reserved}"
        )


def facts(decoder: Decoder) -> dict[str, int | float | str]:
    """What a table shows of a decoder beyond its scores."""
    return {
        "members": len(decoder.members),
        "electrodes": len(_electrodes(decoder)),
        "parameters": sum(member.parameters for member in decoder.members),
        "similarity_unit": decoder.similarity_unit,
        "target": "+".join(_targets(decoder.metadata["settings"])) or embeddings.OUTPUT,
        **decoder.metadata.get("pretraining", {}).get("errors", {}),
    }


def _electrodes(decoder: Decoder) -> np.ndarray:
    """Sorted indices of the electrodes that any member reads, in whatever time bins."""
    columns = np.concatenate([member.electrodes for member in decoder.members])
    bins = len(decoder.metadata.get("edges") or [0, 0]) - 1
    return np.unique(columns % (decoder.n_electrodes // bins))


def _targets(settings: Mapping[str, Any]) -> list[str]:
    """The layers that a decoder predicts; of an ensemble, those of its members."""
    members = settings.get("of", [])
    found = [layer for member in members for layer in _targets(member)]
    return list(dict.fromkeys([*settings.get("target_layers", []), *found]))
