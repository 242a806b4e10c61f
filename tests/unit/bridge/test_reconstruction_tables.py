"""Tables of reconstruction: means, paired differences, roles of rows, and the caption."""

import numpy as np
import pytest

from spikeline.artifacts import tables
from spikeline.artifacts.images.reconstruction_scores import ReconstructionScores, SeedScores
from spikeline.bridge.reconstruction.scores.captions import caption
from spikeline.bridge.reconstruction.scores.table import missing_of, reconstruction_table
from spikeline.errors import InputError
from spikeline.statistics import bootstrap_difference, bootstrap_mean

MEASURES = {
    "pixcorr": "pixels", "ssim": "pixels", "clip": "two_way", "clip_top1": "top1",
    "swav": "distance", "shape_correct": "correct", "frechet_clip": "frechet",
}  # fmt: skip
RESAMPLES = 200


def made(level=0.8, seeds=2, images=20, number=0, missing=None, offset=0, other=0.5):
    """Scores around `level`, those of other responses around `other`."""
    random = np.random.default_rng(number)
    names = np.array([f"i{k + offset:02d}" for k in range(images)], object)
    missing = missing or {}
    there = {k: v for k, v in MEASURES.items() if k not in missing and v != "frechet"}

    def drawn(family, mean):
        if family in ("top1", "correct"):
            return (random.random(images) < mean).astype(float)
        return np.clip(mean + 0.05 * random.normal(size=images), 0, 1)

    found = [
        SeedScores(
            seed=seed,
            images=names,
            scores={k: drawn(v, level) for k, v in there.items()},
            others={k: drawn(v, other) for k, v in there.items()},
            sets={} if "frechet_clip" in missing else {"frechet_clip": 4.0 + seed},
        )
        for seed in range(seeds)
    ]
    return ReconstructionScores({}, MEASURES, found, missing, {"generator": "tiny:1"})


def condition(model, subject="monkeyF", **more):
    return {"model": model, "subject": subject, "varied": {}, **more}


def a_table(*pairs):
    scores, conditions = zip(*pairs, strict=True)
    return reconstruction_table(scores, conditions, RESAMPLES)


@pytest.fixture(scope="module")
def pairs():
    return [
        (made(0.8, number=1), condition("unclip")),
        (made(0.7, number=2), condition("retrieval")),
        (made(0.5, number=3), condition("unclip@shuffle_responses=true", control=True)),
        (made(0.5, number=4), condition("unclip@source=random")),
        (made(0.95, number=5), condition("unclip@source=image")),
    ]


@pytest.fixture(scope="module")
def table(pairs):
    return a_table(*pairs)


def test_a_measure_is_the_mean_over_seeds_and_images_with_its_bootstrap_interval(pairs, table):
    scores, row = pairs[0][0], table.iloc[0]
    for measure in ("pixcorr", "clip", "swav", "clip_top1"):
        values = np.concatenate([seed.scores[measure] for seed in scores.seeds])
        images = np.concatenate([seed.images for seed in scores.seeds])
        expected = bootstrap_mean(values, images, RESAMPLES)
        found = [row[f"{measure}{end}"] for end in ("", "_low", "_high")]
        assert found == pytest.approx(expected)
        others = np.mean([seed.others[measure] for seed in scores.seeds])
        assert row[f"others_{measure}"] == pytest.approx(others)
    assert (row["seeds"], row["images"], row["gallery"]) == (2, 20, 20)
    assert row["frechet_clip"] == 4.5
    assert row["chance_clip"] == 0.5 and row["chance_clip_top1"] == 1 / 20


def test_differences_from_the_reference_are_paired_by_image(pairs, table):
    reference, other = (
        np.mean([seed.scores["pixcorr"] for seed in scores.seeds], axis=0)
        for scores, _ in pairs[:2]
    )
    expected = bootstrap_mean(other - reference, None, RESAMPLES)
    row = table.iloc[1]
    found = [row[f"difference_pixcorr{end}"] for end in ("", "_low", "_high")]
    assert found == pytest.approx(expected)
    # Narrower than that of two independent means.
    assert expected.high - expected.low < 0.1
    assert table["difference_pixcorr"].iloc[0] is None


def test_differences_of_hits_have_the_interval_that_holds_near_zero_and_one(pairs, table):
    reference, other = (
        np.mean([seed.scores["clip_top1"] for seed in scores.seeds], axis=0)
        for scores, _ in pairs[:2]
    )
    expected = bootstrap_difference(other, reference, None, 2, RESAMPLES)
    row = table.iloc[1]
    found = [row[f"difference_clip_top1{end}"] for end in ("", "_low", "_high")]
    assert found == pytest.approx(expected)


def test_every_measure_is_compared_with_images_from_other_responses(pairs, table):
    scores = pairs[0][0]
    own, other = (
        np.mean([getattr(seed, part)["ssim"] for seed in scores.seeds], axis=0)
        for part in ("scores", "others")
    )
    expected = bootstrap_mean(own - other, None, RESAMPLES)
    row = table.iloc[0]
    found = [row[f"above_others_ssim{end}"] for end in ("", "_low", "_high")]
    assert found == pytest.approx(expected)
    assert row["above_others_ssim_low"] > 0.2


def test_a_difference_takes_only_the_images_of_both_rows():
    table = a_table(
        (made(0.8, number=1), condition("a")), (made(0.7, number=2, offset=10), condition("b")),
        (made(0.7, number=2, offset=40), condition("c")),
    )  # fmt: skip
    one, two = made(0.8, number=1), made(0.7, number=2, offset=10)
    first = np.mean([seed.scores["clip"][10:] for seed in one.seeds], axis=0)
    second = np.mean([seed.scores["clip"][:10] for seed in two.seeds], axis=0)
    assert table["difference_clip"].iloc[1] == pytest.approx(np.mean(second - first))
    assert table["difference_clip"].iloc[2] is None


