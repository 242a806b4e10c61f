"""The Bayesian decoder: scores against explicit Gaussians, retrieval against simpler decoders."""

import json
import logging
import re
import tracemalloc

import numpy as np
import pytest
import safetensors.numpy
from scipy.stats import multivariate_normal

from spikeline.bridge.bayesian import fitting, gaussian_models, model_selection
from spikeline.bridge.bayesian.fitting import fit_bayesian
from spikeline.bridge.bayesian.member import BayesianMember
from spikeline.bridge.bayesian.model_selection import Trials
from spikeline.bridge.kernel_ridge import fit_smoother
from spikeline.bridge.ridge import fit_ridge
from spikeline.errors import InputError

SETTINGS = {
    "transform": "none",
    "target_transform": "none",
    "target_normalise": False,
    "target_components": 0,
    "target_layers": [],
    "layer_mix": "stacked",
    "noise_rank": 0,
    "encoding_kernels": ["linear"],
    "decoding_kernels": ["linear"],
}
KERNELS = [
    (["linear"], ["none"]),
    (["none"], ["linear"]),
    (["linear"], ["linear"]),
    (["rbf"], ["none"]),
    (["linear", "rbf"], ["rbf"]),
    (["linear", "rbf"], ["linear", "rbf"]),
]


def settings(encoding=("linear",), decoding=("linear",), **more):
    return SETTINGS | {"encoding_kernels": encoding, "decoding_kernels": decoding} | more


def simulated(rows=200, electrodes=20, dim=12, seed=0):
    """Linear-Gaussian responses whose noise is mostly shared between electrodes."""
    world = np.random.default_rng(1234)
    mixing = world.standard_normal((dim, electrodes))
    shared = world.standard_normal((3, electrodes))
    rng = np.random.default_rng(seed)
    embeddings = rng.standard_normal((rows, dim)) * np.arange(1, dim + 1) ** -0.5
    responses = embeddings @ mixing + 3 * rng.standard_normal((rows, 3)) @ shared
    responses += 0.7 * rng.standard_normal((rows, electrodes))
    return (2 + 5 * responses).astype(np.float32), embeddings.astype(np.float32)


def names(rows):
    return np.array([f"concept/image_{row:05d}.jpg" for row in range(rows)])


def fitted(**more):
    x, e = simulated()
    return fit_bayesian(x, e, names(len(x)), settings(**more), 40), x, e


def top1(similarity):
    return (similarity.argmax(1) == np.arange(len(similarity))).mean()


