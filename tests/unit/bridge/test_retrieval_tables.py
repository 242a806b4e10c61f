"""Tables of retrieval: their numbers against loops over ranks, and their bytes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from spikeline.artifacts import tables
from spikeline.artifacts.evaluations import (
    Draw,
    Evaluation,
    Ranks,
    RepetitionCurve,
    SeedEvaluation,
)
from spikeline.bridge.repetition_curve import infinite_repetitions
from spikeline.bridge.tables import category_table, retrieval_table
from spikeline.errors import InputError


def some_ranks(random, *shape):
    return Ranks(random.integers(20, size=shape).astype(float), np.zeros(shape, int))


def a_curve(random):
    shares = np.sort(random.random((3, 20)), axis=0)
    return RepetitionCurve(np.array([1, 2, 4]), shares, shares**0.5)


def an_evaluation(seeds=3, draws=2, number=0, images="i{image:02d}", curve=True, facts=None):
    random = np.random.default_rng(number)
    evaluated = []
    for seed in range(seeds):
        names = [images.format(image=image, seed=seed) for image in range(20)]
        drawn = [
            Draw(
                neural_to_image=some_ranks(random, 20),
                image_to_neural=some_ranks(random, 20),
                positive_similarity=random.random(20),
            )
            for _ in range(draws)
        ]
        categories = [(), *[("b",), ("a",)] * 9, ("a", "b")]
        shown = np.array(names, dtype=object)
        measured = a_curve(random) if curve else None
        evaluated.append(SeedEvaluation(seed, shown, categories, drawn, measured))
    return Evaluation({}, "clip-1", evaluated, facts or {})


def condition(model="mlp", subject="monkeyF", **varied):
    return {"model": model, "subject": subject, "varied": varied}


def one_row(evaluation, **varied):
    return retrieval_table([evaluation], [condition(**varied)], resamples=200).iloc[0]


def test_scores_are_means_over_every_seed_draw_and_image():
    evaluation = an_evaluation()
    row = one_row(evaluation)
    draws = [draw for seed in evaluation.seeds for draw in seed.draws]
    for direction in ("neural_to_image", "image_to_neural"):
        ranks = np.concatenate([getattr(draw, direction).rank for draw in draws])
        for k in (1, 5, 10):
            share = np.mean([rank < k for rank in ranks])
            assert row[f"{direction}_top{k}"] == pytest.approx(share)
            low, high = row[f"{direction}_top{k}_low"], row[f"{direction}_top{k}_high"]
            assert low <= share <= high
            assert low < high
    ranks = np.concatenate([draw.neural_to_image.rank for draw in draws])
    assert row["median_rank"] == np.median(ranks)
    cosines = np.concatenate([draw.positive_similarity for draw in draws])
    assert row["positive_similarity"] == pytest.approx(cosines.mean())


def test_the_spread_between_seeds_is_that_of_their_means():
    evaluation = an_evaluation()
    means = [
        np.mean([(draw.neural_to_image.rank < 5).mean() for draw in seed.draws])
        for seed in evaluation.seeds
    ]
    assert one_row(evaluation)["neural_to_image_top5_sd"] == pytest.approx(pd.Series(means).std())
    assert one_row(an_evaluation(seeds=1))["neural_to_image_top5_sd"] is None


def test_images_that_recur_over_seeds_are_one_cluster_each():
    recurring, distinct = an_evaluation(), an_evaluation(images="s{seed}/i{image:02d}")
    assert one_row(recurring)["images"] == 20
    assert one_row(distinct)["images"] == 60
    assert one_row(recurring)["gallery"] == one_row(distinct)["gallery"] == 20
    assert one_row(distinct)["chance_top5"] == 5 / 20


def test_a_row_for_each_condition_and_a_column_for_each_varied_setting():
    conditions = [
        condition("mlp", regions=["V4", "IT"], noise_std=0.5),
        condition("mlp@regions=IT", regions=["IT"], zero_shot=True),
        condition("mlp", "monkeyN", noise_std=None),
    ]
    table = retrieval_table([an_evaluation()] * 3, conditions, resamples=10)
    assert list(table.columns[:5]) == ["model", "regions", "noise_std", "zero_shot", "subject"]
    assert tables.varied_columns(table) == ["regions", "noise_std", "zero_shot"]
    assert table["regions"].tolist() == ["V4+IT", "IT", ""]
    assert table["noise_std"].tolist() == ["0.5", "", "none"]
    assert table["zero_shot"].tolist() == ["", "true", ""]


# --- paired differences ---------------------------------------------------------------------------


def by_hand(seeds):
    """An evaluation of {seed: (images, draws)}, a draw being the images that are found."""
    evaluated = []
    for number, (images, draws) in seeds.items():
        names = np.array(list(images), dtype=object)
        nowhere = Ranks(np.zeros(len(names)), np.zeros(len(names), int))
        found = [
            Draw(
                Ranks(np.array([0.0 if name in hit else 9.0 for name in images]), nowhere.tied),
                nowhere,
                np.zeros(len(names)),
            )
            for hit in draws
        ]
        evaluated.append(SeedEvaluation(number, names, names, found))
    return Evaluation({}, "clip-1", evaluated)


def difference(evaluation, reference, **options):
    conditions = [condition("a"), condition("b")]
    row = retrieval_table([reference, evaluation], conditions, **options).iloc[1]
    return tuple(row[f"difference_top1{end}"] for end in ("", "_low", "_high"))


ABCD = "abcdefghijkl"


def test_a_difference_is_the_mean_over_images_of_hits_less_those_of_the_reference():
    reference = by_hand({0: (ABCD, ["abc"])})
    better = by_hand({0: (ABCD, ["abcdef"])})
    estimate, low, high = difference(better, reference)
    assert estimate == pytest.approx(3 / 12)
    assert low < estimate < high
    opposite = difference(reference, better)
    assert opposite[0] == -estimate


def test_seeds_and_draws_that_only_one_row_has_are_averaged_within_the_image():
    reference = by_hand({0: (ABCD, ["abc"])})
    # a is found by 3 of 4, b by 1 of 4, the others never.
    other = by_hand({0: (ABCD, ["a", "ab"]), 1: (ABCD, ["a", ""])})
    assert difference(other, reference)[0] == pytest.approx((3 / 4 + 1 / 4) / 12 - 3 / 12)


def test_images_are_compared_in_the_same_gallery_where_both_rows_have_it():
    # An image is easy in one gallery and hard in the other, alike for both rows.
    easy, hard = "ab" + ABCD[2:], "ab" + ABCD[2:-1] + "z"
    reference = by_hand({0: (easy, ["ab"]), 1: (hard, [""])})
    only_hard = by_hand({1: (hard, [""]), 3: (hard, [""])})
    assert difference(only_hard, reference)[0] == 0
    # In a gallery of its own it is compared image by image: half of a and b, less none.
    elsewhere = by_hand({2: ("ab" + "uvwxy", ["ab"])})
    assert difference(elsewhere, reference)[0] == pytest.approx(1 / 2)
    nowhere = by_hand({2: ("uvwxy", ["u"])})
    assert difference(nowhere, by_hand({0: (ABCD, [""])})) == (None, None, None)


def test_pairing_takes_out_what_makes_images_hard_for_both_rows():
    random = np.random.default_rng(0)
    images = [f"i{k}" for k in range(100)]
    hits = random.random(100) < 0.5
    reference = by_hand({0: (images, [{i for i, hit in zip(images, hits, strict=True) if hit}])})
    row = retrieval_table([reference] * 2, [condition("a"), condition("b")]).iloc[1]
    width = row["difference_top1_high"] - row["difference_top1_low"]
    score = row["neural_to_image_top1_high"] - row["neural_to_image_top1_low"]
    assert row["difference_top1"] == 0 and 0 < width < 0.4 * score


def test_differences_are_from_the_first_row_of_each_subject_and_a_control_is_named():
    conditions = [
        condition("a"), condition("a", "monkeyN"), condition("b"), condition("b", "monkeyN"),
        {**condition("a@shuffle_responses=true"), "control": True},
    ]  # fmt: skip
    many = [an_evaluation(number=number) for number in range(5)]
    table = retrieval_table(many, conditions, resamples=10)
    assert list(table["row"]) == ["reference", "reference", "model", "model", "control"]
    assert table["difference_top5"].isna().tolist() == [True, True, False, False, False]
    top5 = table["neural_to_image_top5"]
    for row, reference in ((2, 0), (3, 1), (4, 0)):
        assert table["difference_top5"][row] == pytest.approx(top5[row] - top5[reference])


def test_conditions_that_do_not_fit_are_an_error():
    with pytest.raises(InputError, match="2 for 1 evaluations"):
        retrieval_table([an_evaluation()], [condition(), condition()])
    with pytest.raises(InputError, match="subject"):
        retrieval_table([an_evaluation()], [{"model": "mlp", "varied": {}}])


def test_the_limit_is_that_of_the_mean_curve_of_all_seeds():
    evaluation = an_evaluation()
    row = one_row(evaluation)
    for k in (1, 5):
        curves = [getattr(seed.repetition_curve, f"top{k}") for seed in evaluation.seeds]
        expected = infinite_repetitions([1, 2, 4], np.mean(curves, axis=0), 20, k, 200)
        found = [row[f"infinite_repetitions_top{k}{end}"] for end in ("", "_low", "_high")]
        assert found == pytest.approx(list(expected))
    empty = one_row(an_evaluation(curve=False))
    assert empty["infinite_repetitions_top1"] is empty["infinite_repetitions_top5_low"] is None


def test_categories_are_scored_by_the_images_that_belong_to_them():
    evaluation = an_evaluation()
    table = category_table([evaluation], [condition(regions=["IT"])], resamples=200)
    scores = [f"top{k}{end}" for k in (1, 5) for end in ("", "_low", "_high")]
    assert list(table.columns) == ["model", "regions", "subject", "category", "images", *scores]
    assert table["category"].tolist() == ["a", "b"]
    # The last image belongs to both.
    assert table["images"].tolist() == [10, 10]
    hits = [
        draw.neural_to_image.rank[image] < 5
        for seed in evaluation.seeds
        for draw in seed.draws
        for image in range(20)
        if "a" in seed.categories[image]
    ]
    first = table.iloc[0]
    assert first["top5"] == pytest.approx(np.mean(hits))
    assert first["top5_low"] < first["top5"] < first["top5_high"]


def test_without_categories_their_table_is_a_header():
    evaluation = an_evaluation()
    seeds = [replace(seed, categories=[()] * 20) for seed in evaluation.seeds]
    table = category_table([replace(evaluation, seeds=seeds)], [condition()])
    assert table.empty and "category" in table.columns


def test_the_same_evaluations_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        table = retrieval_table([an_evaluation()], [condition()])
        tables.write(tmp_path / f"{name}.tsv", table, {})
    assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b.tsv").read_bytes()
