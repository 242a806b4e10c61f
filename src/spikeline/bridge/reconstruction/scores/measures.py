"""How like the shown image a reconstruction is: pixels, structure, and features of networks.

Every function takes images or features row by row, the k-th made from the responses to the k-th
shown. The measures are those of Brain-Diffuser (Ozcelik and VanRullen 2023, Sci. Rep. 13:15666) and
MindEye (Scotti et al. 2023, arXiv 2305.18274), computed as the published code of the latter does.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from skimage import metrics

from spikeline.bridge.retrieval import ranks

# Of scikit-image's rgb2gray, which the published code uses: ITU-R BT.709.
_LUMINANCE = np.array([0.2125, 0.7154, 0.0721], dtype=np.float32)
# Standard deviation of SSIM's Gaussian window, pixels (Wang et al. 2004), and the window's side, as
# scikit-image cuts it: at 3.5 standard deviations.
_SSIM_SIGMA = 1.5
SSIM_WINDOW = 2 * int(3.5 * _SSIM_SIGMA + 0.5) + 1
# Images for each dimension of the features below which a Frechet distance says little: the
# covariance is of rank n - 1, and its error falls with n / dimensions.
FRECHET_IMAGES = 10


def resized(pixels: np.ndarray, size: int) -> np.ndarray:
    """Square images brought to a side of `size` pixels with antialiasing.

    Args:
        pixels: (n, side, side, 3) uint8.

    Returns:
        (n, size, size, 3) uint8.
    """
    if pixels.shape[1:3] == (size, size):
        return np.asarray(pixels)
    rows = [
        np.asarray(Image.fromarray(row).resize((size, size), Image.Resampling.BICUBIC))
        for row in np.asarray(pixels)
    ]
    return np.stack(rows)


def pixel_correlation(shown: np.ndarray, made: np.ndarray) -> np.ndarray:
    """PixCorr: Pearson correlation over all pixels and channels of each pair.

    Args:
        shown, made: (n, height, width, 3) uint8.

    Returns:
        (n,) float64 in -1..1; 0 where either image is constant, which correlates with nothing.

    Source: Ozcelik and VanRullen 2023.
    """
    return paired_correlations(shown.reshape(len(shown), -1), made.reshape(len(made), -1))


def structural_similarity(shown: np.ndarray, made: np.ndarray) -> np.ndarray:
    """SSIM of each pair in grey, data range 1, Gaussian window of 11 x 11 pixels.

    Args:
        shown, made: (n, height, width, 3) uint8, at least 11 pixels high and wide.

    Returns:
        (n,) float64 in -1..1.

    Formula: Wang et al. 2004 (IEEE Trans. Image Process. 13:600), K1 = .01, K2 = .03. Where the
    window reaches beyond the image, the published code does not look, nor does this.
    """
    return np.array(
        [
            metrics.structural_similarity(
                *((image.astype(np.float32) / 255) @ _LUMINANCE for image in pair),
                data_range=1.0,
                gaussian_weights=True,
                sigma=_SSIM_SIGMA,
                use_sample_covariance=False,
            )
            for pair in zip(made, shown, strict=True)
        ]
    )


def correlations(shown: np.ndarray, made: np.ndarray) -> np.ndarray:
    """Pearson correlation of the features of every image made with those of every one shown.

    Args:
        shown, made: (n, dimensions).

    Returns:
        (n, n) float32, rows = made, columns = shown; 0 where features are constant.
    """
    return _standardised(made) @ _standardised(shown).T


def paired_correlations(shown: np.ndarray, made: np.ndarray) -> np.ndarray:
    """(n,) float64: the diagonal of `correlations`, with the same arguments."""
    # Row by row: pixels of large images in double precision are many.
    return np.array(
        [
            float(np.dot(*(_standardised(row[None].astype(np.float64))[0] for row in pair)))
            for pair in zip(shown, made, strict=True)
        ]
    )


def cosines(shown: np.ndarray, made: np.ndarray) -> np.ndarray:
    """(n, n) cosine similarity, arguments and rows as in `correlations`."""
    return _unit(made) @ _unit(shown).T


def two_way(similarity: np.ndarray) -> np.ndarray:
    """Two-way identification: how often the image made is more like the shown one than another.

    Args:
        similarity: (n, n), rows = made, columns = shown, see `correlations`; in other pairs with
            its rows in another order.

    Returns:
        (n,) float64: for each shown image the share of the n - 1 others that are less like the
        image made; ties count half, so that chance is .5.

    Source: Ozcelik and VanRullen 2023; MindEye compares the same way round.
    """
    return 1 - ranks(similarity).rank / (similarity.shape[1] - 1)


def identified(similarity: np.ndarray, k: int) -> np.ndarray:
    """N-way identification: whether the shown image is among the k of all n most like the one made.

    Arguments as in `two_way`.

    Returns:
        (n,) float64 in 0..1: 1 or 0 where nothing is tied; chance is k / n.
    """
    return ranks(similarity).hits(k)


def frechet_distance(shown: np.ndarray, made: np.ndarray) -> float:
    """Squared Frechet distance of two sets of features, each taken as a Gaussian.

    Args:
        shown, made: (n, dimensions); see `enough_for_frechet`.

    Formula: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) (Heusel et al. 2017, arXiv 1706.08500).
    """
    shown, made = (np.asarray(rows, dtype=np.float64) for rows in (shown, made))
    first, second = (np.atleast_2d(np.cov(rows, rowvar=False)) for rows in (shown, made))
    # Eigenvalues of a product of two covariances are real and not negative, but for rounding.
    roots = np.sqrt(np.clip(np.linalg.eigvals(first @ second).real, 0, None)).sum()
    offset = ((shown.mean(axis=0) - made.mean(axis=0)) ** 2).sum()
    return float(offset + np.trace(first) + np.trace(second) - 2 * roots)


def enough_for_frechet(images: int, dimensions: int) -> bool:
    """Whether so many images settle the covariance of so many features."""
    return images >= FRECHET_IMAGES * dimensions


def mispairings(images: int, count: int, seed: int) -> list[np.ndarray]:
    """Other images for each image: cyclic shifts of all images in a random order.

    Args:
        images: n, two or more.
        count: of shifts; at most n - 1 are there.
        seed: of the order.

    Returns:
        `count` or n - 1 arrays (n,) int: the image that stands for each. In none does an image
        stand for itself, and in no two for the same one.
    """
    order = np.random.default_rng(seed).permutation(images)
    found = []
    for shift in range(1, min(count, images - 1) + 1):
        pairing = np.empty(images, dtype=np.int64)
        pairing[order] = np.roll(order, -shift)
        found.append(pairing)
    return found


def _standardised(rows: np.ndarray) -> np.ndarray:
    """Each row centred and of length 1; a constant row is all zero."""
    rows = np.asarray(rows, dtype=np.result_type(rows.dtype, np.float32))
    centred = rows - rows.mean(axis=1, keepdims=True)
    # What rounding leaves of a constant row is no signal.
    scale = np.abs(rows).max(axis=1, keepdims=True)
    flat = np.abs(centred).max(axis=1, keepdims=True) <= 1e-6 * scale
    return _unit(np.where(flat, 0, centred))


def _unit(rows: np.ndarray) -> np.ndarray:
    """Each row of length 1; a row of zeros stays."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length == 0, 1, length)