def test_both_towers_give_unit_rows_of_one_length():
    for encoding, decoding in KERNELS:
        member, x, e = fitted(encoding=encoding, decoding=decoding)
        responses, images = member.embed_responses(x), member.embed_images(e[:30])
        assert responses.dtype == images.dtype == np.float32
        assert responses.shape[1] == images.shape[1]
        for rows in (responses, images, member.embed_responses(100 * x)):
            np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def by_hand(x, e, x_new, e_new, member):
    """The score the slow way: linear kernels by refits, then scipy's normal densities."""
    choices = member.choices
    y, y_new = ((v - x.mean(0)) / x.std(0) for v in (x.astype(float), x_new.astype(float)))
    c, c_new = e - e.mean(0, dtype=float), e_new - e.mean(0, dtype=float)
    _, s, vt = np.linalg.svd(c, full_matrices=False)
    power = choices["powers"]["linear"]
    features, features_new = (v @ vt.T * s ** (power - 1) for v in (c, c_new))
    scale = np.sqrt(np.square(features).sum(1).mean())
    k = choices["components"]
    z, z_new = (v @ (vt[:k].T / s[:k]) * np.sqrt(len(c)) for v in (c, c_new))

    def shrunk(residuals, shrinkage):
        covariance = residuals.T @ residuals / len(residuals)
        return (1 - shrinkage) * covariance + shrinkage * np.diag(np.diag(covariance))

    def side(a, a_new, b, penalties):
        """Ridge from a to b with one penalty per output, by refits without each row."""
        out, predicted = np.zeros_like(b), np.zeros((len(a_new), b.shape[1]))
        for column in range(b.shape[1]):
            tried = []
            for penalty in penalties:
                inverse = np.linalg.inv(a.T @ a + penalty * np.eye(a.shape[1]))
                # leaving a row out leaves it out of the means too
                hat = a @ inverse @ a.T + 1 / len(a)
                missed = (b[:, column] - hat @ b[:, column]) / (1 - np.diag(hat))
                left_out = b[:, column] - missed
                prediction = a_new @ inverse @ a.T @ b[:, column]
                tried.append((np.square(b[:, column] - left_out).sum(), left_out, prediction))
            best = min(tried, key=lambda t: t[0])
            out[:, column], predicted[:, column] = best[1], best[2]
        return b - out, predicted

    g = choices["shrinkages"]
    share = choices["decoding_share"]
    t = choices["temperatures"]
    score = np.zeros((len(x_new), len(e_new)))
    if share < 1:
        residuals, means = side(
            features / scale, features_new / scale, y, gaussian_models.ENCODING_PENALTIES
        )
        noise, total = shrunk(residuals, g["encoding"]), shrunk(y, g["encoding"])
        for j, mean in enumerate(means):
            ratio = multivariate_normal(mean, noise).logpdf(y_new)
            ratio = ratio - multivariate_normal(np.zeros(len(mean)), total).logpdf(y_new)
            score[:, j] += (1 - share) * t["encoding"] * ratio
    if share > 0:
        q = np.sqrt(y.shape[1])
        residuals, means = side(y / q, y_new / q, z, gaussian_models.DECODING_PENALTIES)
        noise = shrunk(residuals, g["decoding"])
        for i, mean in enumerate(means):
            ratio = multivariate_normal(mean, noise).logpdf(z_new)
            ratio = ratio - multivariate_normal(np.zeros(k), np.eye(k)).logpdf(z_new)
            score[i] += share * t["decoding"] * ratio
    return score


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_cosines_are_the_gaussian_log_likelihood_ratios_up_to_scale_and_constant(
    share, monkeypatch
):
    monkeypatch.setattr(model_selection, "DECODING_SHARES", (share,))
    member, x, e = fitted(target_components=9)
    assert member.choices["decoding_share"] == share
    x_new, e_new = simulated(30, seed=1)
    cosines = member.embed_responses(x_new).astype(float) @ member.embed_images(e_new[:25]).T
    score = by_hand(x, e, x_new, e_new[:25], member)
    scale = member.padding.response_length * member.padding.image_length
    difference = scale * cosines - score
    assert np.ptp(difference) < 2e-3 * np.ptp(score)
    assert np.corrcoef(cosines.ravel(), score.ravel())[0, 1] > 0.999999


def test_it_beats_ridge_and_cosine_where_noise_is_correlated():
    x, e = simulated()
    x_new, e_new = simulated(100, seed=1)
    member = fit_bayesian(x, e, names(len(x)), SETTINGS, 100)
    ours = member.embed_responses(x_new) @ member.embed_images(e_new).T
    mean, std = x.mean(0), x.std(0)
    ridge = fit_ridge((x - mean) / std, e, 10.0 ** np.arange(-2, 5))
    predicted, truth = ridge.predict((x_new - mean) / std) - e.mean(0), e_new - e.mean(0)
    cosine = predicted @ (truth / np.linalg.norm(truth, axis=1, keepdims=True)).T
    assert top1(ours) > top1(cosine) + 0.1
    assert top1(ours.T) > 0.5


@pytest.mark.parametrize(("encoding", "decoding"), [KERNELS[2], KERNELS[4]])
def test_responses_of_other_images_give_chance(encoding, decoding):
    x, e = simulated(300)
    x_new, e_new = simulated(200, seed=1)
    shuffled = x[np.random.default_rng(2).permutation(len(x))]
    member = fit_bayesian(shuffled, e, names(len(x)), settings(encoding, decoding), 100)
    assert top1(member.embed_responses(x_new) @ member.embed_images(e_new).T) < 0.04
    assert member.choices["cross_validated"]["both"]["top1"] < 0.04


def test_what_is_not_a_selected_training_row_never_enters():
    x, e = simulated(260)
    train, electrodes = np.arange(0, 200), np.arange(0, 20, 2)

    def embedded(values, embeddings):
        member = fit_bayesian(
            values[train], embeddings[train], names(200), SETTINGS, 60, electrodes=electrodes
        )
        assert member.electrodes.tolist() == electrodes.tolist()
        return member.tensors(), member.description()

    poisoned_x, poisoned_e = x.copy(), e.copy()
    poisoned_x[200:], poisoned_e[200:] = np.nan, np.nan
    poisoned_x[:, 1::2] = np.nan
    (arrays, description), (others, other) = embedded(x, e), embedded(poisoned_x, poisoned_e)
    assert description == other
    assert all(np.array_equal(arrays[name], others[name]) for name in arrays)


