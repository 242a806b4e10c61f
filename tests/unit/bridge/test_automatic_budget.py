"""Counted operations of candidates against torch's counter and by hand; order and budget."""

import pytest
import torch
from defaults import settings
from torch.utils.flop_counter import FlopCounterMode

from spikeline.bridge.automatic.budget import Candidate, affordable, estimated
from spikeline.bridge.automatic.operations import Shapes, operations
from spikeline.bridge.networks.architectures import build_network
from spikeline.bridge.networks.losses import AlignmentLoss

SHAPES = Shapes(rows=130, images=130, electrodes=30, dim=20)
AUTO = {"folds": 2, "gigaflops": 2.0, "network_gigaflops": 2.0}
DATA = {"encoder": "e", "regions": ["V4"]}
SPECTRUM = 2 * 130 * 20 * 20 + 9 * 20**3  # of the embeddings: their covariance and its axes


def entry(kind, **given):
    step = "fit" if kind in ("ridge", "bayesian") else "train"
    return settings(step, kind=kind, **DATA, **given)


def test_a_linear_network_takes_two_products_with_its_weights_and_two_with_the_targets():
    # A step of 64 rows: forward, and the gradient of the weights; logits, and the gradient of the
    # predictions. Two steps an epoch.
    step = 2 * (2 * 64 * 30 * 20) + 2 * (2 * 64 * 64 * 20)
    network = entry("linear", batch_size=64, epochs=3)
    assert operations(network, SHAPES) == SPECTRUM + 3 * 2 * step
    assert operations({**network, "members": 4}, SHAPES) == 4 * (SPECTRUM + 3 * 2 * step)


@pytest.mark.parametrize(
    "network",
    [
        entry("mlp", hidden=16, depth=2, batch_size=64, epochs=3, members=2),
        entry("mlp", hidden=16, loss="softclip", batch_size=64, epochs=3, layer_norm=True),
        entry("capoyo", dim=16, depth=2, hidden=16, batch_size=64, epochs=3),
        entry("capoyo", dim=16, depth=2, hidden=16, batch_size=64, epochs=3, checkpointing=True),
    ],
    ids=["mlp", "softclip", "capoyo", "checkpointing"],
)
def test_a_network_takes_what_torch_counts_in_its_real_steps(network):
    members = network.get("members", 1)
    model = build_network(network, 30, None, 20, members)
    loss = AlignmentLoss(network["loss"], members, 0.0, network["softclip_temperature"])
    with FlopCounterMode(display=False) as counter:
        loss(model(torch.randn(members, 64, 30)), torch.randn(members, 64, 20)).sum().backward()
    expected = members * SPECTRUM + 3 * 2 * counter.get_total_flops()
    assert operations(network, SHAPES) == pytest.approx(expected, rel=0.02)


def test_ridge_takes_a_decomposition_and_a_product_for_each_penalty():
    gram, rotation = 2 * 130 * 30 * 30 + 9 * 30**3, 2 * 130 * 30 * 30
    products = 2 * (2 + 1) * 130 * 30 * 5
    ridge = entry("ridge", penalties=[1, 10], target_components=5)
    assert operations(ridge, SHAPES) == SPECTRUM + gram + rotation + products


def test_a_kernel_of_all_rows_takes_more_than_a_linear_one_and_both_sides_more_than_one():
    def bayesian(encoding, decoding):
        return operations(
            entry("bayesian", encoding_kernels=encoding, decoding_kernels=decoding), SHAPES
        )

    one = bayesian(["linear"], ["none"])
    assert one < bayesian(["linear"], ["linear"]) < bayesian(["rbf"], ["linear"])
    assert bayesian(["rbf"], ["linear"]) < bayesian(["linear", "rbf"], ["rbf"])


def test_the_decompositions_of_many_rows_grow_with_the_landmarks_only():
    rbf = entry("bayesian", encoding_kernels=["none"], decoding_kernels=["rbf"])

    def cost(rows):
        return operations(rbf, Shapes(rows, rows, 30, 20))

    assert cost(2000) / cost(1000) > 6  # all rows are landmarks: nearly rows^3
    assert cost(40000) / cost(20000) < 2.5


def test_candidates_are_ordered_by_their_operations_whatever_their_order_in_the_config():
    given = {
        "rbf": entry("bayesian", encoding_kernels=["rbf"]),
        "ridge": entry("ridge"),
        "also_ridge": entry("ridge"),
    }
    for names in (list(given), list(given)[::-1]):
        found = estimated({name: given[name] for name in names}, SHAPES, AUTO)
        assert [one.name for one in found] == ["also_ridge", "ridge", "rbf"]
    minutes = 3 * operations(given["ridge"], SHAPES) / 2e9 / 60
    assert found[0].minutes == pytest.approx(minutes)


def test_networks_have_a_nominal_speed_of_their_own():
    given = {"ridge": entry("ridge"), "mlp": entry("mlp")}
    slow, quick = (
        {one.name: one.minutes for one in estimated(given, SHAPES, AUTO | {"network_gigaflops": g})}
        for g in (2, 2000)
    )
    assert slow["mlp"] == pytest.approx(1000 * quick["mlp"]) and slow["ridge"] == quick["ridge"]


@pytest.mark.parametrize(("budget", "count"), [(0.5, 1), (1, 1), (3, 2), (9.9, 2), (10, 3)])
def test_candidates_are_taken_as_long_as_their_sum_fits_and_the_cheapest_always(budget, count):
    candidates = [Candidate(name, {}, minutes) for name, minutes in (("a", 1), ("b", 2), ("c", 7))]
    assert affordable(candidates, budget) == count


@pytest.mark.parametrize(("time", "features"), [("concatenated", 4), ("gate", 1), ("low_rank", 2)])
def test_closed_forms_over_time_cost_what_as_many_electrodes_do(time, features):
    binned = Shapes(rows=130, images=130, electrodes=30, dim=20, bins=4)
    alike = Shapes(rows=130, images=130, electrodes=features * 30, dim=20)
    for kind in ("ridge", "bayesian"):
        given = entry(kind, time=time, time_rank=2)
        assert operations(given, binned) == operations(entry(kind), alike)


def test_a_network_over_time_costs_its_weighting_too():
    binned = Shapes(rows=130, images=130, electrodes=30, dim=20, bins=4)
    network = {"hidden": 16, "depth": 1, "batch_size": 64, "epochs": 3}
    gate, plain = entry("mlp", time="gate", **network), entry("mlp", **network)
    # A product with each bin and the gradient of the weights; and through the first hidden layer,
    # whose inputs are now learned, the gradient of those.
    step = 2 * (2 * 64 * 4 * 30) + 2 * 64 * 16 * 30
    more = operations(gate, binned) - operations(plain, SHAPES)
    assert more == pytest.approx(3 * 2 * step, rel=0.01)
    assert operations(plain, binned) > operations(gate, binned)


def test_few_factors_cost_less_than_the_full_covariance_of_many_responses():
    many = Shapes(rows=2000, images=2000, electrodes=1000, dim=20, bins=8)
    assert operations(entry("bayesian", noise_rank=20), many) < operations(entry("bayesian"), many)
