"""One image from bytes that anyone may have written: RGB pixels, or an error that names it."""

from __future__ import annotations

import io
import warnings

from PIL import Image

from spikeline.errors import InputError

# What the suffixes that we pack stand for. Pillow knows more formats, and starts another program
# (Ghostscript) for one of them, whatever the file is called.
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "GIF", "WEBP")
# A file of a few kilobytes may claim to be of any size; Pillow itself warns from half of this on.
MAX_PIXELS = 178_956_970


def decoded(content: bytes, where: str) -> Image.Image:
    """The image in a file's bytes, RGB.

    Args:
        where: names the image in errors.

    Raises:
        InputError: none of `FORMATS`, damaged, or larger than `MAX_PIXELS`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise Image.DecompressionBombError
                return image.convert("RGB")
    except Image.DecompressionBombError:
        raise InputError(
            f"{where} claims more than {MAX_PIXELS // 10**6} million pixels; refused, reduce it"
        ) from None
    except MemoryError:
        raise
    # What Pillow raises on a file that is not one: as many kinds as there are bytes.
    except Exception:
        raise InputError(f"{where} cannot be decoded; replace it") from None
