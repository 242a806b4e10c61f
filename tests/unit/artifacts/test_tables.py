"""Tables: their numbers against loops over ranks, their bytes, and their text."""

import numpy as np
import pandas as pd
import pytest

from spikeline.artifacts import provenance, tables
from spikeline.artifacts.evaluations import Draw, Evaluation, Ranks, SeedEvaluation
from spikeline.errors import InputError


def some_ranks(random, *shape):
    return Ranks(random.integers(20, size=shape).astype(float), np.zeros(shape, int))


def an_evaluation(seeds=3, draws=2, number=0, images="i{image:02d}", ceiling=None, facts=None):
    random = np.random.default_rng(number)
    evaluated = []
    for seed in range(seeds):
        names = [images.format(image=image, seed=seed) for image in range(20)]
        drawn = [
            Draw(
                neural_to_image=some_ranks(random, 20),
                image_to_neural=some_ranks(random, 20),
                positive_similarity=random.random(20),
                shuffled={
                    "neural_to_image": some_ranks(random, 4, 20),
                    "image_to_neural": some_ranks(random, 4, 20),
                },
            )
            for _ in range(draws)
        ]
        categories = np.array(["", *["b", "a"] * 9, "a"], dtype=object)
        evaluated.append(SeedEvaluation(seed, np.array(names, dtype=object), categories, drawn))
    return Evaluation({}, "clip-1", evaluated, ceiling, facts or {})


def condition(model="mlp", subject="monkeyF", **varied):
    return {"model": model, "subject": subject, "varied": varied}


def one_row(evaluation, **varied):
    return tables.retrieval_table([evaluation], [condition(**varied)], resamples=200).iloc[0]


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
    control = np.concatenate([draw.shuffled["neural_to_image"].rank.ravel() for draw in draws])
    assert row["shuffled_top5"] == pytest.approx(np.mean(control < 5))


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
    table = tables.retrieval_table([an_evaluation()] * 3, conditions, resamples=10)
    assert list(table.columns[:5]) == ["model", "regions", "noise_std", "zero_shot", "subject"]
    assert tables.varied_columns(table) == ["regions", "noise_std", "zero_shot"]
    assert table["regions"].tolist() == ["V4+IT", "IT", ""]
    assert table["noise_std"].tolist() == ["0.5", "", "none"]
    assert table["zero_shot"].tolist() == ["", "true", ""]


def test_conditions_that_do_not_fit_are_an_error():
    with pytest.raises(InputError, match="2 for 1 evaluations"):
        tables.retrieval_table([an_evaluation()], [condition(), condition()])
    with pytest.raises(InputError, match="subject"):
        tables.retrieval_table([an_evaluation()], [{"model": "mlp", "varied": {}}])


def test_categories_are_scored_by_the_images_that_belong_to_them():
    evaluation = an_evaluation()
    table = tables.category_table([evaluation], [condition(regions=["IT"])])
    assert list(table.columns) == (
        ["model", "regions", "subject", "category", "images", "top1", "top5"]
    )
    assert table["category"].tolist() == ["a", "b"]
    assert table["images"].tolist() == [10, 9]
    hits = [
        draw.neural_to_image.rank[image] < 5
        for seed in evaluation.seeds
        for draw in seed.draws
        for image in range(20)
        if seed.categories[image] == "a"
    ]
    assert table["top5"].iloc[0] == pytest.approx(np.mean(hits))


def test_a_table_survives_writing_and_reading(tmp_path):
    evaluations = [an_evaluation(facts={"parameters": 12}), an_evaluation(seeds=1, number=1)]
    conditions = [condition(test_repetitions=r) for r in (1, None)]
    table = tables.retrieval_table(evaluations, conditions, resamples=50)
    tables.write(tmp_path / "t.tsv", table, {"step": "tabulate"})
    read = tables.read(tmp_path / "t.tsv")
    assert list(read.columns) == list(table.columns)
    assert read["test_repetitions"].tolist() == ["1", "none"]
    assert read["neural_to_image_top1"].tolist() == pytest.approx(
        table["neural_to_image_top1"].tolist(), abs=5e-5
    )
    assert read["noise_ceiling_top1"].isna().all()
    assert read["parameters"].isna().tolist() == [False, True]
    assert provenance.read(tmp_path / "t.tsv") == {"step": "tabulate"}