def test_held_out_rows_do_not_reach_the_models_of_their_fold(monkeypatch):
    x, e = simulated()
    seen = []
    original = gaussian_models.GaussianModels.fit.__func__

    def spy(cls, settings, powers, trials, sides):
        seen.append(set(trials.images.tolist()))
        return original(cls, settings, powers, trials, sides)

    monkeypatch.setattr(gaussian_models.GaussianModels, "fit", classmethod(spy))
    images = names(100).repeat(2)  # every image twice
    fit_bayesian(x, e[:100].repeat(2, axis=0), images, SETTINGS, 20)
    *folds, final = seen
    assert final == set(range(100))
    assert [len(fold) for fold in folds] == [80] * 5
    assert set.intersection(*folds) == set()


def test_concepts_are_left_out_as_a_whole_and_shown_once_in_a_gallery(monkeypatch):
    x, e = simulated()
    concepts = np.array([f"concept{row % 25}" for row in range(200)])
    seen, left_out = [], []
    original = fit_smoother

    def spy(kernel, x, y, penalties, *, groups, landmarks):
        seen.append(groups)
        return original(kernel, x, y, penalties, groups=groups, landmarks=landmarks)

    galleries = model_selection._galleries

    def spy_galleries(columns, groups, ways, seed):
        found = galleries(columns, groups, ways, seed)
        left_out.extend(groups[rows] for rows, _ in found)
        return found

    for module in (fitting, gaussian_models):
        monkeypatch.setattr(module, "fit_smoother", spy)
    monkeypatch.setattr(model_selection, "_galleries", spy_galleries)
    member = fit_bayesian(x, e, names(200), SETTINGS, 40, groups=concepts)
    assert all(len(np.unique(groups)) <= 25 for groups in seen)
    assert sum(len(groups) == 160 and len(set(groups)) == 20 for groups in seen) == 5 * 2
    assert member.choices["cross_validated"]["ways"] == 5
    assert all(len(set(gallery)) == 5 for gallery in left_out)


def test_what_is_of_a_concept_and_not_of_its_images_does_not_pass_for_prediction():
    """Concepts share embeddings and, unrelated to them, responses: new concepts are at chance."""
    rng = np.random.default_rng(3)
    concepts = np.arange(60).repeat(4)
    e = rng.standard_normal((60, 10))[concepts] + 0.1 * rng.standard_normal((240, 10))
    x = rng.standard_normal((60, 15))[concepts] + 0.1 * rng.standard_normal((240, 15))
    x, e = x.astype(np.float32), e.astype(np.float32)

    def expected_top1(groups):
        member = fit_bayesian(x, e, names(240), settings(["rbf"], ["rbf"]), 12, groups=groups)
        return member.choices["cross_validated"]["both"]["top1"]

    assert expected_top1(None) > 0.5
    assert expected_top1(concepts) < 0.25


def test_images_as_groups_are_what_no_groups_are():
    x, e = simulated()
    plain = fit_bayesian(x, e, names(200), SETTINGS, 40)
    grouped = fit_bayesian(x, e, names(200), SETTINGS, 40, groups=names(200))
    assert plain.description() == grouped.description()


def test_repeated_presentations_do_not_leak_into_the_choices():
    """Without signal, a second presentation of an image must not look like prediction."""
    rng = np.random.default_rng(3)
    e = rng.standard_normal((60, 10)).repeat(3, axis=0).astype(np.float32)
    private = rng.standard_normal((60, 15)).repeat(3, axis=0)  # of the image, not of its embedding
    x = (private + 0.3 * rng.standard_normal((180, 15))).astype(np.float32)
    member = fit_bayesian(x, e, names(60).repeat(3), settings(["rbf"], ["rbf"]), 12)
    assert member.choices["cross_validated"]["both"]["top1"] < 0.25
    assert member.choices["cross_validated"]["ways"] == 12


def test_the_errors_of_a_repeated_image_are_those_of_an_image_not_seen():
    rng = np.random.default_rng(3)
    e = rng.standard_normal((60, 10)).repeat(3, axis=0).astype(np.float32)
    x = rng.standard_normal((60, 15)).repeat(3, axis=0).astype(np.float32)  # nothing in common
    images = np.arange(60).repeat(3)
    chosen = gaussian_models.BayesianSettings.of(settings(["rbf"], ["rbf"]))
    trials = Trials(x, e, images, images)
    sides = ("encoding", "decoding")
    models = gaussian_models.GaussianModels.fit(chosen, {"rbf": 1.0}, trials, sides)
    assert np.diag(models.encoding.noise.covariance).mean() > 0.9
    assert np.diag(models.decoding.noise.covariance).mean() > 0.9


