"""Evaluations: test rows, repetitions, the JSON contract and the subcommand."""

import json
from dataclasses import replace

import numpy as np
import pytest

from spikeline.artifacts import embeddings, evaluations, provenance, responses
from spikeline.artifacts.evaluations import Evaluation, Ranks
from spikeline.artifacts.responses import Responses
from spikeline.bridge.evaluation import evaluate
from spikeline.cli import main
from spikeline.errors import InputError


def unit_rows(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class SameSpace:
    """Responses and embeddings are already in one space."""

    def __init__(self):
        self.seen = []

    def embed_responses(self, x):
        self.seen.append(x)
        return unit_rows(x)

    def embed_images(self, e):
        return unit_rows(e)


def electrodes(count):
    numbers = np.zeros(count, np.float32)
    return {
        "region": np.array(["IT"] * count, dtype=object),
        **{name: numbers for name in ("snr", "reliability", "oracle")},
        "channel": np.arange(count, dtype=np.int32),
    }


def recording(test=20, train=30, dim=12, repetitions=6, noise=0.0, seed=0):
    """Responses that are the embeddings plus noise; the first rows are the test rows."""
    random = np.random.default_rng(seed)
    rows = test + train
    embedded = random.normal(size=(rows, dim)).astype(np.float32)
    single = embedded[:test] + noise * random.normal(size=(repetitions, test, dim))
    values = embedded.copy()
    values[:test] = single.mean(axis=0)
    names = np.array([f"c{i % 4}/{i:02d}.jpg" for i in range(rows)], dtype=object)
    recorded = Responses(
        values=values,
        images=names,
        categories=np.array([f"c{i % 4}" for i in range(rows)], dtype=object),
        test=(np.arange(rows) < test)[None],
        electrodes=electrodes(dim),
        repetitions=single.astype(np.float32),
    )
    return recorded, embedded


def evaluated(decoder, recorded, embedded, seed, repetitions=None, draws=10):
    return evaluate(decoder, recorded, embedded, seed, repetitions, draws)


def in_splits(recorded):
    """The same rows with two test splits and no repetitions."""
    test = np.stack([recorded.test[0], np.roll(recorded.test[0], 20)])
    return replace(recorded, test=test, repetitions=None)


def test_each_seed_is_tested_on_the_images_of_its_own_split():
    recorded, embedded = recording()
    recorded = in_splits(recorded)
    for seed in (0, 1, 2, 3):
        rows = recorded.test[seed % 2]
        found = evaluated(SameSpace(), recorded, embedded[rows], seed)
        assert found.images.tolist() == recorded.images[rows].tolist()
        assert not found.draws[0].neural_to_image.rank.any()
        np.testing.assert_allclose(found.draws[0].positive_similarity, 1, atol=1e-6)


def test_ranks_equal_a_loop_over_cosines():
    recorded, embedded = recording(noise=6.0)
    found = evaluated(SameSpace(), recorded, embedded[:20], 0).draws[0]
    cosines = np.array(
        [
            [np.dot(x, e) / np.linalg.norm(x) / np.linalg.norm(e) for e in embedded[:20]]
            for x in recorded.values[:20].astype(float)
        ]
    )
    for i in range(20):
        assert found.neural_to_image.rank[i] == (cosines[i] > cosines[i, i]).sum()
        assert found.image_to_neural.rank[i] == (cosines[:, i] > cosines[i, i]).sum()
        assert found.positive_similarity[i] == pytest.approx(cosines[i, i], abs=1e-5)


def test_r_repetitions_are_averaged_over_several_choices_without_replacement():
    recorded, embedded = recording(noise=1.0)
    decoder = SameSpace()
    found = evaluated(decoder, recorded, embedded[:20], 0, 2, draws=7)
    assert len(found.draws) == 7
    assert len({tuple(draw.repetitions) for draw in found.draws}) > 1
    for draw, seen in zip(found.draws, decoder.seen[:7], strict=True):
        assert len(set(draw.repetitions)) == 2
        expected = (
            recorded.repetitions[draw.repetitions[0]] + recorded.repetitions[draw.repetitions[1]]
        ) / 2
        np.testing.assert_allclose(seen, expected, atol=1e-6)


def test_choices_of_fewer_repetitions_are_within_those_of_more():
    recorded, embedded = recording()
    few, many = (evaluated(SameSpace(), recorded, embedded[:20], 3, r) for r in (2, 4))
    for a, b in zip(few.draws, many.draws, strict=True):
        assert set(a.repetitions) < set(b.repetitions)


def test_all_repetitions_are_one_draw_that_equals_the_mean_in_the_file():
    recorded, embedded = recording(noise=3.0)
    every = evaluated(SameSpace(), recorded, embedded[:20], 0, 6)
    mean = evaluated(SameSpace(), recorded, embedded[:20], 0, None)
    assert len(every.draws) == len(mean.draws) == 1
    assert every.draws[0].neural_to_image.rank.tolist() == (
        mean.draws[0].neural_to_image.rank.tolist()
    )


def test_the_repetition_curve_ends_at_the_score_of_all_repetitions_and_rises_to_it():
    recorded, embedded = recording(noise=3.0)
    curve = evaluated(SameSpace(), recorded, embedded[:20], 0).repetition_curve
    assert curve.repetitions.tolist() == [1, 2, 5, 6]
    every = evaluated(SameSpace(), recorded, embedded[:20], 0, 6).draws[0].neural_to_image
    for k, shares in ((1, curve.top1), (5, curve.top5)):
        assert shares.shape == (4, 20)
        assert shares[-1].tolist() == every.hits(k).tolist()
        assert (np.diff(shares.mean(axis=1)) > 0).all()


def test_the_first_point_of_the_curve_is_the_mean_over_single_repetitions():
    recorded, embedded = recording(noise=3.0)
    # As many draws as repetitions: each is used once.
    curve = evaluated(SameSpace(), recorded, embedded[:20], 0, draws=6).repetition_curve
    hits = []
    for single in recorded.repetitions:
        cosines = unit_rows(single) @ unit_rows(embedded[:20]).T
        hits.append([(row > row[i]).sum() < 5 for i, row in enumerate(cosines)])
    np.testing.assert_allclose(curve.top5[0], np.mean(hits, axis=0))


def test_without_single_repetitions_there_is_no_curve():
    recorded, embedded = recording()
    recorded = in_splits(recorded)
    assert evaluated(SameSpace(), recorded, embedded[:20], 0).repetition_curve is None


def test_repetitions_that_do_not_exist_are_an_error():
    recorded, embedded = recording()
    with pytest.raises(InputError, match="there are 6 repetitions"):
        evaluated(SameSpace(), recorded, embedded[:20], 0, 7)
    with pytest.raises(InputError, match="no single repetitions"):
        evaluated(SameSpace(), in_splits(recorded), embedded[:20], 0, 1)


def test_one_test_image_is_an_error():
    recorded, embedded = recording(test=1)
    with pytest.raises(InputError, match="two or more"):
        evaluated(SameSpace(), recorded, embedded[:1], 0)


def test_the_same_seed_gives_the_same_evaluation():
    recorded, embedded = recording(noise=3.0)
    first, second = (evaluated(SameSpace(), recorded, embedded[:20], 1, 2) for _ in range(2))
    for a, b in zip(first.draws, second.draws, strict=True):
        assert a.neural_to_image.rank.tolist() == b.neural_to_image.rank.tolist()


def test_a_decoder_that_gives_nan_is_an_error():
    recorded, embedded = recording()
    embedded[0] = 0
    with pytest.raises(InputError, match="not finite"), np.errstate(invalid="ignore"):
        evaluated(SameSpace(), recorded, embedded[:20], 0)


# --- the JSON contract ----------------------------------------------------------------------------


def an_evaluation(noise=3.0, repetitions=2):
    recorded, embedded = recording(noise=noise)
    seeds = [evaluated(SameSpace(), recorded, embedded[:20], s, repetitions) for s in (0, 4)]
    named = replace(seeds[0], categories=[("animal", "pet"), *[()] * 19])
    return Evaluation(
        {"test_repetitions": repetitions}, "clip-1", [named, seeds[1]], {"members": 1}
    )


def test_an_evaluation_survives_writing_and_reading(tmp_path):
    written = an_evaluation()
    evaluations.write(tmp_path / "e.json", written, {"origins": {"twin": {"name": "twin"}}})
    read = evaluations.read(tmp_path / "e.json")
    assert (read.settings, read.encoder, read.facts) == (
        written.settings,
        written.encoder,
        written.facts,
    )
    for a, b in zip(written.seeds, read.seeds, strict=True):
        assert (a.seed, a.images.tolist()) == (b.seed, b.images.tolist())
        assert a.categories == b.categories
        for name, values in vars(a.repetition_curve).items():
            np.testing.assert_allclose(getattr(b.repetition_curve, name), values, atol=1e-4)
        for one, other in zip(a.draws, b.draws, strict=True):
            assert list(one.repetitions) == other.repetitions
            for name in ("neural_to_image", "image_to_neural"):
                ours, theirs = getattr(one, name), getattr(other, name)
                np.testing.assert_array_equal(ours.rank, theirs.rank)
                np.testing.assert_array_equal(ours.tied, theirs.tied)
            np.testing.assert_allclose(
                one.positive_similarity, other.positive_similarity, atol=1e-6
            )
    assert provenance.read(tmp_path / "e.json")["origins"] == {"twin": {"name": "twin"}}


def test_ties_survive_writing_and_reading(tmp_path):
    evaluation = an_evaluation()
    draw = evaluation.seeds[0].draws[0]
    tied = Ranks(np.full(20, 9.5), np.full(20, 19))
    seed = replace(evaluation.seeds[0], draws=[replace(draw, neural_to_image=tied)])
    evaluations.write(tmp_path / "e.json", replace(evaluation, seeds=[seed]), {})
    read = evaluations.read(tmp_path / "e.json").seeds[0].draws[0].neural_to_image
    assert read.hits(1) == pytest.approx(np.full(20, 1 / 20))


def broken(content, how):
    seed = content["seeds"][0]
    draw = seed["draws"][0]
    if how == "rank out of range":
        draw["neural_to_image"]["rank"][0] = 20
    elif how == "negative rank":
        draw["image_to_neural"]["rank"][0] = -1
    elif how == "ranks too short":
        draw["neural_to_image"]["rank"].pop()
    elif how == "one way only":
        draw.pop("image_to_neural")
    elif how == "an image twice":
        seed["images"][1] = seed["images"][0]
    elif how == "categories too short":
        seed["categories"].pop()
    elif how == "one category as text":
        seed["categories"][0] = "animal"
    elif how == "a seed twice":
        content["seeds"][1]["seed"] = seed["seed"]
    elif how == "no draws":
        seed["draws"] = []
    elif how == "no seeds":
        content.pop("seeds")
    elif how == "another contract":
        content["contract"] = "evaluation/0"
    elif how == "text for a number":
        draw["positive_similarity"][0] = "high"
    elif how == "a share above one":
        seed["repetition_curve"]["top1"][0][0] = 1.5
    elif how == "a curve that is too short":
        seed["repetition_curve"]["top5"].pop()
    elif how == "repetitions that do not ascend":
        seed["repetition_curve"]["repetitions"][1] = 1
    return content


VIOLATIONS = [
    "rank out of range",
    "negative rank",
    "ranks too short",
    "one way only",
    "an image twice",
    "categories too short",
    "one category as text",
    "a seed twice",
    "no draws",
    "no seeds",
    "another contract",
    "text for a number",
    "a share above one",
    "a curve that is too short",
    "repetitions that do not ascend",
]


@pytest.mark.parametrize("how", VIOLATIONS)
def test_a_violation_of_the_contract_is_named_with_the_file(tmp_path, how):
    path = tmp_path / "e.json"
    evaluations.write(path, an_evaluation(), {})
    path.write_text(json.dumps(broken(json.loads(path.read_text()), how)))
    with pytest.raises(InputError, match=r"e\.json: ") as error:
        evaluations.read(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "[1", "[]", '"text"', "{}"])
