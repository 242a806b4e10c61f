"""Sessions: torch_brain reads what we write, lazily as eagerly, and damage is one line."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from session_examples import DURATION, RECORD, make
from torch_brain.datasets import Dataset
from torch_brain.datasets.dataset import DatasetIndex

from spikeline.artifacts import sessions
from spikeline.errors import InputError


@pytest.fixture
def path(tmp_path):
    sessions.save(tmp_path / "mouse.h5", make(), RECORD)
    return tmp_path / "mouse.h5"


def arrays(data, prefix=""):
    """Every array below a Data object, by its path."""
    found = {}
    for key in data.keys():  # noqa: SIM118
        value = getattr(data, key)
        if isinstance(value, np.ndarray):
            found[prefix + key] = value
        elif hasattr(value, "keys"):
            found |= arrays(value, f"{prefix}{key}.")
    return found


def assert_same(one, other):
    one, other = arrays(one), arrays(other)
    assert set(one) == set(other)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_a_session_reads_back_as_it_was_written(path):
    back = sessions.read(path)
    assert_same(back, make())
    assert back.session.behaviour_kind == "wheel" and back.session.subject == "m"
    assert back.spikes.timestamps.dtype == np.float64 and back.spikes.unit_index.dtype == np.int64


def test_lazy_slices_equal_eager_slices(path):
    eager = sessions.read(path)
    rng = np.random.default_rng(1)
    for start in rng.uniform(-1, DURATION, 30):
        length = rng.uniform(0, 5)
        with sessions.opened(path) as lazy:
            assert_same(lazy.slice(start, start + length), eager.slice(start, start + length))


def test_torch_brain_opens_a_folder_of_sessions(path):
    sessions.save(path.with_name("rat.h5"), make(behaviour=False, trials=False), RECORD)
    dataset = Dataset(path.parent)
    assert dataset.recording_ids == ["mouse", "rat"]
    sample = dataset[DatasetIndex("mouse", 10.0, 11.0)]
    assert len(sample.behaviour.velocity) == 100
    assert sample.spikes.timestamps.max() < 1
    assert list(dataset.get_recording("rat").test_domain.end) == list(make().test_domain.end)


def test_what_a_recording_lacks_is_absent(tmp_path):
    sessions.save(tmp_path / "a.h5", make(False, False, False), RECORD)
    data = sessions.read(tmp_path / "a.h5")
    assert not {"behaviour", "trials", "stimuli"} & set(data.keys())
    assert data.session.behaviour_kind == ""


def test_saving_leaves_the_session_as_it_was(tmp_path):
    data = make()
    before = set(data.keys())
    sessions.save(tmp_path / "a.h5", data, RECORD)
    assert set(data.keys()) == before


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"mouse\.h5: (truncated|not an HDF5)"):
        sessions.read(path)


@pytest.mark.parametrize("name", ["spikes", "units", "test_domain"])
def test_a_group_without_its_description_is_refused(path, name):
    with h5py.File(path, "r+") as handle:
        del handle[name].attrs["object"]
    with pytest.raises(InputError, match=r"mouse\.h5: is damaged .* convert it again"):
        sessions.read(path)


def test_another_artifact_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        handle.attrs["contract"] = "counts/1"
    with pytest.raises(InputError, match=r"'counts/1', expected 'sessions/1'; make it again"):
        sessions.read(tmp_path / "a.h5")


def test_a_missing_field_is_named(path):
    with h5py.File(path, "r+") as handle:
        del handle["units/depth"], handle["test_domain"]
    with pytest.raises(InputError, match=r"units\.depth, test_domain\.start is missing"):
        sessions.read(path)


def test_an_error_of_the_reader_is_no_damage(path):
    with pytest.raises(KeyError), sessions.opened(path):
        raise KeyError
    with pytest.raises(FileNotFoundError), sessions.opened(path):
        path.with_name("gone.txt").read_text()
