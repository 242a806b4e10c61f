"""Shuffled epochs of several members: what is drawn, in what order, and by which process."""

import pytest
import torch

from spikeline.bridge.networks.batches import ShuffledRows
from spikeline.errors import InputError

ROWS = [torch.arange(32), torch.arange(100, 135)]


def epoch(batches, number, processes=1):
    """(members, rows) of the batches of one epoch, in order."""
    first = number * batches.steps * processes
    return torch.cat([batches(first + k) for k in range(batches.steps * processes)], 1)


def test_each_member_goes_through_its_own_rows_once_per_epoch_in_new_orders():
    batches = ShuffledRows(ROWS, 8, seed=1)
    assert batches.steps == 4
    orders = [epoch(batches, number) for number in (0, 1)]
    for order in orders:
        assert order[0].sort().values.tolist() == list(range(32))
        # three of the second member's rows wait for another epoch
        assert len(set(order[1].tolist()) & set(range(100, 135))) == 32
    assert not torch.equal(*orders)
    assert not torch.equal(orders[0][0], orders[0][1] - 100)


def test_a_batch_depends_on_the_seed_and_its_number_alone():
    asked_in_order = ShuffledRows(ROWS, 8, seed=1)
    expected = [asked_in_order(number) for number in range(12)]
    for number in (9, 2, 11):
        assert torch.equal(ShuffledRows(ROWS, 8, seed=1)(number), expected[number])
        assert torch.equal(asked_in_order(number), expected[number])
    assert not torch.equal(ShuffledRows(ROWS, 8, seed=2)(9), expected[9])


def test_processes_share_an_epoch_s_batches():
    alone, shared = ShuffledRows(ROWS, 4, seed=1), ShuffledRows(ROWS, 4, seed=1, processes=2)
    assert (alone.steps, shared.steps) == (8, 4)
    assert torch.equal(epoch(shared, 1, processes=2), epoch(alone, 1))


def test_few_rows_make_smaller_batches_and_fewer_rows_than_processes_are_refused():
    assert ShuffledRows(ROWS, 64, seed=1)(0).shape == (2, 32)
    assert ShuffledRows(ROWS, 64, seed=1, processes=4)(0).shape == (2, 8)
    with pytest.raises(InputError, match="--processes: 33 for 32 training rows"):
        ShuffledRows(ROWS, 8, seed=1, processes=33)
