"""Files of pictures, chunk by chunk, that no program would write, and the light they stand for."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""Of PNG, by channels: grey, grey and alpha, RGB, RGBA."""


# x and y of white; of red, green and blue
D65 = (0.3127, 0.3290)
SRGB = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
P3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
BT2020 = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046)
ADOBE = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06)


def scene(height: int = 45, width: int = 67) -> NDArray[np.uint8]:
    """A smooth uint8 [height, width, 3] with a different colour in each corner."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.rint(np.stack([x, y, 1 - (x + y) / 2], -1) * 255).astype(np.uint8)


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def header(width: int, height: int, depth: int = 8, colour_type: int = 2) -> bytes:
    """The IHDR chunk of a PNG file."""
    fields = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    return chunk(b"IHDR", fields)


def png_of_rows(ihdr: bytes, rows: bytes, *chunks: bytes) -> bytes:
    """A PNG file: ``chunks`` before the rows, each of which starts with its filter's byte."""
    parts = [SIGNATURE, ihdr, *chunks, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND")]
    return b"".join(parts)


def png(pixels: NDArray, *chunks: bytes) -> bytes:
    """A PNG file of uint8 or uint16 [H, W, channels], with ``chunks`` before the pixels.

    Pillow writes neither 16 bits in colour nor chunks of one's own.
    """
    height, width, channels = pixels.shape
    big_endian = pixels.dtype.newbyteorder(">")
    rows = b"".join(b"\0" + row.astype(big_endian).tobytes() for row in pixels)
    ihdr = header(width, height, 8 * pixels.dtype.itemsize, COLOUR_TYPES[channels])
    return png_of_rows(ihdr, rows, *chunks)


def jpeg(pixels: NDArray[np.uint8] | None = None, mode: str = "RGB", **options: object) -> bytes:
    """A JPEG file of uint8 [H, W, 3] by Pillow, quality 90 unless ``options`` say otherwise."""
    stream = io.BytesIO()
    image = Image.fromarray(scene(200, 301) if pixels is None else pixels).convert(mode)
    image.save(stream, "JPEG", **{"quality": 90, **options})
    return stream.getvalue()


def srgb_of_light(light: NDArray) -> NDArray[np.float64]:
    """sRGB values, 0 to 255 and not rounded, of linear light (IEC 61966-2-1, in NumPy)."""
    light = np.clip(light, 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def light_of_srgb(values: NDArray) -> NDArray[np.float64]:
    """Linear light of sRGB values from 0 to 255 (IEC 61966-2-1, in NumPy)."""
    unit = np.asarray(values) / 255
    return np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)


def to_bt709(white: tuple[float, float], primaries: tuple[float, ...]) -> NDArray[np.float64]:
    """The matrix from linear RGB of these chromaticities to linear BT.709, relative to white.

    From the definitions (SMPTE RP 177) and Bradford's adaptation (ICC.1:2022, annex E), in NumPy.
    """
    bradford = np.array(
        [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    )

    def xyz(x: float, y: float) -> NDArray[np.float64]:
        return np.array([x / y, 1, (1 - x - y) / y])

    def rgb_to_xyz(point: tuple[float, float], corners: tuple[float, ...]) -> NDArray:
        columns = np.stack([xyz(*corners[at : at + 2]) for at in (0, 2, 4)], -1)
        return columns * np.linalg.solve(columns, xyz(*point))

    d65, bt709 = (0.3127, 0.3290), (0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
    gain = (bradford @ xyz(*d65)) / (bradford @ xyz(*white))
    adapt = np.linalg.inv(bradford) @ np.diag(gain) @ bradford
    return np.linalg.inv(rgb_to_xyz(d65, bt709)) @ adapt @ rgb_to_xyz(white, primaries)


def srgb_profile() -> bytes:
    """An ICC profile of sRGB, by littlecms."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def iccp(profile: bytes, name: bytes = b"sRGB") -> bytes:
    """PNG's chunk of an ICC profile."""
    return chunk(b"iCCP", name + b"\0\0" + zlib.compress(profile))


def gama(gamma: float) -> bytes:
    """PNG's chunk of a gamma."""
    return chunk(b"gAMA", struct.pack(">I", round(100_000 / gamma)))


def chrm(white: tuple[float, float], primaries: tuple[float, ...]) -> bytes:
    """PNG's chunk of chromaticities."""
    return chunk(b"cHRM", struct.pack(">8I", *(round(n * 100_000) for n in (*white, *primaries))))


def by_formula(
    pixels: NDArray, white: tuple[float, float], primaries: tuple[float, ...], gamma: float | None
) -> NDArray[np.float64]:
    """sRGB values, 0 to 255, of uint8 RGB in a colour space, in NumPy; ``gamma`` None is sRGB's
    curve."""
    light = light_of_srgb(pixels) if gamma is None else (pixels / 255) ** gamma
    return srgb_of_light(light @ to_bt709(white, primaries).T)
