"""Presentations of the images to one simulated monkey, normalised as TVSD's normMUA."""

from dataclasses import dataclass

import numpy as np

from spikeline.reliability import leave_one_out_reliability, pairwise_reliability
from spikeline.simulate.electrodes import V4Maps, electrode_rows, region_drive
from spikeline.simulate.images import Stimuli
from spikeline.simulate.settings import Subject, TwinSettings

TIME = np.arange(-100, 200)  # ms after stimulus onset
WINDOWS = {"V1": (25, 125), "V4": (50, 150), "IT": (75, 175)}  # ms, averaged into one response
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
    trials: dict[str, np.ndarray]
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


def _within(region: str) -> np.ndarray:
    """Samples (time,) inside the region's window: bool."""
    first, end = WINDOWS[region]
    return (first <= TIME) & (end > TIME)


def _time_course(latency: float, region: str, rng: np.random.Generator) -> np.ndarray:
    """Evoked time course (time,): 0 before the latency, mean 1 in the region's window."""
    since = np.clip(TIME - latency, 0, None)
    transient = since / 12 * np.exp(1 - since / 12)
    sustained = rng.uniform(0.3, 0.6) * (1 - np.exp(-since / 15))
    course = transient + sustained
    return course / course[_within(region)].mean()


def record(
    responses: np.ndarray,
    test: np.ndarray,
    subject: Subject,
    settings: TwinSettings,
    rng: np.random.Generator,
) -> Recording:
    """Present every training image once and every test image `repetitions` times.

    Presentations spread over the subject's days; response gain and offset change from day to day.
    As in TVSD, each day's responses are z-scored per electrode by that day's presentations of test
    images, so the training responses have neither mean 0 nor variance 1.

    Args:
        responses: (images, electrodes) from `noise_free_responses`.
        test: (images,) bool.
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
        "tb": TIME.astype(np.float64)[:, None],
    }
    trials = _trials(raw, day, baseline, latency, regions, mapping, test, settings, rng)
    return Recording(fields, trials, mapping, noise_free)


def _trials(
    raw: np.ndarray,
    day: np.ndarray,
    baseline: np.ndarray,
    latency: np.ndarray,
    regions: np.ndarray,
    mapping: np.ndarray,
    test: np.ndarray,
    settings: TwinSettings,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Time-resolved presentations, half of them of test images, in raw-channel order.

    The mean over a region's window is exactly the response that was normalised.
    """
    n_train, n_test = (~test).sum(), test.sum()
    n_half = settings.trials // 2
    tests = rng.permutation(len(raw) - n_train)[:n_half] + n_train
    kept = np.concatenate([rng.permutation(n_train)[: settings.trials - n_half], tests])
    kept = kept[np.argsort(day[kept], kind="stable")]
    is_test = kept >= n_train

    at = zip(latency, regions, strict=True)
    courses = np.stack([_time_course(onset, region, rng) for onset, region in at], axis=1)
    within = np.stack([_within(r) for r in regions], axis=1).astype(np.float32)
    within /= within.sum(axis=0)
    base = baseline[day[kept]].astype(np.float32)
    evoked = (raw[kept] - base).astype(np.float32)
    jitter = rng.standard_normal((len(TIME), *evoked.shape), dtype=np.float32)
    jitter -= np.einsum("tpe,te->pe", jitter, within)
    physical = base + courses[:, None].astype(np.float32) * evoked + jitter
    recorded = np.empty_like(physical)
    recorded[..., mapping - 1] = physical

    row = np.where(is_test, (kept - n_train) % n_test, kept)
    repetition = np.where(is_test, (kept - n_train) // n_test + 1, 1)
    table = np.stack(
        [
            np.arange(1, len(kept) + 1),
            np.where(is_test, 0, row + 1),
            np.where(is_test, row + 1, 0),
            repetition,
            np.arange(1, len(kept) + 1),
            day[kept] + 1,
        ]
    )
    return {
        "ALLMUA": recorded,
        "ALLMAT": table.astype(np.float64),
        "tb": TIME.astype(np.float64)[:, None],
    }
