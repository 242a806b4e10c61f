"""A run keeps its states until its artifacts are written, and reports a divergence in one line."""

import pytest

from spikeline.errors import InputError
from spikeline.training.device import make_fabric
from spikeline.training.runner import Run
from spikeline.training.state import write_state


def run(folder, **more):
    return Run(make_fabric("cpu"), folder, [{"dim": 8}, 0, "digest", "x.safetensors"], **more)


def test_states_are_removed_after_success_and_kept_after_a_failure(tmp_path):
    with pytest.raises(KeyboardInterrupt), run(tmp_path) as one:
        state = one.state_file()
        write_state(state.path, {"fingerprint": "f"})
        raise KeyboardInterrupt
    with run(tmp_path) as again:
        assert again.state_file() == state
        assert state.path.exists()
    assert not state.path.exists()


def test_several_trainings_of_a_run_have_a_state_each(tmp_path):
    with run(tmp_path) as one:
        paths = {one.state_file(*name).path for name in ((), ("poyo",), ("poyo_shuffled",))}
    assert len(paths) == 3


def test_a_divergence_is_one_line_that_says_what_to_do_and_keeps_the_state(tmp_path):
    with pytest.raises(InputError, match=r"^training diverged: lower learning_rate$"):
        with run(tmp_path) as one:
            state = one.state_file()
            write_state(state.path, {"fingerprint": "f"})
            raise FloatingPointError("the training loss is not finite in epoch 3")
    assert state.path.exists()


def test_a_negative_state_interval_is_refused(tmp_path):
    with pytest.raises(InputError, match="--state-interval: -1; expected seconds from 0"):
        run(tmp_path, interval_s=-1)
