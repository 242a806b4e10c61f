"""Presentations of the images to one simulated monkey, normalised as TVSD's normMUA."""

from dataclasses import dataclass

import numpy as np

from spikeline.reliability import leave_one_out_reliability, pairwise_reliability
from spikeline.simulate.electrodes import V4Maps, electrode_rows, region_drive
from spikeline.simulate.images import Stimuli
from spikeline.simulate.matlab import Blocks
from spikeline.simulate.presentations import Presented, sample_times, trials
from spikeline.simulate.settings import Subject, TwinSettings

LATENCIES = {"V1": 40.0, "V4": 58.0, "IT": 85.0}  # ms
_PRIVATE_DIMENSIONS = 40
_SHARED_NOISE_DIMENSIONS = 6


@dataclass(frozen=True)
class Recording:
    """What one subject's files hold; axes as h5py reads TVSD's files.

    Attributes:
        normalised: field of THINGS_normMUA.mat -> array.
        trials: field of THINGS_MUA_trials.mat -> array.
        mapping: (electrodes,) 1-based raw channel of each electrode.
        noise_free: (test images, electrodes) what test_MUA would be without noise, with the same
            days' scales.
    """

    normalised: dict[str, np.ndarray]
    trials: dict[str, np.ndarray | Blocks]
    mapping: np.ndarray
    noise_free: np.ndarray


def _noise(
    shape: tuple[int, int], regions: np.ndarray, shared: float, rng: np.random.Generator
) -> np.ndarray:
    """Unit-variance noise (presentations, electrodes), a share of it common to each region."""
    noise = np.sqrt(1 - shared) * rng.standard_normal(shape, dtype=np.float32)
    for region in np.unique(regions):
        rows = electrode_rows(regions, region)
        loadings = rng.standard_normal((_SHARED_NOISE_DIMENSIONS, len(rows)), dtype=np.float32)
        loadings *= np.sqrt(shared) / np.linalg.norm(loadings, axis=0)
        common = rng.standard_normal((shape[0], _SHARED_NOISE_DIMENSIONS), dtype=np.float32)
        noise[:, rows] += common @ loadings
    return noise


def noise_free_responses(
    stimuli: Stimuli,
    images: np.ndarray,
    maps: V4Maps,
    subject: Subject,
    settings: TwinSettings,
    rng: np.random.Generator,
) -> np.ndarray:
    """The response of each electrode to each image without noise: (images, electrodes).

    Each electrode has mean 0 and variance 1 over the images. A share `idiosyncrasy` of the
    variance is private to the image: random, the same at each presentation.
    """
    regions = np.array(subject.region_of_electrode())
    responses = np.empty((len(stimuli), len(regions)))
    for region in subject.regions:
        rows = electrode_rows(regions, region)
        drive = region_drive(region, len(rows), stimuli, images, maps, rng)
        code = rng.standard_normal((len(stimuli), _PRIVATE_DIMENSIONS))
        loadings = rng.standard_normal((_PRIVATE_DIMENSIONS, len(rows)))
        private = code @ (loadings / np.linalg.norm(loadings, axis=0))
        share = settings.idiosyncrasy[region]
        responses[:, rows] = np.sqrt(1 - share) * drive + np.sqrt(share) * private
    return responses


