"""Augmentation keeps what each kind of network relies on."""

import pytest
import torch

from spikeline.bridge.networks.augmentation import augment, electrode_mask


def test_nothing_asked_for_changes_nothing():
    values = torch.randn(4, 5)
    out, keep = augment(values, 0.0, 0.0, masks_electrodes=True)
    assert out is values
    assert keep is None


def test_masking_networks_get_untouched_values_and_a_mask_per_sample():
    values = torch.ones(400, 50)
    out, keep = augment(values, 0.0, 0.25, True, torch.Generator().manual_seed(0))
    assert torch.equal(out, values)
    assert float(keep.float().mean()) == pytest.approx(0.75, abs=0.01)
    assert not torch.equal(keep[0], keep[1])


def test_other_networks_get_zeros_and_rescaled_values_with_the_same_mean():
    values = torch.ones(400, 50)
    out, keep = augment(values, 0.0, 0.25, False, torch.Generator().manual_seed(0))
    assert keep is None
    assert out.unique().tolist() == pytest.approx([0, 4 / 3])
    assert float(out.mean()) == pytest.approx(1, abs=0.01)


def test_noise_has_the_standard_deviation_asked_for():
    out, _ = augment(torch.zeros(300, 300), 0.4, 0.0, False, torch.Generator().manual_seed(0))
    assert float(out.std()) == pytest.approx(0.4, rel=0.02)


def test_every_sample_keeps_at_least_one_electrode():
    assert electrode_mask((500, 2), 0.9, generator=torch.Generator().manual_seed(0)).any(-1).all()


@pytest.mark.parametrize("masks_electrodes", [False, True])
def test_a_dropped_electrode_is_dropped_in_all_its_bins(masks_electrodes):
    generator = torch.Generator().manual_seed(0)
    out, keep = augment(torch.ones(2, 300, 3 * 5), 0.0, 0.4, masks_electrodes, generator, bins=3)
    kept = (keep if masks_electrodes else out != 0).reshape(2, 300, 3, 5)
    assert (kept == kept[:, :, :1]).all()
    assert 0.55 < kept.float().mean() < 0.65
    assert kept[:, :, 0].float().std(1).min() > 0.4  # each electrode of its own