def test_shares_have_four_decimals_counts_none_and_the_unknown_is_empty(tmp_path):
    table = tables.retrieval_table(
        [an_evaluation(seeds=1, facts={"parameters": 12})], [condition()], resamples=50
    )
    tables.write(tmp_path / "t.tsv", table, {})
    header, values = (tmp_path / "t.tsv").read_text().splitlines()
    row = dict(zip(header.split("\t"), values.split("\t"), strict=True))
    assert (row["seeds"], row["gallery"], row["parameters"]) == ("1", "20", "12")
    assert row["chance_top5"] == "0.2500"
    assert row["noise_ceiling_top1"] == row["neural_to_image_top1_sd"] == ""


def test_the_same_evaluations_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        table = tables.retrieval_table([an_evaluation()], [condition()])
        tables.write(tmp_path / f"{name}.tsv", table, {})
    assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b.tsv").read_bytes()


def test_a_name_that_would_break_the_table_is_refused(tmp_path):
    table = tables.category_table([an_evaluation()], [condition("a\tb")])
    with pytest.raises(InputError, match="tab"):
        tables.write(tmp_path / "t.tsv", table, {})
    assert not (tmp_path / "t.tsv").exists()


@pytest.mark.parametrize("text", ["", "a\tb\n1\t2\n", "subject\tseeds\nmonkeyF\tmany\n"])
def test_what_is_no_table_is_refused(tmp_path, text):
    (tmp_path / "t.tsv").write_text(text)
    with pytest.raises(InputError):
        tables.read(tmp_path / "t.tsv")
    with pytest.raises(InputError, match="no such file"):
        tables.read(tmp_path / "absent.tsv")


@pytest.mark.parametrize(
    ("conditions", "labels"),
    [
        ([condition("a"), condition("b")], ["a", "b"]),
        ([condition("a@x=1"), condition("a@x=2")], ["a@x=1", "a@x=2"]),
        ([condition("a", x=1), condition("a@x=2", x=2)], ["1", "2"]),
        ([condition("a", x=1, y=3), condition("a@x=2", x=2, y=3)], ["x=1 y=3", "x=2 y=3"]),
        ([condition("a", x=1), condition("b", x=1)], ["a 1", "b 1"]),
        ([condition("a", x=1), condition("a", "monkeyN", x=1)], ["1", "1"]),
    ],
)
def test_labels_tell_conditions_apart_in_few_words(conditions, labels):
    table = tables.retrieval_table([an_evaluation()] * 2, conditions, resamples=2)
    assert tables.condition_labels(table) == labels


def test_the_text_of_a_table_is_aligned_and_has_intervals_and_control(tmp_path):
    ceiling = {"top1": 0.75, "top5": 0.9, "top10": 1.0}
    conditions = [
        condition(regions=["V1", "V4", "IT"]),
        condition("mlp@regions=IT", regions=["IT"]),
    ]
    table = tables.retrieval_table(
        [an_evaluation(), an_evaluation(number=1, ceiling=ceiling)], conditions, resamples=50
    )
    tables.write(tmp_path / "t.tsv", table, {})
    text = tables.as_text(tables.read(tmp_path / "t.tsv"))
    header, rule, first, second = text.splitlines()
    assert header.split()[:2] == ["regions", "subject"]
    assert set(rule) == {"-", " "}
    row = table.iloc[0]
    top1 = [row[f"neural_to_image_top1{end}"] for end in ("", "_low", "_high")]
    assert "{:.3f} [{:.3f}-{:.3f}]".format(*top1) in first
    for title in ("top-1", "top-5", "shuffled", "ceiling", "N", "seeds"):
        assert header.index(title) == rule.index("-", header.index(title))
    assert second[header.index("ceiling") :].startswith("0.750")
    assert second[header.index("shuffled") :].startswith(f"{table['shuffled_top1'].iloc[1]:.3f}")


def test_another_table_is_shown_whole_with_intervals_beside_their_scores():
    table = pd.DataFrame(
        {
            "model": ["poyo"],
            "subject": ["s1"],
            "bits": [0.25],
            "bits_low": [0.2],
            "bits_high": [0.3],
            "units": [144],
        }
    )
    header, _, row = tables.as_text(table).splitlines()
    assert header.split() == ["model", "subject", "bits", "units"]
    assert row[header.index("bits") :].startswith("0.250 [0.200-0.300]")
    assert row.split()[-1] == "144"
