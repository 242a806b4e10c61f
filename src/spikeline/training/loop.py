"""Epochs of AdamW with early stopping, in one process or several, resumable bit for bit.

A model may hold several independent *members*, trained side by side: parameters then carry the
members on their first axis, losses and scores come per member, and each member keeps the weights of
its own best epoch. A batch is a function of its number, and the state after an epoch holds all else
that the next one depends on: a run killed at any point and started again ends with the weights of
an unbroken run.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from tqdm import tqdm

from spikeline.training.best_weights import BestWeights
from spikeline.training.processes import (
    average_gradients,
    averaged,
    process_seed,
    random_states,
    set_random_state,
)
from spikeline.training.schedule import Schedule
from spikeline.training.state import StateFile, read_state, write_state

if TYPE_CHECKING:
    from lightning_fabric import Fabric

logger = logging.getLogger(__name__)

Loss = Callable[[int], Tensor]
Score = Callable[[], Mapping[str, Tensor]]


def train(
    model: nn.Module,
    loss: Loss,
    schedule: Schedule,
    *,
    fabric: Fabric,
    seed: int,
    members: int = 1,
    score: Score | None = None,
    frozen: Callable[[int], Collection[str]] | None = None,
    most_gradient: float | None = None,
    state_file: StateFile | None = None,
    fingerprint: str = "",
) -> list[dict]:
    """Train `model` in place; it ends with the weights of each member's best epoch.

    With N processes a step takes N batches, one per process, and averages their gradients.

    Args:
        model: its parameters are on the Fabric's device already, equal in all processes.
        loss: takes the number of a batch, counted from 0 over the whole training, and returns its
            loss per member (members,). Process r of N is asked for batches r, N + r, 2 N + r ...
        schedule: epochs, steps per epoch, learning rate, patience.
        fabric: launched already where it has several processes.
        seed: of everything random inside `loss` that does not depend on the number alone.
        score: returns named validation results (members,), `score` among them (higher is better).
            Without it the last weights are kept.
        frozen: the names of the parameters that do not learn in an epoch, counted from 0. It is a
            function of the epoch alone, so that a resumed run freezes what an unbroken one does.
        most_gradient: norm of all gradients of a step together, beyond which it is shortened to it.
        state_file: where an unfinished training is kept; None keeps none. The caller deletes it
            once the result is safe.
        fingerprint: identity of this training; a state with another one is not resumed.

    Returns:
        One row per epoch and member: epoch (from 1), member, learning_rate, loss, the scores.

    Raises:
        FloatingPointError: the loss of an epoch is not finite.
    """
    parameters = dict(model.named_parameters())
    optimiser = _optimiser(parameters, schedule)
    best = BestWeights(parameters, members, schedule.patience)
    torch.manual_seed(process_seed(fabric, seed))
    # the state holds the random streams of so many processes
    fingerprint = f"{fingerprint}, processes: {fabric.world_size}"
    history, first = [], 0
    state = read_state(state_file.path, fingerprint) if state_file is not None else None
    if state is not None:
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        best.load_state_dict(state["best"])
        set_random_state(fabric, state["random"])
        history, first = state["history"], state["epoch"]
        logger.info("resuming after epoch %d", first)

    saved_at = time.monotonic()
    bar = tqdm(
        total=schedule.epochs, initial=first, desc="training", unit="epoch", mininterval=5.0,
        disable=not fabric.is_global_zero,
    )  # fmt: skip
    for epoch in range(first, schedule.epochs):
        if best.exhausted:
            break
        model.train()
        if frozen is not None:
            still = frozen(epoch)
            for name, parameter in parameters.items():
                parameter.requires_grad_(name not in still)
        total = torch.zeros(members, device=fabric.device)
        for step in range(schedule.steps):
            for group in optimiser.param_groups:
                group["lr"] = schedule.rate(epoch + (step + 1) / schedule.steps)
            number = epoch * schedule.steps + step
            losses = loss(number * fabric.world_size + fabric.global_rank)
            optimiser.zero_grad(set_to_none=True)
            losses.sum().backward()
            average_gradients(fabric, parameters.values())
            if most_gradient is not None:
                nn.utils.clip_grad_norm_(parameters.values(), most_gradient)
            optimiser.step()
            total += losses.detach()
        mean_loss = (averaged(fabric, total) / schedule.steps).tolist()
        if not all(map(math.isfinite, mean_loss)):
            raise FloatingPointError(f"the training loss is not finite in epoch {epoch + 1}")
        results: Mapping[str, Tensor] = {}
        if score is not None:
            results = _scores(model, score, fabric)
            best.update(results["score"])
        for member in range(members):
            history.append(
                {
                    "epoch": epoch + 1,
                    "member": member,
                    "learning_rate": schedule.rate(epoch + 1 / schedule.steps),
                    "loss": mean_loss[member],
                    **{name: float(value[member]) for name, value in results.items()},
                }
            )
        bar.update()
        bar.set_postfix(
            loss=f"{sum(mean_loss) / members:.3f}",
            **({"best": f"{float(best.score.mean()):.3f}"} if score is not None else {}),
            refresh=False,
        )
        if state_file is None:
            continue
        # the first process's clock decides for all: each of them adds its random stream
        if fabric.broadcast(time.monotonic() - saved_at >= state_file.interval_s):
            random = random_states(fabric)
            if fabric.is_global_zero:
                write_state(
                    state_file.path,
                    {
                        "fingerprint": fingerprint,
                        "epoch": epoch + 1,
                        "model": model.state_dict(),
                        "optimiser": optimiser.state_dict(),
                        "best": best.state_dict(),
                        "random": random,
                        "history": history,
                    },
                )
            saved_at = time.monotonic()
    bar.close()
    if score is not None:
        best.restore()
    model.eval()
    return history


def _scores(model: nn.Module, score: Score, fabric: Fabric) -> Mapping[str, Tensor]:
    """Every process scores, so that a failure is one of all; the first one's numbers count."""
    model.eval()
    with torch.no_grad():
        results = {name: value.float().cpu() for name, value in score().items()}
    return fabric.broadcast(results)


def _optimiser(parameters: Mapping[str, nn.Parameter], schedule: Schedule) -> torch.optim.AdamW:
    """AdamW; only weight matrices decay, not biases, norms, embeddings or temperatures."""
    decays = {
        name: name.endswith("weight") and p.ndim >= 2 and "emb" not in name
        for name, p in parameters.items()
    }
    groups = [
        {"params": [p for name, p in parameters.items() if decays[name]]},
        {"params": [p for name, p in parameters.items() if not decays[name]], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups, lr=schedule.learning_rate, weight_decay=schedule.weight_decay, fused=True
    )
