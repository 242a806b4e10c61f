"""Two processes on a CPU train as one process that averages the gradients of their batches."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from spikeline.training.device import make_fabric
from spikeline.training.loop import train
from spikeline.training.schedule import Schedule

EPOCHS, STEPS, PATIENCE = 6, 3, 2

# Run by each process: a training, then the same one broken off and resumed.
SCRIPT = """
import sys
from pathlib import Path
import torch
from test_processes import BrokenOffError, trained
from spikeline.training.device import choose_device, make_fabric, mixed_precision
from spikeline.training.state import StateFile

folder = Path(sys.argv[1])
torch.set_num_threads(1)
mixed_precision(choose_device("cpu"))
imported = {"evaluation": "lightning_fabric" in sys.modules}
fabric = make_fabric("cpu", 2)
imported["torchmetrics"] = "torchmetrics" in sys.modules
fabric.launch()
kept = {"plain": trained(fabric)[0]}
kept["noisy"], history = trained(fabric, noise=0.1)
state = StateFile(folder / "x.state", interval_s=0)
try:
    trained(fabric, noise=0.1, state_file=state, stop_at=7)
    raise AssertionError("was not broken off")
except BrokenOffError:
    pass
fabric.barrier()
assert state.path.exists()
kept["resumed"], again = trained(fabric, noise=0.1, state_file=state)
assert again == history
kept |= {"epochs": history[-1]["epoch"], "imported": imported}
torch.save(kept, folder / f"rank{fabric.global_rank}.pt")
"""


class BrokenOffError(Exception):
    pass


def problem():
    """A network with a layer that odd batches alone use, and one that none uses."""
    torch.manual_seed(0)
    model = torch.nn.ModuleDict(
        {
            "first": torch.nn.Linear(5, 8),
            "odd": torch.nn.Linear(8, 8),
            "unused": torch.nn.Linear(8, 8),
            "last": torch.nn.Linear(8, 2),
        }
    )
    data = torch.Generator().manual_seed(1)
    x, y = torch.randn(64, 16, 5, generator=data), torch.randn(64, 16, 2, generator=data)

    def loss(number, noise=0.0):
        hidden = model["first"](x[number] + noise * torch.randn(16, 5)).tanh()
        if number % 2:
            hidden = hidden + model["odd"](hidden)
        return (model["last"](hidden) - y[number]).square().mean()[None]

    return model, loss


def trained(fabric, noise=0.0, stop_at=None, state_file=None, loss_of=lambda loss: loss):
    """Weights and history; scores fall after the third epoch, so that patience ends it early."""
    model, loss = problem()
    loss = loss_of(loss)

    def batch(number):
        if stop_at is not None and number >= stop_at * fabric.world_size:
            raise BrokenOffError
        return loss(number, noise)

    def score():
        distance = model["last"].weight.detach().square().mean()
        return {"score": torch.sin(1000 * distance)[None]}

    history = train(
        model, batch, Schedule(EPOCHS, STEPS, 0.05, weight_decay=0.1, patience=PATIENCE),
        fabric=fabric, seed=3, score=score, state_file=state_file, fingerprint="f",
    )  # fmt: skip
    return {name: value.clone() for name, value in model.state_dict().items()}, history


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What each of two processes ended with."""
    folder = tmp_path_factory.mktemp("processes")
    script = folder / "script.py"
    script.write_text(SCRIPT)
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, script, folder],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(folder / f"rank{rank}.pt") for rank in (0, 1)]


def assert_equal(ours, theirs):
    assert set(ours) == set(theirs)
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


def test_both_end_with_the_weights_of_one_that_averages_the_gradients_of_their_batches(ranks):
    def mean_of_two(loss):
        return lambda step, noise: (loss(2 * step, noise) + loss(2 * step + 1, noise)) / 2

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone, _ = trained(make_fabric("cpu"), loss_of=mean_of_two)
    torch.set_num_threads(threads)
    for rank in ranks:
        for name, value in alone.items():
            torch.testing.assert_close(rank["plain"][name], value, rtol=0, atol=1e-6)
    assert_equal(ranks[0]["plain"], ranks[1]["plain"])
    assert torch.equal(alone["unused.weight"], problem()[0]["unused"].weight)


def test_a_training_of_two_that_was_broken_off_ends_with_the_weights_of_an_unbroken_one(ranks):
    for rank in ranks:
        assert_equal(rank["resumed"], rank["noisy"])
    assert_equal(ranks[0]["noisy"], ranks[1]["noisy"])
    assert ranks[0]["epochs"] == ranks[1]["epochs"]


def test_fabric_is_imported_for_training_only_and_without_torchmetrics(ranks):
    assert ranks[0]["imported"] == {"evaluation": False, "torchmetrics": False}
