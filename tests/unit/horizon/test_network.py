"""The forecaster: what it may know, what it must not care about, and where it starts."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from forecaster_toys import (
    BOTH,
    SETTINGS,
    forecaster,
    geometry_of,
    keys_of,
    recording_of,
    session,
)
from torch.nn import functional

from spikeline.errors import InputError
from spikeline.horizon.forecaster.batches import past_of
from spikeline.horizon.forecaster.layers.attention import CausalSelfAttention, rotary_time
from spikeline.horizon.forecaster.layers.head import UnitHead
from spikeline.horizon.forecaster.layers.identity import random_vectors
from spikeline.horizon.forecaster.starting import with_updates
from spikeline.horizon.forecaster.unit_state import UnitState

STARTS = np.array([310, 500, 707])


def forecast(model, counts, settings=SETTINGS, starts=STARTS, known=None, keys=None, **more):
    geometry = geometry_of(settings)
    recording = with_updates(recording_of(counts, settings, keys), model.shared, geometry)
    past = past_of(recording, starts, geometry, known=known, reference_only=known is not None)
    with torch.no_grad():
        return model(past, recording.population, **more)


def changed_from(counts, start):
    """The session with other spikes, behaviour and images from a bin on."""
    rng = np.random.default_rng(9)
    after = np.arange(len(counts.counts)) >= start
    return replace(
        counts,
        counts=np.where(after[:, None], rng.integers(0, 9, counts.counts.shape), counts.counts)
        .astype(np.uint8),
        behaviour=np.where(after, 0.7, counts.behaviour).astype(np.float32),
        images=np.where(after, 3, counts.images).astype(np.int32),
    )  # fmt: skip


def test_nothing_at_or_after_a_windows_start_changes_its_forecast():
    # behaviour is scaled by the train domain, which ends before this start
    counts, model = session("a"), forecaster(BOTH)
    starts = np.array([650])
    before = forecast(model, counts, BOTH, starts)
    torch.testing.assert_close(forecast(model, changed_from(counts, 650), BOTH, starts), before)
    after = forecast(model, changed_from(counts, 640), BOTH, starts)
    assert (after - before).abs().max() > 1e-3


def test_a_short_forecast_is_the_beginning_of_a_long_one():
    counts, model = session("a"), forecaster()
    long = forecast(model, counts)
    torch.testing.assert_close(forecast(model, counts, lead_bins=3), long[:, :3])


def test_units_in_another_order_have_their_forecasts_in_that_order():
    counts, model = session("a"), forecaster()
    recording = recording_of(counts)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    units = recording.population.units
    population = replace(
        recording.population,
        units=replace(
            units, features=units.features[order], valid=units.valid[order],
            rows=units.rows[order], vectors=units.vectors[order],
        ),
        offset=recording.population.offset[order],
    )  # fmt: skip
    past = past_of(recording, STARTS, geometry_of())
    shuffled = replace(
        past, counts=past.counts[..., order], known=past.known[:, order],
        surprises=past.surprises[:, order],
        state=UnitState(*(getattr(past.state, one.name)[:, order] for one in fields(UnitState))),
    )  # fmt: skip
    with torch.no_grad():
        torch.testing.assert_close(
            model(shuffled, population),
            model(past, recording.population)[..., order],
            rtol=1e-4,
            atol=1e-5,
        )


def test_a_hidden_units_past_is_not_read_by_itself_or_others():
    counts, model = session("a"), forecaster()
    known = torch.ones(3, 12, dtype=torch.bool)
    known[:, 5] = False
    other = counts.counts.copy()
    other[300:, 5] = 7  # behind the reference window, which says who the unit is
    torch.testing.assert_close(
        forecast(model, counts, known=known),
        forecast(model, replace(counts, counts=other), known=known),
    )
    seen = forecast(model, replace(counts, counts=other))
    assert (seen - forecast(model, counts)).abs().max() > 1e-2


def test_padding_with_hidden_units_does_not_change_the_others():
    counts, model, settings = session("a"), forecaster(), SETTINGS
    padded = session("a", units=15)
    padded = replace(padded, counts=np.hstack([counts.counts, padded.counts[:, 12:] + 3]))
    recording, more = recording_of(counts, settings), recording_of(padded, settings)
    units = more.population.units
    units = replace(
        units,
        features=torch.cat([recording.population.units.features, units.features[12:]]),
    )
    offset = torch.cat([recording.population.offset, more.population.offset[12:]])
    more = replace(more, population=replace(more.population, units=units, offset=offset))
    known = torch.arange(15).expand(3, -1) < 12
    with torch.no_grad():
        alone = model(past_of(recording, STARTS, geometry_of(settings)), recording.population)
        among = model(
            past_of(more, STARTS, geometry_of(settings), known=known), more.population
        )  # fmt: skip
    torch.testing.assert_close(among[..., :12], alone, rtol=1e-4, atol=1e-5)


def test_an_untrained_head_leaves_the_shared_regression_as_it_is():
    counts, model = session("a"), forecaster(BOTH, awake=False)
    with torch.no_grad():
        model.shared.weights.copy_(0.01 * torch.randn_like(model.shared.weights))
    past = past_of(recording_of(counts, BOTH), STARTS, geometry_of(BOTH))
    torch.testing.assert_close(forecast(model, counts, BOTH), model.shared(past.state))


def test_silent_units_and_empty_populations_have_finite_forecasts():
    counts = session("a")
    silent = replace(counts, counts=np.zeros_like(counts.counts))
    assert forecast(forecaster(), silent).isfinite().all()
    nobody = torch.zeros(3, 12, dtype=torch.bool)
    assert forecast(forecaster(), counts, known=nobody).isfinite().all()


def test_at_the_sessions_first_bin_nothing_is_known_and_the_forecast_is_finite():
    counts, model = session("a"), forecaster(BOTH)
    first = forecast(model, counts, BOTH, np.array([0, 3]))
    assert first.isfinite().all()
    torch.testing.assert_close(
        first[:1], forecast(model, changed_from(counts, 300), BOTH, np.array([0]))
    )


@pytest.mark.parametrize("missing", ["behaviour", "image"])
def test_what_lies_behind_a_missing_modalitys_mask_is_not_read(missing):
    recording = recording_of(session("a"), BOTH)
    past = past_of(recording, STARTS, geometry_of(BOTH))
    model = forecaster(BOTH)
    hidden = {f"{missing}_known": torch.zeros_like(past.in_session)}
    other = getattr(past, missing).roll(1, 0) + 1
    with torch.no_grad():
        without = model(replace(past, **hidden), recording.population)
        changed = model(replace(past, **hidden, **{missing: other}), recording.population)
        absent = model(replace(past, **{missing: None}), recording.population)
        known = model(past, recording.population)
    torch.testing.assert_close(changed, without)
    torch.testing.assert_close(absent, without)
    assert (known - without).abs().max() > 1e-4


def test_a_session_without_behaviour_and_images_is_forecast_by_a_model_that_reads_them():
    counts = session("a")
    bare = replace(
        counts, behaviour=np.full_like(counts.behaviour, np.nan), image_names=np.array([], object),
        images=np.full_like(counts.images, -1), behaviour_kind="",
    )  # fmt: skip
    assert forecast(forecaster(BOTH), bare, BOTH).isfinite().all()


def test_the_factorised_head_equals_one_on_concatenations():
    torch.manual_seed(0)
    # in double precision: the two sum in another order, and processors round them differently
    head = UnitHead(16, 5, 8, 6, 7, 9).double()
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter)
    shapes = (3, 7, 16), (11, 16), (3, 11, 5)
    inputs = [torch.randn(*shape, dtype=torch.float64) for shape in shapes]
    torch.testing.assert_close(head(*inputs), head.forward_concatenated(*inputs))


def test_causal_rotary_attention_agrees_with_a_plain_loop():
    torch.manual_seed(0)
    dim, heads, tokens = 16, 2, 6
    attention = CausalSelfAttention(dim, heads)
    rotary = rotary_time(dim, heads, 0.02, 1.0)
    times = torch.arange(tokens) * 0.02
    x = torch.randn(1, tokens, dim)
    query, key, value = attention.to_qkv(attention.norm(x))[0].chunk(3, -1)
    expected = torch.zeros(tokens, dim)
    for head in range(heads):
        part = slice(head * dim // heads, (head + 1) * dim // heads)
        for i in range(tokens):
            logits = torch.stack(
                [turned(query[i, part], rotary, times[i]) @ turned(key[j, part], rotary, times[j])
                 for j in range(i + 1)]
            )  # fmt: skip
            weights = functional.softmax(logits / (dim // heads) ** 0.5, 0)
            expected[i, part] = weights @ value[: i + 1, part]
    torch.testing.assert_close(
        attention(x, rotary(times)[None])[0], attention.to_out(expected), rtol=1e-4, atol=1e-5
    )


def turned(vector, rotary, time):
    """Pairs of features as complex numbers, each turned by its own angle."""
    pairs = torch.view_as_complex(vector.reshape(-1, 2).contiguous())
    return torch.view_as_real(pairs * torch.exp(1j * rotary.omega * time)).flatten()


def test_a_history_that_is_no_whole_number_of_bins_is_refused():
    with pytest.raises(InputError, match="history_ms: 450 is no multiple of the bin, 20 ms"):
        forecaster({**SETTINGS, "history_ms": 450})


def test_per_unit_vectors_go_to_their_units_and_unseen_units_have_the_mean():
    settings = {**SETTINGS, "identity": "per_unit"}
    seen, unseen = session("a"), session("b", units=3)
    model = forecaster(settings, n_units=12)
    vectors = model.identity.vectors
    units = recording_of(seen, settings, keys_of(seen)).population.units
    assert torch.equal(model.identity(units), vectors)
    units = recording_of(unseen, settings, keys_of(seen)).population.units
    torch.testing.assert_close(model.identity(units), vectors.mean(0).expand(3, -1))


def test_mean_gives_all_units_one_vector_and_random_each_its_own_by_name():
    units = recording_of(session("a")).population.units
    model = forecaster({**SETTINGS, "identity": "mean"})
    assert len(model.identity(units).unique(dim=0)) == 1
    model = forecaster({**SETTINGS, "identity": "random"})
    assert len(model.identity(units).unique(dim=0)) == 12
    assert not list(model.identity.parameters())
    both = random_vectors(["a/u0", "a/u1"], 16)
    np.testing.assert_array_equal(random_vectors(["a/u1"], 16)[0], both[1])
    np.testing.assert_array_equal(units.vectors[:2], both)
    with pytest.raises(InputError, match="identity"):
        forecaster({**SETTINGS, "identity": "name"})


def test_only_the_idencoder_reads_features_and_only_the_rate_of_units_with_few_intervals():
    counts = session("a")
    recording = recording_of(counts)
    units = recording.population.units
    other = replace(units, features=units.features.roll(1, 0))
    for mode in ("random", "mean", "per_unit"):
        model = forecaster({**SETTINGS, "identity": mode}, n_units=12)
        assert torch.equal(model.identity(units), model.identity(other))
    model = forecaster()
    assert not torch.allclose(model.identity(units), model.identity(other))
    few = torch.zeros(12, dtype=torch.bool)
    shapes = torch.cat([units.features[:, :1], other.features[:, 1:]], 1)
    a = model.identity(replace(units, valid=few))
    assert torch.equal(a, model.identity(replace(units, valid=few, features=shapes)))


def test_linear_is_a_learned_matrix_of_the_features_and_projection_one_that_is_never_trained():
    units = recording_of(session("a")).population.units
    linear = forecaster({**SETTINGS, "identity": "linear"}).identity
    expected = read_by(linear, units) @ linear.layers.weight.mT + linear.layers.bias
    torch.testing.assert_close(linear(units), expected)
    assert all(one.requires_grad for one in linear.parameters())
    torch.manual_seed(1)
    fixed = forecaster({**SETTINGS, "identity": "projection"}).identity
    torch.manual_seed(2)
    again = forecaster({**SETTINGS, "identity": "projection"}).identity
    assert torch.equal(fixed(units), again(units)) and not torch.allclose(
        fixed(units), linear(units)
    )
    assert not any(one.requires_grad for one in fixed.parameters())
    many = torch.randn(2000, 34)
    assert fixed.layers(many).pow(2).mean() == pytest.approx(1, rel=0.2)


def test_raw_features_enter_as_they_are():
    model = forecaster({**SETTINGS, "features": "raw"})
    units = recording_of(session("a")).population.units
    assert torch.equal(read_by(model.identity, units)[:, :33], units.features)


@pytest.mark.parametrize("features", ["raw", "normalised"])
def test_feature_noise_has_the_scale_of_each_feature(features):
    model = forecaster({**SETTINGS, "features": features, "feature_noise": 0.1})
    model.identity.std = torch.linspace(0.01, 5, 33)
    units = recording_of(session("a")).population.units
    clean = read_by(model.identity, units)
    model.identity.train()
    noise = torch.stack([read_by(model.identity, units) - clean for _ in range(300)])
    expected = 0.1 * (model.identity.std if features == "raw" else torch.ones(33))
    torch.testing.assert_close(noise.std((0, 1))[:33], expected, rtol=0.1, atol=0)
    assert (noise[..., 33] == 0).all()  # the flag is no feature


def read_by(identity, units):
    """What the layers that read features get."""
    seen = []
    handle = identity.layers.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        identity(units)
    handle.remove()
    return seen[0]
