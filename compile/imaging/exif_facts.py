"""What the EXIF and the ICC profile of a picture that Pillow has opened say of its pixels."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from PIL import ExifTags, Image

from compile.imaging.colour_spaces import ColourSpace, space_of_exif
from compile.imaging.icc_profile import space_of_profile

#: What Pillow raises on damaged files.
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
)


def exif_spaces(image: Image.Image, said: list[str]) -> Iterator[ColourSpace]:
    """The colour spaces that they name: the profile's first. What is unusable is ``said``."""
    profile = image.info.get("icc_profile")
    if profile:
        yield space_of_profile(profile, "its ICC profile")
    try:
        exif = image.getexif()
        details = exif.get_ifd(ExifTags.IFD.Exif)
        interop = exif.get_ifd(ExifTags.IFD.Interop)
    except DAMAGE:
        return  # exif_orientation says so
    try:
        space = space_of_exif(exif, details, interop)
    except (*DAMAGE, ZeroDivisionError) as error:
        if not profile:
            said.append(f"{error}, taken for sRGB")
        return
    if space is not None:
        yield space


def exif_orientation(image: Image.Image, said: list[str]) -> int:
    """EXIF's orientation; 1 and a sentence that is ``said`` where it cannot be read."""
    exif = Image.Exif()
    try:
        # Not image.getexif, which turns by XMP, too: browsers do not, and editors that have turned
        # the pixels leave it there.
        exif.load(image.info.get("exif", b""))
        return exif.get(ExifTags.Base.Orientation, 1)
    except DAMAGE as error:
        said.append(f"its EXIF block is malformed ({error}), orientation not applied")
        return 1
