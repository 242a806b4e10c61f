"""Fitting decoders to a small recording whose answer is known."""

import numpy as np
import pytest
import torch

from spikeline.bridge.aligned_member import AffineMap
from spikeline.bridge.closed_form import fit_bayesian_decoder, fit_ridge_decoder
from spikeline.bridge.decoder import Decoder
from spikeline.bridge.networks import training
from spikeline.bridge.networks.training import fit_network
from spikeline.bridge.splits import training_rows, validation_split, validation_split_of
from spikeline.bridge.targets import fit_target_space
from spikeline.errors import InputError
from spikeline.training.device import make_fabric
from spikeline.training.state import StateFile

FABRIC = make_fabric("cpu")
ELECTRODES = 40
TABLE = {
    "region": np.array(["V1"] * 10 + ["V4"] * 10 + ["IT"] * 20),
    "snr": np.full(ELECTRODES, 3.0),
    "reliability": np.linspace(0.1, 1, ELECTRODES),
}


@pytest.fixture(scope="module")
def recording():
    """400 training and 50 test images, 8 latent factors seen by both electrodes and embeddings."""
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((450, 8))
    responses = factors @ rng.standard_normal((8, ELECTRODES)) + rng.standard_normal((450, 40))
    embeddings = factors @ rng.standard_normal((8, 16)) + 0.1 * rng.standard_normal((450, 16))
    images = np.array([f"concept{i % 90}/{i}.jpg" for i in range(450)])
    categories = np.array([name.split("/")[0] for name in images])
    return responses.astype(np.float32), embeddings.astype(np.float32), images, categories


def top1(decoder, responses, embeddings):
    similarity = decoder.embed_responses(responses) @ decoder.embed_images(embeddings).T
    return (similarity.argmax(1) == np.arange(len(similarity))).mean()


TARGET = {
    "regions": (),
    "min_snr": 0,
    "min_reliability": 0,
    "transform": "none",
    "target_components": 8,
    "target_whitening": 0.0,
    "target_weighting": 0.0,
    "target_transform": "none",
    "target_normalise": True,
    "target_layers": [],
    "time": "concatenated",
    "noise_rank": 0,
}
SMALL = {
    **TARGET,
    "drop_test_concepts": False,
    "drop_other_concepts": False,
    "loss": "infonce",
    "label_smoothing": 0.0,
    "softclip_temperature": 0.1,
    "validation_images": 50,
    "epochs": 30,
    "batch_size": 64,
    "learning_rate": 0.01,
    "residual": False,
    "layer_norm": False,
    "region_embedding": True,
    "checkpointing": False,
    "hidden": 32,
    "depth": 1,
    "dropout": 0.1,
    "noise_std": 0.2,
    "electrode_dropout": 0.1,
    "weight_decay": 0.01,
    "warmup_epochs": 1,
    "patience": 20,
}
KINDS = {
    "linear": {**SMALL, "kind": "linear", "members": 1},
    "mlp": {**SMALL, "kind": "mlp", "members": 2},
    "capoyo": {**SMALL, "kind": "capoyo", "dim": 32, "latents": 4, "heads": 2, "readout_queries": 2,
               "learning_rate": 0.003, "epochs": 40},
}  # fmt: skip


def fit(recording, settings, rows=slice(400), **options):
    arrays = [array[rows] for array in recording]
    return fit_network(
        *arrays, TABLE, settings, seed=options.pop("seed", 0), gallery=50, fabric=FABRIC, **options
    )


@pytest.mark.parametrize("kind", KINDS)
def test_networks_find_most_held_out_images_and_their_validation_foresees_it(recording, kind):
    decoder, history = fit(recording, KINDS[kind])
    found = top1(decoder, recording[0][400:], recording[1][400:])
    assert found > 0.5  # chance: 0.02
    best = max(row["score"] for row in history)
    chosen = next(row for row in history if row["score"] == best)
    assert chosen["validation_top1"] == pytest.approx(found, abs=0.25)
    assert len(decoder.members) == KINDS[kind].get("members", 1)


