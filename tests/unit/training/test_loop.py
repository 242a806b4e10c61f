"""The training loop: it learns, it stops, and a killed run ends like an unbroken one."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from spikeline.training.device import make_fabric
from spikeline.training.loop import train
from spikeline.training.schedule import Schedule
from spikeline.training.state import read_state

FABRIC = make_fabric("cpu")
STEPS = 4


class Lines(torch.nn.Module):
    """`members` lines through the origin."""

    def __init__(self, members=1):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(members, 1))


def problem(members=1):
    """Lines, and their squared errors on the quarter of 32 points that a batch's number names."""
    x = torch.linspace(-1, 1, 32)
    slopes = torch.arange(1.0, members + 1)[:, None]
    model = Lines(members)

    def loss(number):
        return ((model.weight - slopes) * x[number % STEPS :: STEPS]).square().mean(-1)

    return model, loss


def schedule(epochs, **more):
    return Schedule(epochs, STEPS, 0.1, **more)


def test_members_learn_their_own_targets():
    model, loss = problem(3)
    history = train(model, loss, schedule(200), fabric=FABRIC, seed=0, members=3)
    torch.testing.assert_close(
        model.weight.detach().ravel(), torch.tensor([1.0, 2, 3]), atol=0.05, rtol=0
    )
    assert [row["epoch"] for row in history[:4]] == [1, 1, 1, 2]
    assert history[-1]["loss"] < history[0]["loss"]


def test_batches_are_counted_over_all_epochs():
    model, loss = problem()
    asked = []

    def counting(number):
        asked.append(number)
        return loss(number)

    train(model, counting, schedule(3), fabric=FABRIC, seed=0)
    assert asked == list(range(3 * STEPS))


def test_rate_warms_up_in_a_line_and_ends_at_0():
    rate = Schedule(10, 1, 2.0, warmup_epochs=2).rate
    assert [rate(epoch) for epoch in (0, 1, 2, 6, 10)] == pytest.approx([0, 1, 2, 1, 0])


def test_each_member_keeps_its_best_epoch_and_training_stops_when_all_ran_out_of_patience():
    model, loss = problem(2)
    epoch, seen = [0], []
    scores = [[0.1, 0.5, 0.2, 0.3, 0.4, 0.9], [0.1, 0.2, 0.3, 0.1, 0.1, 0.9]]

    def score():
        seen.append(model.weight.detach().clone())
        epoch[0] += 1
        return {"score": torch.tensor([member[epoch[0] - 1] for member in scores])}

    history = train(
        model, loss, schedule(6, patience=2), fabric=FABRIC, seed=0, members=2, score=score
    )
    assert history[-1]["epoch"] == 5  # the second member waits for epochs 4 and 5
    assert torch.equal(model.weight[0], seen[1][0])
    assert torch.equal(model.weight[1], seen[2][1])


def test_a_loss_that_is_not_finite_stops_the_training():
    model, loss = problem()
    with pytest.raises(FloatingPointError, match="epoch 1"):
        train(model, lambda number: loss(number) * torch.inf, schedule(2), fabric=FABRIC, seed=0)


def test_weight_decay_leaves_biases_norms_and_embeddings_alone():
    from spikeline.bridge.networks.architectures import Capoyo
    from spikeline.training.loop import _optimiser

    network = Capoyo(
        6, 3, readout_queries=8, hidden=8, dim=16, latents=8, depth=1, heads=1, dropout=0.0,
        checkpointing=False,
    )  # fmt: skip
    parameters = dict(network.named_parameters())
    decayed, others = _optimiser(parameters, Schedule(1, 1, 0.1, weight_decay=0.1)).param_groups
    ids = {id(p): name for name, p in parameters.items()}
    names = {ids[id(p)] for p in decayed["params"]}
    assert others["weight_decay"] == 0
    assert "encoder.electrodes.to_key.weight" in names
    assert not any("norm" in n or "bias" in n or "identity" in n or "latents" in n for n in names)
    model = torch.nn.ModuleDict(
        {"unit_emb": torch.nn.Embedding(3, 4), "readout": torch.nn.Linear(4, 2)}
    )
    decayed, _ = _optimiser(dict(model.named_parameters()), Schedule(1, 1, 0.1)).param_groups
    assert [p.shape for p in decayed["params"]] == [(2, 4)]


