"""Masks against counting by hand."""

import numpy as np
import pytest
import torch

from spikeline.bridge.pretraining.masks import (
    Masking,
    electrodes_and_bins,
    random_electrodes,
    region_balanced,
    time_bins,
)
from spikeline.errors import InputError

REGIONS = np.array(["IT"] * 4 + ["V1"] * 12 + ["V4"] * 8)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def settings(kind, share=0.25, bins="contiguous"):
    return {"mask": kind, "mask_share": share, "mask_bins": bins}


@pytest.mark.parametrize(("share", "count"), [(0.15, 3), (0.25, 5), (0.5, 10)])
def test_a_random_mask_hides_its_share_of_each_row(share, count):
    hidden = random_electrodes(50, 20, share, generator())
    assert hidden.sum(1).tolist() == [count] * 50
    assert len(hidden.unique(dim=0)) > 40
    # Every electrode is hidden about as often as another: 50 rows x share, give or take.
    assert (hidden.float().mean(0) - share).abs().max() < 0.25


def test_a_mask_never_hides_all_electrodes_nor_none():
    assert random_electrodes(3, 2, 0.01).sum(1).tolist() == [1, 1, 1]
    assert random_electrodes(3, 2, 0.99).sum(1).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("share", "counts"), [(0.25, (1, 3, 2)), (0.5, (2, 6, 4)), (0.15, (1, 2, 1))]
)
def test_a_balanced_mask_hides_the_same_share_of_each_area(share, counts):
    groups = torch.from_numpy(np.unique(REGIONS, return_inverse=True)[1])
    hidden = region_balanced(30, groups, share, generator())
    for group, count in enumerate(counts):
        assert hidden[:, groups == group].sum(1).tolist() == [count] * 30


def test_an_area_of_one_electrode_is_never_hidden_by_a_balanced_mask():
    hidden = region_balanced(20, torch.tensor([0, 1, 1, 1, 1]), 0.5, generator())
    assert not hidden[:, 0].any() and hidden[:, 1:].sum(1).tolist() == [2] * 20


def test_contiguous_bins_form_one_stretch_that_may_lie_anywhere():
    hidden = time_bins(200, 8, 0.5, contiguous=True, generator=generator())
    assert hidden.sum(1).tolist() == [4] * 200
    starts = {row.nonzero()[0].item() for row in hidden}
    assert starts == {0, 1, 2, 3, 4}
    assert all(row.nonzero()[:, 0].diff().eq(1).all() for row in hidden)


def test_random_bins_are_not_always_neighbours():
    hidden = time_bins(100, 8, 0.25, contiguous=False, generator=generator())
    assert hidden.sum(1).tolist() == [2] * 100
    gaps = {int(row.nonzero()[:, 0].diff()) for row in hidden}
    assert len(gaps) > 2


def test_a_mask_of_both_is_a_union_of_whole_bins_and_whole_electrodes():
    # Bins: 10 x (1 - sqrt(1 - 0.5)) = 2.9, so 3. Then 0.5 x 200 - 3 x 20 = 40 responses are left
    # for electrodes of 7 bins each: 5.7, so 6. Hidden: 3 x 20 + 6 x 7 = 102 of 200.
    hidden = electrodes_and_bins(40, 20, 10, 0.5, generator=generator())
    assert hidden.sum((1, 2)).tolist() == [102] * 40
    whole_bins, whole_electrodes = hidden.all(2), hidden.all(1)
    assert whole_bins.sum(1).tolist() == [3] * 40
    assert whole_electrodes.sum(1).tolist() == [6] * 40
    assert torch.equal(hidden, whole_bins[:, :, None] | whole_electrodes[:, None])


@pytest.mark.parametrize(("kind", "hidden"), [("random", 18), ("region_balanced", 18)])
def test_electrodes_are_hidden_in_all_their_bins(kind, hidden):
    masking = Masking.of(settings(kind), np.tile(REGIONS, 3), bins=3)
    drawn = masking.draw(5, generator()).view(5, 3, 24)
    assert drawn.sum((1, 2)).tolist() == [hidden] * 5  # 6 of 24 electrodes, 3 bins each
    assert torch.equal(drawn[:, 0], drawn[:, 1]) and torch.equal(drawn[:, 0], drawn[:, 2])


def test_bins_are_hidden_for_all_their_electrodes():
    drawn = Masking.of(settings("time"), np.tile(REGIONS, 4), bins=4).draw(6, generator())
    assert drawn.view(6, 4, 24).all(2).sum(1).tolist() == [1] * 6
    assert drawn.sum(1).tolist() == [24] * 6


@pytest.mark.parametrize("kind", ["time", "both"])
def test_masks_of_time_need_time_bins(kind):
    with pytest.raises(InputError, match="means over time; set windows to an entry with bin_ms"):
        Masking.of(settings(kind), REGIONS, bins=1)


def test_one_electrode_cannot_be_masked():
    with pytest.raises(InputError, match="add regions, or lower min_snr"):
        Masking.of(settings("random"), REGIONS[:1], bins=1)


def test_the_same_generator_gives_the_same_masks():
    masking = Masking.of(settings("region_balanced"), REGIONS, bins=1)
    assert torch.equal(masking.draw(9, generator(3)), masking.draw(9, generator(3)))
    assert not torch.equal(masking.draw(9, generator(3)), masking.draw(9, generator(4)))