def test_ridge_finds_most_held_out_images(recording):
    settings = {
        **TARGET,
        "kind": "ridge",
        "drop_test_concepts": False,
        "penalties": [1, 10, 100, 1000],
        "per_target_penalty": False,
        "target_whitening": 1.0,
    }
    responses, embeddings, *_ = recording
    arrays = [array[:400] for array in recording]
    decoder = fit_ridge_decoder(*arrays, TABLE, settings)
    assert top1(decoder, responses[400:], embeddings[400:]) > 0.7
    shuffled = responses[400:][np.random.default_rng(0).permutation(50)]
    assert top1(decoder, shuffled, embeddings[400:]) < 0.15


def test_shuffled_pairs_decode_at_chance(recording):
    responses, *others = recording
    order = np.random.default_rng(0).permutation(400)
    decoder, _ = fit([responses[:400][order], *[o[:400] for o in others]], KINDS["linear"])
    assert top1(decoder, responses[400:], others[0][400:]) < 0.15


def test_linear_decoders_are_kept_as_affine_maps(recording):
    decoder, _ = fit(recording, {**KINDS["linear"], "epochs": 2})
    assert isinstance(decoder.members[0].map, AffineMap)


def test_selected_regions_are_all_the_decoder_reads(recording):
    decoder, _ = fit(recording, {**KINDS["mlp"], "epochs": 2, "regions": ["V4"]})
    responses = recording[0][400:].copy()
    before = decoder.embed_responses(responses)
    responses[:, :10] = responses[:, 20:] = 77
    np.testing.assert_array_equal(decoder.embed_responses(responses), before)


def test_the_same_seed_gives_the_same_decoder_and_another_gives_another(recording, tmp_path):
    def saved(seed):
        decoder, _ = fit(recording, {**KINDS["mlp"], "epochs": 3}, seed=seed)
        decoder.save(tmp_path / "x.safetensors")
        return (tmp_path / "x.safetensors").read_bytes()

    assert saved(1) == saved(1) != saved(2)


