"""JPEG XL of HDR: pixels by libjxl, which refuses a header that it does not understand, and what
the header says by our reader."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from compile.imaging.decode_jxl import jxl_exif
from compile.imaging.gamuts import BT2020
from compile.imaging.hdr_jxl import BITS, encode_hdr_jxl
from compile.imaging.jxl_header import find_frames, read_jxl_header


def random_codes(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(1 << BITS, size=(height, width, 3), dtype="u2")


@pytest.mark.parametrize("transfer", [16, 18])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (45, 67), (512, 513), (3, 8193)])
def test_pixels_and_colours(height: int, width: int, transfer: int) -> None:
    codes = random_codes(height, width)
    data = encode_hdr_jxl(codes, (9, transfer), None)
    assert np.array_equal(imagecodecs.jpegxl_decode(data), codes)
    header = read_jxl_header(data)
    assert (header.height, header.width, header.bits) == (height, width, BITS)
    assert not header.is_float and not header.has_profile
    assert header.primaries == BT2020.primaries
    assert header.transfer == transfer and header.gamma is None
    with pytest.raises(ValueError, match="not that of a plain picture"):
        find_frames(data)  # It says how bright it is.


def test_exif_is_in_a_box_of_its_own() -> None:
    exif = Image.Exif()
    exif[0x010F] = "Mira"
    tiff = exif.tobytes().removeprefix(b"Exif\0\0")
    codes = random_codes(45, 67)
    data = encode_hdr_jxl(codes, (9, 16), tiff)
    assert jxl_exif(data) == tiff
    assert np.array_equal(imagecodecs.jpegxl_decode(data), codes)


def test_frames_of_the_encoder_are_taken_as_they_are() -> None:
    """Else the picture would be the encoder's idea of the colours."""
    codes = random_codes(45, 67)
    plain = bytes(imagecodecs.jpegxl_encode(codes, lossless=True, effort=3, bitspersample=BITS))
    assert encode_hdr_jxl(codes, (9, 16), None).endswith(plain[find_frames(plain) :])
