"""Linear light as a file: JPEG with a gain map for every screen, AVIF for HDR screens, EXR for
further work, JPEG XL and PNG."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import imagecodecs
import numpy as np
import OpenEXR
from PIL import Image

from compile.imaging.avif_exif import add_exif
from compile.imaging.avif_light_level import add_light_level, level_of, nits_of
from compile.imaging.base_photo import BasePhoto
from compile.imaging.brightest_channel import brightest_channel
from compile.imaging.carry_exif import exif_tiff, exr_attributes
from compile.imaging.decode_hdr import WHITE_NITS
from compile.imaging.gain_map_avif import encode_gain_map_avif
from compile.imaging.gamuts import SRGB, Gamut
from compile.imaging.hdr_jxl import BITS, encode_hdr_jxl
from compile.imaging.hdr_png import encode_hdr_png
from compile.imaging.row_bands import row_bands
from compile.imaging.tone_map import tone_map
from compile.imaging.transfer import hlg_encode, pq_encode
from compile.imaging.ultra_hdr import encode_ultra_hdr
from compile.support.atomic import write_atomically
from compile.support.errors import OutputError

JPEG = (".jpg", ".jpeg")
"""Endings of a photograph with a gain map for all screens."""

_HALF_MAX = 65504.0


Transfer = Literal["pq", "hlg"]

# ITU-T H.273, table 3, and the function.
_TRANSFERS: dict[str, tuple[int, Callable[[np.ndarray], np.ndarray]]] = {
    "pq": (16, pq_encode),
    "hlg": (18, hlg_encode),
}
_BT2020 = 9


@dataclass(frozen=True)
class HdrOptions:
    """How a file is written.

    Attributes:
        exif: what it says of the moment and the camera, from
            :func:`compile.imaging.carry_exif.carried_exif`; None for nothing.
        photo: what was photographed, for screens without HDR: the base of a JPEG.
        keeps_words: whether the photograph's own JPEG file may keep all that it says beside the
            pixels; else it gets ``exif`` alone.
        quality: of AVIF, and of a JPEG's base that is not the photograph's own file, 0 to 100.
        speed: of AVIF, 0 (slowest, smallest file) to 10.
        transfer: of the light in an AVIF or JPEG XL, PQ for None; a PNG is a preview for None.
        gain_map: of AVIF, whether it is the photograph with a gain map, as a JPEG is.
        gamut: whose primaries the light has.
    """

    exif: Image.Exif | None = None
    photo: BasePhoto | None = None
    keeps_words: bool = True
    quality: int = 95
    speed: int = 6
    transfer: Transfer | None = None
    gain_map: bool = False
    gamut: Gamut = SRGB


_DEFAULTS = HdrOptions()


def write_hdr(path: str | Path, linear: np.ndarray, options: HdrOptions = _DEFAULTS) -> None:
    """Write relative light, float32 [H, W, 3], linear, 1 = LDR white, by the file's ending.

    - ``.jpg``: the photograph, and a gain map: :func:`compile.imaging.ultra_hdr.encode_ultra_hdr`
    - ``.avif``: 10 bits, 4:4:4, full range, PQ or HLG, BT.2020, LDR white at 203 cd/m2; or the
      photograph and a gain map
    - ``.exr``: half floats, ZIP, the light as it is
    - ``.jxl``: 12 bits without loss, full range, in the colours of AVIF
    - ``.png``: 8-bit sRGB, tone-mapped (ITU-R BT.2390): a preview, not HDR; with a transfer as
      AVIF, in 16 bits

    The file is written whole or not at all.

    Raises:
        OutputError: an unknown ending, light that is not finite, or the file cannot be written.
        ValueError: the light is not [H, W, 3].
    """
    encode = _encoder(Path(path))
    if linear.ndim != 3 or linear.shape[-1] != 3:
        raise ValueError(f"light of shape {linear.shape} is no [H, W, 3] image")
    if not np.isfinite(linear).all():
        raise not_finite(path)
    write_atomically(path, encode(linear, options))


def not_finite(path: str | Path) -> OutputError:
    """The error of light that cannot be written."""
    return OutputError(
        f"{path} cannot be written: the network gives values that are not finite; .npz holds them "
        "as they are"
    )


def check_ending(path: str | Path) -> None:
    """Raise OutputError for an ending that :func:`write_hdr` does not know: before the work."""
    _encoder(Path(path))


def encode_avif(linear: np.ndarray, options: HdrOptions = _DEFAULTS) -> bytes:
    """AVIF bytes, 10 bits in BT.2020 (full range, 4:4:4), of relative light.

    The transfer is PQ or HLG (:mod:`compile.imaging.transfer`); how bright the picture is stands
    there, too. With a gain map instead it is what
    :func:`compile.imaging.gain_map_avif.encode_gain_map_avif` makes.
    """
    if options.gain_map:
        return encode_gain_map_avif(
            linear, options.photo, options.exif, options.quality, options.speed, options.gamut
        )
    codes, transfer, level = _codes(linear, options, 10)
    encoded = imagecodecs.avif_encode(
        codes,
        level=options.quality,
        speed=options.speed,
        bitspersample=10,
        pixelformat="444",
        primaries=_BT2020,
        transfer=transfer,
        matrix=_BT2020,
    )
    data = add_light_level(bytes(encoded), *level)
    return data if options.exif is None else add_exif(data, exif_tiff(options.exif))


def encode_exr(linear: np.ndarray, options: HdrOptions = _DEFAULTS) -> bytes:
    """OpenEXR bytes, half float RGB with ZIP; whiteLuminance says what 1.0 is in cd/m2."""
    header = {
        "type": OpenEXR.scanlineimage,
        "compression": OpenEXR.ZIP_COMPRESSION,
        "chromaticities": options.gamut.chromaticities,
        "whiteLuminance": WHITE_NITS,
        **({} if options.exif is None else exr_attributes(options.exif)),
    }
    pixels = np.ascontiguousarray(np.clip(linear, -_HALF_MAX, _HALF_MAX), dtype=np.float16)
    stream = io.BytesIO()
    OpenEXR.File(header, {"RGB": pixels}).write(stream)
    return stream.getvalue()


def encode_jxl(linear: np.ndarray, options: HdrOptions = _DEFAULTS) -> bytes:
    """JPEG XL bytes without loss, 12 bits in BT.2020, PQ or HLG, of relative light."""
    codes, transfer, _ = _codes(linear, options, BITS)
    tiff = None if options.exif is None else exif_tiff(options.exif)
    return encode_hdr_jxl(codes, (_BT2020, transfer), tiff)


def encode_png(linear: np.ndarray, options: HdrOptions = _DEFAULTS) -> bytes:
    """PNG bytes of the tone-mapped preview (:func:`compile.imaging.tone_map.tone_map`), or in HDR
    where a transfer is named: 16 bits in BT.2020."""
    if options.transfer is not None:
        codes, transfer, level = _codes(linear, options, 16)
        tiff = None if options.exif is None else exif_tiff(options.exif)
        return encode_hdr_png(codes, (_BT2020, transfer), level, tiff)
    stream = io.BytesIO()
    # A third of the time of the usual level, for a tenth more bytes.
    preview = Image.fromarray(tone_map(options.gamut.to_bt709(linear)))
    preview.save(stream, "PNG", exif=options.exif, compress_level=3)
    return stream.getvalue()


def _codes(
    linear: np.ndarray, options: HdrOptions, bits: int
) -> tuple[np.ndarray, int, tuple[int, int]]:
    """Codes in BT.2020, whole numbers of ``bits``, uint16 [H, W, 3]; the code of their transfer
    function; MaxCLL and MaxFALL in cd/m2."""
    transfer, encode = _TRANSFERS[options.transfer or "pq"]
    codes = np.empty(linear.shape, np.uint16)
    most, total = 0.0, 0.0
    for rows in row_bands(*linear.shape[:2]):
        nits = nits_of(linear[rows], options.gamut)
        codes[rows] = np.rint(encode(nits) * ((1 << bits) - 1))
        brightest = brightest_channel(nits)
        most = max(most, float(brightest.max()))
        total += float(brightest.sum(dtype=np.float64))
    return codes, transfer, level_of(most, total / (codes.size / 3))


def encode_jpeg(linear: np.ndarray, options: HdrOptions = _DEFAULTS) -> bytes:
    """JPEG bytes of the photograph with a gain map."""
    return encode_ultra_hdr(
        linear,
        options.photo,
        options.exif,
        options.quality,
        options.keeps_words,
        options.gamut,
    )


ENCODERS: dict[str, Callable[[np.ndarray, HdrOptions], bytes]] = {
    ".jpg": encode_jpeg,
    ".jpeg": encode_jpeg,
    ".avif": encode_avif,
    ".jxl": encode_jxl,
    ".exr": encode_exr,
    ".png": encode_png,
}


def _encoder(path: Path) -> Callable[[np.ndarray, HdrOptions], bytes]:
    try:
        return ENCODERS[path.suffix.lower()]
    except KeyError:
        known = ", ".join(ENCODERS)
        ending = f"the ending {path.suffix!r}" if path.suffix else "no ending"
        raise OutputError(
            f"{path} has {ending}; name the output with one of {known}, of a clip with .mkv, .mp4 "
            "or .mov"
        ) from None
