"""AVIF with a gain map: its boxes by the reader of HEIC and AVIF, its pictures by Pillow and dav1d.

libavif's own reader of maps is in no package of Debian 12: docs/photographs.md says what version
1.2 of it showed.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path

import av
import numpy as np
import pytest
from brightened_photo import light_of, photograph
from PIL import Image

from compile.imaging import gamuts
from compile.imaging.base_photo import BasePhoto
from compile.imaging.decode_hdr import mu_law
from compile.imaging.gain_map import OFFSET
from compile.imaging.gain_map_avif import encode_gain_map_avif
from compile.imaging.gamuts import Gamut
from compile.imaging.heif_items import HeifItems, read_heif_items
from compile.imaging.metrics import psnr
from compile.imaging.read_photo import read_wide_photo
from compile.imaging.transfer import srgb_decode

QUALITY, SPEED = 95, 8


def encoded(gamut: Gamut = gamuts.SRGB, exif: Image.Exif | None = None) -> bytes:
    pixels = photograph()
    return encode_gain_map_avif(light_of(pixels), BasePhoto(pixels), exif, QUALITY, SPEED, gamut)


def bytes_of(file: HeifItems, number: int) -> bytes:
    return b"".join(file.data[at : at + size] for at, size in file.items[number].extents)


def by_dav1d(data: bytes) -> np.ndarray:
    """uint8 [H, W, 3] of an item's AV1 frame, 4:4:4, full range, BT.601's matrix (ITU-T H.273)."""
    decoder = av.CodecContext.create("libdav1d", "r")
    (frame,) = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
    y, cb, cr = frame.to_ndarray().astype(np.float32)
    cb, cr = cb - 128, cr - 128
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], -1)
    return np.rint(np.clip(rgb, 0, 255)).astype(np.uint8)


def ratios(body: bytes) -> np.ndarray:
    """Two headrooms, least and largest gain, gamma, two offsets: ISO 21496-1, C.2.2."""
    assert body[:6] == bytes([0, 0, 0, 0, 0, 0x40])
    numbers = struct.unpack(">14i", body[6:])
    return np.divide(numbers[::2], numbers[1::2])


@pytest.mark.parametrize("boost", [1.0, 2.0, 8.0])
def test_the_light_is_in_it(boost: float) -> None:
    """By what the file says alone, as a screen that reaches ``boost`` times white shows it."""
    data = encoded()
    file = read_heif_items(data)
    ((shown, parts),) = [(one, to) for name, one, to in file.references if name == b"dimg"]
    assert file.items[shown].kind == b"tmap" and parts == (file.primary, 3)
    _, headroom, low, high, gamma, offset, _ = ratios(bytes_of(file, shown))
    assert (gamma, offset) == (1, OFFSET)
    with Image.open(io.BytesIO(data)) as image:
        base = srgb_decode(np.asarray(image) / 255)
    stops = by_dav1d(bytes_of(file, parts[1])) / 255 * (high - low) + low
    weight = min(1, np.log2(boost) / headroom)
    found = (base + offset) * 2 ** (weight * stops) - offset
    linear, plain = light_of(photograph()), srgb_decode(photograph() / 255)
    expected = (plain + OFFSET) * ((linear + OFFSET) / (plain + OFFSET)) ** weight - OFFSET
    assert psnr(mu_law(found), mu_law(expected)) > 45


@pytest.mark.parametrize(
    ("gamut", "primaries"), [(gamuts.SRGB, 1), (gamuts.P3, 12), (gamuts.BT2020, 9)]
)
def test_each_picture_names_its_colours(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, gamut: Gamut, primaries: int
) -> None:
    data = encoded(gamut)
    file = read_heif_items(data)
    kinds = {number: item.kind for number, item in file.items.items()}
    assert kinds == {1: b"av01", 2: b"tmap", 3: b"av01"} and file.primary == 1
    assert data[8:12] == b"avif" and b"tmap" in data[12 : struct.unpack(">I", data[:4])[0]]
    codes = {
        number: struct.unpack(">4sHHHB", item.find(b"colr")[0])
        for number, item in file.items.items()
    }
    assert codes == {
        1: (b"nclx", primaries, 13, 1, 0x80),
        2: (b"nclx", primaries, 16, 1, 0x80),
        3: (b"nclx", 2, 2, 6, 0x80),
    }
    assert len(file.items[2].find(b"clli")) == 1
    path = tmp_path / "out.avif"
    path.write_bytes(data)
    assert read_wide_photo(path).gamut is gamut
    assert "has a gain map, which is ignored" in caplog.text


def test_it_carries_exif() -> None:
    exif = Image.Exif()
    exif[0x010F] = "Mira"
    data = encoded(exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif()[0x010F] == "Mira"
    assert (b"cdsc", 4, (1,)) in read_heif_items(data).references
