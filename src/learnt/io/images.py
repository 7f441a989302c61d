"""One picture file as an RGB array, decoded only when its announced size is reasonable."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np

from learnt.core.errors import InputError, UntrustedFileError
from learnt.io.reading import open_regular, printable

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")


def read_image(path: str | os.PathLike[str], *, max_pixels: int = 1 << 25) -> np.ndarray:
    """Read the first frame of a PNG, JPEG, WebP, BMP or GIF file.

    Args:
        path: the file; its content decides the format, not its name.
        max_pixels: width x height above which the file is refused before it is decoded (33.5 million).

    Returns:
        (H, W, 3) uint8 RGB; transparency is dropped, grey values are repeated.

    Raises:
        StorageError: missing or unreadable. UntrustedFileError: not such an image, damaged, or too large.
        InputError: 16- or 32-bit grey values, which have no agreed range.
    """
    from PIL import Image, UnidentifiedImageError  # pillow comes with matplotlib

    with open_regular(path) as (file, _), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pillow warns about size (checked here) and odd metadata (unused here)
        try:
            with Image.open(file, formats=FORMATS) as image:
                width, height = image.size
                if width * height > max_pixels:
                    raise UntrustedFileError(
                        str(path),
                        found=f"an image of {width:,} x {height:,} pixels",
                        expected=f"at most {max_pixels:,} pixels",
                        remedy="If you trust the file, raise max_pixels.",
                    )
                if image.mode.startswith(("I", "F")):
                    raise InputError(
                        str(path),
                        found=f"pixels of mode {printable(image.mode)}",
                        expected="8 bits a channel",
                        remedy="Convert the image, so that the range of its values is your choice.",
                    )
                pixels = np.array(image.convert("RGB"))
        except UnidentifiedImageError as error:
            raise UntrustedFileError(
                str(path),
                found=f"a {Path(path).suffix or 'file'} that is not an image we read",
                expected=", ".join(FORMATS),
            ) from error
        except Image.DecompressionBombError as error:
            raise UntrustedFileError(
                str(path), found="an image of far too many pixels", expected=f"at most {max_pixels:,} pixels"
            ) from error
        except (UntrustedFileError, InputError):
            raise
        except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, KeyError, OverflowError) as error:
            # decoders of damaged files raise all of these
            raise UntrustedFileError(
                str(path),
                found="an image that cannot be decoded",
                expected="a whole image file",
                remedy="The file is damaged or cut short.",
            ) from error
    if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise UntrustedFileError(str(path), found=f"an image of shape {pixels.shape}", expected="height x width x 3")
    return pixels
