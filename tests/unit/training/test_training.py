"""The training loop: it learns, it stops, and a killed run ends like an unbroken one."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from spikeline.errors import InputError
from spikeline.training.device import choose_device, mixed_precision
from spikeline.training.history import to_tsv
from spikeline.training.loop import Schedule, train
from spikeline.training.state import read_state, write_state


class Lines(torch.nn.Module):
    """`members` lines through the origin."""

    def __init__(self, members=1):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(members, 1))


def problem(members=1, rows=32):
    x = torch.linspace(-1, 1, rows)
    slopes = torch.arange(1.0, members + 1)[:, None]
    model = Lines(members)

    def loss(index):
        return ((model.weight - slopes) * x[index]).square().mean(-1)

    return model, loss, [torch.arange(rows)] * members


def test_members_learn_their_own_targets():
    model, loss, rows = problem(3)
    history = train(model, loss, rows, Schedule(200, 8, 0.1), seed=0)
    torch.testing.assert_close(
        model.weight.detach().ravel(), torch.tensor([1.0, 2, 3]), atol=0.05, rtol=0
    )
    assert [row["epoch"] for row in history[:4]] == [1, 1, 1, 2]
    assert history[-1]["loss"] < history[0]["loss"]


def test_rate_warms_up_in_a_line_and_ends_at_0():
    schedule = Schedule(10, 1, 2.0, warmup_epochs=2)
    assert [schedule.rate(epoch) for epoch in (0, 1, 2, 6, 10)] == pytest.approx([0, 1, 2, 1, 0])


def test_each_member_keeps_its_best_epoch_and_training_stops_when_all_ran_out_of_patience():
    model, loss, rows = problem(2)
    epoch, seen = [0], []
    scores = [[0.1, 0.5, 0.2, 0.3, 0.4, 0.9], [0.1, 0.2, 0.3, 0.1, 0.1, 0.9]]

    def score():
        seen.append(model.weight.detach().clone())
        epoch[0] += 1
        return {"score": torch.tensor([member[epoch[0] - 1] for member in scores])}

    history = train(model, loss, rows, Schedule(6, 8, 0.1, patience=2), seed=0, score=score)
    assert history[-1]["epoch"] == 5  # the second member waits for epochs 4 and 5
    assert torch.equal(model.weight[0], seen[1][0])
    assert torch.equal(model.weight[1], seen[2][1])


def test_shuffling_differs_between_epochs_and_members_and_repeats_with_the_seed():
    def orders(seed):
        model, loss, rows = problem(2)
        seen = []

        def recording(index):
            seen.append(index.clone())
            return loss(index)

        train(model, recording, rows, Schedule(2, 32, 0.1), seed=seed)
        return seen

    first, second = orders(1)
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])
    assert first[0].sort().values.tolist() == list(range(32))
    assert torch.equal(first, orders(1)[0])
    assert not torch.equal(first, orders(2)[0])


def test_a_loss_that_is_not_finite_stops_the_training():
    model, loss, rows = problem()
    with pytest.raises(FloatingPointError, match="epoch 1"):
        train(model, lambda index: loss(index) * torch.inf, rows, Schedule(2, 8, 0.1), seed=0)


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
import torch
from spikeline.bridge.networks.losses import AlignmentLoss
from spikeline.bridge.networks.architectures import StackedMlp
from spikeline.training.loop import Schedule, train

torch.set_num_threads(1)
state, pause = sys.argv[1], float(sys.argv[2])
data = torch.Generator().manual_seed(0)
x, y = torch.randn(64, 9, generator=data), torch.randn(64, 4, generator=data)
torch.manual_seed(5)
network = StackedMlp(2, 9, 4, hidden=8, depth=1, dropout=0.3)
criterion = AlignmentLoss("infonce", 2, 0.0, 0.1)
model = torch.nn.ModuleDict({"network": network, "criterion": criterion})

def loss(rows):
    time.sleep(pause)
    return model["criterion"](network(x[rows] + torch.randn(9)), y[rows])

def score():
    difference = (network(x.expand(2, -1, -1)) - y).square().mean((1, 2))
    return {"score": torch.sin(1000 * difference)}  # best epochs scattered over the run

history = train(
    model, loss, [torch.arange(60), torch.arange(4, 64)], Schedule(30, 16, 0.01, 0.1, 2),
    seed=3, score=score, state_path=state, fingerprint="f", state_interval_s=0,
)
"""


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
        found = read_state(state, "f")
        if found is not None and found["epoch"] >= 5:
            break
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    epoch = read_state(state, "f")["epoch"]
    assert 5 <= epoch < 30
    capsys.readouterr()
    resumed_weights, resumed_history = run_here(monkeypatch, state)
    assert f"{epoch}/30" in capsys.readouterr().err  # the bar starts where the state left off
    assert resumed_history == history
    for name, tensor in weights.items():
        assert torch.equal(resumed_weights[name], tensor), name


@pytest.mark.parametrize("content", [b"", b"not a state", None], ids=["empty", "text", "cut short"])
def test_a_corrupt_state_is_ignored_with_a_warning(tmp_path, caplog, content):
    path = tmp_path / "x.state"
    write_state(path, {"fingerprint": "f", "epoch": 1, "weights": torch.randn(1000)})
    path.write_bytes(path.read_bytes()[:2000] if content is None else content)
    assert read_state(path, "f") is None
    assert "ignoring the unreadable training state" in caplog.text


def test_the_state_of_another_training_is_ignored_with_a_warning(tmp_path, caplog):
    path = tmp_path / "x.state"
    write_state(path, {"fingerprint": "other"})
    assert read_state(path, "f") is None
    assert "another training" in caplog.text


def test_a_state_that_would_run_code_is_not_loaded(tmp_path, caplog):
    path = tmp_path / "x.state"
    torch.save({"fingerprint": "f", "trap": os.system}, path)
    assert read_state(path, "f") is None
    assert "unreadable" in caplog.text


def test_a_state_that_cannot_be_written_costs_a_warning_only(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    write_state(tmp_path / "file" / "x.state", {"fingerprint": "f"})
    assert "not written" in caplog.text


def test_devices(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == choose_device("cuda").type == "cpu"
    assert "though cuda was asked for" in caplog.text
    with pytest.raises(InputError, match="auto, cpu, cuda"):
        choose_device("tpu")
    with mixed_precision(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_history_is_a_table_with_a_header():
    rows = [{"epoch": 1, "loss": 0.123456789, "score": None}, {"epoch": 2, "loss": 1e-9}]
    assert to_tsv(rows) == "epoch\tloss\tscore\n1\t0.123457\t\n2\t1e-09\t\n"
    assert to_tsv([]) == ""
