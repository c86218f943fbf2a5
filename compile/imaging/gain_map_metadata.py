"""What a gain map means, in the two forms that readers know: ISO 21496-1 and Adobe's hdrgm XMP.

ISO 21496-1:2025, annex C, and "Gain map specification", version 1.0, of Adobe (2024); how they
stand in JPEG files: "Ultra HDR Image Format", version 1.1, of Android.
"""

from __future__ import annotations

import struct
from fractions import Fraction

import numpy as np

from compile.imaging.gain_map import OFFSET, GainMap

ISO_NAME = b"urn:iso:std:iso:ts:21496:-1\0"
XMP_NAME = b"http://ns.adobe.com/xap/1.0/\0"

HDRGM = "http://ns.adobe.com/hdr-gain-map/1.0/"
CONTAINER = "http://ns.google.com/photos/1.0/container/"
ITEM = "http://ns.google.com/photos/1.0/container/item/"

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_IN_SPACE_OF_BASE = 0x40
_DENOMINATOR = 1 << 20


def iso_of_base() -> bytes:
    """The segment's body of a base picture: the versions that a reader has to know and that the
    file was written by, 0 both."""
    return ISO_NAME + struct.pack(">HH", 0, 0)


def iso_metadata(gains: GainMap) -> bytes:
    """What the map means: versions, flags, ratios of 32-bit integers, big-endian."""
    numbers = (0, gains.headroom, gains.low, gains.high, 1, OFFSET, OFFSET)
    return struct.pack(">HHB", 0, 0, _IN_SPACE_OF_BASE) + b"".join(map(_ratio, numbers))


def xmp_of_base(map_bytes: int) -> str:
    """The description of a base picture, behind which there is a map of ``map_bytes`` in the
    file."""
    words = 'Item:Semantic="Primary"', f'Item:Semantic="GainMap" Item:Length="{map_bytes}"'
    listed = "".join(
        f'<rdf:li rdf:parseType="Resource"><Container:Item Item:Mime="image/jpeg" {one}/></rdf:li>'
        for one in words
    )
    return _description(
        {"hdrgm:Version": "1.0"},
        f"<Container:Directory><rdf:Seq>{listed}</rdf:Seq></Container:Directory>",
        {"Container": CONTAINER, "Item": ITEM},
    )


def xmp_of_map(gains: GainMap) -> str:
    """The description of the map."""
    attributes = {
        "hdrgm:Version": "1.0",
        "hdrgm:BaseRenditionIsHDR": "False",
        "hdrgm:HDRCapacityMin": "0",
        "hdrgm:HDRCapacityMax": _text(gains.headroom),
        "hdrgm:GainMapMin": _text(gains.low),
        "hdrgm:GainMapMax": _text(gains.high),
        "hdrgm:Gamma": "1",
        "hdrgm:OffsetSDR": _text(OFFSET),
        "hdrgm:OffsetHDR": _text(OFFSET),
    }
    return _description(attributes, "", {})


def packet(description: str) -> bytes:
    """An XMP packet of one description, as it stands in a segment."""
    start = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}">'
    return f"{start}{description}</rdf:RDF></x:xmpmeta>".encode()


def add_description(xmp: bytes, description: str) -> bytes | None:
    """The packet ``xmp`` with one description more and without its padding; None where it has
    another form, or one of a gain map."""
    end = xmp.rfind(b"</rdf:RDF>")
    if end < 0 or HDRGM.encode() in xmp or CONTAINER.encode() in xmp:
        return None
    behind, _, closing = xmp[end:].partition(b"<?xpacket end=")
    return (
        xmp[:end]
        + description.encode()
        + behind.rstrip()
        + (b"\n<?xpacket end=" + closing if closing else b"")
    )


def _description(attributes: dict[str, str], content: str, names: dict[str, str]) -> str:
    spaces = {"rdf": _RDF, "hdrgm": HDRGM, **names}
    words = [f'xmlns:{prefix}="{name}"' for prefix, name in spaces.items()]
    words += [f'{name}="{value}"' for name, value in attributes.items()]
    return f'<rdf:Description rdf:about="" {" ".join(words)}>{content}</rdf:Description>'


def _text(value: float) -> str:
    return np.format_float_positional(value, precision=7, trim="-")


def _ratio(value: float) -> bytes:
    ratio = Fraction(value).limit_denominator(_DENOMINATOR)
    return struct.pack(">iI", ratio.numerator, ratio.denominator)
