"""Devices, precision, and histories as text."""

import pytest
import torch

from spikeline.errors import InputError
from spikeline.training.device import choose_device, make_fabric, mixed_precision
from spikeline.training.history import to_tsv


def test_a_missing_gpu_means_the_cpu_and_an_unknown_device_is_refused(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == choose_device("cuda").type == "cpu"
    assert "though cuda was asked for" in caplog.text
    with pytest.raises(InputError, match="auto, cpu, cuda"):
        choose_device("tpu")


def test_a_cpu_computes_in_full_precision():
    fabric = make_fabric("cpu")
    assert fabric.device == torch.device("cpu") and fabric.world_size == 1
    for context in (fabric.autocast(), mixed_precision(fabric.device)):
        with context:
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_processes_that_no_machine_can_start_are_refused(monkeypatch):
    with pytest.raises(InputError, match="--processes: 0; expected a whole number from 1"):
        make_fabric("cpu", 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "one")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="--processes: 2, but there are 1 GPUs"):
        make_fabric("cuda", 2)


def test_a_cluster_s_scheduler_does_not_change_a_training(monkeypatch):
    for name, value in {"NTASKS": "4", "JOB_ID": "1", "PROCID": "3", "JOB_NAME": "x"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    fabric = make_fabric("cpu")
    assert (fabric.world_size, fabric.global_rank) == (1, 0)


def test_history_is_a_table_with_a_header():
    rows = [{"epoch": 1, "loss": 0.123456789, "score": None}, {"epoch": 2, "loss": 1e-9}]
    assert to_tsv(rows) == "epoch\tloss\tscore\n1\t0.123457\t\n2\t1e-09\t\n"
    assert to_tsv([]) == ""
