"""What a photograph's EXIF says of the moment and the camera, for the pictures made of it.

Date, camera, lens, exposure, place, author. Not what described the photograph's own pixels (its
orientation, thumbnail, size and colours), nor the maker's note, whose offsets would be wrong.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from PIL import Image
from PIL.ExifTags import GPS, IFD, Base
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from compile.imaging.decode_heif import heif_exif, is_heif
from compile.imaging.decode_jxl import is_jxl, jxl_exif
from compile.imaging.decode_tiff import is_tiff
from compile.imaging.decode_webp import is_webp, webp_exif

_OF_PIXELS = frozenset(
    {
        Base.ImageWidth,
        Base.ImageLength,
        Base.BitsPerSample,
        Base.Compression,
        Base.PhotometricInterpretation,
        Base.StripOffsets,
        Base.Orientation,
        Base.SamplesPerPixel,
        Base.RowsPerStrip,
        Base.StripByteCounts,
        Base.PlanarConfiguration,
        Base.TransferFunction,
        Base.WhitePoint,
        Base.PrimaryChromaticities,
        Base.JpegIFOffset,
        Base.JpegIFByteCount,
        Base.YCbCrCoefficients,
        Base.YCbCrSubSampling,
        Base.YCbCrPositioning,
        Base.ReferenceBlackWhite,
        Base.ComponentsConfiguration,
        Base.CompressedBitsPerPixel,
        Base.MakerNote,
        Base.ColorSpace,
        Base.ExifImageWidth,
        Base.ExifImageHeight,
        Base.Gamma,
        Base.XMLPacket,
        Base.IPTCNAA,
        Base.ImageResources,
        Base.InterColorProfile,
        Base.PrintImageMatching,
        IFD.Exif,
        IFD.GPSInfo,
        IFD.Interop,
    }
)

_OF_PHOTOGRAPHS = frozenset(
    {
        Base.ImageDescription,
        Base.Make,
        Base.Model,
        Base.XResolution,
        Base.YResolution,
        Base.ResolutionUnit,
        Base.Software,
        Base.DateTime,
        Base.Artist,
        Base.HostComputer,
        Base.Copyright,
        IFD.Exif,
        IFD.GPSInfo,
    }
)

#: What of a photograph's EXIF is carried on.
Carried = Literal["all", "all but place", "nothing"]

_log = logging.getLogger(__name__)


def carried_exif(path: Path, data: bytes, carried: Carried = "all") -> Image.Exif | None:
    """Read from ``data``, the photograph at ``path``, what is ``carried`` on; None where it has no
    EXIF, or a damaged one, of which a warning tells."""
    if carried == "nothing":
        return None
    parts = _IFDS if carried == "all" else (IFD.Exif,)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Tags that cannot be read.
            exif = _without_pixels(_read(data), parts)
            exif.tobytes()  # What cannot be written is found here.
    except Exception as error:  # Pillow raises a dozen kinds on damaged EXIF.
        _log.warning("%s: its EXIF block is damaged (%s) and is not carried on", path, error)
        return None
    return exif if len(exif) or any(map(exif.get_ifd, _IFDS)) else None


def exif_tiff(exif: Image.Exif) -> bytes:
    """``exif`` from its TIFF header on."""
    return exif.tobytes().removeprefix(b"Exif\0\0")


def exr_attributes(exif: Image.Exif) -> dict[str, str | float]:
    """``exif`` as OpenEXR's standard attributes (ImfStandardAttributes.h), as far as it has them:
    seconds, metres, millimetres, degrees."""
    camera, place = exif.get_ifd(IFD.Exif), exif.get_ifd(IFD.GPSInfo)
    first = {**exif, **camera}
    found: dict[str, str | float | None] = {
        name: _text(first.get(tag)) for name, tag in _TEXTS.items()
    }
    found |= {name: _number(first.get(tag)) for name, tag in _NUMBERS.items()}
    found["capDate"] = found["capDate"] or _text(first.get(Base.DateTime))
    found["owner"] = found["owner"] or _text(first.get(Base.Copyright))
    found["utcOffset"] = _utc_offset(_text(first.get(Base.OffsetTimeOriginal)) or "")
    found["latitude"] = _degrees(place, GPS.GPSLatitude, GPS.GPSLatitudeRef, "S")
    found["longitude"] = _degrees(place, GPS.GPSLongitude, GPS.GPSLongitudeRef, "W")
    altitude = _number(place.get(GPS.GPSAltitude))
    if altitude is not None:
        below = place.get(GPS.GPSAltitudeRef) in (1, b"\x01")
        found["altitude"] = -altitude if below else altitude
    return {name: value for name, value in found.items() if value is not None}


_IFDS = (IFD.Exif, IFD.GPSInfo)
_TEXTS = {
    "capDate": Base.DateTimeOriginal,
    "cameraMake": Base.Make,
    "cameraModel": Base.Model,
    "cameraSerialNumber": Base.BodySerialNumber,
    "lensMake": Base.LensMake,
    "lensModel": Base.LensModel,
    "lensSerialNumber": Base.LensSerialNumber,
    "owner": Base.Artist,
    "comments": Base.ImageDescription,
}
_NUMBERS = {
    "expTime": Base.ExposureTime,
    "aperture": Base.FNumber,
    "isoSpeed": Base.ISOSpeedRatings,
    "focus": Base.SubjectDistance,
    "nominalFocalLength": Base.FocalLength,
}


def _read(data: bytes) -> Image.Exif:
    for is_this, exif_of in _CONTAINERS:
        if is_this(data):
            return _loaded(exif_of(data))
    if is_tiff(data):
        # Of the file's own tags, which say how it is stored, too, only what is of the photograph.
        exif = _loaded(data)
        for tag in set(exif) - _OF_PHOTOGRAPHS:
            del exif[tag]
        return exif
    # Not by Image.open, which refuses a photograph of very many pixels.
    kind: Callable[[io.BytesIO], JpegImageFile | PngImageFile] = (
        PngImageFile if data.startswith(b"\x89PNG") else JpegImageFile
    )
    with kind(io.BytesIO(data)) as image:
        if isinstance(image, PngImageFile) and "exif" not in image.info and b"eXIf" in data:
            image.load()  # It may stand behind the pixels.
        if not {"exif", "Raw profile type exif"} & set(image.info):  # The latter by ImageMagick.
            return Image.Exif()
        exif = image.getexif()
        if not exif:
            raise ValueError("no tag can be read")
        return exif


_CONTAINERS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], bytes | None]], ...] = (
    (is_heif, heif_exif),
    (is_webp, webp_exif),
    (is_jxl, jxl_exif),
)
"""Whether a file is of a kind, and its EXIF."""


def _loaded(tiff: bytes | None) -> Image.Exif:
    """EXIF from its TIFF header on."""
    exif = Image.Exif()
    if tiff is not None:
        exif.load(b"Exif\0\0" + tiff)
        if not exif:
            raise ValueError("no tag can be read")
    return exif


def _without_pixels(exif: Image.Exif, parts: Sequence[IFD]) -> Image.Exif:
    carried = Image.Exif()
    carried.update({tag: value for tag, value in exif.items() if tag not in _OF_PIXELS})
    for part in parts:
        tags = {tag: value for tag, value in exif.get_ifd(part).items() if tag not in _OF_PIXELS}
        if tags:
            carried.get_ifd(part).update(tags)
    return carried


def _text(value: Any) -> str | None:
    text = value.strip(" \0\n") if isinstance(value, str) else ""
    return text or None


def _number(value: Any) -> float | None:
    value = value[0] if isinstance(value, tuple) and value else value
    with suppress(TypeError, ValueError, ZeroDivisionError):
        number = float(value)
        if abs(number) < 1e9:  # Neither infinite nor no number.
            return number
    return None


def _degrees(place: Mapping[int, Any], tag: int, reference: int, negative: str) -> float | None:
    parts = place.get(tag)
    if not isinstance(parts, tuple) or len(parts) != 3:
        return None
    numbers = [_number(part) for part in parts]
    if None in numbers:
        return None
    degrees = sum(number / 60**power for power, number in enumerate(numbers) if number is not None)
    return -degrees if place.get(reference) == negative else degrees


def _utc_offset(text: str) -> float | None:
    """Seconds to be added to the local time for UTC, of "+09:00"."""
    match = re.fullmatch(r"([+-])(\d\d):(\d\d)", text)
    if match is None:
        return None
    seconds = 3600.0 * int(match[2]) + 60 * int(match[3])
    return -seconds if match[1] == "+" else seconds
