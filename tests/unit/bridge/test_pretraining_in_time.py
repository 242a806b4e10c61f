"""Masking pretraining of responses in time bins, and a decoder that starts from it."""

import numpy as np
import pytest
from pretraining_toys import (
    ELECTRODES,
    TABLE,
    decoder_settings,
    masking,
    pretraining_settings,
    recording,
)

from spikeline.artifacts.responses import BIN
from spikeline.bridge.networks.training import fit_network
from spikeline.bridge.pretraining.start import EncoderStart
from spikeline.bridge.pretraining.training import pretrain
from spikeline.errors import InputError
from spikeline.training.device import make_fabric

FABRIC = make_fabric("cpu")
BINS, EDGES = 3, [0.0, 25.0, 50.0, 75.0]
TABLE_IN_TIME = {
    **{name: np.tile(column, BINS) for name, column in TABLE.items()},
    BIN: np.repeat(np.arange(BINS), ELECTRODES),
}


def in_bins(gains=(1.0, 2.0, -1.0)):
    """The toy's responses, times one gain for each bin, in half precision."""
    responses, embeddings, images = recording(noise=0.1)
    return np.hstack([gain * responses for gain in gains]).astype(np.float16), embeddings, images


def pretrained(values, **changed):
    settings = pretraining_settings(**changed)
    return pretrain(
        masking(values), TABLE_IN_TIME, settings, seed=0, fabric=FABRIC, edges=np.array(EDGES)
    )[0]


@pytest.mark.parametrize("mask", ["time", "both"])
def test_hidden_bins_that_follow_from_the_others_are_predicted(mask):
    found = pretrained(in_bins()[0], mask=mask, mask_share=0.34, pretraining_epochs=30)
    assert found.errors["masked_mse"] < 0.6 * found.errors["masked_mse_mean"]
    assert found.encoder["electrodes.time"].shape == (BINS, 16)
    assert found.encoder["electrodes.identity"].shape == (ELECTRODES, 16)
    assert found.edges == EDGES


def test_a_decoder_over_time_starts_from_it_and_freezes_it():
    values, embeddings, images = in_bins()
    start = EncoderStart(pretrained(values, mask="time"), "p.safetensors")
    settings = decoder_settings(mask="time", transfer="freeze")
    concepts = np.array([name.split("/")[0] for name in images])
    arguments = values, embeddings, images, concepts, TABLE_IN_TIME, settings
    options = {"seed": 0, "gallery": 40, "fabric": FABRIC, "start": start}
    decoder, _ = fit_network(*arguments, **options, edges=EDGES)
    state = decoder.members[0].map.state
    for name, array in start.pretrained.encoder.items():
        np.testing.assert_array_equal(state[f"encoder.{name}"], array)
    assert decoder.embed_responses(values[:5]).shape[0] == 5
    with pytest.raises(InputError, match=r"p\.safetensors: was pretrained with time bins"):
        fit_network(*arguments, **options, edges=[0.0, 10.0, 20.0, 30.0])