def test_what_is_not_an_evaluation_is_refused(tmp_path, text):
    path = tmp_path / "e.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"e\.json"):
        evaluations.read(path)
    with pytest.raises(InputError, match="no such file"):
        evaluations.read(tmp_path / "absent.json")


# --- the subcommand -------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    """Responses and embeddings on disk, and two decoders that know the answer."""
    from spikeline.bridge.aligned_member import AffineMap, AlignedMember
    from spikeline.bridge.decoder import Decoder
    from spikeline.bridge.preprocessing import ResponseScaler
    from spikeline.bridge.targets import TargetSpace

    recorded, embedded = recording(noise=1.0)
    responses.write(tmp_path / "r.h5", recorded, {})
    embeddings.write(
        tmp_path / "e.h5", embeddings.Embeddings(embedded, recorded.images, "clip-1"), {}
    )
    zeros, ones, eye = np.zeros(12, np.float32), np.ones(12, np.float32), np.eye(12)
    for seed in (0, 1):
        kept = np.arange(10)
        member = AlignedMember(
            electrodes=kept,
            scaler=ResponseScaler("none", zeros[kept], ones[kept]),
            map=AffineMap(eye[kept].astype(np.float32), zeros),
            target=TargetSpace(zeros, eye.astype(np.float32)),
        )
        metadata = {"encoder": "clip-1", "settings": {}}
        Decoder(12, (member,), metadata).save(tmp_path / f"seed{seed}.safetensors")
    return tmp_path


