"""Epochs of AdamW on data that stays on the device, with early stopping, resumable bit for bit.

A model may hold several independent *members*, trained side by side: parameters then carry the
members on their first axis, losses and scores come per member, and each member keeps the weights of
its own best epoch. The state after an epoch holds everything the next one depends on, so that a
run killed at any point and started again ends with the weights of an unbroken run.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from spikeline.training.state import read_state, write_state

logger = logging.getLogger(__name__)

Score = Callable[[], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: warm-up in a line from 0, then half a cosine down to 0.

    `patience` is the number of epochs without a better score after which a member stops; 0 never
    stops early.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.0
    warmup_epochs: float = 0.0
    patience: int = 0

    @classmethod
    def of(cls, settings: Mapping[str, Any], batch_size: int) -> Schedule:
        """From a model's resolved settings.

        Args:
            batch_size: rows of a step.
        """
        names = ("epochs", "learning_rate", "weight_decay", "warmup_epochs", "patience")
        return cls(batch_size=batch_size, **{name: settings[name] for name in names})

    def rate(self, epoch: float) -> float:
        """Learning rate at a moment counted in epochs."""
        if epoch < self.warmup_epochs:
            return self.learning_rate * epoch / self.warmup_epochs
        done = (epoch - self.warmup_epochs) / max(self.epochs - self.warmup_epochs, 1e-9)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def train(
    model: nn.Module,
    loss: Callable[[Tensor], Tensor],
    rows: Sequence[Tensor],
    schedule: Schedule,
    *,
    seed: int,
    score: Score | None = None,
    state_path: str | os.PathLike[str] | None = None,
    fingerprint: str = "",
    state_interval_s: float = 20.0,
) -> list[dict]:
    """Train `model` in place; it ends with the weights of each member's best epoch.

    Args:
        model: its parameters are on the device already.
        loss: takes row indices (members, batch), returns the loss per member (members,).
        rows: for each member the indices of its training rows, on the device.
        schedule: epochs, batch size, learning rate, patience.
        seed: of the shuffling and of everything random inside `loss`.
        score: returns named validation results (members,), `score` among them (higher is better).
            Without it the last weights are kept.
        state_path: where an unfinished training is kept; None keeps none. The caller deletes it
            once the result is safe.
        fingerprint: identity of this training; a state with another one is not resumed.
        state_interval_s: seconds between two states (written at the end of an epoch).

    Returns:
        One row per epoch and member: epoch (from 1), member, learning_rate, loss, the scores.
    """
    members = len(rows)
    device = rows[0].device
    parameters = dict(model.named_parameters())
    optimiser = _optimiser(parameters, schedule)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    batch = min(schedule.batch_size, *(len(member) for member in rows))
    steps = min(len(member) for member in rows) // batch

    history: list[dict] = []
    best = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    best_score = torch.full((members,), -math.inf)
    waited = torch.zeros(members, dtype=torch.long)
    first = 0
    state = read_state(state_path, fingerprint) if state_path is not None else None
    if state is not None:
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        generator.set_state(state["generator"])
        _set_random_state(state["random"], device)
        best = {name: tensor.to(device) for name, tensor in state["best"].items()}
        best_score, waited = state["best_score"], state["waited"]
        history, first = state["history"], state["epoch"]
        logger.info("resuming after epoch %d", first)

    saved_at = time.monotonic()
    bar = tqdm(total=schedule.epochs, initial=first, desc="training", unit="epoch", mininterval=5.0)
    for epoch in range(first, schedule.epochs):
        if schedule.patience and bool((waited >= schedule.patience).all()):
            break
        model.train()
        order = _shuffled(rows, steps * batch, generator)
        total = torch.zeros(members, device=device)
        for step in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = schedule.rate(epoch + (step + 1) / steps)
            losses = loss(order[:, step * batch : (step + 1) * batch])
            optimiser.zero_grad(set_to_none=True)
            losses.sum().backward()
            optimiser.step()
            total += losses.detach()
        mean_loss = (total / steps).tolist()
        if not all(map(math.isfinite, mean_loss)):
            raise FloatingPointError(
                f"the training loss is not finite in epoch {epoch + 1}; lower learning_rate"
            )
        results: Mapping[str, Tensor] = {}
        if score is not None:
            model.eval()
            with torch.no_grad():
                results = {name: value.float().cpu() for name, value in score().items()}
            # a member that has run out of patience keeps its weights
            active = (waited < schedule.patience) if schedule.patience else waited >= 0
            better = (results["score"] > best_score) & active
            best_score = torch.where(better, results["score"], best_score)
            waited = torch.where(better, 0, waited + 1)
            _keep_best(best, parameters, better)
        for member in range(members):
            history.append(
                {
                    "epoch": epoch + 1,
                    "member": member,
                    "learning_rate": schedule.rate(epoch + 1 / steps),
                    "loss": mean_loss[member],
                    **{name: float(value[member]) for name, value in results.items()},
                }
            )
        bar.update()
        bar.set_postfix(
            loss=f"{sum(mean_loss) / members:.3f}",
            **({"best": f"{float(best_score.mean()):.3f}"} if score is not None else {}),
            refresh=False,
        )
        if state_path is not None and time.monotonic() - saved_at >= state_interval_s:
            write_state(
                state_path,
                {
                    "fingerprint": fingerprint,
                    "epoch": epoch + 1,
                    "model": model.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "generator": generator.get_state(),
                    "random": _random_state(device),
                    "best": best,
                    "best_score": best_score,
                    "waited": waited,
                    "history": history,
                },
            )
            saved_at = time.monotonic()
    bar.close()
    if score is not None:
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(best[name])
    model.eval()
    return history


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


def _shuffled(rows: Sequence[Tensor], count: int, generator: torch.Generator) -> Tensor:
    """For each member the first `count` of its rows in a new random order: (members, count)."""
    picks = [torch.randperm(len(member), generator=generator)[:count] for member in rows]
    return torch.stack(
        [member[pick.to(member.device)] for member, pick in zip(rows, picks, strict=True)]
    )


def _keep_best(
    best: dict[str, Tensor], parameters: Mapping[str, nn.Parameter], better: Tensor
) -> None:
    for name, parameter in parameters.items():
        if len(better) == 1:
            if better[0]:
                best[name].copy_(parameter.detach())
        else:
            chosen = better.to(parameter.device)
            best[name][chosen] = parameter.detach()[chosen]


def _random_state(device: torch.device) -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def _set_random_state(state: Mapping[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
