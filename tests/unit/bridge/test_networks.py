"""Networks: sizes, independence of members, options that must not change results."""

import pytest
import torch

from spikeline.bridge.networks.architectures import Capoyo, CapoyoEncoder, build_network
from spikeline.bridge.networks.stacked import StackedMlp
from spikeline.errors import InputError

FULL_SIZE = {
    "kind": "capoyo",
    "dim": 128,
    "latents": 8,
    "depth": 6,
    "heads": 4,
    "readout_queries": 8,
    "hidden": 512,
    "dropout": 0.0,
    "region_embedding": True,
    "checkpointing": False,
}

ENCODER = {"dim": 16, "latents": 8, "depth": 1, "heads": 2, "dropout": 0.0, "checkpointing": False}


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_capoyo_at_full_size_has_the_parameters_of_the_reports_model():
    network = build_network(FULL_SIZE, 1024, None, 768)
    encoder = parameters(network.encoder)
    assert encoder == pytest.approx(2.3e6, rel=0.1)
    assert parameters(network) - encoder == pytest.approx(1.0e6, rel=0.1)
    assert parameters(network) == pytest.approx(3_299_648, rel=0.1)


def test_larger_capoyo_with_checkpointing_has_the_same_gradients():
    settings = {**FULL_SIZE, "dim": 32, "depth": 3, "heads": 2, "hidden": 16}
    torch.manual_seed(0)
    network = build_network(settings, 20, ["V1", "IT"] * 10, 5)
    checkpointed = build_network({**settings, "checkpointing": True}, 20, ["V1", "IT"] * 10, 5)
    checkpointed.load_state_dict(network.state_dict())
    values = torch.randn(1, 6, 20)
    for model in (network, checkpointed):
        model(values).square().sum().backward()
    for one, other in zip(network.parameters(), checkpointed.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_capoyo_with_plain_tokens_predicts_the_same():
    torch.manual_seed(0)
    network = Capoyo(30, 7, **{**ENCODER, "dim": 32, "depth": 2}, readout_queries=8, hidden=16)
    values, keep = torch.randn(1, 9, 30), torch.rand(1, 9, 30) > 0.3
    torch.testing.assert_close(network(values, keep), network(values, keep, plain=True))


def test_encoder_gives_latents_times_dim():
    encoder = CapoyoEncoder(12, **{**ENCODER, "latents": 5})
    assert encoder(torch.randn(3, 12)).shape == (3, 5, 16)


def test_stacked_members_equal_ordinary_networks():
    torch.manual_seed(0)
    stacked = StackedMlp(3, 11, 4, hidden=8, depth=2)
    values = torch.randn(3, 6, 11)
    out = stacked(values)
    for member in range(3):
        layers = []
        for layer in (*stacked.hidden, stacked.output):
            linear = torch.nn.Linear(*layer.weight.shape[1:])
            linear.weight.data, linear.bias.data = layer.weight[member].T, layer.bias[member]
            layers += [linear, torch.nn.GELU()]
        torch.testing.assert_close(out[member], torch.nn.Sequential(*layers[:-1])(values[member]))


def test_residual_and_layer_norm_members_do_not_mix():
    torch.manual_seed(0)
    network = StackedMlp(2, 5, 3, hidden=6, depth=3, residual=True, layer_norm=True)
    values = torch.randn(2, 4, 5, requires_grad=True)
    network(values)[0].sum().backward()
    assert values.grad[0].abs().sum() > 0
    assert (values.grad[1] == 0).all()


def test_members_start_from_different_weights():
    weight = build_network({"kind": "linear"}, 5, None, 3, members=2).output.weight
    assert not torch.equal(weight[0], weight[1])


def test_capoyo_with_members_is_refused_in_one_line():
    with pytest.raises(InputError, match="members: capoyo"):
        build_network(FULL_SIZE, 5, None, 3, members=2)
    with pytest.raises(InputError, match="'ridge' is not a network"):
        build_network({"kind": "ridge"}, 5, None, 3)
