"""Every kind of JPEG and PNG becomes upright sRGB; every kind of damage becomes one sentence."""

from __future__ import annotations

import io
import tomllib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from picture_files import header, jpeg, png, png_of_rows, scene
from PIL import Image, PngImagePlugin

from compile.imaging.bundled import PHOTOS, bundled_photos
from compile.imaging.read_photo import read_photo, read_stored_photo
from compile.support.errors import PhotoError

ORIENTATION = 0x0112


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def refused(path: Path) -> str:
    with pytest.raises(PhotoError) as caught:
        read_photo(path)
    sentence = str(caught.value)
    assert path.name in sentence and ";" in sentence and "\n" not in sentence
    return sentence


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (250, 333)])
def test_png_is_read_exactly(tmp_path: Path, size: tuple[int, int]) -> None:
    photo = read_photo(save(tmp_path / "a.png", Image.fromarray(scene(*size))))
    assert photo.dtype == np.uint8 and photo.flags.writeable
    np.testing.assert_array_equal(photo, scene(*size))


def test_jpeg_by_any_name(tmp_path: Path) -> None:
    path = save(tmp_path / "a.photo", Image.fromarray(scene()), format="JPEG", quality=95)
    assert np.abs(read_photo(path).astype(int) - scene()).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_orientation_is_applied(tmp_path: Path, orientation: int, ending: str) -> None:
    upright = scene(64, 96)
    # EXIF 2.32, tag 0112: where the stored picture's first row and column lie in the upright one
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image = Image.fromarray(np.ascontiguousarray(stored))
    photo = read_photo(save(tmp_path / f"a.{ending}", image, exif=exif))
    assert photo.shape == upright.shape
    assert np.abs(photo.astype(int) - upright).mean() < 4


@pytest.mark.parametrize(
    "shrink_to, is_stored", [(None, True), ((90, 120), True), ((40, 60), False)]
)
def test_whether_pixels_are_those_of_the_file(
    tmp_path: Path, shrink_to: tuple[int, int] | None, is_stored: bool
) -> None:
    """A JPEG of more than four times the size is decoded smaller, one that is turned or grey is not
    as it was."""
    large = Image.fromarray(scene(180, 260))
    path = save(tmp_path / "a.jpg", large)
    read = read_stored_photo(path, shrink_to)
    assert read.is_stored == is_stored
    if is_stored:
        np.testing.assert_array_equal(read.pixels, np.asarray(Image.open(path)))
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    for other in (
        save(tmp_path / "turned.jpg", large, exif=exif),
        save(tmp_path / "grey.jpg", large.convert("L")),
    ):
        assert not read_stored_photo(other, shrink_to).is_stored


def test_xmp_turns_nothing(tmp_path: Path) -> None:
    """Browsers do not look there, and editors leave it behind when they have turned the pixels."""
    xmp = b'<x tiff:Orientation="6"/>'
    told = Image.fromarray(scene(64, 96))
    path = save(tmp_path / "a.jpg", told, quality=95, xmp=xmp)
    assert b"tiff:Orientation" in path.read_bytes() and read_photo(path).shape == (64, 96, 3)
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", xmp.decode())
    assert read_photo(save(tmp_path / "a.png", told, pnginfo=text)).shape == (64, 96, 3)


