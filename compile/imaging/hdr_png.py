"""PNG in 16 bits that says what its numbers mean (PNG specification, third edition)."""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from compile.imaging.png_chunk import png_chunk

_HEADER_END = 8 + 25
_STEPS_PER_NIT = 10_000


def encode_hdr_png(
    codes: NDArray[np.uint16],
    colours: tuple[int, int],
    light_level: tuple[int, int],
    tiff: bytes | None,
) -> bytes:
    """PNG bytes of ``codes``, uint16 [H, W, 3], full range.

    Args:
        colours: of ITU-T H.273, primaries and transfer: the chunk cICP.
        light_level: MaxCLL and MaxFALL, cd/m2: the chunk cLLI.
        tiff: EXIF from its TIFF header on, or None: the chunk eXIf.
    """
    data = bytes(imagecodecs.png_encode(codes))
    primaries, transfer = colours
    chunks = png_chunk(b"cICP", bytes([primaries, transfer, 0, 1]))
    chunks += png_chunk(b"cLLI", struct.pack(">II", *(_STEPS_PER_NIT * one for one in light_level)))
    if tiff is not None:
        chunks += png_chunk(b"eXIf", tiff)
    return data[:_HEADER_END] + chunks + data[_HEADER_END:]