def test_a_trained_decoder_read_back_from_its_file_is_the_same(recording, tmp_path):
    decoder, _ = fit(recording, {**KINDS["capoyo"], "epochs": 1})
    decoder.save(tmp_path / "x.safetensors")
    responses = recording[0][400:]
    np.testing.assert_array_equal(
        Decoder.load(tmp_path / "x.safetensors").embed_responses(responses),
        decoder.embed_responses(responses),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_fit_resumes_to_the_same_decoder(recording, tmp_path, kind, monkeypatch):
    settings = {**KINDS[kind], "epochs": 6}
    unbroken, whole = fit(recording, settings)
    state = StateFile(tmp_path / "x.state", interval_s=0)
    calls = []
    original = training._Alignment.score

    def failing(self):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(self)

    monkeypatch.setattr(training._Alignment, "score", failing)
    with pytest.raises(KeyboardInterrupt):
        fit(recording, settings, state_file=state)
    resumed, history = fit(recording, settings, state_file=state)
    assert len(calls) == 4 + 3
    assert history == whole
    responses = recording[0]
    np.testing.assert_array_equal(
        resumed.embed_responses(responses), unbroken.embed_responses(responses)
    )


def test_without_validation_images_every_row_trains_and_the_last_weights_stay(recording):
    decoder, history = fit(recording, {**KINDS["linear"], "validation_images": 0})
    assert "score" not in history[0]
    assert top1(decoder, recording[0][400:], recording[1][400:]) > 0.5


def test_repeated_images_never_stand_on_both_sides_of_the_split(recording):
    images = np.repeat(recording[2][:200], 2)
    split = validation_split(images, np.repeat("", 400), 60, 30, seed=1)
    assert split.galleries.shape == (2, 30)
    shown = images[split.galleries.ravel()]
    assert len(set(shown)) == 60
    assert not set(shown) & set(images[split.train])
    assert len(split.train) == 400 - 2 * 60


def test_a_zero_shot_split_keeps_whole_concepts_out_and_shows_each_once_per_gallery(recording):
    images, categories = recording[2], recording[3]
    split = validation_split(images, categories, 60, 20, by_concept=True)
    assert split.galleries.shape == (3, 20)
    for gallery in split.galleries:
        assert len(set(categories[gallery])) == 20
    assert len(set(images[split.galleries.ravel()])) == 60
    assert not set(categories[split.galleries.ravel()]) & set(categories[split.train])


def test_folds_take_different_images_until_all_have_been_used(recording):
    images, none = recording[2], np.repeat("", 450)
    folds = [validation_split(images, none, 150, 50, seed=2, fold=f).galleries for f in range(4)]
    assert len(set(np.ravel(folds[:3]))) == 450
    assert set(np.ravel(folds[3])) == set(np.ravel(folds[0]))


def test_setting_more_than_half_aside_is_refused(recording):
    with pytest.raises(InputError, match="validation_images"):
        validation_split(recording[2], recording[3], 300, 100)


def test_test_images_and_if_asked_test_concepts_are_left_out(recording):
    _, _, images, categories = recording
    test = np.zeros(450, dtype=bool)
    test[:5] = True
    assert training_rows(test, images, categories).tolist() == list(range(5, 450))
    zero_shot = training_rows(test, images, categories, drop_test_concepts=True)
    assert not set(categories[zero_shot]) & {f"concept{i}" for i in range(5)}
    assert len(zero_shot) == 450 - 5 * 5
    again = np.append(images[:449], images[0])  # a second showing of a test image
    assert 449 not in training_rows(test, again, categories)
    with pytest.raises(InputError, match="not named in the responses"):
        training_rows(test, images, np.repeat("", 450), drop_test_concepts=True)


def test_the_control_of_size_keeps_the_tests_concepts_and_as_many_rows_as_zero_shot(recording):
    _, _, images, categories = recording
    test = np.zeros(450, dtype=bool)
    test[[0, 1, 2, 50]] = True  # three concepts, one of them with two test images
    without = training_rows(test, images, categories, drop_test_concepts=True)
    control = training_rows(test, images, categories, drop_other_concepts=True, seed=1)
    assert len(control) == len(without) < 446
    tested = np.isin(categories, categories[test])
    assert set(np.flatnonzero(tested & ~test)) <= set(control)
    dropped = np.setdiff1d(np.flatnonzero(~test), control)
    whole = [name for name in set(categories[dropped]) if name not in categories[control]]
    assert len(whole) >= len(set(categories[dropped])) - 1
    again, other = (
        training_rows(test, images, categories, drop_other_concepts=True, seed=seed)
        for seed in (1, 2)
    )
    assert again.tolist() == control.tolist() != other.tolist()


def test_too_few_other_concepts_for_the_control_are_one_line(recording):
    _, _, images, categories = recording
    test = np.isin(images, [images[list(categories).index(c)] for c in set(categories)])
    with pytest.raises(InputError, match=r"drop_other_concepts: .* all others 0") as said:
        training_rows(test, images, categories, drop_other_concepts=True)
    assert "\n" not in str(said.value)


def test_the_control_of_size_validates_by_image_and_trains_on_as_many_rows(recording):
    _, _, images, categories = recording
    given = {"validation_images": 20, "drop_test_concepts": False, "drop_other_concepts": False}

    def split(**changed):
        return validation_split_of({**given, **changed}, images, categories, 20, seed=1, fold=0)

    plain, control = split(), split(drop_other_concepts=True)
    zero_shot = split(drop_test_concepts=True)
    assert control.galleries.tolist() == plain.galleries.tolist()
    assert len(control.train) == len(zero_shot.train) < len(plain.train)
    assert set(control.train) < set(plain.train)


def test_components_that_responses_do_not_predict_weigh_less(recording):
    responses, embeddings, images, _ = recording
    embeddings = np.hstack([embeddings, 9 * np.random.default_rng(1).standard_normal((450, 1))])
    settings = {
        **TARGET,
        "target_components": 5,
        "target_normalise": False,
        "layer_mix": "stacked",
        "target_weighting": 1.0,
    }
    weighted = fit_target_space(embeddings, images, settings, lambda: responses)
    plain = fit_target_space(
        embeddings, images, {**settings, "target_weighting": 0.0}, lambda: responses
    )
    noise = np.abs(plain.matrix[-1]).argmax()
    ratio = np.linalg.norm(weighted.matrix, axis=0) / np.linalg.norm(plain.matrix, axis=0)
    assert ratio[noise] < 0.3
    assert (np.delete(ratio, noise) > 0.7).all()


def test_nothing_fitted_depends_on_validation_rows(recording):
    settings = {**KINDS["linear"], "epochs": 1, "target_whitening": 1.0}
    responses, embeddings, images, categories = (array[:400].copy() for array in recording)
    split = validation_split(images, categories, 50, 50, seed=0)
    before, _ = fit([responses, embeddings, images, categories], settings)
    responses[split.galleries.ravel()] *= 50
    embeddings[split.galleries.ravel()] *= -3
    after, _ = fit([responses, embeddings, images, categories], settings)
    np.testing.assert_array_equal(before.members[0].scaler.mean, after.members[0].scaler.mean)
    np.testing.assert_array_equal(before.members[0].target.matrix, after.members[0].target.matrix)
    np.testing.assert_array_equal(
        before.members[0].map.coefficients, after.members[0].map.coefficients
    )


def epochs_trained_from_a_state(recording, tmp_path, table, categories):
    """Epochs of a fit that finds the last state of a fit with `TABLE` and the recording's own."""
    state = StateFile(tmp_path / "x.state", interval_s=0)
    settings = {**KINDS["linear"], "epochs": 2, "patience": 0}
    arrays = [array[:400] for array in recording]
    options = {"seed": 0, "gallery": 50, "fabric": FABRIC, "state_file": state}
    fit_network(*arrays, TABLE, settings, **options)
    arrays[3] = categories[:400]
    calls = []
    original = training._Alignment.score
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training._Alignment, "score", lambda s: calls.append(1) or original(s))
        fit_network(*arrays, table, settings, **options)
    return len(calls)


