"""States of unfinished trainings: what is resumed, and what is left alone."""

import os

import numpy as np
import pytest
import torch

from spikeline.training.state import fingerprint, read_state, write_state


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


def test_a_fingerprint_changes_with_settings_values_shapes_and_dtypes():
    values = np.arange(6.0)
    names = np.array(["a", "b"], dtype=object)
    same = fingerprint([{"dim": 8, "depth": 1}, 0], values, names)
    assert fingerprint([{"depth": 1, "dim": 8}, 0], torch.arange(6.0).double(), names) == same
    for described, *arrays in (
        ([{"dim": 9, "depth": 1}, 0], values, names),
        ([{"dim": 8, "depth": 1}, 1], values, names),
        ([{"dim": 8, "depth": 1}, 0], values[::-1], names),
        ([{"dim": 8, "depth": 1}, 0], values.reshape(2, 3), names),
        ([{"dim": 8, "depth": 1}, 0], values.astype(np.float32), names),
        ([{"dim": 8, "depth": 1}, 0], values, names[::-1]),
    ):
        assert fingerprint(described, *arrays) != same
