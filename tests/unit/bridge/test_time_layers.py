"""Layers over time bins against loops over members, electrodes and bins."""

import math

import numpy as np
import pytest
import torch

from spikeline.bridge.aligned_member import NetworkMap
from spikeline.bridge.networks.architectures import build_network
from spikeline.bridge.networks.stacked import StackedMlp
from spikeline.bridge.networks.time_layers import OverTime, TemporalFilters, TimeGate, time_layer

MEMBERS, BINS, ROWS = 2, 4, 7
REGIONS = ["V1", "IT", "V1", "V4", "IT"]
MLP = {
    "kind": "mlp", "hidden": 8, "depth": 1, "dropout": 0.0, "residual": False, "layer_norm": False,
}  # fmt: skip


def values():
    return torch.randn(MEMBERS, ROWS, BINS * len(REGIONS))


def randomised(layer):
    torch.manual_seed(0)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    layer.scale.uniform_(0.5, 2)
    return layer


def weighted_by_hand(layer, x, weight):
    """`weight(member, area, filter, bin)`; areas in the order of their names."""
    areas = sorted(set(REGIONS))
    out = torch.zeros(MEMBERS, len(x[0]), layer.filters * len(REGIONS))
    for member in range(MEMBERS):
        for row in range(len(x[0])):
            for f in range(layer.filters):
                for e, region in enumerate(REGIONS):
                    total = sum(
                        weight(member, areas.index(region), f, b)
                        * x[member, row, b * len(REGIONS) + e]
                        for b in range(BINS)
                    )
                    column = f * len(REGIONS) + e
                    out[member, row, column] = total * layer.scale[member, column]
    return out


def test_a_gate_is_a_weighted_mean_over_bins_with_a_sigmoid_for_each_bin_and_area():
    layer, x = randomised(TimeGate(MEMBERS, BINS, REGIONS)), values()

    def gate(member, area, _, b):
        open_ = [1 / (1 + math.exp(-50 * v)) for v in layer.logits[member, area].tolist()]
        return open_[b] / sum(open_)

    torch.testing.assert_close(layer(x), weighted_by_hand(layer, x, gate))


def test_filters_are_weighted_sums_with_free_weights_for_each_area():
    layer, x = randomised(TemporalFilters(MEMBERS, BINS, REGIONS, 3)), values()
    kernels = layer.kernels
    assert layer.outputs == 3 * len(REGIONS)
    torch.testing.assert_close(
        layer(x), weighted_by_hand(layer, x, lambda m, a, f, b: kernels[m, a, f, b])
    )


def test_a_gate_starts_as_the_plain_mean_and_filters_as_orthonormal_cosines():
    x = values()
    mean = x.reshape(MEMBERS, ROWS, BINS, -1).mean(2)
    torch.testing.assert_close(TimeGate(MEMBERS, BINS, REGIONS)(x), mean)
    kernels = TemporalFilters(MEMBERS, BINS, REGIONS, BINS).kernels[0, 0]
    torch.testing.assert_close(kernels @ kernels.T, torch.eye(BINS), atol=1e-6, rtol=0)
    torch.testing.assert_close(kernels[0], torch.full((BINS,), BINS**-0.5))


@pytest.mark.parametrize("time", ["gate", "low_rank"])
def test_a_calibrated_layer_starts_at_unit_scale_whatever_bins_have_in_common(time):
    torch.manual_seed(0)
    layer = time_layer({"time": time, "time_rank": 2}, 5, REGIONS, MEMBERS, BINS)
    common = torch.randn(MEMBERS, 900, 1, 5)
    x = (0.9 * common + 0.4 * torch.randn(MEMBERS, 900, BINS, 5)).flatten(2)
    x[..., 3::5] = 0  # an electrode that never varies
    layer.calibrate(x.split(200, dim=1))
    deviation = layer(x).square().mean(1).sqrt().reshape(MEMBERS, -1, 5)
    torch.testing.assert_close(deviation[..., 3], torch.zeros_like(deviation[..., 3]))
    alive = deviation[..., [0, 1, 2, 4]]
    torch.testing.assert_close(alive, torch.ones_like(alive))


def test_members_have_weights_of_their_own():
    layer, x = TimeGate(MEMBERS, BINS, REGIONS), values().requires_grad_()
    layer(x)[0].sum().backward()
    assert x.grad[0].abs().sum() > 0 and (x.grad[1] == 0).all()
    assert layer.logits.grad.shape == (MEMBERS, 3, BINS)
    assert (layer.logits.grad[1] == 0).all()


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_without_a_weighting_bins_are_inputs_side_by_side(kind):
    settings = {**MLP, "kind": kind, "time": "concatenated"}
    network = build_network(settings, 5, REGIONS, 3, MEMBERS, BINS)
    assert isinstance(network, StackedMlp)
    first = network.hidden[0] if kind == "mlp" else network.output
    assert first.weight.shape[1] == 5 * BINS


@pytest.mark.parametrize("time", ["gate", "low_rank"])
def test_a_member_kept_in_a_file_predicts_what_the_network_does(time):
    torch.manual_seed(0)
    settings = {**MLP, "time": time, "time_rank": 3}
    network = build_network(settings, 5, REGIONS, 3, MEMBERS, BINS)
    assert isinstance(network, OverTime)
    randomised(network.time)
    x = values()
    expected = network(x)
    state = {name: array[1:2].numpy() for name, array in network.state_dict().items()}
    kept = NetworkMap(settings, REGIONS, 3, state, BINS)
    np.testing.assert_allclose(kept.predict(x[1].numpy()), expected[1].detach(), atol=1e-5)
    assert kept.description()["bins"] == BINS


def test_a_hidden_column_counts_nothing():
    settings = {**MLP, "time": "gate"}
    network, x = build_network(settings, 5, REGIONS, 3, MEMBERS, BINS), values()
    keep = torch.rand(x.shape) > 0.3
    torch.testing.assert_close(network(x, keep), network(x * keep))
