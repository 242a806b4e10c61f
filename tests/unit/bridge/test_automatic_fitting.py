"""The mix of candidates on a small recording whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest
from defaults import settings

from spikeline.bridge.aligned_member import AffineMap, AlignedMember
from spikeline.bridge.automatic.fitting import Fitter, Rows, fit_auto
from spikeline.bridge.decoder import Decoder
from spikeline.bridge.preprocessing import ResponseScaler
from spikeline.bridge.targets import TargetSpace
from spikeline.errors import InputError
from spikeline.settings.candidates import completed_candidates
from spikeline.training.device import make_fabric

ELECTRODES, TRAIN, TEST = 30, 400, 50
TABLE = {
    "region": np.array(["V1"] * 10 + ["IT"] * 20),
    "snr": np.full(ELECTRODES, 3.0),
    "reliability": np.full(ELECTRODES, 0.5),
}
AUTO = settings(
    "fit-auto", encoder="e", regions=["V1", "IT"], folds=2, validation_images=100
)  # fmt: skip
BAYESIAN = {"kind": "bayesian", "target_normalise": False}
RIDGE = {"kind": "ridge", "target_normalise": False}
LINEAR = {
    "kind": "linear", "members": 2, "epochs": 3, "batch_size": 100, "validation_images": 50,
    "learning_rate": 0.01,
}  # fmt: skip
# It never leaves its initial weights.
NOISE = {**LINEAR, "epochs": 1, "learning_rate": 1e-12, "validation_images": 0}


@pytest.fixture(scope="module")
def recording():
    """Training rows and test rows; 15 latent factors, noise shared between electrodes."""
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((TRAIN + TEST, 15))
    noise = rng.standard_normal((TRAIN + TEST, 3)) @ rng.standard_normal((3, ELECTRODES))
    responses = factors @ rng.standard_normal((15, ELECTRODES)) + 3 * noise
    responses += 2 * rng.standard_normal(responses.shape)
    images = np.array([f"c{i % 90}/{i}.jpg" for i in range(TRAIN + TEST)])
    rows = Rows(
        responses.astype(np.float32),
        (factors @ rng.standard_normal((15, 20))).astype(np.float32),
        images,
        np.array([name.split("/")[0] for name in images]),
    )
    return rows.take(np.arange(TRAIN)), rows.take(np.arange(TRAIN, TRAIN + TEST))


def fitter(**more):
    return Fitter(**{
        "electrodes": TABLE, "seed": 0, "gallery": 50, "fabric": make_fabric("cpu"), **more
    })  # fmt: skip


def fitted(rows, given, fit=None, **auto):
    complete = AUTO | auto
    return fit_auto(rows, complete, completed_candidates(given, complete), fit or fitter())


def top1(decoder, test):
    similarity = decoder.embed_responses(test.responses) @ decoder.embed_images(test.embeddings).T
    return (similarity.argmax(1) == np.arange(len(similarity))).mean()


def record(decoder):
    return {row["candidate"]: row for row in decoder.metadata["candidates"]}


def test_a_candidate_of_noise_is_dropped_and_what_is_left_is_the_other(recording):
    train, test = recording
    mix = fitted(train, {"noise": NOISE, "bayesian": BAYESIAN})
    found = record(mix)
    assert (found["noise"]["weight"], found["bayesian"]["weight"]) == (0, 1)
    assert found["noise"]["top1"] < 0.1 < 0.5 < found["bayesian"]["top1"]
    assert len(mix.members) == 1
    alone = fitted(train, {"bayesian": BAYESIAN})
    np.testing.assert_array_equal(
        mix.embed_responses(test.responses), alone.embed_responses(test.responses)
    )


def test_candidates_are_refitted_to_all_rows_and_weighed_as_the_record_says(recording):
    train, test = recording
    mix = fitted(train, {"linear": LINEAR, "bayesian": BAYESIAN, "ridge": RIDGE})
    found = record(mix)
    kept = {name: row["weight"] for name, row in found.items() if row["weight"] and name != "mix"}
    assert len(kept) >= 2 and sum(kept.values()) == pytest.approx(1)
    alone = {
        name: fitted(train, {name: own})
        for name, own in (("linear", LINEAR), ("bayesian", BAYESIAN), ("ridge", RIDGE))
    }

    def similarity(decoder):
        return decoder.embed_responses(test.responses) @ decoder.embed_images(test.embeddings).T

    expected = sum(weight * similarity(alone[name]) / alone[name].spread
                   for name, weight in kept.items())  # fmt: skip
    np.testing.assert_allclose(similarity(mix) / mix.spread, expected, atol=1e-4)


class Halves(Fitter):
    """Candidates `first` and `last` are least squares from one half of the electrodes."""

    def __call__(self, candidate, rows, part):
        half = np.arange(15) + (15 if candidate.name == "last" else 0)
        scaler = ResponseScaler.fit(rows.responses[:, half])
        target = TargetSpace.fit(rows.embeddings, normalise=False, whitening=1)
        x, y = scaler.apply(rows.responses[:, half]), target.project(rows.embeddings)
        coefficients = np.linalg.lstsq(x, y, rcond=None)[0]
        member = AlignedMember(half, scaler, AffineMap(coefficients, np.zeros(y.shape[1])), target)
        decoder = Decoder(ELECTRODES, (member,))
        return decoder.with_spread(rows.responses, rows.embeddings, rows.images)


def test_the_mix_of_candidates_that_see_different_electrodes_beats_both(recording):
    train, test = recording
    fit = Halves(TABLE, 0, 50)
    mix = fitted(train, {"first": RIDGE, "last": RIDGE}, fit)
    halves = [fitted(train, {name: RIDGE}, fit) for name in ("first", "last")]
    assert top1(mix, test) > max(top1(half, test) for half in halves) + 0.05
    found = record(mix)
    assert found["mix"]["log_loss"] < min(found[name]["log_loss"] for name in ("first", "last"))


def test_validation_images_are_unknown_to_the_candidates_they_weigh(recording):
    """Also their siblings where training drops concepts: a candidate may not have met them."""
    train, _ = recording
    seen = []

    class Watched(Halves):
        def __call__(self, candidate, rows, part):
            seen.append((part, set(rows.images), set(rows.categories)))
            return super().__call__(candidate, rows, part)

    for by_concept in (False, True):
        seen.clear()
        fitted(
            train, {"first": RIDGE, "last": RIDGE}, Watched(TABLE, 0, 50),
            drop_test_concepts=by_concept,
        )  # fmt: skip
        folds = {part: (images, concepts) for part, images, concepts in seen}
        assert list(folds) == ["fold0", "fold1", "all"]
        images, concepts = zip(*folds.values(), strict=True)
        left = [images[2] - images[0], images[2] - images[1]]
        assert len(images[2]) == TRAIN and all(len(held) >= 50 for held in left)
        assert not left[0] & left[1]
        assert (len(concepts[0]) < len(concepts[2])) is by_concept


def test_candidates_beyond_the_budget_are_left_out_and_the_record_says_so(recording, caplog):
    train, _ = recording
    slow = {**RIDGE, "penalties": [1.0] * 1000}
    mix = fitted(train, {"slow": slow, "quick": RIDGE}, budget_minutes=1e-3, gigaflops=20)
    found = record(mix)
    assert found["slow"]["weight"] is None and found["quick"]["weight"] == 1
    assert found["slow"]["estimated_minutes"] > 1e-3 > found["mix"]["estimated_minutes"]
    assert "slow: left out, beyond budget_minutes" in caplog.text


def test_too_few_images_to_weigh_candidates_are_refused_but_one_candidate_needs_none(recording):
    train = recording[0].take(np.arange(19))
    with pytest.raises(InputError, match="19 training images are too few to weigh candidates"):
        fitted(train, {"first": RIDGE, "second": {**RIDGE, "penalties": [3.0]}})
    assert len(fitted(train, {"only": RIDGE}).members) == 1


def test_a_network_among_few_images_holds_out_fewer(recording):
    few = recording[0].take(np.arange(120))
    mix = fitted(few, {"linear": {**LINEAR, "validation_images": 100}, "ridge": RIDGE})
    assert record(mix)["linear"]["ways"] == 30


def test_shared_settings_reach_every_candidate(recording):
    train, _ = recording
    mix = fitted(train, {"linear": LINEAR, "ridge": RIDGE}, regions=["IT"])
    assert all((member.electrodes == np.arange(10, 30)).all() for member in mix.members)
    given = {"ridge": {**RIDGE, "regions": ["V1"]}}
    with pytest.raises(InputError, match=r"candidates\.ridge\.regions: all candidates share it"):
        completed_candidates(given, AUTO)
    with pytest.raises(InputError, match=r"candidates\.x: unknown kind 'auto'"):
        completed_candidates({"x": {"kind": "auto"}}, AUTO)


def test_the_same_data_in_another_order_of_candidates_gives_the_same_decoder(recording):
    train, test = recording
    given = {"linear": LINEAR, "bayesian": BAYESIAN}
    one, other = (fitted(train, dict(pairs)) for pairs in (given.items(), [*given.items()][::-1]))
    np.testing.assert_array_equal(
        one.embed_responses(test.responses), other.embed_responses(test.responses)
    )
    assert replace(one, members=()) == replace(other, members=())
