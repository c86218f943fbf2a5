"""What the decoders hand on: pixels as stored, and what the file says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from compile.imaging.colour_spaces import ColourSpace


@dataclass(frozen=True)
class DecodedPhoto:
    """Pixels of a file before orientation, colour space and transparency are applied.

    Attributes:
        pixels: [H, W, channels], uint8 or uint16: 1 channel is grey, 3 are RGB, 4 are CMYK
            (0 is no ink).
        alpha: [H, W] of the same dtype, 0 is transparent; None for an opaque picture.
        spaces: the colour spaces that the file names, the one that has precedence first.
        orientation: of EXIF, 1 to 8.
        warnings: what could not be read beside the pixels, a sentence each.
        is_shrunk: whether the file has more pixels.
    """

    pixels: NDArray[Any]
    alpha: NDArray[Any] | None = None
    spaces: tuple[ColourSpace, ...] = ()
    orientation: int = 1
    warnings: tuple[str, ...] = ()
    is_shrunk: bool = False


GAIN_MAP_IGNORED = "has a gain map, which is ignored: the picture for screens without HDR is taken"
"""A warning: what becomes of a photograph that is HDR by a map beside it."""

APPLES_GAIN_MAP = b"urn:com:apple:photo:2020:aux:hdrgainmap"
"""What Apple calls the picture of the map, before there was a standard."""


class DamagedFileError(Exception):
    """The file's pixels are not all there, or contradict each other."""


class UnsupportedFileError(Exception):
    """The file is sound, but of a kind that is not read; the text says which."""
