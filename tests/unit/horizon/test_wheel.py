"""Wheel decoding: alignment of spikes and velocity, ridge, POYO's tokens and training, controls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from defaults import blocks
from scipy.ndimage import gaussian_filter1d
from sklearn.linear_model import Ridge
from torch_brain.batching import collate

from spikeline.artifacts import sessions
from spikeline.errors import InputError
from spikeline.horizon.wheel.poyo import PoyoDecoder, build, collated
from spikeline.horizon.wheel.ridge import fit_ridge, lagged_counts
from spikeline.horizon.wheel.task import (
    Samples,
    Spikes,
    Window,
    control_shifts,
    score_sums,
    task_of,
)
from spikeline.horizon.wheel.training import Recording, _Batches, fit_poyo, score_of
from spikeline.training.device import make_fabric
from spikeline.training.state import StateFile

SETTINGS = {"window_ms": 500, "lookahead_ms": 0, "sample_hz": 20}
POYO = {
    "latent_step_ms": 125, "latents_per_step": 2, "dim": 16, "dim_head": 8,
    "shortest_period_ms": 100, "cross_heads": 2, "heads": 2,
    "depth": 1, "dropout": 0.0, "unit_dropout": 0.0, "queries": 4, "batch_size": 16,
    "steps_per_epoch": 25, "epochs": 3, "learning_rate": 0.01, "weight_decay": 0.0,
    "warmup_epochs": 0.5, "patience": 0, "validation_samples": 60,
}  # fmt: skip
DURATION, RATE = 120.0, 100.0
UNITS = [f"unit {number}" for number in range(4)]


def session(lag=0.0, units=4, seed=0, velocity=None, silent=False):
    """120 s in which the first two units fire with and against a slow velocity, `lag` s later."""
    random = np.random.default_rng(seed)
    time = np.arange(int(DURATION * RATE)) / RATE
    if velocity is None:
        # Smoothed noise: a sum of sines would be known from any other stretch of itself.
        velocity = gaussian_filter1d(random.normal(size=len(time)), 0.3 * RATE)
    driven = np.roll(np.nan_to_num(velocity), round(lag * RATE))
    driven = driven / (driven.std() or 1)
    rates = np.full((len(time), units), 12.0)
    rates[:, 0], rates[:, 1] = 30 * np.exp(0.8 * driven), 30 * np.exp(-0.8 * driven)
    counts = random.poisson(rates / RATE) * (0 if silent else 1)
    sample, unit = (np.repeat(index, counts[counts > 0]) for index in np.nonzero(counts))
    times = (sample + random.random(len(sample))) / RATE
    order = np.argsort(times)
    split = blocks(DURATION, reference_s=20, block_s=10, guard_s=1)
    behaviour = sessions.Behaviour("wheel", RATE, np.cumsum(velocity) / RATE, velocity)
    return sessions.build(
        times[order],
        unit[order],
        {
            "id": np.array([f"unit {number}" for number in range(units)]),
            "region": np.array(["CP"] * units),
            "depth": np.zeros(units, np.float32),
        },
        DURATION,
        {name: getattr(split, name) for name in ("train", "valid", "test", "reference")},
        {"id": "one", "source": "arrays", "subject": "", "origin_s": 0.0},
        behaviour,
    )


def task(settings=None, **made):
    return task_of(session(**made), {**SETTINGS, **(settings or {})}, "one.h5")


def recording(one, name="one", units=UNITS):
    return Recording(name, units, one)


def poyo_r2(decoder, one):
    return score_sums(decoder.estimate(one.spikes, one.test.times), one.test).r2


def ridge_r2(one, bin_ms=50):
    return score_sums(fit_ridge(one, bin_ms).estimate(one.spikes, one.test.times), one.test).r2


# --- moments --------------------------------------------------------------------------------------


def test_moments_tile_each_test_block_once_and_lie_inside_it():
    data = session()
    one = task_of(data, SETTINGS, "one.h5")
    assert len(set(one.test.times)) == len(one.test)
    due = []
    for start, end in zip(data.test_domain.start, data.test_domain.end, strict=True):
        due.append(np.arange(start, end - 1e-6, 0.05))
    np.testing.assert_allclose(one.test.times, np.concatenate(due), atol=0.0051)
    inside = [
        ((one.test.times >= start - 1e-9) & (one.test.times < end))
        for start, end in zip(data.test_domain.start, data.test_domain.end, strict=True)
    ]
    assert np.any(inside, axis=0).all()


def test_train_moments_give_the_scale_and_their_windows_lie_in_the_session():
    one = task()
    assert one.dense.velocity.mean() == pytest.approx(0, abs=1e-9)
    assert one.dense.velocity.std() == pytest.approx(1)
    assert one.dense.times[0] == pytest.approx(0.5) and one.train.times[0] == pytest.approx(0.5)
    ahead = task({"lookahead_ms": 200})
    assert ahead.dense.times[0] == pytest.approx(0.3)


def test_a_moment_of_unknown_velocity_is_left_out():
    velocity = np.sin(np.arange(int(DURATION * RATE)) / 60)
    known = task(velocity=velocity)
    first = round(known.test.times[0] * RATE)
    velocity = velocity.copy()
    velocity[first : first + 200] = np.nan
    assert len(task(velocity=velocity).test) == len(known.test) - 40


def test_a_window_holds_no_spike_at_or_after_its_moment_unless_declared():
    spikes = Spikes(np.array([0.49, 0.5, 0.51, 0.61, 0.7]), np.zeros(5, np.int64), 1, 2.0)
    past = lagged_counts(spikes, np.array([0.5]), Window(0.5), 5)
    np.testing.assert_array_equal(past, [[0, 0, 0, 0, 1]])
    ahead = lagged_counts(spikes, np.array([0.5]), Window(0.5, 0.2), 5)
    np.testing.assert_array_equal(ahead, [[0, 0, 1, 2, 1]])

    (decoder,) = build(Window(0.5), {"one": ["a"]}, POYO)
    inputs = decoder.inputs(spikes, np.array([0.5]))
    assert int(inputs["input_mask"].sum()) == 2 + 1


def test_bins_of_a_window_run_from_the_oldest_for_each_unit():
    spikes = Spikes(np.array([0.05, 0.15, 0.18, 0.95]), np.array([1, 0, 1, 0]), 2, 1.0)
    counts = lagged_counts(spikes, np.array([0.2, 1.0]), Window(0.2), 2)
    np.testing.assert_array_equal(counts, [[0, 1, 1, 1], [0, 0, 1, 0]])


# --- ridge ----------------------------------------------------------------------------------------


def test_ridge_equals_scikit_learn():
    one = task()
    ours = fit_ridge(one, 50, penalties=(0.1,))
    counts = lagged_counts(one.spikes, one.train.times, one.window, 10).astype(float)
    scale = counts.std(0)
    theirs = Ridge(alpha=0.1 * len(counts)).fit(counts / scale, one.train.velocity)
    features = lagged_counts(one.spikes, one.test.times, one.window, 10) / scale
    np.testing.assert_allclose(
        ours.estimate(one.spikes, one.test.times), theirs.predict(features), atol=1e-5
    )


def test_ridge_takes_the_penalty_that_is_best_on_valid_blocks():
    one = task()
    errors = {}
    for penalty in (1e-3, 0.1, 10.0):
        decoder = fit_ridge(one, 50, penalties=(penalty,))
        estimate = decoder.estimate(one.spikes, one.valid.times)
        errors[penalty] = ((estimate - one.valid.velocity) ** 2).mean()
    chosen = fit_ridge(one, 50, penalties=tuple(errors)).penalty
    assert chosen == min(errors, key=errors.get)


def test_a_unit_silent_in_training_does_not_disturb_ridge():
    one = task()
    more = replace(one.spikes, units=one.spikes.units + 1)
    plain, wider = fit_ridge(one, 50, (0.1,)), fit_ridge(replace(one, spikes=more), 50, (0.1,))
    np.testing.assert_allclose(
        plain.estimate(one.spikes, one.test.times), wider.estimate(more, one.test.times), atol=1e-6
    )


def test_spikes_that_lag_the_wheel_are_read_better_with_a_lookahead_of_that_lag():
    now, later = ridge_r2(task()), ridge_r2(task(lag=0.2))
    ahead = ridge_r2(task({"lookahead_ms": 200}, lag=0.2))
    assert now > 0.4 and later < now - 0.1
    assert ahead > later + 0.1


def test_shifting_spikes_shifts_the_decoding():
    one = task()
    decoder = fit_ridge(one, 50)
    shifted = one.spikes.rolled(0.3)
    times = one.test.times[one.test.times < DURATION - 0.4]
    np.testing.assert_allclose(
        decoder.estimate(shifted, times + 0.3), decoder.estimate(one.spikes, times), atol=1e-6
    )
    late = score_sums(decoder.estimate(shifted, one.test.times), one.test)
    assert late.r2 < score_sums(decoder.estimate(one.spikes, one.test.times), one.test).r2 - 0.1


# --- scores ---------------------------------------------------------------------------------------


def test_r2_of_the_truth_is_1_and_of_the_test_mean_0():
    samples = task().test
    assert score_sums(samples.velocity, samples).r2 == 1
    mean = np.full(len(samples), samples.velocity.mean())
    assert score_sums(mean, samples).r2 == pytest.approx(0)


def test_pieces_are_stretches_of_at_most_5_seconds():
    samples = task().test
    sums = score_sums(samples.velocity, samples)
    assert sums.samples.sum() == len(samples) and sums.samples.max() <= 100
    for piece in np.unique(samples.piece):
        assert np.ptp(samples.times[samples.piece == piece]) < 5


def test_a_piece_knows_its_block():
    data = session()
    samples = task_of(data, SETTINGS, "one.h5").test
    assert len(data.test_domain) > 1 and len(samples.blocks) > len(data.test_domain)
    for time, piece in zip(samples.times, samples.piece, strict=True):
        block = samples.blocks[piece]
        assert data.test_domain.start[block] - 1e-6 <= time < data.test_domain.end[block]


def test_a_piece_without_known_velocity_is_left_out_of_the_sums():
    pieces, blocks = np.array([0, 0, 2, 2]), np.array([0, 0, 1])
    samples = Samples(np.arange(4.0), np.array([1.0, 2, 3, 5]), pieces, blocks)
    sums = score_sums(np.zeros(4), samples)
    np.testing.assert_array_equal(sums.samples, [2, 2])
    np.testing.assert_array_equal(sums.blocks, [0, 1])
    np.testing.assert_allclose(sums.sse, [5, 34])


def test_the_control_keeps_every_spike_and_decodes_nothing():
    one = task()
    shifts = control_shifts(DURATION, 3, 0)
    assert ((shifts > 0.2 * DURATION) & (shifts < 0.8 * DURATION)).all()
    values = []
    for shift in shifts:
        rolled = one.spikes.rolled(shift)
        assert (np.diff(rolled.times) >= 0).all()
        assert (rolled.times >= 0).all() and (rolled.times < DURATION).all()
        np.testing.assert_array_equal(
            np.bincount(rolled.unit_index), np.bincount(one.spikes.unit_index)
        )
        values.append(ridge_r2(replace(one, spikes=rolled)))
    assert np.mean(values) < 0.05 and ridge_r2(one) > 0.4


# --- POYO -----------------------------------------------------------------------------------------


def test_poyo_reads_the_tokens_that_its_own_tokeniser_and_collate_make():
    data = session()
    one = task_of(data, SETTINGS, "one.h5")
    (decoder,) = build(one.window, {"one": [str(i) for i in data.units.id]}, POYO)
    # The vocabulary tells units of one id in two sessions apart by the session's name.
    data.units.id = np.array([f"one/{name}" for name in data.units.id])
    times = one.test.times[[0, 7, 30]]
    ours = decoder.inputs(one.spikes, times)
    windows = [data.slice(time - 0.5, time) for time in times]
    theirs = collate([decoder.model.tokenize(window) for window in windows])
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        assert ours[name].shape == value.shape, name
        np.testing.assert_allclose(ours[name].numpy(), value.numpy(), atol=1e-6, err_msg=name)


def test_poyo_learns_a_wheel_that_drives_its_units_and_nothing_from_the_control():
    one = task()
    fabric = make_fabric("cpu")
    (decoder,), history = fit_poyo([recording(one)], POYO, seed=0, fabric=fabric)
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert poyo_r2(decoder, one) > 0.25

    rolled = replace(one, spikes=one.spikes.rolled(control_shifts(DURATION, 1, 0)[0]))
    short = {**POYO, "epochs": 1}
    (control,), _ = fit_poyo([recording(rolled)], short, seed=0, fabric=fabric)
    assert poyo_r2(control, rolled) < 0.05


def test_one_poyo_learns_two_sessions_whose_units_of_one_id_say_the_opposite():
    one, other = task(), task(seed=1)
    # Unit 0 fires with the wheel in the first session, against it in the second.
    index = np.array([1, 0, 2, 3])[other.spikes.unit_index]
    other = replace(other, spikes=replace(other.spikes, unit_index=index))
    trained = [recording(one), recording(other, "other")]
    decoders, history = fit_poyo(trained, POYO, seed=0, fabric=make_fabric("cpu"))
    assert decoders[0].model is decoders[1].model
    for decoder, each, name in zip(decoders, (one, other), ("one", "other"), strict=True):
        assert poyo_r2(decoder, each) > 0.25
        assert poyo_r2(replace(decoder, unit_tokens=decoder.unit_tokens[[1, 0, 2, 3]]), each) < 0
        assert all(row[score_of(name)] <= 1 for row in history)
    for row in history:
        own = [row[score_of(name)] for name in ("one", "other")]
        assert row["score"] == pytest.approx(np.mean(own), abs=1e-6)


def test_a_sessions_tokens_are_those_of_its_own_units():
    one, other = build(Window(0.5), {"one": UNITS, "other": UNITS[:3]}, POYO)
    assert one.session_token != other.session_token
    tokens = [*one.unit_tokens, *other.unit_tokens]
    assert sorted(tokens) == list(range(1, 8))  # 0 is padding
    few = task(units=3)
    inputs = other.inputs(few.spikes, few.test.times[:5])
    shown = inputs["input_unit_index"][inputs["input_mask"]]
    assert set(shown.tolist()) == set(other.unit_tokens)
    assert (inputs["session_index"] == other.session_token).all()


def test_windows_of_two_sessions_in_one_batch_are_read_as_each_alone():
    tasks = [task(), task(units=9, seed=1)]
    names = {"one": UNITS, "other": [str(number) for number in range(9)]}
    decoders = build(tasks[0].window, names, POYO)
    model, moment = decoders[0].model.eval(), tasks[0].window.moment
    alone = [
        decoder.inputs(each.spikes, each.test.times[:3])
        for decoder, each in zip(decoders, tasks, strict=True)
    ]
    together = collated(alone)
    assert alone[0]["input_mask"].shape[1] < alone[1]["input_mask"].shape[1]
    with torch.no_grad():
        found = model(**together, output_timestamps=torch.full((6, 1), moment))
        each = [model(**one, output_timestamps=torch.full((3, 1), moment)) for one in alone]
    torch.testing.assert_close(found, torch.cat(each), rtol=0, atol=1e-5)


@pytest.mark.parametrize("names", [("one",), ("one", "other")])
def test_a_poyo_training_that_is_broken_off_ends_with_the_weights_of_an_unbroken_one(
    names, tmp_path
):
    trained = [recording(task(seed=number), name) for number, name in enumerate(names)]
    settings = {**POYO, "steps_per_epoch": 3, "epochs": 3, "dropout": 0.2, "unit_dropout": 0.2}

    def fit(**more):
        (decoder, *_), history = fit_poyo(
            trained, settings, seed=1, fabric=make_fabric("cpu"), **more
        )
        return decoder, history

    whole, history = fit()
    state = StateFile(tmp_path / "state.pt", interval_s=0)
    replay = iter([*(None for _ in names), KeyboardInterrupt()])

    def interrupted(*arguments, **more):
        error = next(replay)
        if error:
            raise error
        return estimate(*arguments, **more)

    estimate = PoyoDecoder.estimate
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PoyoDecoder, "estimate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit(state_file=state)
    assert state.path.exists()
    resumed, again = fit(state_file=state)
    assert again == history
    for ours, theirs in zip(
        resumed.model.state_dict().items(), whole.model.state_dict().items(), strict=True
    ):
        assert ours[0] == theirs[0]
        if isinstance(ours[1], torch.Tensor):
            torch.testing.assert_close(ours[1], theirs[1], rtol=0, atol=0)


def test_a_training_window_asks_for_no_velocity_outside_its_sessions_train_blocks():
    tasks = [task(), task(seed=1, units=6)]
    batches = _Batches(tasks, {**POYO, "batch_size": 500, "queries": 10}, 0)
    batch = batches(3)
    moments = batch.times[:, None] - tasks[0].window.moment + batch.queries
    known = [
        {
            round(time * RATE): value
            for time, value in zip(one.dense.times, one.dense.velocity, strict=True)
        }
        for one in tasks
    ]
    unknown = 0
    for of, row, values in zip(batch.of, moments, batch.velocity, strict=True):
        for moment, value in zip(row, values, strict=True):
            place = round(float(moment) * RATE)
            if np.isnan(value):
                assert place not in known[of]
                unknown += 1
            else:
                assert value == pytest.approx(known[of][place], rel=1e-5)
    assert unknown and not np.isnan(batch.velocity[:, 0]).any()
    assert not batch.hidden.any() and batch.hidden.shape == (500, 1 + 4 + 6)
    assert (np.diff(batch.of) >= 0).all()
    assert 200 < np.count_nonzero(batch.of == 0) < 300  # as long as the other
    np.testing.assert_array_equal(batches(3).times, batch.times)


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "made", "message"),
    [
        ({"sample_hz": 30}, {}, "sample_hz: 30, .*divisor"),
        ({}, {"silent": True}, "one.h5: has no spikes"),
        ({}, {"velocity": np.zeros(12000)}, "one.h5: its velocity never changes in train"),
        ({}, {"velocity": np.full(12000, np.nan)}, "one.h5: no velocity is known in its train"),
    ],
)
def test_a_session_or_setting_that_allows_no_decoding_is_refused_in_one_line(
    settings, made, message
):
    with pytest.raises(InputError, match=message):
        task(settings, **made)


def test_a_session_without_behaviour_is_refused_by_name():
    data = session()
    del data.behaviour
    with pytest.raises(InputError, match="has no behaviour to decode"):
        task_of(data, SETTINGS, "one.h5")


def test_two_units_of_one_id_are_refused():
    with pytest.raises(InputError, match="session one: two units"):
        build(Window(0.5), {"one": ["a", "a"]}, POYO)
