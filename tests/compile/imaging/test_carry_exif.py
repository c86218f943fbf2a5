"""EXIF from a photograph to the pictures made of it, read back by Pillow and OpenEXR."""

from __future__ import annotations

import struct
from pathlib import Path

import imagecodecs
import numpy as np
import OpenEXR
import pytest
from PIL import Image
from PIL.ExifTags import GPS, IFD, Base
from PIL.TiffImagePlugin import IFDRational

from compile.imaging.avif_exif import add_exif
from compile.imaging.carry_exif import carried_exif
from compile.imaging.write_hdr import HdrOptions, write_hdr


def photographed() -> Image.Exif:
    """As a camera writes it."""
    exif = Image.Exif()
    exif[Base.Make], exif[Base.Model] = "Canon", "EOS R5"
    exif[Base.Orientation], exif[Base.ImageWidth] = 6, 4000
    exif.get_ifd(IFD.Exif).update(
        {
            Base.DateTimeOriginal: "2024:05:01 10:00:01",
            Base.OffsetTimeOriginal: "+09:30",
            Base.ExposureTime: IFDRational(1, 200),
            Base.FNumber: IFDRational(28, 10),
            Base.ISOSpeedRatings: 100,
            Base.ColorSpace: 1,
            Base.MakerNote: b"offsets",
        }
    )
    exif.get_ifd(IFD.GPSInfo).update(
        {
            GPS.GPSLatitudeRef: "S",
            GPS.GPSLatitude: (IFDRational(12), IFDRational(30), IFDRational(36)),
            GPS.GPSLongitudeRef: "E",
            GPS.GPSLongitude: (IFDRational(45), IFDRational(15), IFDRational(0)),
        }
    )
    return exif


@pytest.fixture(params=["jpg", "png", "webp", "avif", "tif", "jxl"])
def photo(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A photograph with EXIF."""
    path = tmp_path / f"photo.{request.param}"
    image = Image.new("RGB", (64, 48), (90, 120, 200))
    if request.param == "jxl":
        tiff = photographed().tobytes().removeprefix(b"Exif\0\0")
        box = struct.pack(">I4sI", 12 + len(tiff), b"Exif", 0) + tiff
        path.write_bytes(imagecodecs.jpegxl_encode(np.asarray(image), usecontainer=True) + box)
    elif request.param == "tif":
        path.write_bytes(tiff_of(image))
    else:
        image.save(path, exif=photographed())
    return path


def tiff_of(image: Image.Image) -> bytes:
    """A TIFF file, whose EXIF are its own tags; Pillow writes it without EXIF's directories."""
    exif, pixels = photographed(), image.tobytes()
    exif.update({256: image.width, 257: image.height, 258: (8, 8, 8), 259: 1, 262: 2})
    # Pillow makes the offset one from the end of the tags.
    exif.update({273: 0, 277: 3, 278: image.height, 279: len(pixels)})
    return exif.tobytes().removeprefix(b"Exif\0\0") + pixels


@pytest.mark.parametrize("ending", ["avif", "png"])
def test_avif_and_png_hold_it(photo: Path, tmp_path: Path, ending: str):
    path = tmp_path / f"out.{ending}"
    light = np.full((48, 64, 3), 0.5, np.float32)
    write_hdr(path, light, HdrOptions(exif=carried_exif(photo, photo.read_bytes())))
    with Image.open(path) as image:
        assert image.size == (64, 48)
        exif = image.getexif()
    assert (exif[Base.Make], exif[Base.Model]) == ("Canon", "EOS R5")
    camera, place = exif.get_ifd(IFD.Exif), exif.get_ifd(IFD.GPSInfo)
    assert camera[Base.DateTimeOriginal] == "2024:05:01 10:00:01"
    assert camera[Base.ExposureTime] == pytest.approx(1 / 200)
    assert place[GPS.GPSLatitude] == (12, 30, 36)
    # What described the photograph's own pixels, and would turn these a second time.
    assert not {Base.Orientation, Base.ImageWidth} & set(exif)
    assert not {Base.ColorSpace, Base.MakerNote} & set(camera)


def test_exr_holds_it_as_attributes(photo: Path, tmp_path: Path):
    light = np.full((48, 64, 3), 0.5, np.float32)
    write_hdr(tmp_path / "out.exr", light, HdrOptions(exif=carried_exif(photo, photo.read_bytes())))
    with OpenEXR.File(str(tmp_path / "out.exr")) as file:
        header = dict(file.header())
    texts = {"capDate": "2024:05:01 10:00:01", "cameraMake": "Canon", "cameraModel": "EOS R5"}
    assert {name: header[name] for name in texts} == texts
    # UTC is the local time and this.
    numbers = {"utcOffset": -9.5 * 3600, "expTime": 0.005, "aperture": 2.8, "isoSpeed": 100}
    numbers |= {"latitude": -12.51, "longitude": 45.25}
    assert {name: header[name] for name in numbers} == pytest.approx(numbers)


def test_all_but_the_place_and_nothing(photo: Path):
    data = photo.read_bytes()
    exif = carried_exif(photo, data, "all but place")
    assert exif is not None and exif[Base.Make] == "Canon"
    assert b"\x88\x25" not in exif.tobytes() and b"\x25\x88" not in exif.tobytes()
    assert not exif.get_ifd(IFD.GPSInfo) and exif.get_ifd(IFD.Exif)
    assert carried_exif(photo, data, "nothing") is None


def test_a_photograph_without_exif_has_none(tmp_path: Path):
    for name in ("plain.jpg", "plain.png"):
        Image.new("RGB", (64, 48)).save(tmp_path / name)
        assert carried_exif(tmp_path / name, (tmp_path / name).read_bytes()) is None


@pytest.mark.parametrize("name", ["broken.jpg", "broken.png"])
def test_damaged_exif_is_said_and_left_out(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
):
    block = b"Exif\0\0" + b"no TIFF header"
    Image.new("RGB", (64, 48)).save(tmp_path / name, exif=block)
    assert carried_exif(tmp_path / name, (tmp_path / name).read_bytes()) is None
    assert "EXIF" in caplog.text and name in caplog.text


@pytest.mark.parametrize("size", [(1, 1), (45, 67), (700, 900)])
def test_the_pixels_of_an_avif_stay(size: tuple[int, int]):
    codes = np.random.default_rng(0).integers(0, 1024, (*size, 3), np.uint16)
    plain = imagecodecs.avif_encode(codes, level=90, speed=10, bitspersample=10)
    described = add_exif(plain, photographed().tobytes().removeprefix(b"Exif\0\0"))
    assert len(described) > len(plain)
    np.testing.assert_array_equal(
        imagecodecs.avif_decode(described), imagecodecs.avif_decode(plain)
    )


@pytest.mark.parametrize("data", [b"", b"\0\0\0\x09abcd", b"\0\0\0\x08ftyp" * 3])
def test_what_is_laid_out_otherwise_is_refused(data: bytes):
    with pytest.raises(ValueError, match="AVIF"):
        add_exif(data, b"II*\0")


def test_quality_and_speed(tmp_path: Path):
    light = np.random.default_rng(0).random((128, 128, 3), np.float32)
    sizes = []
    for quality in (30, 95):
        write_hdr(tmp_path / "x.avif", light, HdrOptions(quality=quality, speed=9))
        sizes.append((tmp_path / "x.avif").stat().st_size)
    assert sizes[0] < sizes[1] / 2
