"""Batches and traces: the right bins, drawn the same way again, from memory or from disk."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from forecaster_toys import BIN_S, BOTH, SETTINGS, geometry_of, recording_of, session

from spikeline.artifacts import counts as artifact
from spikeline.errors import InputError
from spikeline.horizon.forecaster.batches import (
    TrainingBatches,
    past_of,
    training_starts,
)
from spikeline.horizon.forecaster.trace_checkpoints import STRIDE, checkpoints, rolled_forward
from spikeline.horizon.spike_history import decays, log_trace, window_weights


def plain_trace(counts, start, decay):
    return sum(
        (decay ** (start - 1 - i) * counts[i] for i in range(start)), np.zeros(counts.shape[1])
    )


def test_traces_from_checkpoints_agree_with_sums_over_the_whole_past():
    counts = np.random.default_rng(0).poisson(0.4, (950, 3)).astype(np.uint8)
    decay = decays(torch.tensor([0.04, 1.0, 20.0]), BIN_S)
    kept = checkpoints(counts, decay)
    for start in (0, 1, STRIDE - 1, STRIDE, STRIDE + 1, 777, 950):
        recent = np.zeros((STRIDE, 3), np.uint8)
        known = counts[max(0, start - STRIDE) : start]
        recent[STRIDE - len(known) :] = known
        found = rolled_forward(kept, torch.tensor(recent)[None], torch.tensor([start]), decay)[0]
        expected = np.stack([plain_trace(counts, start, float(d)) for d in decay], 1)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_the_log_trace_of_a_unit_that_fires_at_its_reference_rate_is_0():
    counts = np.full((600, 2), 2, np.uint8)
    decay = decays(torch.tensor([0.1, 5.0]), BIN_S)
    start = torch.tensor([555])
    kept, recent = checkpoints(counts, decay), torch.tensor(counts[355:555])[None]
    found = rolled_forward(kept, recent, start, decay)
    weight = window_weights(start, decay)
    relative = log_trace(found, 2.0 * weight, pseudo_count=1.0)
    np.testing.assert_allclose(relative, 0, atol=1e-3)
    assert log_trace(found, 1.0 * weight, pseudo_count=1.0).min() > 0.2


def test_a_past_holds_the_bins_before_its_start_in_order():
    counts = session("a")
    recording = recording_of(counts, BOTH)
    past = past_of(recording, np.array([300, 7]), geometry_of(BOTH))
    assert past.counts.shape == (2, 4, 5, 12)
    np.testing.assert_array_equal(past.counts[0].reshape(20, 12), counts.counts[280:300])
    np.testing.assert_array_equal(past.counts[1].reshape(20, 12)[13:], counts.counts[:7])
    assert past.in_session.tolist() == [[True] * 4, [False, False, False, True]]
    np.testing.assert_array_equal(past.image[0], counts.images[[284, 289, 294, 299]])
    seen = counts.behaviour[slice(*counts.reference)]
    scaled = (counts.behaviour - seen.mean()) / seen.std()
    np.testing.assert_allclose(past.behaviour[0].ravel(), scaled[280:300], atol=1e-5)


def test_unknown_behaviour_hides_its_patch():
    counts = session("a")
    behaviour = counts.behaviour.copy()
    behaviour[287] = np.nan
    recording = recording_of(replace(counts, behaviour=behaviour), BOTH)
    past = past_of(recording, np.array([300]), geometry_of(BOTH))
    assert past.behaviour_known[0].tolist() == [True, False, True, True]
    assert past.behaviour.isfinite().all()


def test_training_windows_lie_wholly_in_the_train_domain_behind_the_reference_window():
    recording = recording_of(session("a"))
    starts = training_starts(recording, 10)
    assert starts[0] == 300 and starts[-1] == 590
    # a session whose train domain is its reference window has no other
    alone = replace(recording, reference=(0, 600))
    assert training_starts(alone, 10)[0] == 0
    with pytest.raises(InputError, match="session a"):
        training_starts(recording, 601)


def test_a_batch_sums_what_follows_its_past():
    recording = recording_of(session("a"))
    settings = {**SETTINGS, "unit_dropout": 0.0, "lead_bins": 3}
    batches = TrainingBatches([recording], geometry_of(settings), settings, seed=3)
    batch = batches(0)
    starts = batches._draw(0).starts
    future = recording.counts.numpy()[starts[:, None] + np.arange(10)]
    edges = batches.geometry.edges
    summed = np.add.reduceat(future, edges[:-1], axis=1, dtype=float)
    np.testing.assert_array_equal(batch.target, summed)
    np.testing.assert_array_equal(
        batch.past.counts.reshape(8, 20, 12),
        recording.counts.numpy()[starts[:, None] + np.arange(-20, 0)],
    )
    assert batch.past.known.all()


def test_a_step_has_the_same_batch_whenever_it_is_asked_for():
    recordings = [recording_of(session("a")), recording_of(session("b", 1, units=9))]
    batches = TrainingBatches(recordings, geometry_of(), SETTINGS, seed=3)
    again = TrainingBatches(recordings, geometry_of(), SETTINGS, seed=3)
    for _ in range(3):
        again(0)
    for step in (5, 0, 1):
        a, b = batches(step), again(step)
        assert torch.equal(a.target, b.target) and torch.equal(a.past.known, b.past.known)
    sizes = {batches(step).target.shape[-1] for step in range(12)}
    assert sizes == {9, 12}  # each of one session
    other = TrainingBatches(recordings, geometry_of(), SETTINGS, seed=4)
    assert any(not torch.equal(other(s).target, batches(s).target) for s in range(3))


def test_counts_mapped_from_disk_give_the_batches_of_resident_ones(tmp_path):
    counts = session("a")
    artifact.write(tmp_path / "a.h5", counts, {})
    mapped = artifact.read(tmp_path / "a.h5", mapped=True)
    assert isinstance(mapped.counts, np.memmap)
    resident = TrainingBatches([recording_of(counts)], geometry_of(), SETTINGS, seed=0)
    on_disk = TrainingBatches(
        [recording_of(mapped, mapped=True)], geometry_of(), SETTINGS, seed=0
    )  # fmt: skip
    for step in (0, 1, 2, 7):
        a, b = resident(step), on_disk(step)
        assert torch.equal(a.target, b.target)
        assert torch.equal(a.past.counts, b.past.counts)
        torch.testing.assert_close(a.past.state.features, b.past.state.features)


def test_shuffled_histories_come_from_other_windows():
    recording = recording_of(session("a"))
    settings = {**SETTINGS, "shuffle_history": True, "unit_dropout": 0.0}
    batches = TrainingBatches([recording], geometry_of(), settings, seed=3)
    draw = batches._draw(0)
    assert (draw.past_starts != draw.starts).sum() >= 7
    np.testing.assert_array_equal(
        batches(0).past.counts.reshape(8, 20, 12),
        recording.counts.numpy()[draw.past_starts[:, None] + np.arange(-20, 0)],
    )


def test_counts_and_features_of_different_sessions_are_refused():
    from forecaster_toys import features_of

    from spikeline.horizon.forecaster.recordings import build_recording

    options = {
        "decay": geometry_of().decay, "mean_rate": 0.2, "training_keys": {}, "random_dim": 0,
    }  # fmt: skip
    a, b = session("a"), session("b", units=9)
    with pytest.raises(InputError, match="session a, but features of session b"):
        build_recording(a, features_of(b), **options)
    with pytest.raises(InputError, match="not the same ones"):
        build_recording(a, replace(features_of(b), session="a"), **options)
