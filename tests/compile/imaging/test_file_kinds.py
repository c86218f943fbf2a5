"""A file that is not read is told what it is; Pillow and imagecodecs write most of them."""

from __future__ import annotations

import io
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from picture_files import scene
from PIL import Image

from compile.imaging.file_kinds import READ, describe_kind
from compile.imaging.read_photo import read_photo
from compile.support.errors import PhotoError


def written(form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(scene()).save(stream, form, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (written("GIF"), "a GIF picture"),
        (written("BMP"), "a BMP picture"),
        (written("JPEG2000"), "a JPEG 2000 picture"),
        (written("PPM"), "a PNM picture"),
        (written("ICO"), "an icon"),
        (written("DDS"), "a DDS texture"),
        (written("PDF"), "a PDF document"),
        (imagecodecs.qoi_encode(scene()), "a QOI picture"),
        (imagecodecs.rgbe_encode(scene().astype(np.float32), header=True), "HDR already"),
        # ISO 23008-12, 10.2: by its major brand, and by a compatible one
        (b"\0\0\0\x14ftyphevc\0\0\0\0msf1", "a HEIC sequence"),
        (b"\0\0\0\x14ftypmsf1\0\0\0\0hevx", "a HEIC sequence"),
        (b"\0\0\0\x14ftypavis\0\0\0\0msf1", "an AVIF sequence"),
        (b"\0\0\0\x18ftypqt  \0\0\0\0qt  \0\0\0\0", "a video"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "(CR3)"),
        (b"YUV4MPEG2 W96 H64 F25:1 C420\n", "a video"),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01", "a video"),
        (b"\n<!DOCTYPE html>\n<html>404 Not Found", "a web page (HTML)"),
        (b"<!-- a --><!-- b -->\n<HTML lang=en>", "a web page (HTML)"),
        (b'<?xml version="1.0"?>\n<!DOCTYPE svg PUBLIC "x">\n<svg>', "a drawing (SVG)"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b'{"error": "not found"}', "a text file"),
        ("Straße".encode() * 1000, "a text file"),
        (b"PK\x03\x04" + bytes(26), "a ZIP archive"),
        (b"\x1f\x8b\x08\0", "a compressed file"),
        (b"\x89PNG\n\x1a\n", "a PNG picture damaged by a transfer as text"),
        (bytes(5000), "full of zeros"),
        (b"", "empty"),
    ],
)
def test_it_is_told_what_it_is(tmp_path: Path, data: bytes, what: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    with pytest.raises(PhotoError) as caught:
        read_photo(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path} is ") and what in sentence
    assert f"not a {READ} picture; " in sentence and "\n" not in sentence


def test_what_is_unknown_is_said_to_be(tmp_path: Path) -> None:
    assert describe_kind(bytes(range(128, 256))) is None
    path = tmp_path / "photo.jpg"
    path.write_bytes(bytes(range(128, 256)))
    with pytest.raises(PhotoError, match="of an unknown kind, not a JPEG, PNG, HEIC"):
        read_photo(path)


def test_a_picture_is_to_be_converted_and_a_page_to_be_fetched_again() -> None:
    assert "convert" in describe_kind(written("GIF")).remedy
    assert "download" in describe_kind(b"<html>").remedy


def test_a_hostile_head_takes_no_time() -> None:
    assert describe_kind(b"<!---->" * 500 + b"<!--").what == "a text file"
    assert describe_kind(b" " * 4096).what == "a text file"