def arguments(files, settings, **changed):
    given = {
        "--responses": [files / "r.h5"],
        "--embeddings": [files / "e.h5"],
        "--decoders": [files / "seed0.safetensors", files / "seed1.safetensors"],
        "--seeds": [0, 1],
        "--settings": [json.dumps(settings)],
        "--output": [files / "out.json"],
    } | {f"--{name}": value for name, value in changed.items()}
    listed = ["evaluate"]
    for option, values in given.items():
        listed += [option, *map(str, values)]
    return listed


def test_the_subcommand_evaluates_every_seed(files):
    assert main.main(arguments(files, {"test_repetitions": 3, "repetition_draws": 4})) == 0
    found = evaluations.read(files / "out.json")
    assert [seed.seed for seed in found.seeds] == [0, 1]
    assert [len(seed.draws) for seed in found.seeds] == [4, 4]
    assert found.facts == {
        "members": 1, "electrodes": 10, "parameters": 10 * 12 + 12, "similarity_unit": "cosine",
        "target": "embedding",
    }  # fmt: skip
    assert [seed.repetition_curve.top1.shape for seed in found.seeds] == [(4, 20)] * 2
    assert found.encoder == "clip-1"
    assert np.mean([draw.neural_to_image.hits(1) for draw in found.seeds[0].draws]) > 0.8
    record = provenance.read(files / "out.json")
    assert record["step"] == "evaluate"
    assert len(record["inputs"]) == 4