def test_each_row_says_whether_it_is_told_the_responses_nothing_or_the_truth(table):
    assert table["row"].tolist() == ["reference", "model", "control", "control", "ceiling"]


def test_a_control_or_ceiling_is_never_the_reference():
    table = a_table(
        (made(), condition("low_level@source=image")), (made(), condition("x", ceiling=True)),
        (made(), condition("unclip@source=mean")), (made(), condition("unclip")),
        (made(), condition("retrieval")),
    )  # fmt: skip
    assert table["row"].tolist() == ["ceiling", "ceiling", "control", "reference", "model"]


def test_each_subject_and_each_group_has_its_own_reference():
    rows = [(made(number=k), condition("unclip", subject=s)) for k, s in enumerate("FFNN")]
    assert a_table(*rows)["row"].tolist() == ["reference", "model"] * 2
    grouped = [(scores, {**named, "group": k // 3}) for k, (scores, named) in enumerate(rows)]
    assert a_table(*grouped)["row"].tolist() == ["reference", "model", "model", "reference"]


def test_what_is_missing_has_empty_cells_and_the_caption_says_why(tmp_path):
    why = {"swav": "weights missing: none are given; name a file", "frechet_clip": "too few images"}
    pairs = [(made(missing=why, number=k), condition(name)) for k, name in enumerate("ab")]
    table = a_table(*pairs)
    for name in ("swav", "swav_low", "others_swav", "difference_swav", "frechet_clip"):
        assert table[name].isna().all()
    text = caption(table, missing_of([scores for scores, _ in pairs]))
    assert text.splitlines()[1:] == [
        "swav: not computed: weights missing: none are given; name a file.",
        "frechet_clip: not computed: too few images.",
    ]
    tables.write(tmp_path / "t.tsv", table, {})
    assert tables.read(tmp_path / "t.tsv")["swav"].isna().all()


def test_a_measure_that_one_model_has_is_not_called_missing():
    one, other = made(missing={"swav": "weights missing: x"}), made()
    assert missing_of([one, other]) == {}
    table = a_table((one, condition("a")), (other, condition("b")))
    assert table["swav"].isna().tolist() == [True, False]
    assert table["difference_swav"].isna().all()


def test_a_table_survives_writing_and_is_readable_in_a_terminal(table, tmp_path):
    tables.write(tmp_path / "t.tsv", table, {})
    read = tables.read(tmp_path / "t.tsv")
    assert read["clip"].tolist() == pytest.approx(table["clip"].tolist(), abs=1e-4)
    lines = tables.as_text(read).splitlines()
    assert lines[0].split()[:3] == ["model", "subject", "row"]
    for title in ("pixcorr [95 %]", "ssim [95 %]", "clip [95 %]", "clip_top1", "shape_correct"):
        assert title in lines[0]
    assert "swav" not in lines[0]
    assert len(lines) == 2 + 5
    assert max(map(len, lines)) < 180
    row = read.iloc[0]
    assert f"{row['clip']:.3f} [{row['clip_low']:.3f}-{row['clip_high']:.3f}]" in lines[2]


def test_conditions_must_fit_the_scores():
    with pytest.raises(InputError, match="2 for 1"):
        reconstruction_table([made()], [condition("a"), condition("b")])


# --- the caption ----------------------------------------------------------------------------------


def test_the_caption_names_the_best_decoder_by_identification_and_by_pixels(table):
    (text,) = caption(table).splitlines()
    row = table.iloc[0]
    low, high = (f"{round(100 * row[f'clip_{end}'], 1):g}" for end in ("low", "high"))
    assert text.startswith(
        f"monkeyF: By two-way CLIP identification unclip is best of 2 decoders: "
        f"{round(100 * row['clip'], 1):g} % [{low}, {high}]; images made from other responses have "
    )
    assert "Compared with unclip image by image, retrieval is lower by " in text
    assert "By pixel correlation unclip is best of 2 decoders: 0.8" in text


def test_the_caption_tells_controls_at_chance_from_those_that_are_not(table):
    text = caption(table)
    assert "The controls unclip@shuffle_responses=true (" in text
    assert "do not exceed chance, 50 %." in text and "NOT at chance" not in text
    leaks = a_table((made(0.8), condition("unclip")), (made(0.7), condition("unclip@source=mean")))
    assert "NOT at chance, 50 %: unclip@source=mean (" in caption(leaks)
    alone = a_table((made(0.8), condition("unclip")))
    assert "There is no control." in caption(alone)


def test_the_caption_tells_the_ceilings_apart(table):
    text = caption(table)
    assert "Told the truth instead of responses: unclip@source=image (two-way CLIP" in text


def test_a_decoder_that_other_responses_serve_as_well_is_called_out():
    table = a_table((made(0.5, other=0.5), condition("unclip")))
    assert "which it is NOT clearly above" in caption(table)


def test_a_difference_whose_interval_includes_zero_is_never_a_gain():
    table = a_table((made(0.8, number=1), condition("a")), (made(0.8, number=2), condition("b")))
    assert table["difference_clip_low"].iloc[1] < 0 < table["difference_clip_high"].iloc[1]
    text = caption(table)
    assert "b does not clearly differ [" in text
    assert "higher by" not in text and "lower by" not in text