def record(
    responses: np.ndarray,
    test: np.ndarray,
    subject: Subject,
    settings: TwinSettings,
    rng: np.random.Generator,
    coarse: np.ndarray,
) -> Recording:
    """Present every training image once and every test image `repetitions` times.

    Presentations spread over the subject's days; response gain and offset change from day to day.
    As in TVSD, each day's responses are z-scored per electrode by that day's presentations of test
    images, so the training responses have neither mean 0 nor variance 1.

    Args:
        responses: (images, electrodes) from `noise_free_responses`.
        test: (images,) bool.
        coarse: (images,) group of each image, which the response tells first where it goes from
            coarse to fine: the shape of its object.
    """
    regions = np.array(subject.region_of_electrode())
    electrodes, days = len(regions), subject.days
    n_train, n_test, repetitions = (~test).sum(), test.sum(), settings.repetitions

    target = np.array([settings.reliability[region] for region in regions])
    reliability = target + settings.reliability_spread * rng.standard_normal(electrodes)
    reliability = np.clip(reliability, 0.03, 0.9)
    noise_spread = np.sqrt((1 - reliability) / reliability)
    amplitude = rng.lognormal(1.0, 0.4, electrodes)  # microvolts per unit of response
    evoked = rng.uniform(2.0, 5.0, electrodes)  # mean response, in the same units
    baseline = rng.lognormal(2.0, 0.3, (days, electrodes))  # microvolts
    gain = np.exp(settings.day_gain_spread * rng.standard_normal((days, electrodes)))

    train_day = rng.integers(days, size=n_train)
    day_of_repetition = np.arange(repetitions) * days // repetitions
    image = np.concatenate([np.flatnonzero(~test), np.tile(np.flatnonzero(test), repetitions)])
    day = np.concatenate([train_day, np.repeat(day_of_repetition, n_test)])
    noise = _noise((len(image), electrodes), regions, settings.noise_correlation, rng)
    signal = evoked + responses[image]
    raw = baseline[day] + amplitude * (gain[day] * signal + noise_spread * noise)

    dead, missing = np.split(
        rng.permutation(electrodes)[: settings.dead_electrodes + settings.nan_electrodes],
        [settings.dead_electrodes],
    )
    dead = np.union1d(dead, subject.electrodes_of_dead_arrays())
    baseline[:, dead] = baseline[0, dead]
    raw[:, dead] = baseline[0, dead]
    raw[:, missing] = np.nan

    normalised = np.empty_like(raw)
    scale = np.empty((days, electrodes))
    is_test = np.arange(len(image)) >= n_train
    for k in range(days):
        mean = raw[(day == k) & is_test].mean(axis=0)
        spread = raw[(day == k) & is_test].std(axis=0, ddof=1)
        mean[dead] = baseline[0, dead]
        spread[dead] = 1.0
        scale[k] = spread
        normalised[day == k] = (raw[day == k] - mean) / spread
    repeated = normalised[n_train:].reshape(repetitions, n_test, electrodes)
    errors = amplitude * noise_spread * noise[n_train:] / scale[day[n_train:]]
    errors[:, dead] = 0
    noise_free = (repeated - errors.reshape(repeated.shape)).mean(axis=0)

    latency = np.array([LATENCIES[region] for region in regions])
    latency = latency + rng.normal(0, 4, electrodes)
    snr = 1.5 * gain * evoked / noise_spread  # peak over the baseline's standard deviation
    latencies = latency + rng.normal(0, 1.5, (days, electrodes))
    snr[:, dead], latencies[:, dead] = 0.0, np.nan
    snr[:, missing], latencies[:, missing] = np.nan, np.nan

    mapping = 1 + rng.permutation(electrodes)
    fields = {
        "train_MUA": normalised[:n_train],
        "test_MUA": repeated.mean(axis=0),
        "test_MUA_reps": repeated,
        "SNR": snr,
        "SNR_max": snr.max(axis=0)[:, None],
        "lats": latencies,
        "reliab": pairwise_reliability(repeated),
        "oracle": leave_one_out_reliability(repeated)[:, None],
        "tb": sample_times(1).astype(np.float64)[:, None],
    }
    late = None
    if subject.coarse_to_fine:
        late = amplitude * gain[day] * _within(responses, coarse)[image]
        late[:, dead] = 0
    presented = Presented(raw, late, day, baseline, latency, regions, mapping, dead)
    in_time = trials(presented, n_train, n_test, settings.trials, settings.sample_ms, rng)
    return Recording(fields, in_time, mapping, noise_free)


def _within(responses: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Responses less the mean response to all images of the same group: (images, electrodes)."""
    _, member = np.unique(groups, return_inverse=True)
    total = np.zeros((member.max() + 1, responses.shape[1]))
    np.add.at(total, member, responses)
    return responses - (total / np.bincount(member)[:, None])[member]