@pytest.mark.parametrize("side", ["encoding", "decoding"])
def test_validation_scores_are_the_log_likelihood_ratios_up_to_a_constant_of_the_row(side):
    x, e = simulated()
    x_new, e_new = simulated(20, seed=1)
    chosen = gaussian_models.BayesianSettings.of(SETTINGS)
    trials = Trials(x, e, np.arange(200), np.arange(200))
    models = gaussian_models.GaussianModels.fit(chosen, {"linear": 1.0}, trials, [side])
    vectors = models.vectors(side, x_new, e_new)
    held_out = model_selection._HeldOut(models, x_new, e_new, np.arange(20), [])
    scores = held_out.scores(side, 0.3, vectors)
    covariance = getattr(models, side).noise.covariance
    noise = 0.7 * covariance + 0.3 * np.diag(np.diag(covariance))
    responses, images, _ = vectors
    expected = np.array(
        [[multivariate_normal(r, noise).logpdf(i) for i in images] for r in responses]
    )
    if side == "decoding":
        expected -= multivariate_normal(np.zeros(images.shape[1]), 1.0).logpdf(images)
    difference = scores - expected
    assert np.abs(difference - difference.mean(1, keepdims=True)).max() < 1e-3 * np.ptp(expected)


def test_twice_the_same_fit_is_the_same_member():
    first, x, e = fitted(encoding=["linear", "rbf"], decoding=["rbf"])
    second, *_ = fitted(encoding=["linear", "rbf"], decoding=["rbf"])
    assert first.description() == second.description()
    assert np.array_equal(first.embed_responses(x), second.embed_responses(x))
    assert np.array_equal(first.embed_images(e), second.embed_images(e))


@pytest.mark.parametrize(("encoding", "decoding"), KERNELS)
def test_a_member_comes_back_from_its_file_exactly(encoding, decoding):
    member, x, e = fitted(encoding=encoding, decoding=decoding)
    content = safetensors.numpy.save(
        {name: np.ascontiguousarray(array) for name, array in member.tensors().items()}
    )
    description = json.loads(json.dumps(member.description()))
    again = BayesianMember.from_tensors(description, safetensors.numpy.load(content))
    assert again.description() == member.description()
    for name, array in member.tensors().items():
        assert np.array_equal(again.tensors()[name], array), name
    # Products of equal arrays may differ in their last digit with where they lie in memory.
    np.testing.assert_allclose(again.embed_responses(x), member.embed_responses(x), atol=1e-6)
    np.testing.assert_allclose(again.embed_images(e), member.embed_images(e), atol=1e-6)


def test_many_rows_leave_a_bounded_number_of_landmarks(monkeypatch):
    exact, _, e = fitted(encoding=["rbf"], decoding=["rbf"])
    monkeypatch.setattr(gaussian_models, "LANDMARKS", 80)
    small, *_ = fitted(encoding=["rbf"], decoding=["rbf"])
    arrays = small.tensors()
    assert {len(a) for name, a in arrays.items() if "landmarks" in name} == {80}
    x_new, e_new = simulated(100, seed=1)
    accuracy = [top1(m.embed_responses(x_new) @ m.embed_images(e_new).T) for m in (exact, small)]
    assert accuracy[1] > accuracy[0] - 0.15
    again = BayesianMember.from_tensors(small.description(), arrays)
    np.testing.assert_allclose(again.embed_images(e), small.embed_images(e), atol=1e-6)


@pytest.mark.parametrize(("encoding", "decoding"), [KERNELS[2], KERNELS[5]])
def test_a_wide_embedding_gives_what_the_narrow_one_that_it_is_an_isometry_of_does(
    encoding, decoding
):
    x, e = simulated()
    x_new, e_new = simulated(60, seed=1)
    lift = np.linalg.qr(np.random.default_rng(0).standard_normal((2000, 12)))[0].T
    chosen = settings(encoding, decoding, target_normalise=True)
    similarities, choices = [], []
    for axes in (np.eye(12), lift):
        member = fit_bayesian(x, (e @ axes).astype(np.float32), names(200), chosen, 60)
        assert member.embedding_dim == axes.shape[1]
        images = member.embed_images((e_new @ axes).astype(np.float32))
        similarities.append(member.embed_responses(x_new) @ images.T)
        choices.append(member.choices)
    narrow, wide = similarities
    np.testing.assert_allclose(wide, narrow, atol=1e-4 * np.ptp(narrow))
    for key in ("powers", "components", "shrinkages", "decoding_share"):
        assert choices[0][key] == choices[1][key]
    # Scores of the same choices, to the digits that the log shows.
    one, other = (json.dumps(choice["cross_validated"], sort_keys=True) for choice in choices)
    numbers, others = (list(map(float, re.findall(r"\d+\.?\d*", text))) for text in (one, other))
    np.testing.assert_allclose(numbers, others, atol=5e-3)


