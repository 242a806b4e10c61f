"""The closed form of the electrode attention against its definition."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from spikeline.bridge.networks import electrode_attention
from spikeline.bridge.networks.electrode_attention import ElectrodeAttention


def layer_and_batch(dtype, heads=4, groups=True, bins=1):
    torch.manual_seed(0)
    electrodes, dim, batch = 40, 32, 23
    own = electrodes // bins
    regions = torch.arange(own) % 3 if groups else None
    layer = ElectrodeAttention(own, dim, 8, heads, dim_head=12, groups=regions, bins=bins).to(dtype)
    for parameter in layer.parameters():  # nothing left at a neutral initial value
        torch.nn.init.normal_(parameter, std=0.5)
    values = torch.randn(batch, electrodes, dtype=dtype, requires_grad=True)
    return layer, values, torch.randn(batch, 8, dim, dtype=dtype)


def output_and_gradients(forward, layer, values, keep, weights):
    layer.zero_grad()
    values.grad = None
    output = forward(values, keep)
    (output * weights).sum().backward()
    gradients = {name: parameter.grad.clone() for name, parameter in layer.named_parameters()}
    return {"output": output.detach(), "values": values.grad.clone(), **gradients}


@pytest.mark.parametrize("slice_elements", [1, 3000, 1 << 18])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize("bins", [1, 4])
def test_closed_form_equals_plain_tokens_forward_and_backward(
    dtype, tolerance, masked, slice_elements, bins, monkeypatch
):
    monkeypatch.setitem(electrode_attention._SLICE_ELEMENTS, "cpu", slice_elements)
    layer, values, weights = layer_and_batch(dtype, bins=bins)
    keep = torch.rand(values.shape) > 0.3 if masked else None
    closed = output_and_gradients(layer.forward, layer, values, keep, weights)
    plain = output_and_gradients(layer.forward_plain, layer, values, keep, weights)
    assert len(closed) == 2 + len(list(layer.parameters()))
    for name in plain:
        scale = plain[name].abs().max()
        if name == "values" and masked:
            assert (closed[name][~keep] == 0).all()
        assert (closed[name] - plain[name]).abs().max() <= tolerance * max(scale, 1), name


def test_the_token_of_a_bin_is_its_electrodes_identity_its_areas_and_its_own_vector():
    layer, *_ = layer_and_batch(torch.float64, bins=4)
    tokens = layer._identities()
    assert tokens.shape == (40, 32)
    for b in range(4):
        for e in range(10):
            expected = layer.identity[e] + layer.region[e % 3] + layer.time[b]
            torch.testing.assert_close(tokens[b * 10 + e], expected)


def test_dropped_electrodes_do_not_exist_for_the_latents():
    layer, values, _ = layer_and_batch(torch.float64, groups=False)
    keep = torch.ones(values.shape, dtype=torch.bool)
    keep[:, 30:] = False
    smaller = ElectrodeAttention(30, 32, 8, 4, dim_head=12).double()
    state = layer.state_dict()
    state["identity"] = state["identity"][:30]
    smaller.load_state_dict(state)
    torch.testing.assert_close(layer(values, keep), smaller(values[:, :30]))


def test_gradient_of_the_responses_is_not_computed_unless_asked_for():
    layer, values, _ = layer_and_batch(torch.float32)
    values = values.detach()
    layer(values).sum().backward()
    assert values.grad is None
    assert layer.identity.grad is not None


class LargestTensor(TorchDispatchMode):
    """Remembers the number of elements of the largest tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


def test_no_tensor_of_the_closed_form_is_as_large_as_the_tokens(monkeypatch):
    monkeypatch.setitem(electrode_attention._SLICE_ELEMENTS, "cpu", 1 << 14)
    layer = ElectrodeAttention(256, 64, 8, 2)
    values = torch.randn(100, 256)
    largest = {}
    for form in ("forward", "forward_plain"):
        with LargestTensor() as mode:
            getattr(layer, form)(values).sum().backward()
        largest[form] = mode.elements
    assert largest["forward"] <= max(values.numel(), 100 * 8 * 64)
    assert largest["forward_plain"] >= 100 * 256 * 64


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_closed_form_on_the_gpu_equals_plain_tokens_on_the_cpu():
    layer, values, weights = layer_and_batch(torch.float32)
    plain = output_and_gradients(layer.forward_plain, layer, values, None, weights)
    on_gpu = values.detach().cuda().requires_grad_()
    closed = output_and_gradients(layer.cuda().forward, layer, on_gpu, None, weights.cuda())
    for name in plain:
        scale = max(plain[name].abs().max(), 1)
        assert (closed[name].cpu() - plain[name]).abs().max() <= 1e-4 * scale, name