def test_the_same_inputs_give_the_same_bytes(files):
    assert main.main(arguments(files, {})) == 0
    first = (files / "out.json").read_bytes()
    assert main.main(arguments(files, {})) == 0
    assert (files / "out.json").read_bytes() == first


def test_images_get_the_categories_of_their_concept_or_their_own(files):
    table = files / "categories.tsv"
    table.write_text("uniqueID\tWord\tcategory\nc1\tc\tfood\nc1\tc\tfruit\nc3\tc\ttool\n")
    assert main.main(arguments(files, {}, categories=[table])) == 0
    by_concept = evaluations.read(files / "out.json").seeds[0]
    expected = {"c0": (), "c1": ("food", "fruit"), "c2": (), "c3": ("tool",)}
    assert by_concept.categories == [expected[name[:2]] for name in by_concept.images]
    assert str(table) in provenance.read(files / "out.json")["inputs"]
    table.write_text("things_path\tcategory\nc2/06.jpg\tleft\n")
    assert main.main(arguments(files, {}, categories=[table])) == 0
    by_image = evaluations.read(files / "out.json").seeds[1]
    assert dict(zip(by_image.images, by_image.categories, strict=True))["c2/06.jpg"] == ("left",)
    assert sum(map(len, by_image.categories)) == 1


def test_without_seeds_the_decoders_are_those_of_seed_0_1_and_so_on(files):
    listed = arguments(files, {})
    at = listed.index("--seeds")
    assert main.main(listed[:at] + listed[at + 3 :]) == 0
    assert [seed.seed for seed in evaluations.read(files / "out.json").seeds] == [0, 1]


def test_a_decoder_is_not_tested_on_the_split_of_another_seed(files, capsys):
    provenance.write_beside(files / "seed1.safetensors", {"seed": 1})
    assert main.main(arguments(files, {})) == 0
    (files / "out.json").unlink()
    assert main.main(arguments(files, {}, seeds=[0, 3])) == 1
    assert "seed1.safetensors: was trained with seed 1, not 3" in capsys.readouterr().err
    assert not (files / "out.json").exists()


@pytest.mark.parametrize(
    ("settings", "changed", "message"),
    [
        ({"test_repetitions": 7}, {}, "r.h5: test_repetitions=7"),
        ({"test_repetition": 7}, {}, "unknown key 'test_repetition'"),
        ({"repetition_draws": 0}, {}, "--settings.repetition_draws: 0 is less than"),
        ({"repetition_draws": True}, {}, "--settings.repetition_draws: True is not of type"),
        ({}, {"seeds": [0]}, "--seeds"),
        ({}, {"seeds": [1, 1]}, "--seeds"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_output(files, capsys, settings, changed, message):
    assert main.main(arguments(files, settings, **changed)) == 1
    shown = [line for line in capsys.readouterr().err.splitlines() if "spikeline evaluate" in line]
    assert len(shown) == 1
    assert message in shown[0]
    assert not (files / "out.json").exists()


def test_embeddings_of_another_encoder_or_image_list_are_refused(files, capsys):
    own = embeddings.read(files / "e.h5")
    embeddings.write(files / "e.h5", replace(own, encoder="clip-2"), {})
    assert main.main(arguments(files, {})) == 1
    assert "embeddings of another encoder (clip-2)" in capsys.readouterr().err
    few = replace(own, values=own.values[5:], images=own.images[5:])
    embeddings.write(files / "e.h5", few, {})
    assert main.main(arguments(files, {})) == 1
    assert "has no embedding of" in capsys.readouterr().err
    assert not (files / "out.json").exists()