def test_a_state_is_resumed_only_with_the_same_regions_and_categories(recording, tmp_path):
    categories = recording[3]
    assert (
        epochs_trained_from_a_state(recording, tmp_path, TABLE, categories) == 0
    )  # all epochs were done
    others = {**TABLE, "region": TABLE["region"][::-1]}
    assert epochs_trained_from_a_state(recording, tmp_path, others, categories) == 2
    assert epochs_trained_from_a_state(recording, tmp_path, TABLE, np.roll(categories, 1)) == 2


@pytest.mark.parametrize("kind", ["ridge", "bayesian"])
def test_where_test_concepts_are_dropped_closed_forms_are_judged_on_whole_concepts(
    kind, monkeypatch, recording
):
    from spikeline.bridge import closed_form

    seen = []
    name = f"fit_{kind}"
    original = getattr(closed_form, name)

    def spy(*arguments, groups, **options):
        seen.append(groups)
        return original(*arguments, groups=groups, **options)

    monkeypatch.setattr(closed_form, name, spy)
    arrays = [array[:400] for array in recording]
    settings = {
        **TARGET, "penalties": [1, 1000], "per_target_penalty": False,
        "encoding_kernels": ["linear"], "decoding_kernels": ["none"],
    }  # fmt: skip
    for by_concept in (False, True):
        settings["drop_test_concepts"] = by_concept
        if kind == "ridge":
            fit_ridge_decoder(*arrays, TABLE, settings)
        else:
            fit_bayesian_decoder(*arrays, TABLE, settings, 50)
    assert seen[0] is None or len(set(seen[0])) == 400
    np.testing.assert_array_equal(seen[1], recording[3][:400])


@pytest.mark.parametrize("kind", KINDS)
def test_responses_in_bins_stay_in_half_precision_until_they_are_standardised(
    recording, kind, monkeypatch
):
    seen = {}
    original = training._Alignment.standardised

    def standardised(self, rows):
        out = original(self, rows)
        seen.update(stored=self.values.dtype, read=out.dtype)
        return out

    monkeypatch.setattr(training._Alignment, "standardised", standardised)
    responses, *others = (array[:200] for array in recording)
    table = {name: np.tile(column, 2) for name, column in TABLE.items()}
    table["bin"] = np.repeat(np.arange(2), ELECTRODES)
    both = np.hstack([responses, responses]).astype(np.float16)
    settings = {**KINDS[kind], "epochs": 1}
    decoder, _ = fit_network(both, *others, table, settings, seed=0, gallery=50, fabric=FABRIC)
    assert seen == {"stored": torch.float16, "read": torch.float32}
    assert np.isfinite(decoder.embed_responses(both)).all()