def test_malformed_exif_is_survived(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(scene()).save(path, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert read_photo(path).shape == (45, 67, 3)


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_grey_and_palette(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(scene()).convert(mode)
    expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(read_photo(save(tmp_path / "a.png", image)), expected)


def test_transparency_is_composited_over_black(tmp_path: Path) -> None:
    pixels = np.dstack([scene(), np.full((45, 67), 255, np.uint8)])
    pixels[:20, :, 3] = 0
    pixels[20:30, :, 3] = 128
    photo = read_photo(save(tmp_path / "a.png", Image.fromarray(pixels)))
    assert not photo[:20].any()
    assert np.abs(photo[20:30] - scene()[20:30] * (128 / 255)).max() <= 1
    np.testing.assert_array_equal(photo[30:], scene()[30:])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bit_png(tmp_path: Path, channels: int) -> None:
    light = scene().astype(np.uint16) * 257
    opaque = np.full((45, 67, 1), 65535, np.uint16)
    pixels = {
        1: light[..., :1],
        2: np.dstack([light[..., :1], opaque]),
        3: light,
        4: np.dstack([light, opaque]),
    }[channels]
    path = tmp_path / "a.png"
    path.write_bytes(png(pixels))
    expected = scene() if channels > 2 else np.repeat(scene()[..., :1], 3, -1)
    assert np.abs(read_photo(path).astype(int) - expected).max() <= 1


def test_cmyk_jpeg(tmp_path: Path) -> None:
    image = Image.new("CMYK", (40, 40), (0, 255, 255, 0))
    red = read_photo(save(tmp_path / "a.jpg", image, quality=95))[20, 20]
    assert red[0] > 240 and red[1] < 15 and red[2] < 15


def test_multi_picture_file_gives_its_first(tmp_path: Path) -> None:
    first, second = Image.fromarray(scene()), Image.new("RGB", (67, 45))
    path = tmp_path / "a.jpg"
    first.save(path, "MPO", save_all=True, append_images=[second], quality=95)
    assert np.abs(read_photo(path).astype(int) - scene()).mean() < 3


def test_missing(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "none.jpg")


def test_folder(tmp_path: Path) -> None:
    assert "cannot be read" in refused(tmp_path)


def test_a_device_that_never_ends() -> None:
    assert "full of zeros" in refused(Path("/dev/zero"))


def test_a_file_that_is_larger_than_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    with path.open("wb") as file:
        file.truncate(1 << 36)
    assert "full of zeros" in refused(path)


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.touch()
    assert "is empty" in refused(path)


@pytest.mark.parametrize("size", [(31, 200), (200, 31), (1, 1)])
def test_too_small(tmp_path: Path, size: tuple[int, int]) -> None:
    sentence = refused(save(tmp_path / "a.png", Image.new("RGB", size)))
    assert f"{size[0]}x{size[1]}" in sentence and "at least 32" in sentence


def test_more_pixels_than_the_memory_holds(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_of_rows(header(900_000, 900_000), bytes(999)))
    assert "scale it down" in refused(path)


@pytest.mark.slow
def test_more_pixels_than_pillow_opens(tmp_path: Path) -> None:
    """Pillow's Image.open refuses 179 megapixels and more; this is 182, of one bit each."""
    path = tmp_path / "a.png"
    path.write_bytes(png_of_rows(header(13_500, 13_500, 1, 0), (b"\0" + b"\xf0" * 1688) * 13_500))
    photo = read_photo(path)
    assert photo.shape == (13_500, 13_500, 3)
    assert (photo[::999, :8, 1] == [255] * 4 + [0] * 4).all()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(progressive=st.booleans(), share=st.floats(0.001, 0.999))
def test_truncated_jpeg_is_never_a_picture(tmp_path: Path, progressive: bool, share: float) -> None:
    data = jpeg(progressive=progressive)
    path = tmp_path / "a.jpg"
    path.write_bytes(data[: max(3, int(len(data) * share))])
    assert "truncated" in refused(path)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_jpeg_that_ends_in_zeros(tmp_path: Path, share: float) -> None:
    """What is left of a download that was broken off in a preallocated file."""
    data = jpeg()
    keep = int(len(data) * share)
    path = tmp_path / "a.jpg"
    path.write_bytes(data[:keep] + bytes(len(data) - keep))
    assert "truncated" in refused(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0.001, 0.999))
def test_truncated_png_is_whole_or_refused(tmp_path: Path, share: float) -> None:
    """Only the last chunks, behind the pixels, may be missing."""
    data = (PHOTOS / "cat.png").read_bytes()
    path = tmp_path / "a.png"
    path.write_bytes(data[: max(8, int(len(data) * share))])
    try:
        photo = read_photo(path)
    except PhotoError as error:
        assert "truncated" in str(error)
    else:
        np.testing.assert_array_equal(photo, read_photo(PHOTOS / "cat.png"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 1 << 20), value=st.integers(0, 255), of_png=st.booleans())
def test_damage_is_a_photo_error_or_survived(
    tmp_path: Path, at: int, value: int, of_png: bool
) -> None:
    data = bytearray(png(scene().astype(np.uint16) * 257) if of_png else jpeg())
    data[at % len(data)] = value
    path = tmp_path / "a"
    path.write_bytes(data)
    try:
        photo = read_photo(path)
    except PhotoError:
        return
    assert photo.ndim == 3 and photo.shape[-1] == 3


def test_bundled_photos_can_be_read_and_are_what_the_list_says() -> None:
    entries = tomllib.loads((PHOTOS / "sources.toml").read_text(encoding="utf-8"))["photo"]
    for entry in entries:
        assert list(read_photo(PHOTOS / entry["file"]).shape[:2]) == entry["size"]
        assert entry["author"] and entry["source"] and entry["changes"]
        assert entry["licence"] in ("CC0-1.0", "CC-BY-4.0", "public domain")
    on_disk = {path.name for path in PHOTOS.iterdir()} - {"sources.toml"}
    assert on_disk == {entry["file"] for entry in entries}


def test_calibration_and_test_photos_are_apart() -> None:
    calibration, test = bundled_photos("calibration"), bundled_photos("test")
    assert not set(calibration) & set(test)
    (demo,) = bundled_photos("demo")
    assert demo in test
    assert read_photo(demo).shape == (768, 1280, 3)
    sizes = [read_photo(path).shape for path in calibration]
    assert sum((height // 256) * (width // 256) for height, width, _ in sizes) >= 16
    with pytest.raises(ValueError, match="calibration, demo, test"):
        bundled_photos("holiday")


@pytest.mark.parametrize("kind", ["HEIC", "AVIF", "WEBP", "TIFF", "JXL"])
def test_whatever_bytes_are_changed_there_is_a_picture_or_a_sentence(kind: str) -> None:
    """Flipped and cut: the same sixty files each time."""
    pixels, chance = scene(40, 56), np.random.default_rng(5)
    stream = io.BytesIO()
    if kind == "HEIC":
        stream.write((Path(__file__).with_name("heic") / "alpha.heic").read_bytes())
    elif kind == "JXL":
        stream.write(imagecodecs.jpegxl_encode(pixels))
    else:
        Image.fromarray(pixels).save(stream, kind)
    sound = stream.getvalue()
    for _ in range(60):
        data = bytearray(sound[: chance.integers(20, len(sound) + 1)])
        for place in chance.integers(0, min(len(data), 600), 3):
            data[place] = chance.integers(256)
        try:
            assert read_photo("photo", data=bytes(data)).shape[-1] == 3
        except PhotoError as error:
            assert "\n" not in str(error)
