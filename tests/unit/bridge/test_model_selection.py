"""Cross-validated identification: folds, galleries and the figures they give."""

import numpy as np

from spikeline.bridge.bayesian import model_selection
from spikeline.bridge.bayesian.model_selection import folds_by_group


def test_a_group_is_on_one_side_of_a_fold_and_every_row_is_held_out_once():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 50, 400)
    images[:50] = np.arange(50)
    for groups in (images, images % 13):
        held_out = []
        for train, held in folds_by_group(images, groups):
            assert not set(groups[train]) & set(groups[held])
            assert sorted([*train, *held]) == list(range(400))
            held_out += held.tolist()
        assert sorted(held_out) == list(range(400))


def test_of_many_images_only_as_many_are_held_out_as_tell_something():
    images = np.arange(22000)
    assert [len(held) for _, held in folds_by_group(images, images)] == [2000]
    ((_, held),) = folds_by_group(images, images % 1100)
    assert (len(held), len(set(held % 1100))) == (2000, 100)


def test_few_groups_leave_two_or_more_in_each_fold():
    images = np.arange(50000)
    for _, held in folds_by_group(images, images % 10):
        assert len(set(held % 10)) == 2


def test_a_gallery_shows_one_image_of_each_of_its_groups_and_a_row_of_that_image():
    columns = np.random.default_rng(0).permutation(60).repeat(2)  # 60 images shown twice
    groups = columns // 4
    galleries = model_selection._galleries(columns, groups, 7, seed=1)
    assert len(galleries) == 2 * (15 // 7)
    for rows, images in galleries:
        assert len(set(groups[rows])) == 7
        assert columns[rows].tolist() == images.tolist()
    for partition in (galleries[:2], galleries[2:]):
        assert len({group for rows, _ in partition for group in groups[rows]}) == 14


def test_figures_are_those_of_many_random_galleries_of_other_groups():
    rng = np.random.default_rng(0)
    groups = np.arange(40) // 2
    scores = rng.standard_normal((40, 40)) + 1.5 * np.eye(40)
    scores += 5 * (groups[:, None] == groups) * ~np.eye(40, dtype=bool)  # siblings do not count
    everyone = np.arange(40)
    galleries = [(chosen, chosen) for chosen in everyone.reshape(5, 8)]
    held_out = [model_selection._HeldOut(None, scores, scores, groups, galleries)]
    found = model_selection._figures([scores], held_out)
    hits = []
    for row in everyone.repeat(300):
        others = rng.choice(everyone[groups != groups[row]], 7, replace=False)
        hits.append((scores[row, others] > scores[row, row]).sum())
    assert abs(found["top1"] - np.mean(np.array(hits) == 0)) < 0.02
    assert abs(found["top5"] - np.mean(np.array(hits) < 5)) < 0.02