KILLED = """
import sys, time
from pathlib import Path
import torch
from spikeline.bridge.networks.stacked import StackedMlp
from spikeline.bridge.networks.batches import ShuffledRows
from spikeline.bridge.networks.losses import AlignmentLoss
from spikeline.training.device import make_fabric
from spikeline.training.loop import train
from spikeline.training.schedule import Schedule
from spikeline.training.state import StateFile

torch.set_num_threads(1)
state, pause = Path(sys.argv[1]), float(sys.argv[2])
data = torch.Generator().manual_seed(0)
x, y = torch.randn(64, 9, generator=data), torch.randn(64, 4, generator=data)
torch.manual_seed(5)
network = StackedMlp(2, 9, 4, hidden=8, depth=1, dropout=0.3)
criterion = AlignmentLoss("infonce", 2, 0.0, 0.1)
model = torch.nn.ModuleDict({"network": network, "criterion": criterion})
batches = ShuffledRows([torch.arange(60), torch.arange(4, 64)], 16, seed=3)

def loss(number):
    time.sleep(pause)
    rows = batches(number)
    return model["criterion"](network(x[rows] + torch.randn(9)), y[rows])

def score():
    difference = (network(x.expand(2, -1, -1)) - y).square().mean((1, 2))
    return {"score": torch.sin(1000 * difference)}  # best epochs scattered over the run

history = train(
    model, loss, Schedule(30, batches.steps, 0.01, 0.1, 2), fabric=make_fabric("cpu"), seed=3,
    members=2, score=score, state_file=StateFile(state, interval_s=0), fingerprint="f",
)
"""
FINGERPRINT = "f, processes: 1"


def run_here(monkeypatch, state):
    """The script in this process: its final weights and history."""
    monkeypatch.setattr(sys, "argv", ["", str(state), "0"])
    names = {}
    threads = torch.get_num_threads()
    exec(KILLED, names)
    torch.set_num_threads(threads)
    return names["model"].state_dict(), names["history"]


def test_a_killed_run_ends_with_the_weights_of_an_unbroken_run(tmp_path, monkeypatch, capsys):
    weights, history = run_here(monkeypatch, tmp_path / "unbroken.state")
    state = tmp_path / "killed.state"
    running = subprocess.Popen(
        [sys.executable, "-c", KILLED, state, "0.02"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and running.poll() is None:
        found = read_state(state, FINGERPRINT)
        if found is not None and found["epoch"] >= 5:
            break
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    epoch = read_state(state, FINGERPRINT)["epoch"]
    assert 5 <= epoch < 30
    capsys.readouterr()
    resumed_weights, resumed_history = run_here(monkeypatch, state)
    assert f"{epoch}/30" in capsys.readouterr().err  # the bar starts where the state left off
    assert resumed_history == history
    for name, tensor in weights.items():
        assert torch.equal(resumed_weights[name], tensor), name


class Two(torch.nn.Module):
    """A line and its offset."""

    def __init__(self):
        super().__init__()
        self.slope = torch.nn.Parameter(torch.zeros(1))
        self.offset = torch.nn.Parameter(torch.zeros(1))


def frozen_at_first(epoch):
    return {"slope"} if epoch < 2 else {"offset"}


def test_a_frozen_parameter_stays_and_is_not_decayed_until_its_epoch_comes():
    model = Two()
    x, after = torch.linspace(-1, 1, 8), {}

    def loss(number):
        after[number // STEPS] = (model.slope.item(), model.offset.item())
        return (model.slope * x + model.offset - 2 * x - 1).square().mean()[None]

    train(model, loss, schedule(4), fabric=FABRIC, seed=0, frozen=frozen_at_first)
    # `after` holds the values before the last step of each epoch.
    assert after[0][0] == after[1][0] == 0 and after[1][1] > 0.2
    assert after[3][0] > 0.05 and after[3][1] == model.offset.item()


def test_a_run_resumed_after_the_change_freezes_what_an_unbroken_one_does(tmp_path):
    from spikeline.training.state import StateFile

    def run(epochs_before_the_kill=None):
        model, seen = Two(), []
        x = torch.linspace(-1, 1, 8)

        def loss(number):
            if number == STEPS * (epochs_before_the_kill or 99):
                raise KeyboardInterrupt
            seen.append(number)
            return (model.slope * x + model.offset - 2 * x - 1).square().mean()[None]

        state = StateFile(tmp_path / "x.state", 0)
        try:
            train(model, loss, schedule(5), fabric=FABRIC, seed=0, frozen=frozen_at_first,
                  state_file=state)  # fmt: skip
        except KeyboardInterrupt:
            return None
        return model.slope.item(), model.offset.item(), len(seen)

    slope, offset, _ = run()
    (tmp_path / "x.state").unlink()
    assert run(epochs_before_the_kill=3) is None
    assert run() == (slope, offset, 2 * STEPS)
