"""JPEG XL without loss that says what its numbers mean (ISO/IEC 18181-1 and -2).

libjxl's encoder takes any colours; the package that calls it takes none. Without loss the pixels
are stored as they are, whatever they mean, so a header with their colours replaces the encoder's.
"""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from compile.imaging.avif_boxes import box
from compile.imaging.jxl_header import find_frames

BITS = 12
"""Of a sample: what BT.2100 has beside 10."""

# A tenth of the time of the usual effort, for a fifth more bytes.
_EFFORT = 3
# Of the largest number, cd/m2, by its transfer function.
_PEAK_NITS = {16: 10_000, 18: 1000}
_SIZES = (9, 13, 18, 30)
_RELATIVE = 1
_SIGNATURE, _BRAND = b"\r\n\x87\n", b"jxl \0\0\0\0jxl "


def encode_hdr_jxl(
    codes: NDArray[np.uint16], colours: tuple[int, int], tiff: bytes | None
) -> bytes:
    """JPEG XL bytes of ``codes``, uint16 [H, W, 3] of :data:`BITS` bits, full range.

    Args:
        colours: of ITU-T H.273, primaries and transfer (16 or 18); white is D65.
        tiff: EXIF from its TIFF header on, or None.
    """
    encoded = imagecodecs.jpegxl_encode(
        codes,
        lossless=True,
        effort=_EFFORT,
        bitspersample=BITS,
        usecontainer=False,
        numthreads=1,
    )
    data = bytes(encoded)
    height, width, _ = codes.shape
    codestream = _header(height, width, *colours) + data[find_frames(data) :]
    if tiff is None:
        return codestream
    boxes = box(b"JXL ", _SIGNATURE) + box(b"ftyp", _BRAND)
    return boxes + box(b"Exif", bytes(4) + tiff) + box(b"jxlc", codestream)


def _header(height: int, width: int, primaries: int, transfer: int) -> bytes:
    """That of a picture whose colours are those of two codes."""
    bits = _Bits()
    bits.put(0x0AFF, 16)
    bits.put(0, 1)  # The size is not in eighths,
    bits.put_size(height)
    bits.put(0, 3)  # nor the width by a ratio.
    bits.put_size(width)
    bits.put(0, 1)  # Not all is as usual:
    bits.put(1, 1)  # how bright it is will be told;
    bits.put(0, 6)  # upright, and neither a size, a preview nor an animation.
    bits.put(0, 1)  # Integers
    bits.put(2, 2)  # of 12 bits,
    bits.put(1, 1)  # whose differences fit 16;
    bits.put(0, 2)  # no other channels;
    bits.put(0, 1)  # not XYB.
    bits.put(0, 2)  # Colours of their own, without a profile:
    for code in (0, 1, primaries):  # RGB, D65
        bits.put_enum(code)
    bits.put(0, 1)  # no gamma
    bits.put_enum(transfer)
    bits.put_enum(_RELATIVE)
    bits.put(0, 1)  # How bright:
    (peak,) = struct.unpack("<H", struct.pack("<e", _PEAK_NITS[transfer]))
    bits.put(peak, 16)
    bits.put(0, 16 + 1 + 16)  # the least; all of it in cd/m2; nothing below is linear.
    bits.put(0, 2)  # No extensions,
    bits.put(1, 1)  # the usual matrices.
    return bits.to_bytes()


class _Bits:
    """Writes numbers, the lowest bits first."""

    def __init__(self) -> None:
        self._value, self._length = 0, 0

    def put(self, value: int, count: int) -> None:
        self._value |= value << self._length
        self._length += count

    def put_size(self, pixels: int) -> None:
        form = next(n for n, bits in enumerate(_SIZES) if pixels <= 1 << bits)
        self.put(form, 2)
        self.put(pixels - 1, _SIZES[form])

    def put_enum(self, code: int) -> None:
        if code < 2:
            self.put(code, 2)
        elif code < 18:
            self.put(2, 2)
            self.put(code - 2, 4)
        else:
            self.put(3, 2)
            self.put(code - 18, 6)

    def to_bytes(self) -> bytes:
        return self._value.to_bytes(-(-self._length // 8), "little")
