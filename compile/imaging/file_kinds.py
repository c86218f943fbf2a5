"""What a file is that is of no kind that is read, by its first bytes, in a user's words."""

from __future__ import annotations

import re
from typing import NamedTuple

READ = "JPEG, PNG, HEIC, AVIF, WebP, TIFF or JPEG XL"
"""The kinds that are read."""

_HEAD = 4096


class Kind(NamedTuple):
    """``what`` follows "is", as "a HEIC picture"; ``remedy`` says what to do."""

    what: str
    remedy: str


_CONVERT = "convert the photograph to one of them"
_CLIP = "end the output's name in .mkv, .mp4 or .mov to make a clip of it"
_VIDEO = "a video"
_FETCH = "copy or download the photograph itself again"

# Of ISO base media files, by major or compatible brand; the first that fits.
_BRANDS = (
    ((b"avis",), "an AVIF sequence"),
    ((b"hevc", b"hevx", b"msf1"), "a HEIC sequence"),
    ((b"crx ",), "a raw picture of a camera (CR3)"),
    ((b"qt  ", b"mp41", b"mp42", b"isom", b"iso2", b"avc1", b"M4V ", b"3gp4", b"3gp5"), _VIDEO),
)

_STARTS = (
    (rb"GIF8[79]a", "a GIF picture"),
    (rb"RIFF....AVI |YUV4MPEG2 ", _VIDEO),
    (rb"II\*\0....CR", "a raw picture of a camera (CR2)"),
    (rb"FUJIFILMCCD-RAW|II[UR][\0OS]", "a raw picture of a camera"),
    (rb"BM....\0\0\0\0", "a BMP picture"),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (rb"II\xbc", "a JPEG XR picture"),
    (rb"v/1\x01", "an OpenEXR picture, which is HDR already"),
    (rb"#\?(RADIANCE|RGBE)", "a Radiance picture, which is HDR already"),
    (rb"8BPS", "a Photoshop file"),
    (rb"gimp xcf", "a GIMP file"),
    (rb"\x8a[MN]G|\x8bJNG", "an MNG or JNG picture"),
    (rb"qoif", "a QOI picture"),
    (rb"DDS ", "a DDS texture"),
    (rb"\0\0[\x01\x02]\0[^\0]\0", "an icon"),
    (rb"P[1-7]\s", "a PNM picture"),
    (rb".?PNG[\r\n]", "a PNG picture damaged by a transfer as text"),
)

_NO_PICTURES = (
    (rb"%PDF", "a PDF document"),
    (rb"%!PS", "a PostScript document"),
    (rb"PK\x03\x04|PK\x05\x06", "a ZIP archive"),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd|7z\xbc\xaf", "a compressed file"),
    (rb"\x1aE\xdf\xa3|\0\0\x01\xba", _VIDEO),
    (rb"\x7fELF", "a program"),
)

_TEXTS = (
    (rb"<!doctype html|<html|<head|<body", "a web page (HTML)"),
    (rb"(<!doctype svg[^>]*>)?\s*<svg", "a drawing (SVG)"),
    (rb"version https://git-lfs", "a Git LFS pointer"),
)
_BEFORE_TEXT = re.compile(rb"\xef\xbb\xbf|<\?xml[^>]*>|<!--.*?-->|\s+", re.DOTALL)


def describe_kind(data: bytes) -> Kind | None:
    """Say what a file is by its first bytes; None if they are unknown."""
    head = data[:_HEAD]
    if not head:
        return Kind("empty", _FETCH)
    if head[4:8] == b"ftyp":
        what = _by_brand(head)
        return Kind(what, _CLIP if what == _VIDEO else _CONVERT)
    for starts, remedy in ((_STARTS, _CONVERT), (_NO_PICTURES, _FETCH)):
        for start, what in starts:
            if re.match(start, head, re.DOTALL):
                return Kind(what, _CLIP if what == _VIDEO else remedy)
    at = 0
    while before := _BEFORE_TEXT.match(head, at):
        at = before.end()
    for start, what in _TEXTS:
        if re.match(start, head[at:], re.IGNORECASE):
            return Kind(what, _FETCH)
    if not head.strip(b"\0"):
        return Kind("full of zeros", _FETCH)
    return Kind("a text file", _FETCH) if _is_text(head) else None


def _by_brand(head: bytes) -> str:
    size = min(max(int.from_bytes(head[:4], "big"), 12), len(head))
    brands = {head[at : at + 4] for at in (8, *range(16, size, 4))}
    for known, what in _BRANDS:
        if brands & set(known):
            return what
    return "a video or picture of the MP4 family"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3 or len(head) < _HEAD:  # not only cut within a character
            return False
        text = head[: error.start].decode("utf-8")
    return all(letter.isprintable() or letter in "\t\r\n\f" for letter in text)
