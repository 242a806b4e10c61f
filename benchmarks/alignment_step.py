"""Alignment training step: electrode attention in closed form against plain electrode tokens.

Run: python benchmarks/alignment_step.py [--heads H] [--repeats N] [--device cpu|cuda]. Times the
electrode cross-attention alone (forward and backward) and the whole step (encoder, readout,
projector, InfoNCE, AdamW) of the same weights on the same batch, then the peak memory of each in a
fresh process: on a GPU what torch allocated, on a CPU (Linux) the growth of the process after a
small warm-up step has made the model, its gradients and the optimiser's state resident.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import torch

from spikeline.bridge.networks.architectures import DIM_HEAD, Capoyo
from spikeline.bridge.networks.electrode_attention import ElectrodeAttention
from spikeline.bridge.networks.losses import AlignmentLoss

ELECTRODES, BATCH, DIM, LATENTS, TARGET = 1024, 256, 128, 8, 768
CASES = ("layer closed", "layer plain", "step closed", "step plain", "step checkpointed")


def layer(heads: int, form: str, device: str):
    """A function of the batch that runs the electrode attention forward and backward."""
    attention = ElectrodeAttention(ELECTRODES, DIM, LATENTS, heads, DIM_HEAD).to(device)
    forward = attention.forward_plain if form == "plain" else attention.forward

    def run(values: torch.Tensor) -> torch.Tensor:
        attention.zero_grad(set_to_none=True)
        output = forward(values)
        output.square().sum().backward()
        return output.detach()

    return run


def step(heads: int, form: str, device: str):
    """A function of the batch that takes one training step of the full-size CaPOYO."""
    network = Capoyo(
        ELECTRODES,
        TARGET,
        readout_queries=8,
        hidden=512,
        dim=DIM,
        latents=LATENTS,
        depth=6,
        heads=heads,
        dropout=0.0,
        checkpointing=form == "checkpointed",
    ).to(device)
    criterion = AlignmentLoss("infonce", 1, 0.0, 0.1).to(device)
    parameters = [*network.parameters(), *criterion.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
    targets = torch.randn(1, BATCH, TARGET, device=device)

    def run(values: torch.Tensor) -> torch.Tensor:
        optimiser.zero_grad(set_to_none=True)
        predictions = network(values[None], plain=form == "plain")
        criterion(predictions, targets[:, : len(values)]).sum().backward()
        optimiser.step()
        return predictions.detach()

    return run


def case(name: str, heads: int, device: str):
    part, form = name.split()
    torch.manual_seed(0)
    return (layer if part == "layer" else step)(heads, form, device)


def batch(device: str) -> torch.Tensor:
    return torch.randn(BATCH, ELECTRODES, generator=torch.Generator().manual_seed(1)).to(device)


def milliseconds(runs: dict, values: torch.Tensor, repeats: int) -> dict[str, float]:
    """The fastest of several runs of each, taken in turns: the least disturbed one."""
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run(values)
            if values.is_cuda:
                torch.cuda.synchronize()
            best[name] = min(best[name], 1e3 * (time.perf_counter() - start))
    return best


def peak_memory(name: str, heads: int, device: str) -> float:
    """Peak memory of one call above the resting model, in MB; for a process of its own."""
    run, values = case(name, heads, device), batch(device)
    run(values[:2])
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        rest = torch.cuda.memory_allocated()
        run(values)
        return (torch.cuda.max_memory_allocated() - rest) / 1e6
    Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak starts again from here
    rest = resident_kb("VmRSS")
    run(values)
    return (resident_kb("VmHWM") - rest) * 1024 / 1e6


def resident_kb(field: str) -> int:
    """A field of this process's status, such as VmRSS (now) or VmHWM (peak), in KiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--memory-of", choices=CASES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    heads, device = arguments.heads, arguments.device
    if arguments.memory_of:
        print(peak_memory(arguments.memory_of, heads, device))
        return

    values = batch(device)
    print(
        f"{ELECTRODES} electrodes, batch {BATCH}, dim {DIM}, {LATENTS} latents, {heads} heads, "
        f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    print(f"{'':20}{'ms':>9}{'ratio':>8}{'peak MB':>10}{'ratio':>8}{'difference':>12}")
    for part in ("layer", "step"):
        names = [name for name in CASES if name.startswith(part)]
        runs = {name: case(name, heads, device) for name in names}
        outputs = {name: run(values) for name, run in runs.items()}
        times = milliseconds(runs, values, arguments.repeats)
        memory = {name: memory_in_own_process(name, heads, device) for name in names}
        plain = f"{part} plain"
        for name in names:
            difference = float((outputs[name] - outputs[plain]).abs().max())
            print(
                f"{name:20}{times[name]:9.1f}{times[plain] / times[name]:8.1f}"
                f"{memory[name]:10.1f}{memory[plain] / memory[name]:8.1f}{difference:12.1e}"
            )


def memory_in_own_process(name: str, heads: int, device: str) -> float:
    command = [sys.executable, __file__, "--heads", str(heads), "--device", device]
    command += ["--memory-of", name]
    return float(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


if __name__ == "__main__":
    main()