def test_nothing_of_dim_by_dim_is_formed_for_a_wide_embedding():
    x, e = simulated(60)
    wide = np.tile(e, (1, 5000 // 12))
    tracemalloc.start()
    fit_bayesian(x, wide, names(60), settings(["linear", "rbf"], ["linear"]), 10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < wide.shape[1] ** 2 * 4 / 2


def test_linear_kernels_leave_one_matrix_per_side():
    member, *_ = fitted(decoding=["none"])
    arrays = member.tensors()
    assert arrays["encoding.linear"].shape == (12, 20)
    assert not any("landmarks" in name for name in arrays)
    assert {array.dtype for array in arrays.values()} <= {np.dtype("f4"), np.dtype("i4")}
    assert member.parameters == 12 * 20


def test_more_electrodes_than_rows_and_dead_electrodes_are_no_trouble():
    x, e = simulated(120, electrodes=150)
    x[:, [0, 7, 149]] = 3.0
    x[5, 4] = np.nan
    member = fit_bayesian(x[:100], e[:100], names(100), SETTINGS, 20)
    assert len(member.electrodes) == 147
    assert 7 not in member.electrodes
    x[:, 7] = 1e6  # what a dead electrode does later changes nothing
    similarity = member.embed_responses(x[100:]) @ member.embed_images(e[100:]).T
    assert top1(similarity) > 0.8


def test_counts_and_rectified_embeddings_are_rooted_and_normalised_on_request():
    x, e = simulated()
    x, e = np.maximum(x, 0), np.maximum(e, 0) + 0.01
    roots = settings(transform="sqrt", target_transform="sqrt", target_normalise=True)
    member = fit_bayesian(x, e, names(len(x)), roots, 40)
    plain = settings(transform="none")
    unit = np.sqrt(e) / np.linalg.norm(np.sqrt(e), axis=1, keepdims=True)
    expected = fit_bayesian(np.sqrt(x), unit, names(len(x)), plain, 40)
    assert member.choices["shrinkages"] == expected.choices["shrinkages"]
    np.testing.assert_allclose(
        member.embed_responses(x) @ member.embed_images(e).T,
        expected.embed_responses(np.sqrt(x)) @ expected.embed_images(unit).T,
        atol=1e-4,
    )


def test_the_choices_are_logged(caplog):
    with caplog.at_level(logging.INFO, logger="spikeline.bridge.bayesian"):
        member, *_ = fitted()
    logged = json.loads(caplog.records[-1].getMessage().split(": ", 1)[1])
    assert logged == member.choices
    assert set(logged) == {
        "powers",
        "components",
        "shrinkages",
        "temperatures",
        "decoding_share",
        "cross_validated",
    }
    assert 0 < logged["cross_validated"]["both"]["top1"] <= 1


def test_the_number_of_components_follows_the_rule_or_the_setting():
    assert fitted()[0].choices["components"] == 12  # the rank; a third of the images is more
    assert fitted(target_components=5)[0].choices["components"] == 5
    x, e = simulated(rows=24)
    assert fit_bayesian(x, e, names(24), SETTINGS, 4).choices["components"] == 8


def test_a_root_of_negative_responses_is_refused():
    x, e = simulated(40)
    with pytest.raises(InputError, match="negative"):
        fit_bayesian(x, e, names(40), SETTINGS | {"transform": "sqrt"}, 8)


def test_too_few_images_or_no_electrode_are_refused():
    x, e = simulated(40)
    with pytest.raises(InputError, match="too few"):
        fit_bayesian(x[:9], e[:9], names(9), SETTINGS, 2)
    with pytest.raises(InputError, match="9 training concepts are too few"):
        fit_bayesian(x, e, names(40), SETTINGS, 2, groups=np.arange(40) % 9)
    with pytest.raises(InputError, match="no electrode varies"):
        fit_bayesian(np.ones_like(x), e, names(40), SETTINGS, 8)
